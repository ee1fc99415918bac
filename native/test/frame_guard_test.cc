#include <tuple>

#include "check.h"
#include "frame_guard.h"

using namespace firsthop;

namespace {

bool hold(const FrameGuard& guard, const Bytes& frame) { return guardsHold({guard}, frame.data()); }

void anOctetHasItsBounds() {
  FrameGuard guard;
  guard.kind = FrameGuard::Kind::Octet;
  guard.at = 2;
  guard.least = 100;
  guard.most = 200;
  for (int octet = 0; octet < 256; octet++) {
    CHECK(hold(guard, {0, 0, static_cast<uint8_t>(octet), 0}) == (octet >= 100 && octet <= 200));
  }
}

void whatMustDifferDiffersAnywhere() {
  FrameGuard guard;
  guard.kind = FrameGuard::Kind::Differs;
  guard.at = 1;
  guard.octets = {1, 2, 3};
  CHECK(!hold(guard, {9, 1, 2, 3, 9}));
  CHECK(hold(guard, {9, 0, 2, 3, 9}));
  CHECK(hold(guard, {9, 1, 2, 4, 9}));
}

FrameGuard checksum(uint16_t from, uint16_t to) {
  FrameGuard guard;
  guard.kind = FrameGuard::Kind::Checksum;
  guard.covered = {from, to};
  return guard;
}

// The IPv4 header that RFC 1071's readers know from textbooks.
const Bytes kHeader{0xff, 0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11,
                    0xb8, 0x61, 0xc0, 0xa8, 0x00, 0x01, 0xc0, 0xa8, 0x00, 0xc7};

void aChecksumCoversWhatItIsSaidTo() {
  CHECK(hold(checksum(1, 21), kHeader));
  CHECK(!hold(checksum(0, 20), kHeader));
  CHECK(!hold(checksum(1, 19), kHeader));
  for (size_t bit = 8; bit < kHeader.size() * 8; bit++) {
    Bytes spoilt = kHeader;
    spoilt[bit / 8] = static_cast<uint8_t>(spoilt[bit / 8] ^ (1 << bit % 8));
    CHECK(!hold(checksum(1, 21), spoilt));
  }
}

void anOddOctetIsAHighOne() {
  CHECK(!hold(checksum(0, 3), {0x12, 0x34, 0xed, 0xcb}));
  CHECK(hold(checksum(0, 3), {0x12, 0xff, 0xed}));
}

// Nothing sums up to nothing, which is no checksum.
void zerosAreNotRight() {
  CHECK(!hold(checksum(0, 4), {0, 0, 0, 0}));
  CHECK(!hold(checksum(2, 2), {0, 0, 0, 0}));
}

void aPseudoHeaderCountsWhereItMustOrMay() {
  using Pseudo = FrameGuard::Pseudo;
  // Two octets of addresses, then the message: without the pseudo-header, and with it (rest 112 + 4).
  const Bytes plain{0x12, 0x34, 0x31, 0x0a, 0xce, 0xf5};
  const uint32_t pseudo = 0x1234 + 112 + 4;
  const uint32_t sum = 0xffff - (0x310a + pseudo);
  const Bytes with{0x12, 0x34, 0x31, 0x0a, static_cast<uint8_t>(sum >> 8), static_cast<uint8_t>(sum)};
  for (const auto& [how, plain_holds, with_holds] :
       {std::tuple{Pseudo::Never, true, false}, std::tuple{Pseudo::Always, false, true},
        std::tuple{Pseudo::Either, true, true}}) {
    FrameGuard guard = checksum(2, 6);
    guard.pseudo = {0, 2};
    guard.pseudo_rest = 112 + 4;
    guard.with_pseudo = how;
    CHECK(hold(guard, plain) == plain_holds);
    CHECK(hold(guard, with) == with_holds);
  }
}

void allOfThemMustHold() {
  FrameGuard octet;
  octet.most = 0xff;
  octet.least = 0xff;
  CHECK(guardsHold({}, kHeader.data()));
  CHECK(guardsHold({octet, checksum(1, 21)}, kHeader.data()));
  CHECK(!guardsHold({octet, checksum(0, 21)}, kHeader.data()));
  octet.at = 1;
  CHECK(!guardsHold({checksum(1, 21), octet}, kHeader.data()));
}

}  // namespace

int main() {
  TEST(anOctetHasItsBounds);
  TEST(whatMustDifferDiffersAnywhere);
  TEST(aChecksumCoversWhatItIsSaidTo);
  TEST(anOddOctetIsAHighOne);
  TEST(zerosAreNotRight);
  TEST(aPseudoHeaderCountsWhereItMustOrMay);
  TEST(allOfThemMustHold);
  return 0;
}
