// Echo answers that the kernel notes in memory, on the loopback interface of a network namespace of its own. Needs root,
// and a kernel that has rings (5.8); 77 tells ctest that it was skipped.
#include <arpa/inet.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <thread>
#include <vector>

#include "check.h"
#include "echo_ring.h"
#include "own_namespace.h"

using namespace firsthop;

namespace {

constexpr uint16_t kIdentifier = 0x1234;
constexpr uint32_t kSecret = 0xcafebabe;
constexpr int kSoonMs = 5000;

UniqueFd rawSocket(bool ipv6) {
  UniqueFd fd(::socket(ipv6 ? AF_INET6 : AF_INET, SOCK_RAW | SOCK_NONBLOCK,
                       ipv6 ? static_cast<int>(IPPROTO_ICMPV6) : static_cast<int>(IPPROTO_ICMP)));
  CHECK(fd.valid());
  return fd;
}

// A socket whose answers are noted, and the ring that they are noted in.
struct Noting {
  explicit Noting(bool ipv6) : socket(rawSocket(ipv6)) {
    const int room = 8 << 20;
    CHECK(::setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) == 0);
    CHECK(ring.open(socket.get(), ipv6, kIdentifier, kSecret) == 0);
  }
  UniqueFd socket;
  EchoRing ring;
};

// The answer to an echo request; `spoiled`: the octet of it that is another one.
std::vector<uint8_t> answerTo(bool ipv6, const EchoIdentity& identity, size_t spoiled = SIZE_MAX) {
  std::vector<uint8_t> echo(kEchoLength);
  writeEcho(echo.data(), ipv6, kIdentifier, 7, identity);
  echo[0] = ipv6 ? 129 : 0;
  if (!ipv6) {
    const unsigned grown = (echo[2] << 8 | echo[3]) + 0x0800u;
    const unsigned folded = (grown & 0xffff) + (grown >> 16);
    echo[2] = static_cast<uint8_t>(folded >> 8);
    echo[3] = static_cast<uint8_t>(folded);
  }
  if (spoiled < echo.size()) echo[spoiled] ^= 1;
  return echo;
}

class Sender {
 public:
  explicit Sender(bool ipv6) : ipv6_(ipv6), socket_(rawSocket(ipv6)) {}
  // From now on each datagram has four octets of IP options.
  void addOptions() const {
    const uint8_t nothing[4] = {1, 1, 1, 0};
    CHECK(::setsockopt(socket_.get(), IPPROTO_IP, IP_OPTIONS, nothing, sizeof nothing) == 0);
  }
  void send(const std::vector<uint8_t>& message) const {
    sockaddr_in6 to6{};
    to6.sin6_family = AF_INET6;
    to6.sin6_addr = in6addr_loopback;
    sockaddr_in to4{};
    to4.sin_family = AF_INET;
    to4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const auto* to = ipv6_ ? reinterpret_cast<const sockaddr*>(&to6) : reinterpret_cast<const sockaddr*>(&to4);
    const socklen_t size = ipv6_ ? sizeof to6 : sizeof to4;
    CHECK(::sendto(socket_.get(), message.data(), message.size(), 0, to, size) ==
          static_cast<ssize_t>(message.size()));
  }

 private:
  bool ipv6_;
  UniqueFd socket_;
};

bool readable(int fd, int withinMs) {
  pollfd waited{fd, POLLIN, 0};
  return ::poll(&waited, 1, withinMs) == 1;
}

size_t readAll(int socket) {
  std::array<uint8_t, 256> octets;
  size_t count = 0;
  while (::recv(socket, octets.data(), octets.size(), 0) > 0) count++;
  return count;
}

void notesAnAnswer(bool ipv6) {
  Noting noting(ipv6);
  Sender(ipv6).send(answerTo(ipv6, {kSecret, 17, 0x0123456789abcdef}));
  CHECK(readable(noting.ring.fd(), kSoonMs));
  std::array<EchoRing::Noted, 4> noted;
  CHECK(noting.ring.take(noted.data(), noted.size()) == 1);
  const auto& [answer, at_ns] = noted[0];
  CHECK(answer.identifier == kIdentifier && answer.identity.secret == kSecret);
  CHECK(answer.identity.slot == 17 && answer.identity.nonce == 0x0123456789abcdef);
  const uint8_t home4[4] = {127, 0, 0, 1};
  CHECK(answer.source == addressOf(ipv6 ? in6addr_loopback.s6_addr : home4, ipv6));
  timespec now{};
  CHECK(::clock_gettime(CLOCK_MONOTONIC, &now) == 0);
  const int64_t now_ns = int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
  CHECK(at_ns <= now_ns && now_ns - at_ns < int64_t{kSoonMs} * 1'000'000);
  CHECK(noting.ring.take(noted.data(), noted.size()) == 0 && readAll(noting.socket.get()) == 0);
}

void notesAnswers4() { notesAnAnswer(false); }
void notesAnswers6() { notesAnAnswer(true); }

