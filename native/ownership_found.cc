// What other processes attached, dead ones too: finding it, taking it off, going on with it. See ownership.h.
#include <algorithm>
#include <cerrno>
#include <cstring>

#include "bpf/ownership_program.h"
#include "ownership.h"

namespace firsthop {

namespace {

// The found ownership that a program belongs to, by the table it looks into; null for others' programs.
Failure tableOf(uint32_t programId, bpf::MapInfo& table, UniqueFd& fd) {
  UniqueFd program;
  // It may be gone by now.
  if (const int error = bpf::programById(programId, program))
    return error == ENOENT ? Failure{} : Failure::of(error, "BPF program " + std::to_string(programId));
  bpf::ProgramInfo info;
  if (const int error = bpf::programInfo(program.get(), info)) return Failure::of(error, "BPF program");
  if (info.name.rfind("fh_", 0) != 0) return {};
  for (const uint32_t id : info.mapIds) {
    UniqueFd map;
    bpf::MapInfo candidate;
    if (bpf::mapById(id, map) != 0 || bpf::mapInfo(map.get(), candidate) != 0) continue;
    if (candidate.name != bpf::kSymbolNames[0]) continue;
    table = candidate;
    fd = std::move(map);
    return {};
  }
  return {};
}

}  // namespace

Failure Ownership::find(const std::vector<uint32_t>& ifindexes, std::vector<FoundOwnership>& found) {
  for (const uint32_t ifindex : ifindexes) {
    std::vector<bpf::Attached> all;
    Failure failure = bpf::list(ifindex, all);
    if (failure.error == ENODEV) continue;
    if (failure) return failure;
    for (const auto& attached : all) {
      bpf::MapInfo table;
      UniqueFd fd;
      if (Failure failed = tableOf(attached.programId, table, fd)) return failed;
      if (!fd.valid()) continue;
      auto known = std::find_if(found.begin(), found.end(),
                                [&](const FoundOwnership& one) { return one.tableId == table.id; });
      if (known == found.end()) {
        FoundOwnership one;
        one.tableId = table.id;
        fh_table_head head{};
        const uint32_t zero = 0;
        if (table.valueSize == sizeof head && bpf::lookup(fd.get(), &zero, &head) == 0) {
          one.abi = head.abi;
          one.token = head.token;
          one.yields = head.yields;
        }
        known = found.insert(found.end(), std::move(one));
      }
      known->attached.push_back(attached);
    }
  }
  for (FoundOwnership& one : found) {
    if (one.abi != FH_ABI) continue;
    std::shared_ptr<Ownership> view(new Ownership);
    // Its process may be taking it off in this moment; what is not there any more has no groups.
    if (view->openMaps(one) || view->readGroups()) continue;
    for (const auto& [slot, group] : view->groups_) {
      FoundGroup item{slot, group.key, {}};
      bpf::lookup(view->maps_[kLeases].get(), &slot, &item.lease);
      one.groups.push_back(item);
    }
  }
  return {};
}

Failure Ownership::clear(const FoundOwnership& found) {
  Failure first;
  const auto isGuard = [](const bpf::Attached& one) {
    return one.place == bpf::Place::kTcxEgress || one.place == bpf::Place::kClsactEgress;
  };
  // The ways in before the guards.
  for (const bool guards : {false, true}) {
    for (const auto& attached : found.attached) {
      if (isGuard(attached) != guards) continue;
      Failure failure = bpf::detach(attached);
      if (failure && !first) first = failure;
    }
  }
  return first;
}

Failure Ownership::openMaps(const FoundOwnership& found) {
  // One program that filters what comes in knows all maps.
  for (const auto& attached : found.attached) {
    UniqueFd program;
    bpf::ProgramInfo info;
    if (bpf::programById(attached.programId, program) != 0 || bpf::programInfo(program.get(), info) != 0) continue;
    for (const uint32_t id : info.mapIds) {
      UniqueFd map;
      bpf::MapInfo detail;
      if (bpf::mapById(id, map) != 0 || bpf::mapInfo(map.get(), detail) != 0) continue;
      for (size_t index = 0; index < kMaps; ++index)
        if (detail.name == bpf::kSymbolNames[index] && !maps_[index].valid()) maps_[index] = std::move(map);
    }
  }
  // A guard alone knows no addresses; what was attached in part can be cleared, not adopted.
  for (size_t index = 0; index < kMaps; ++index)
    if (!maps_[index].valid() && index != kAddresses)
      return Failure::of(ENOENT, std::string("BPF map ") + bpf::kSymbolNames[index]);
  return {};
}

void Ownership::openPrograms(const FoundOwnership& found) {
  for (const auto& attached : found.attached) {
    UniqueFd program;
    bpf::ProgramInfo info;
    if (bpf::programById(attached.programId, program) != 0 || bpf::programInfo(program.get(), info) != 0) continue;
    UniqueFd* own = info.name == "fh_xdp" ? &xdp_ : info.name == "fh_ingress" ? &ingress_ : &egress_;
    if (!own->valid()) *own = std::move(program);
  }
}

Failure Ownership::readGroups() {
  const auto eachKey = [](int map, auto key, auto body) {
    const void* previous = nullptr;
    decltype(key) next{};
    while (bpf::nextKey(map, previous, &next) == 0) {
      key = next;
      previous = &key;
      body(key);
    }
  };
  eachKey(maps_[kGroups].get(), fh_group_key{}, [&](const fh_group_key& key) {
    uint32_t slot = 0;
    fh_lease lease{};
    if (bpf::lookup(maps_[kGroups].get(), &key, &slot) != 0) return;
    if (bpf::lookup(maps_[kLeases].get(), &slot, &lease) != 0) return;
    groups_[slot] = {key, {}, lease.overdue_ns, lease.limit_ns};
  });
  if (!maps_[kAddresses].valid()) return {};
  eachKey(maps_[kAddresses].get(), fh_address_key{}, [&](const fh_address_key& key) {
    uint32_t slot = 0;
    if (bpf::lookup(maps_[kAddresses].get(), &key, &slot) != 0) return;
    const auto known = groups_.find(slot);
    if (known == groups_.end()) return;
    std::array<uint8_t, 16> address{};
    std::memcpy(address.data(), key.address, address.size());
    known->second.addresses.push_back(address);
  });
  for (auto& [slot, group] : groups_) std::sort(group.addresses.begin(), group.addresses.end());
  return {};
}

Failure Ownership::adopt(const FoundOwnership& found, uint32_t token, std::shared_ptr<Ownership>& made) {
  if (found.abi != FH_ABI) return Failure::of(ENOTSUP, "a lease table of another layout");
  std::shared_ptr<Ownership> ownership(new Ownership);
  if (Failure failure = ownership->openMaps(found)) return failure;
  if (!ownership->maps_[kAddresses].valid()) return Failure::of(ENOENT, "BPF map fh_addresses");
  if (Failure failure = ownership->mapMemory()) return failure;
  if (Failure failure = ownership->readGroups()) return failure;
  for (const auto& [slot, group] : ownership->groups_) ownership->slotsByHash_[hashOf(group.key)].push_back(slot);
  ownership->openPrograms(found);
  if (Failure failure = ownership->load(Program::kEgress)) return failure;
  ownership->attached_ = found.attached;
  reinterpret_cast<fh_table_head*>(ownership->table_)->token = token;
  made = std::move(ownership);
  return {};
}

}  // namespace firsthop
