// Frames of the heartbeat engine: what comes in at its ports and whom it is for, what leaves by them, and what becomes of
// a port whose interface goes down. Everything here runs with the engine's lock held.
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "heartbeat.h"

namespace firsthop {

namespace {

// A port is read this often before timers get their turn again, however much there is to read.
constexpr int kReceiveRounds = 16;
// Frames for JavaScript: 200 a second from one sender with bursts of 64, 2,000 a second from one port.
constexpr int64_t kSenderCostNs = 5'000'000;
constexpr int64_t kSenderBurstNs = 64 * kSenderCostNs;
constexpr int64_t kPortCostNs = 500'000;
constexpr int64_t kPortBurstNs = 512 * kPortCostNs;
// How often a port whose interface is down is asked whether the interface is there at all.
constexpr int64_t kPortCheckNs = 250'000'000;

int64_t wallClockNs() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

}  // namespace

// ---- what comes in ------------------------------------------------------------------------------------------------

void Heartbeat::readPort(uint32_t id, Port& port) {
  for (int round = 0; round < kReceiveRounds; round++) {
    const int64_t now_ns = nowNs();
    const int64_t to_monotonic_ns = now_ns - wallClockNs();
    const int count = batch_.receive(port.socket->fd());
    port.read_until_ns = now_ns;
    port.left_in_wakeup = 0;
    if (count < 0) notePortError(id, port, -count);
    if (count == 0) port.emptied_ns = now_ns;
    if (count <= 0) break;
    // Frames may come in while they are taken, so the present is asked again.
    const int64_t read_ns = nowNs();
    port.counters.received += static_cast<uint64_t>(count);
    frames_read_ += static_cast<uint64_t>(count);
    int64_t last_ns = 0;
    for (size_t i = 0; i < static_cast<size_t>(count); i++) {
      // The wall clock, which stamps are made by, may be set at any time. What is sure is that a frame came
      // in after the socket was empty, and is here.
      const int64_t stamp_ns = batch_.stampNs(i) + to_monotonic_ns;
      const int64_t at_ns = std::clamp(stamp_ns, std::min(port.emptied_ns, read_ns), read_ns);
      if (!matchFrame(port, batch_.frame(i), batch_.length(i), at_ns, read_ns)) {
        deliverFrame(id, port, batch_.frame(i), batch_.length(i), at_ns, read_ns);
      }
      last_ns = at_ns;
    }
    // What still waited in the socket when the line failed says nothing about the line.
    if (last_ns > port.failed_ns) port.line = Line::Up;
    if (static_cast<size_t>(count) < ReceiveBatch::kFrames) {
      port.emptied_ns = now_ns;
      break;
    }
    // A full batch: there may be more, which came in after the last one that was read.
    port.read_until_ns = last_ns;
    if (round == kReceiveRounds - 1) port.left_in_wakeup = timing_.wakeups;
  }
}

bool Heartbeat::matchFrame(Port& port, const uint8_t* frame, size_t length, int64_t at_ns, int64_t now_ns) {
  Session* session = nullptr;
  const Transition* transition = nullptr;
  const auto accept = [&](const Classifier<Session*>::Match& match) {
    const FramePattern& pattern = match.owner->program->patterns[match.pattern];
    if (!guardsHold(pattern.guards, frame)) return false;
    session = match.owner;
    // In the order of time: a deadline that had passed when the frame came in is not saved by it.
    firePassed(*session, at_ns, now_ns);
    const Posture* posture = session->current();
    const int16_t index = posture->by_pattern[match.pattern];
    if (index == kNone || !believes(*session, pattern, frame, length)) return false;
    transition = &posture->transitions[static_cast<size_t>(index)];
    return true;
  };
  const bool known = port.classifier.find(frame, length, accept) != nullptr;
  // What only a guarded pattern knows JavaScript has yet to judge. The transition does not wait for that, and neither
  // for the sender's share of JavaScript's time: else thousands of claims at once would be too many to hold off anybody.
  if (!known && port.guarded.findBeginning(frame, length, accept) == nullptr) return false;
  if (known) port.counters.matched++;
  fireTransition(*session, *transition, {Moment::Cause::Frame, at_ns, now_ns});
  return known;
}

// A frame whose seal does not hold, or whose number is out of order, is JavaScript's, which says what is wrong with it.
bool Heartbeat::believes(Session& session, const FramePattern& pattern, const uint8_t* frame, size_t length) {
  if (pattern.seal_at < 0) return true;
  const Seal& seal = *session.program->seal;
  uint32_t number = 0;
  if (!sealHolds(seal, frame, length, static_cast<size_t>(pattern.seal_at), &number)) return false;
  const uint32_t ahead = number - session.sequence_heard;
  if (session.sequence_known && (ahead > pattern.seal_window || (ahead == 0 && !seal.repeats))) return false;
  session.sequence_heard = number;
  session.sequence_known = true;
  return true;
}

bool Heartbeat::Bucket::take(int64_t now_ns, int64_t cost_ns, int64_t burst_ns) {
  const int64_t level_ns = std::max(full_at_ns, now_ns - burst_ns);
  if (level_ns + cost_ns > now_ns) return false;
  full_at_ns = level_ns + cost_ns;
  return true;
}

void Heartbeat::deliverFrame(uint32_t id, Port& port, const uint8_t* frame, size_t length, int64_t at_ns,
                             int64_t now_ns) {
  uint64_t sender = 0;
  if (length >= 12) std::memcpy(&sender, frame + 6, 6);
  Bucket& bucket = port.senders[(sender * 0x9e3779b97f4a7c15ULL) >> 54];
  if (!bucket.take(now_ns, kSenderCostNs, kSenderBurstNs) || !port.all.take(now_ns, kPortCostNs, kPortBurstNs)) {
    port.counters.dropped_unread++;
    return;
  }
  Report arrived;
  arrived.kind = Report::Kind::Frame;
  arrived.session = id;
  arrived.at_ns = at_ns;
  arrived.frame.assign(frame, frame + length);
  frames_.push_back(std::move(arrived));
}

void Heartbeat::publishFrames(int64_t until_ns) {
  if (frames_.empty()) return;
  size_t kept = 0;
  for (Report& one : frames_) {
    if (one.at_ns > until_ns) {
      if (&one != &frames_[kept]) frames_[kept] = std::move(one);
      kept++;
      continue;
    }
    auto port = ports_.find(one.session);
    if (port == ports_.end()) continue;
    if (reports_.pushFrame(std::move(one))) {
      port->second->counters.delivered++;
      woke_ = true;
    } else {
      port->second->counters.dropped_unread++;
    }
  }
  frames_.resize(kept);
}

Heartbeat::Heard Heartbeat::heardUntil(const Session& session, int64_t deadline_ns) {
  for (const uint32_t id : session.listening) {
    auto found = ports_.find(id);
    if (found == ports_.end() || !found->second->socket->receives()) continue;
    Port& port = *found->second;
    if (port.read_until_ns >= deadline_ns) continue;
    if (port.left_in_wakeup == timing_.wakeups) return Heard::Behind;
    readPort(id, port);
    return Heard::ReadMore;
  }
  return Heard::All;
}

// ---- what leaves --------------------------------------------------------------------------------------------------

void Heartbeat::queueFrame(Session& session, const Operation& operation) {
  auto port = ports_.find(operation.port);
  if (port == ports_.end()) return;
  auto& outgoing = port->second->outgoing;
  if (session.place.lease != nullptr) sending_.push_back({&session, operation.port, outgoing.size()});
  const Bytes& frame = session.program->frames[operation.index];
  if (operation.seal_at < 0) {
    outgoing.push_back(&frame);
    return;
  }
  Bytes& copy = sealed_.emplace_back(frame);
  sealFrame(*session.program->seal, copy, static_cast<size_t>(operation.seal_at), ++session.sequence_sent);
  outgoing.push_back(&copy);
}

void Heartbeat::flush() {
  for (auto& [id, port] : ports_) {
    if (port->outgoing.empty()) continue;
    refused_.clear();
    reviveLeases(id);
    const int error = port->socket->send(port->outgoing.data(), port->outgoing.size(), &refused_);
    port->outgoing.clear();
    renewLeases(id);
    if (!port->socket->receives()) continue;
    const bool down = error == ENETDOWN || error == ENXIO || error == ENODEV;
    if (!down) {
      port->line = Line::Up;
    } else if (port->line == Line::Up) {
      notePortError(id, *port, error);
    }
  }
  sending_.clear();
  sealed_.clear();
  endLeases();
}

void Heartbeat::notePortError(uint32_t id, Port& port, int error) {
  const int64_t now_ns = nowNs();
  port.failed_ns = now_ns;
  port.line = port.socket->interfaceGone() ? Line::Gone : Line::Down;
  if (port.line == Line::Down) check_ports_ns_ = std::min(check_ports_ns_, now_ns + kPortCheckNs);
  Report failed;
  failed.kind = Report::Kind::PortError;
  failed.session = id;
  failed.error = port.line == Line::Gone ? ENODEV : error;
  failed.at_ns = now_ns;
  report(std::move(failed));
}

// An interface that is removed goes down first; that it went away for good shows only when the socket is
// asked.
void Heartbeat::checkPorts(int64_t now_ns) {
  check_ports_ns_ = kNever;
  for (auto& [id, port] : ports_) {
    if (port->line != Line::Down) continue;
    if (port->socket->interfaceGone()) {
      notePortError(id, *port, ENODEV);
    } else {
      check_ports_ns_ = now_ns + kPortCheckNs;
    }
  }
}

}  // namespace firsthop
