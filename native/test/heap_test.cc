#include "check.h"
#include "deadline_heap.h"

#include <algorithm>
#include <cstdlib>
#include <vector>

using firsthop::DeadlineHeap;
using firsthop::kNever;
using firsthop::Timer;

static void givesDeadlinesInOrder() {
  std::srand(7);
  std::vector<Timer> timers(10000);
  DeadlineHeap heap;
  for (Timer& timer : timers) heap.arm(timer, std::rand() % 1000);
  int64_t last = -1;
  size_t count = 0;
  while (Timer* timer = heap.first()) {
    CHECK(timer->deadline_ns >= last);
    last = timer->deadline_ns;
    DeadlineHeap::cancel(*timer);
    count++;
  }
  CHECK(count == timers.size() && heap.empty());
}

static void holdsATimerOnceHoweverOftenItIsArmed() {
  Timer timer;
  DeadlineHeap heap;
  for (int64_t at = 1; at <= 1000; at++) heap.arm(timer, at * (at % 2 == 0 ? 1 : 1000));
  CHECK(heap.size() == 1);
  CHECK(heap.first() == &timer && timer.deadline_ns == 1000);
  heap.take(timer);
  CHECK(heap.empty() && heap.first() == nullptr && timer.position == Timer::kOutside);
}

// Against a plain search through all timers.
static void agreesWithASearchUnderAnyMixOfCalls() {
  std::srand(11);
  std::vector<Timer> timers(64);
  DeadlineHeap heap;
  for (int round = 0; round < 200000; round++) {
    Timer& timer = timers[static_cast<size_t>(std::rand()) % timers.size()];
    switch (std::rand() % 8) {
      case 0:
        DeadlineHeap::cancel(timer);
        break;
      case 1:
        heap.take(timer);
        DeadlineHeap::cancel(timer);
        break;
      default:
        heap.arm(timer, std::rand() % 100000);
    }
    const auto soonest = std::min_element(timers.begin(), timers.end(), [](const Timer& a, const Timer& b) {
      return a.deadline_ns < b.deadline_ns;
    });
    const Timer* first = heap.first();
    CHECK((first == nullptr ? kNever : first->deadline_ns) == soonest->deadline_ns);
  }
}

int main() {
  TEST(givesDeadlinesInOrder);
  TEST(holdsATimerOnceHoweverOftenItIsArmed);
  TEST(agreesWithASearchUnderAnyMixOfCalls);
  return 0;
}
