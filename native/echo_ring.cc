// see echo_ring.h
#include "echo_ring.h"

#include <arpa/inet.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "bpf/echo_abi.h"
#include "bpf/echo_program.h"
#include "bpf_syscall.h"

namespace firsthop {

namespace {

// Of each interface with such targets: more would be in the way of machines with thousands. A power of two, and whole
// pages of any size that kernels have.
constexpr size_t kRingOctets = 1 << 16;
// linux/bpf.h: what stands before each record.
constexpr size_t kRecordHeader = 8;
static_assert(EchoRing::kCapacity == kRingOctets / (kRecordHeader + sizeof(fh_echo)));
constexpr uint32_t kBusy = 1u << 31;
constexpr uint32_t kDiscarded = 1u << 30;
constexpr int kAttachProgram = 50;  // SO_ATTACH_BPF

size_t pageOctets() { return static_cast<size_t>(::sysconf(_SC_PAGESIZE)); }

// As the octets lie in a message: identifier, sequence number (any), secret.
uint64_t identityOf(uint16_t identifier, uint32_t secret) {
  return htons(identifier) | static_cast<uint64_t>(htonl(secret)) << 32;
}

}  // namespace

int EchoRing::open(int socket, bool ipv6, uint16_t identifier, uint32_t secret) {
  close();
  UniqueFd ring;
  const bpf::MapOptions options{bpf::MapType::kRing, 0, 0, kRingOctets, 0, bpf::echo::kSymbolNames[0]};
  if (const Failure failure = bpf::createMap(options, ring)) return failure.error;
  const std::vector<bpf::Symbol> symbols = {bpf::Symbol::map(ring.get()),
                                            bpf::Symbol::number(identityOf(identifier, secret))};
  const auto code = ipv6 ? bpf::link(bpf::echo::kEcho6Code, bpf::echo::kEcho6Uses, symbols)
                         : bpf::link(bpf::echo::kEcho4Code, bpf::echo::kEcho4Uses, symbols);
  UniqueFd program;
  if (const Failure failure =
          bpf::loadProgram(bpf::ProgramType::kSocketFilter, ipv6 ? "fh_echo6" : "fh_echo4", code, program))
    return failure.error;
  const size_t page = pageOctets();
  void* consumed = ::mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_SHARED, ring.get(), 0);
  if (consumed == MAP_FAILED) return errno;
  // Twice the records: one that ends at the beginning is whole.
  void* produced = ::mmap(nullptr, page + 2 * kRingOctets, PROT_READ, MAP_SHARED, ring.get(), static_cast<off_t>(page));
  int error = produced == MAP_FAILED ? errno : 0;
  const int fd = program.get();
  if (error == 0 && ::setsockopt(socket, SOL_SOCKET, kAttachProgram, &fd, sizeof fd) != 0) error = errno;
  if (error != 0) {
    if (produced != MAP_FAILED) ::munmap(produced, page + 2 * kRingOctets);
    ::munmap(consumed, page);
    return error;
  }
  consumed_ = static_cast<unsigned long*>(consumed);
  produced_ = static_cast<const unsigned long*>(produced);
  ring_ = std::move(ring);
  ipv6_ = ipv6;
  identifier_ = identifier;
  secret_ = secret;
  return 0;
}

void EchoRing::close() {
  if (!ring_.valid()) return;
  const size_t page = pageOctets();
  ::munmap(consumed_, page);
  ::munmap(const_cast<unsigned long*>(produced_), page + 2 * kRingOctets);
  consumed_ = nullptr;
  produced_ = nullptr;
  ring_.reset();
}

size_t EchoRing::take(Noted* into, size_t most) {
  if (!ring_.valid()) return 0;
  const auto* records = reinterpret_cast<const uint8_t*>(produced_) + pageOctets();
  unsigned long at = __atomic_load_n(consumed_, __ATOMIC_RELAXED);
  const unsigned long end = __atomic_load_n(produced_, __ATOMIC_ACQUIRE);
  size_t taken = 0;
  // Positions only grow, and begin again behind the largest number.
  while (at != end && taken < most) {
    const uint8_t* record = records + (at & (kRingOctets - 1));
    const uint32_t length = __atomic_load_n(reinterpret_cast<const uint32_t*>(record), __ATOMIC_ACQUIRE);
    if ((length & kBusy) != 0) break;
    if ((length & kDiscarded) == 0) {
      fh_echo noted;
      std::memcpy(&noted, record + kRecordHeader, sizeof noted);
      EchoAnswer answer;
      answer.identifier = identifier_;
      answer.identity = {secret_, noted.slot, noted.nonce};
      answer.source = addressOf(noted.source, ipv6_);
      into[taken++] = {answer, static_cast<int64_t>(noted.at_ns)};
    }
    at += ((length & ~(kBusy | kDiscarded)) + kRecordHeader + 7) & ~7ul;
  }
  __atomic_store_n(consumed_, at, __ATOMIC_RELEASE);
  return taken;
}

}  // namespace firsthop
