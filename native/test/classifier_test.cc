#include "check.h"
#include "classifier.h"

using firsthop::Bytes;
using firsthop::FramePattern;
using Classifier = firsthop::Classifier<uint32_t>;

static FramePattern pattern(uint8_t id, size_t length = 60) {
  FramePattern one;
  one.bytes.assign(length, id);
  one.mask.assign(length, 0xff);
  one.mask[18] = one.mask[19] = 0;
  return one;
}

static void findsWhatIsEqualUnderTheMask() {
  Classifier classifier;
  for (uint32_t i = 0; i < 255; i++) classifier.add(pattern(static_cast<uint8_t>(i)), i, 3);
  Bytes frame(60, 42);
  frame[18] = 99;
  const auto* match = classifier.find(frame.data(), frame.size());
  CHECK(match != nullptr && match->owner == 42 && match->pattern == 3);
  frame[20] ^= 1;
  CHECK(classifier.find(frame.data(), frame.size()) == nullptr);
}

static void comparesLengths() {
  Classifier classifier;
  classifier.add(pattern(1), 1, 0);
  const Bytes shorter(59, 1);
  const Bytes longer(61, 1);
  CHECK(classifier.find(shorter.data(), shorter.size()) == nullptr);
  CHECK(classifier.find(longer.data(), longer.size()) == nullptr);
}

static void forgetsOnlyTheSessionThatLeaves() {
  Classifier classifier;
  classifier.add(pattern(5), 1, 0);
  classifier.add(pattern(5), 2, 0);
  classifier.remove(pattern(5), 1);
  const Bytes frame(60, 5);
  const auto* match = classifier.find(frame.data(), frame.size());
  CHECK(match != nullptr && match->owner == 2);
  classifier.remove(pattern(5), 2);
  CHECK(classifier.find(frame.data(), frame.size()) == nullptr);
  classifier.remove(pattern(5), 2);
}

static void handlesLengthsThatAreNoMultipleOfEight() {
  for (size_t length = 1; length < 80; length++) {
    Classifier classifier;
    FramePattern one;
    one.bytes.assign(length, 7);
    one.mask.assign(length, 0xff);
    classifier.add(one, 1, 0);
    Bytes frame(length, 7);
    CHECK(classifier.find(frame.data(), length) != nullptr);
    frame[length - 1] = 8;
    CHECK(classifier.find(frame.data(), length) == nullptr);
  }
}

static void asksForAnotherOneWhenTheFirstIsRefused() {
  Classifier classifier;
  for (uint32_t owner = 0; owner < 4; owner++) classifier.add(pattern(5), owner, 0);
  const Bytes frame(60, 5);
  const auto* match = classifier.find(frame.data(), frame.size(), [](const auto& one) { return one.owner == 2; });
  CHECK(match != nullptr && match->owner == 2);
  CHECK(classifier.find(frame.data(), frame.size(), [](const auto&) { return false; }) == nullptr);
}

static void findsWhatBeginsLikeAPattern() {
  Classifier classifier;
  classifier.add(pattern(5, 46), 1, 0);
  const auto any = [](const auto&) { return true; };
  Bytes frame(46, 5);
  CHECK(classifier.findBeginning(frame.data(), frame.size(), any) != nullptr);
  frame.insert(frame.end(), 14, 9);
  CHECK(classifier.findBeginning(frame.data(), frame.size(), any) != nullptr);
  CHECK(classifier.find(frame.data(), frame.size()) == nullptr);
  CHECK(classifier.findBeginning(frame.data(), 45, any) == nullptr);
  frame[45] ^= 1;
  CHECK(classifier.findBeginning(frame.data(), frame.size(), any) == nullptr);
}

int main() {
  TEST(findsWhatBeginsLikeAPattern);
  TEST(asksForAnotherOneWhenTheFirstIsRefused);
  TEST(findsWhatIsEqualUnderTheMask);
  TEST(comparesLengths);
  TEST(forgetsOnlyTheSessionThatLeaves);
  TEST(handlesLengthsThatAreNoMultipleOfEight);
  return 0;
}
