#include "check.h"
#include "deadline_heap.h"

#include <cstdlib>

using firsthop::DeadlineHeap;

static void givesDeadlinesInOrder() {
  DeadlineHeap heap;
  std::srand(7);
  for (uint32_t i = 0; i < 10000; i++) heap.push({std::rand() % 1000, i, 0});
  int64_t last = -1;
  size_t count = 0;
  while (!heap.empty()) {
    CHECK(heap.top().at_ns >= last);
    last = heap.top().at_ns;
    heap.pop();
    count++;
  }
  CHECK(count == 10000);
}

int main() {
  TEST(givesDeadlinesInOrder);
  return 0;
}
