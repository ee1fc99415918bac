// Measuring instruments: a source of numbered packets, a sink that notes each packet's arrival, and a capture of
// frames. Each runs on a thread of its own which enters a network namespace before it opens its sockets, so that
// one process drives and watches a whole segment. JavaScript reads what the threads wrote; nothing is called back.
//
// All stamps are CLOCK_MONOTONIC nanoseconds. Those of received frames are the kernel's (taken when the frame came
// in, not when a thread was scheduled), moved from CLOCK_REALTIME by the offset at the time of reading.
//
// `stop` ends the thread and gives descriptors and rings back; what was noted stays readable. It may be repeated.
#pragma once
#include <linux/filter.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "util/failure.h"
#include "util/joined_thread.h"
#include "util/unique_fd.h"

namespace firsthop {

// Where and how a thread runs.
struct Place {
  std::string namespacePath;  // empty: the namespace of the process
  std::string threadName;
  int realtimePriority = 0;  // SCHED_FIFO where allowed; 0: the normal class
};

int64_t monotonicNs();

// Memory that costs nothing until it is touched, zeroed.
template <typename T>
class MappedArray {
 public:
  MappedArray() = default;
  MappedArray(const MappedArray&) = delete;
  MappedArray& operator=(const MappedArray&) = delete;
  ~MappedArray();
  bool map(size_t count);
  size_t size() const { return count_; }
  T& operator[](size_t index) { return data_[index]; }
  const T& operator[](size_t index) const { return data_[index]; }

 private:
  T* data_ = nullptr;
  size_t count_ = 0;
};

// A thread in a namespace. `prepare` runs on it first and decides whether it goes on with `run`.
class Worker {
 public:
  Worker() = default;
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker() { stop(); }

  Failure start(const Place& place, const std::function<Failure()>& prepare, std::function<void()> run);
  void stop();
  bool stopping() const { return stopping_.load(std::memory_order_acquire); }
  int wakeFd() const { return wake_.get(); }
  bool realtime() const { return realtime_; }

 private:
  JoinedThread thread_;
  UniqueFd wake_;
  std::atomic<bool> stopping_{false};
  bool realtime_ = false;
};

// A received frame, valid during the call it is handed to.
struct RingFrame {
  int64_t atNs;
  const uint8_t* data;
  uint32_t captured;
  uint32_t length;
  uint32_t ifindex;
  uint8_t packetType;  // PACKET_HOST, PACKET_OUTGOING …
};

// An AF_PACKET receive ring (TPACKET_V3): frames wait in the kernel for at most its block time-out. The ring has a
// fixed number of blocks, so the longer that is, the longer a reader of few frames may be kept from reading.
class PacketRing {
 public:
  PacketRing() = default;
  PacketRing(const PacketRing&) = delete;
  PacketRing& operator=(const PacketRing&) = delete;
  ~PacketRing() { close(); }

  static constexpr uint32_t kBlockTimeoutMs = 4;

  // `interface` empty: all of the namespace. Filters return the number of octets to keep.
  Failure open(const std::string& interface, const std::vector<sock_filter>& filter, bool outgoing,
               uint32_t blockTimeoutMs = kBlockTimeoutMs);
  // Waits for frames or for `worker`'s end, and hands out what is there.
  void pump(const Worker& worker, const std::function<void(const RingFrame&)>& take);
  // Gives the socket and the ring's memory back. Not while another thread pumps.
  void close();
  uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  void drain(const std::function<void(const RingFrame&)>& take);
  void countDrops();

  UniqueFd fd_;
  uint8_t* ring_ = nullptr;
  size_t ringSize_ = 0;
  uint32_t block_ = 0;
  std::atomic<uint64_t> dropped_{0};
};

struct SourceOptions {
  Place place;
  double packetsPerSecond = 1000;
  uint64_t capacity = 0;  // packets in all
  uint64_t limit = 0;     // stops by itself after so many; 0: goes on until stopped
  // Numbered UDP packets through the namespace's routing …
  sockaddr_storage destination{};
  socklen_t destinationLength = 0;
  uint32_t payloadSize = 64;
  // … or these frames in turn, out of this interface.
  std::string interface;
  std::vector<std::vector<uint8_t>> frames;
};

// Sends on an absolute schedule. Packets that are due together (a late wake-up) leave together; of a delay above
// 100 ms the schedule is moved instead, so that a stalled machine does not end in a burst.
class TrafficSource {
 public:
  Failure start(const SourceOptions& options);
  void stop();
  uint64_t sent() const { return sent_.load(std::memory_order_acquire); }
  uint64_t errors() const { return errors_.load(std::memory_order_relaxed); }
  int lastError() const { return lastError_.load(std::memory_order_relaxed); }
  bool realtime() const { return worker_.realtime(); }
  // When packet `sequence` (< sent()) was handed to the kernel.
  int64_t stampNs(uint64_t sequence) const { return stamps_[sequence]; }

