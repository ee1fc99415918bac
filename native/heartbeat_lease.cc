// Leases of the heartbeat engine: what its sessions let the kernel's filter let in, and what becomes of a session that
// the filter gave up for a successor. Everything here runs with the engine's lock held.
#include <algorithm>
#include <mutex>

#include "heartbeat.h"

namespace firsthop {

bool Session::gaveWay() const {
  if (place.lease == nullptr) return false;
  const fh_u64 claim = __atomic_load_n(&place.lease->claim, __ATOMIC_RELAXED);
  return claim != 0 && __atomic_load_n(&place.lease->yielded, __ATOMIC_ACQUIRE) == claim;
}

bool Heartbeat::bindLease(uint32_t id, LeasePlace place) {
  LeasePlace previous;  // freed after the lock
  std::lock_guard<PiMutex> lock(mutex_);
  auto found = sessions_.find(id);
  if (found == sessions_.end()) return false;
  if (place.lease != nullptr) {
    place.lease->overdue_ns = static_cast<fh_u64>(place.overdue_ns);
    place.lease->limit_ns = static_cast<fh_u64>(place.limit_ns);
    lease_head_ = place.head;
  }
  previous = std::move(found->second->place);
  if (previous.lease != nullptr && previous.lease != place.lease) {
    __atomic_store_n(&previous.lease->claim, 0, __ATOMIC_RELEASE);
  }
  found->second->place = std::move(place);
  return true;
}

// To open is one store, before anything is sent. To close waits until what this wake-up sends has left, because the
// filter keeps in what a router sends that is not the owner.
void Heartbeat::setLease(Session& session, bool open) {
  fh_lease* lease = session.place.lease.get();
  if (lease == nullptr) return;
  session.closing = !open;
  if (!open) {
    closing_.push_back(&session);
    return;
  }
  const auto now = static_cast<fh_u64>(nowNs());
  __atomic_store_n(&lease->renewed_ns, now, __ATOMIC_RELAXED);
  // The time serves as the number of this opening: it only grows, also from one process to the next.
  __atomic_store_n(&lease->claim, now, __ATOMIC_RELEASE);
}

void Heartbeat::endLeases() {
  for (Session* session : closing_) {
    if (!session->closing || session->place.lease == nullptr) continue;
    session->closing = false;
    __atomic_store_n(&session->place.lease->claim, 0, __ATOMIC_RELEASE);
  }
  closing_.clear();
}

// Before anything else is done in a wake-up: a process that was stopped learns here that it was succeeded, and neither
// advertises nor judges what it hears by what it was.
void Heartbeat::checkYields(int64_t now_ns) {
  if (lease_head_ == nullptr) return;
  const uint64_t yields = __atomic_load_n(&lease_head_->yields, __ATOMIC_ACQUIRE);
  if (yields == yields_seen_) return;
  yields_seen_ = yields;
  for (auto& [id, session] : sessions_) {
    if (session->gaveWay()) giveWay(*session, now_ns);
  }
}

void Heartbeat::giveWay(Session& session, int64_t now_ns) {
  const Posture* posture = session.current();
  if (posture == nullptr || posture->on_gave_way == kNone) return;
  const Transition& transition = posture->transitions[static_cast<size_t>(posture->on_gave_way)];
  fireTransition(session, transition, {Moment::Cause::GaveWay, now_ns, now_ns});
}

// Who was away for longer than the limit, and was not succeeded meanwhile, is the owner again with its next
// advertisement: the filter would else keep that in, and with it every later one.
void Heartbeat::reviveLeases(uint32_t port) {
  const auto now = static_cast<fh_u64>(nowNs());
  for (Sending& one : sending_) {
    fh_lease& lease = *one.session->place.lease;
    const fh_u64 renewed = __atomic_load_n(&lease.renewed_ns, __ATOMIC_RELAXED);
    if (one.port != port || lease.claim == 0 || lease.limit_ns == 0 || renewed + lease.limit_ns >= now) continue;
    one.ran_out_ns = renewed;
    __atomic_store_n(&lease.renewed_ns, now, __ATOMIC_RELAXED);
  }
}

// Only what really left tells the others that this router is there.
void Heartbeat::renewLeases(uint32_t port) {
  if (sending_.empty()) return;
  const auto now = static_cast<fh_u64>(nowNs());
  for (const Sending& one : sending_) {
    if (one.port != port) continue;
    // Places are in order; where the line is down there are as many as sessions.
    const bool refused = std::binary_search(refused_.begin(), refused_.end(), one.place);
    if (refused && one.ran_out_ns == 0) continue;
    __atomic_store_n(&one.session->place.lease->renewed_ns, refused ? one.ran_out_ns : now, __ATOMIC_RELAXED);
  }
}

}  // namespace firsthop