// Everything but the sequence number, which nobody asks for, and what the identity of a probe is to say.
void leavesOutWhatIsNoAnswer() {
  Noting noting(false);
  const Sender sender(false);
  const EchoIdentity identity{kSecret, 1, 2};
  for (size_t at = 0; at < kEchoLength; at++) sender.send(answerTo(false, identity, at));
  std::vector<uint8_t> shorter = answerTo(false, identity);
  shorter.pop_back();
  sender.send(shorter);
  // Came in after all of them.
  sender.send(answerTo(false, {kSecret, 99, 0}));
  CHECK(readable(noting.ring.fd(), kSoonMs));
  std::array<EchoRing::Noted, 64> noted;
  CHECK(noting.ring.take(noted.data(), noted.size()) == 1 && noted[0].answer.identity.slot == 99);
  CHECK(readAll(noting.socket.get()) == 0);
}

// What is longer than the request, or has IP options, is for the socket and whoever reads it.
void leavesToTheSocketWhatIsOdd() {
  Noting noting(false);
  std::vector<uint8_t> longer = answerTo(false, {kSecret, 1, 2});
  longer.resize(longer.size() + 2, 0);
  Sender(false).send(longer);
  CHECK(readable(noting.socket.get(), kSoonMs));
  std::array<EchoRing::Noted, 4> noted;
  CHECK(noting.ring.take(noted.data(), noted.size()) == 0 && readAll(noting.socket.get()) == 1);
  const Sender sender(false);
  sender.addOptions();
  sender.send(answerTo(false, {kSecret, 1, 2}));
  CHECK(readable(noting.socket.get(), kSoonMs));
  CHECK(noting.ring.take(noted.data(), noted.size()) == 0 && readAll(noting.socket.get()) == 1);
}

// Anybody may send datagrams with options, and they are not to fill the socket.
void leavesOutWhatHasOptionsAndIsNoAnswer() {
  Noting noting(false);
  const Sender sender(false);
  sender.addOptions();
  const EchoIdentity identity{kSecret, 1, 2};
  for (const size_t at : {0, 4, 5, 8, 9, 10, 11}) sender.send(answerTo(false, identity, at));
  sender.send(answerTo(false, {kSecret ^ 1, 1, 2}));
  sender.send({0, 0, 0xff, 0xff});
  // Came in after all of them.
  Sender(false).send(answerTo(false, {kSecret, 99, 0}));
  CHECK(readable(noting.ring.fd(), kSoonMs));
  CHECK(readAll(noting.socket.get()) == 0);
}

void losesNothingWhenItIsFull(bool ipv6) {
  constexpr uint32_t kAnswers = 7000;
  Noting noting(ipv6);
  const Sender sender(ipv6);
  for (uint32_t slot = 0; slot < kAnswers; slot++) sender.send(answerTo(ipv6, {kSecret, slot, slot}));
  const size_t unnoted = readAll(noting.socket.get());
  CHECK(unnoted == kAnswers - EchoRing::kCapacity);
  std::array<EchoRing::Noted, 100> noted;
  uint32_t next = 0;
  while (const size_t count = noting.ring.take(noted.data(), noted.size()))
    for (size_t i = 0; i < count; i++) CHECK(noted[i].answer.identity.slot == next++);
  CHECK(next + unnoted == kAnswers);
  // There is room again.
  sender.send(answerTo(ipv6, {kSecret, 1, 1}));
  CHECK(noting.ring.take(noted.data(), noted.size()) == 1);
}

void losesNothingWhenItIsFull4() { losesNothingWhenItIsFull(false); }
void losesNothingWhenItIsFull6() { losesNothingWhenItIsFull(true); }

void opensAgain() {
  Noting noting(false);
  noting.ring.close();
  CHECK(noting.ring.fd() == -1);
  EchoRing::Noted noted;
  CHECK(noting.ring.take(&noted, 1) == 0);
  CHECK(noting.ring.open(noting.socket.get(), false, kIdentifier, kSecret) == 0);
  Sender(false).send(answerTo(false, {kSecret, 3, 4}));
  CHECK(noting.ring.take(&noted, 1) == 1 && noted.answer.identity.slot == 3);
}

// In a thread of its own, which is all that gives the rights up. Some kernels let everyone load programs.
void saysThatItMayNot() {
  std::thread([] {
    const UniqueFd socket = rawSocket(false);
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct none[2] = {};
    CHECK(::syscall(SYS_capset, &header, none) == 0);
    EchoRing ring;
    const int error = ring.open(socket.get(), false, kIdentifier, kSecret);
    CHECK(error == 0 ? ring.fd() >= 0 : error == EPERM && ring.fd() == -1);
  }).join();
}

bool hasRings() {
  EchoRing ring;
  return ring.open(rawSocket(false).get(), false, kIdentifier, kSecret) != EINVAL;
}

}  // namespace

int main() {
  if (!openNamespace()) {
    std::fprintf(stderr, "skipped: a network namespace needs root\n");
    return 77;
  }
  if (!hasRings()) {
    std::fprintf(stderr, "skipped: this kernel has no BPF rings\n");
    return 77;
  }
  TEST(notesAnswers4);
  TEST(notesAnswers6);
  TEST(leavesOutWhatIsNoAnswer);
  TEST(leavesToTheSocketWhatIsOdd);
  TEST(leavesOutWhatHasOptionsAndIsNoAnswer);
  TEST(losesNothingWhenItIsFull4);
  TEST(losesNothingWhenItIsFull6);
  TEST(opensAgain);
  TEST(saysThatItMayNot);
  return 0;
}
