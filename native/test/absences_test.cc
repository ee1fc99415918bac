#include "absences.h"
#include "check.h"

using firsthop::Absences;

namespace {

constexpr int64_t kMs = 1'000'000;
// A deadline of 40 ms from here on; an eighth of that is 5 ms.
constexpr int64_t kBase = 1000 * kMs;
constexpr int64_t kDeadline = kBase + 40 * kMs;

int64_t listenUntil(const Absences& absences) { return absences.listenUntil(kBase, kDeadline); }

void whoWasThereBelievesSilence() {
  Absences absences;
  CHECK(listenUntil(absences) == 0);
  absences.note(kBase + kMs, kBase + 2 * kMs - 1);
  absences.note(kBase + 10 * kMs, kBase + 14 * kMs);
  CHECK(listenUntil(absences) == 0);
}

void whoWasAwayListensForThriceThatTimeAtMostForHalfTheDeadlines() {
  Absences absences;
  absences.note(kBase + 30 * kMs, kBase + 35 * kMs);
  CHECK(listenUntil(absences) == kBase + 50 * kMs);
  absences.note(kBase + 30 * kMs, kBase + 38 * kMs);
  CHECK(listenUntil(absences) == kBase + 58 * kMs);
}

void whoMissedTheDeadlineListensForWhatItMissedAtMostForTheWholeTime() {
  Absences absences;
  absences.note(kBase + 30 * kMs, kDeadline + 30 * kMs);
  CHECK(listenUntil(absences) == kDeadline + 60 * kMs);
  Absences longer;
  longer.note(kBase + 30 * kMs, kDeadline + 500 * kMs);
  CHECK(listenUntil(longer) == kDeadline + 540 * kMs);
}

void anAbsenceBeforeTheLastSignOfLifeIsPast() {
  Absences absences;
  absences.note(kBase - 20 * kMs, kBase);
  CHECK(listenUntil(absences) == 0);
}

// Short ones are as frequent as a machine is busy.
void shortAbsencesDoNotHideALongOne() {
  Absences absences;
  absences.note(kBase + 5 * kMs, kBase + 25 * kMs);
  for (int64_t at_ms = 26; at_ms < 39; at_ms += 2) absences.note(kBase + at_ms * kMs, kBase + (at_ms + 1) * kMs);
  CHECK(listenUntil(absences) == kBase + 45 * kMs);
}

void aShortOneCountsForAShortDeadlineBesideALongOneThatIsPast() {
  Absences absences;
  absences.note(kBase - 30 * kMs, kBase - 10 * kMs);
  absences.note(kBase + 5 * kMs, kBase + 6 * kMs);
  CHECK(absences.listenUntil(kBase, kBase + 8 * kMs) == kBase + 9 * kMs);
}

}  // namespace

int main() {
  TEST(whoWasThereBelievesSilence);
  TEST(whoWasAwayListensForThriceThatTimeAtMostForHalfTheDeadlines);
  TEST(whoMissedTheDeadlineListensForWhatItMissedAtMostForTheWholeTime);
  TEST(anAbsenceBeforeTheLastSignOfLifeIsPast);
  TEST(shortAbsencesDoNotHideALongOne);
  TEST(aShortOneCountsForAShortDeadlineBesideALongOneThatIsPast);
  return 0;
}
