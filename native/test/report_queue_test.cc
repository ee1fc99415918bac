#include "check.h"
#include "report_queue.h"

#include <atomic>
#include <thread>

using firsthop::Report;
using firsthop::ReportQueue;

static Report frame() {
  Report one;
  one.kind = Report::Kind::Frame;
  one.frame.assign(60, 1);
  return one;
}

static void boundsFramesButNothingElse() {
  ReportQueue queue;
  size_t taken = 0;
  while (queue.pushFrame(frame())) taken++;
  CHECK(taken == ReportQueue::kFramesMax);
  Report transition;
  transition.kind = Report::Kind::Transition;
  queue.push(std::move(transition));
  CHECK(queue.take().size() == taken + 1);
  CHECK(queue.pushFrame(frame()));
}

static void keepsTheOrderOfOneThread() {
  ReportQueue queue;
  std::atomic<bool> done{false};
  std::thread writer([&] {
    for (uint32_t i = 0; i < 50000; i++) {
      Report one;
      one.kind = Report::Kind::Transition;
      one.epoch = i;
      queue.push(std::move(one));
    }
    done = true;
  });
  uint32_t expected = 0;
  for (bool last = false; !last;) {
    last = done;
    for (const Report& one : queue.take()) CHECK(one.epoch == expected++);
  }
  writer.join();
  CHECK(expected == 50000);
}

static void handsOutPortionsThatEndWithAFrame() {
  ReportQueue queue;
  const auto push = [&queue](uint32_t epoch) {
    Report one;
    one.kind = Report::Kind::Transition;
    one.epoch = epoch;
    queue.push(std::move(one));
  };
  push(1);
  for (int i = 0; i < 3; i++) CHECK(queue.pushFrame(frame()));
  push(2);
  CHECK(queue.take(2).size() == 3);
  CHECK(!queue.empty());
  const auto rest = queue.take(2);
  CHECK(rest.size() == 2 && rest[1].epoch == 2);
  CHECK(queue.empty());
  size_t room = 0;
  while (queue.pushFrame(frame())) room++;
  CHECK(room == ReportQueue::kFramesMax);
}

int main() {
  TEST(boundsFramesButNothingElse);
  TEST(handsOutPortionsThatEndWithAFrame);
  TEST(keepsTheOrderOfOneThread);
  return 0;
}
