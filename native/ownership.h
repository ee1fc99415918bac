// Who forwards, as the kernel sees it: the maps and programs of native/bpf, loaded and attached, and the lease table in
// this process' memory. The tables and attachments are one thread's; leases may be written by the heartbeat thread, for
// as long as it holds the Ownership.
//
// What is attached outlives the process: `close` takes it off, the destructor does not. Who comes after a crash finds it
// by `find`, and clears or adopts it.
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "bpf/ownership_abi.h"
#include "bpf_attach.h"
#include "bpf_syscall.h"
#include "util/failure.h"
#include "util/unique_fd.h"

namespace firsthop {

struct OwnershipGroup {
  fh_group_key key{};
  std::vector<std::array<uint8_t, 16>> addresses;  // IPv4 as ::ffff:a.b.c.d
  uint64_t overdueNs = 0;
  uint64_t limitNs = 0;
};

struct FoundGroup {
  uint32_t slot = 0;
  fh_group_key key{};
  fh_lease lease{};
};

// What some process attached, recognised by the table of leases that its programs look into.
struct FoundOwnership {
  uint32_t tableId = 0;  // the map's number
  uint32_t abi = 0;
  uint32_t token = 0;
  uint64_t yields = 0;
  std::vector<FoundGroup> groups;  // empty when its layout is not ours
  std::vector<bpf::Attached> attached;
};

class Ownership {
 public:
  // How frames come in; the guard of what goes out is tc's always.
  enum class Hook : uint8_t { kXdpNative, kXdpGeneric, kTc, kClsact };
  // The bare ones only answer; the last one ends the way along the programs of its place.
  enum class Program : uint8_t {
    kXdp,
    kIngress,
    kEgress,
    kBareXdpPass,
    kBareXdpDrop,
    kBareTcPass,
    kBareTcDrop,
    kBareTcEnd
  };

  static Failure open(uint32_t token, std::shared_ptr<Ownership>& made);
  // Goes on with what another process made: its maps, groups, leases and attachments. ENOTSUP: of another layout.
  static Failure adopt(const FoundOwnership& found, uint32_t token, std::shared_ptr<Ownership>& made);
  static Failure find(const std::vector<uint32_t>& ifindexes, std::vector<FoundOwnership>& found);
  static Failure clear(const FoundOwnership& found);

  Ownership(const Ownership&) = delete;
  Ownership& operator=(const Ownership&) = delete;
  ~Ownership();

  // The guard first, then the way in. EEXIST when attached already. `used` tells where frames are looked at: kTc becomes
  // kClsact where the kernel has no tcx.
  Failure attach(uint32_t ifindex, Hook hook, Hook& used);
  Failure detach(uint32_t ifindex);
  // Puts back what somebody else took off. `lost`: what was missing; `failure`: the first that could not be put back.
  Failure mend(uint32_t ifindex, std::vector<bpf::Attached>& lost);
  // An attachment that a bench or a test compares with.
  Failure attachBare(uint32_t ifindex, bpf::Place place, Program program);

  // From the first call on, frames for the group's MAC are dropped until its lease is opened. Called again: what has
  // changed is changed, and the lease stays. EINVAL: no such slot. EEXIST: the MAC or an address is another slot's.
  Failure setGroup(uint32_t slot, const OwnershipGroup& group);
  Failure removeGroup(uint32_t slot);
  const std::map<uint32_t, OwnershipGroup>& groups() const { return groups_; }
  const std::vector<bpf::Attached>& attached() const { return attached_; }
  int counters(uint32_t slot, fh_counters& sum) const;

  // Null when there is no such slot. Valid while the Ownership lives.
  fh_lease* lease(uint32_t slot) const { return slot > 0 && slot < FH_SLOTS ? &table_[slot] : nullptr; }
  const fh_table_head* head() const { return reinterpret_cast<const fh_table_head*>(table_); }

  // As the programs judge it, at a moment of CLOCK_MONOTONIC.
  static bool isOwner(const fh_lease& lease, uint64_t nowNs) {
    if (lease.claim == 0 || lease.yielded == lease.claim) return false;
    if (lease.limit_ns == 0 || nowNs < lease.renewed_ns) return true;
    return nowNs - lease.renewed_ns <= lease.limit_ns;
  }

  // Puts copies of a frame onto an interface as fast as it goes, on this thread's processor; for measuring. `tookNs`:
  // of this thread's processor time, which has the receivers' work in it that the kernel did not hand to ksoftirqd.
  static Failure flood(uint32_t ifindex, const std::vector<uint8_t>& frame, uint32_t count, uint64_t& tookNs);

  // Takes off everything. Leases stay readable.
  Failure close();
  bool closed() const { return closed_; }

  Failure testRun(Program program, bpf::TestRun& run, uint16_t outOfBandVlan);

 private:
  enum Map { kLeases, kGroups, kAddresses, kCounters, kHints, kMaps };

  Ownership() = default;
  Failure createMaps();
  Failure openMaps(const FoundOwnership& found);
  Failure mapMemory();
  Failure readGroups();
  // Where it is not loaded yet; the bare ones are loaded where they are used.
  Failure load(Program program);
  Failure attachGuard(uint32_t ifindex, bool clsact);
  Failure put(uint32_t ifindex, bpf::Place place, int program, const char* name);
  Failure takeOff(const bpf::Attached& attached) const;
  int ownProgram(uint32_t programId) const;
  int programFd(Program program) const;
  // Keeps adopted programs open: one that somebody takes off would be gone for good, and could not be put back.
  void openPrograms(const FoundOwnership& found);
  static uint32_t hashOf(const fh_group_key& key);
  void hint(uint32_t slot, const fh_group_key& key, bool in);
  // 0, or an error number.
  int enterGroup(uint32_t slot, const fh_group_key& key);
  int enterAddress(uint32_t slot, const fh_group_key& group, const std::array<uint8_t, 16>& address);
  Failure setAddresses(uint32_t slot, OwnershipGroup& current, const OwnershipGroup& group);
  Failure clearCounters(uint32_t slot);

  std::array<UniqueFd, kMaps> maps_;
  UniqueFd xdp_;
  UniqueFd ingress_;
  UniqueFd egress_;
  fh_lease* table_ = nullptr;
  uint16_t* hints_ = nullptr;
  std::unordered_map<uint32_t, std::vector<uint32_t>> slotsByHash_;
  std::map<uint32_t, OwnershipGroup> groups_;
  std::vector<bpf::Attached> attached_;
  bool closed_ = false;
};

}  // namespace firsthop