 private:
  void run();
  void sendOne(uint64_t sequence);

  SourceOptions options_;
  UniqueFd fd_;
  std::vector<uint8_t> payload_;
  MappedArray<int64_t> stamps_;
  std::atomic<uint64_t> sent_{0};
  std::atomic<uint64_t> errors_{0};
  std::atomic<int> lastError_{0};
  Worker worker_;  // last: its thread uses the members above
};

struct SinkOptions {
  Place place;
  std::string interface;
  uint16_t port = 0;
  uint64_t capacity = 0;  // sequence numbers
};

// Notes for each sequence number when its first copy came in, through whom, and how many came.
class TrafficSink {
 public:
  static constexpr size_t kMaxSenders = 255;
  using Mac = std::array<uint8_t, 6>;

  Failure start(const SinkOptions& options);
  void stop();
  uint64_t capacity() const { return firstNs_.size(); }
  uint64_t received() const { return received_.load(std::memory_order_acquire); }
  uint64_t outOfRange() const { return outOfRange_.load(std::memory_order_relaxed); }
  uint64_t dropped() const { return ring_.dropped(); }
  // 0: none came.
  int64_t firstNs(uint64_t sequence) const { return firstNs_[sequence].load(std::memory_order_relaxed); }
  uint32_t copies(uint64_t sequence) const { return marks_[sequence].load(std::memory_order_acquire) >> 8; }
  // Index into senders(); meaningful when copies() > 0.
  uint8_t via(uint64_t sequence) const { return marks_[sequence].load(std::memory_order_acquire) & 0xff; }
  size_t senders() const { return senderCount_.load(std::memory_order_acquire); }
  Mac sender(size_t index) const { return senders_[index]; }
  // All copies that came through a sender, first or not.
  uint64_t senderPackets(size_t index) const { return senderPackets_[index].load(std::memory_order_relaxed); }

 private:
  void take(const RingFrame& frame);
  uint8_t senderIndex(const uint8_t* mac);

  PacketRing ring_;
  UniqueFd swallow_;
  MappedArray<std::atomic<int64_t>> firstNs_;
  MappedArray<std::atomic<uint32_t>> marks_;  // copies << 8 | sender of the first
  std::array<Mac, kMaxSenders> senders_{};
  std::array<std::atomic<uint64_t>, kMaxSenders> senderPackets_{};
  std::atomic<size_t> senderCount_{0};
  std::atomic<uint64_t> received_{0};
  std::atomic<uint64_t> outOfRange_{0};
  Worker worker_;
};

struct CaptureOptions {
  Place place;
  std::string interface;  // empty: all of the namespace
  std::vector<sock_filter> filter;
  bool outgoing = false;
  uint32_t snapLength = 128;
  uint32_t blockTimeoutMs = PacketRing::kBlockTimeoutMs;
  uint64_t capacity = 0;  // frames
};

struct CapturedFrame {
  int64_t atNs;
  uint32_t length;
  uint32_t ifindex;
  uint16_t captured;
  uint8_t packetType;
};

// Keeps the beginning of each frame that the filter lets through, until its capacity is used up.
class FrameCapture {
 public:
  Failure start(const CaptureOptions& options);
  void stop();
  uint64_t count() const { return count_.load(std::memory_order_acquire); }
  uint64_t overflowed() const { return overflowed_.load(std::memory_order_relaxed); }
  uint64_t dropped() const { return ring_.dropped(); }
  uint32_t snapLength() const { return snapLength_; }
  const CapturedFrame& frame(uint64_t index) const { return frames_[index]; }
  const uint8_t* octets(uint64_t index) const { return &octets_[index * snapLength_]; }

 private:
  void take(const RingFrame& frame);

  PacketRing ring_;
  uint32_t snapLength_ = 0;
  MappedArray<CapturedFrame> frames_;
  MappedArray<uint8_t> octets_;
  std::atomic<uint64_t> count_{0};
  std::atomic<uint64_t> overflowed_{0};
  Worker worker_;
};

// A filter for what a list of EtherTypes and IP protocols (0: any) lets through. Returns `snapLength` octets.
struct ProtocolMatch {
  uint16_t etherType;
  uint8_t protocol;
};
std::vector<sock_filter> protocolFilter(const std::vector<ProtocolMatch>& matches, uint32_t snapLength);

}  // namespace firsthop
