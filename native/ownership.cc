// The tables, the programs at the interfaces, and the groups. See ownership.h.
#include "ownership.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "bpf/ownership_program.h"

namespace firsthop {

namespace {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the compiled programs are for little-endian processors");
static_assert(sizeof(fh_lease) == 64 && sizeof(fh_table_head) == 64, "a slot of the table has 64 octets");
static_assert(sizeof(fh_group_key) == 16 && sizeof(fh_address_key) == 24, "keys are built from whole words");

constexpr size_t kTableOctets = static_cast<size_t>(FH_SLOTS) * sizeof(fh_lease);
constexpr uint32_t kHintOctets = FH_HINTS * sizeof(uint16_t);
constexpr uint32_t kMaxAddresses = 1u << 16;

fh_address_key addressKey(const fh_group_key& group, const std::array<uint8_t, 16>& address) {
  fh_address_key key{};
  key.ifindex = group.ifindex;
  std::memcpy(key.vlan, group.vlan, sizeof key.vlan);
  std::memcpy(key.address, address.data(), address.size());
  return key;
}

bool same(const fh_group_key& one, const fh_group_key& other) { return std::memcmp(&one, &other, sizeof one) == 0; }
bool samePlace(const fh_group_key& one, const fh_group_key& other) {
  return one.ifindex == other.ifindex && std::memcmp(one.vlan, other.vlan, sizeof one.vlan) == 0;
}

// On one interface.
bool isAmong(const std::vector<bpf::Attached>& there, const bpf::Attached& wanted) {
  return std::any_of(there.begin(), there.end(), [&](const bpf::Attached& one) {
    return one.place == wanted.place && one.programId == wanted.programId;
  });
}

std::string slotText(uint32_t slot) { return "slot " + std::to_string(slot); }

uint32_t possibleProcessors() {
  // "0-3,5": the highest number, plus one.
  unsigned highest = 0;
  if (std::FILE* file = std::fopen("/sys/devices/system/cpu/possible", "re")) {
    unsigned number = 0;
    for (char mark = 0; std::fscanf(file, "%u", &number) == 1;) {
      highest = std::max(highest, number);
      if (std::fscanf(file, "%c", &mark) != 1) break;
    }
    std::fclose(file);
  }
  return highest + 1;
}

}  // namespace

uint32_t Ownership::hashOf(const fh_group_key& key) {
  uint64_t words[2];
  std::memcpy(words, &key, sizeof words);
  return fh_hash(words[0], words[1]);
}

Ownership::~Ownership() {
  if (table_ != nullptr) ::munmap(table_, kTableOctets);
  if (hints_ != nullptr) ::munmap(hints_, kHintOctets);
}

Failure Ownership::open(uint32_t token, std::shared_ptr<Ownership>& made) {
  std::shared_ptr<Ownership> ownership(new Ownership);
  if (Failure failure = ownership->createMaps()) return failure;
  if (Failure failure = ownership->mapMemory()) return failure;
  auto* head = reinterpret_cast<fh_table_head*>(ownership->table_);
  head->abi = FH_ABI;
  head->token = token;
  if (Failure failure = ownership->load(Program::kEgress)) return failure;
  made = std::move(ownership);
  return {};
}

Failure Ownership::createMaps() {
  const bpf::MapOptions options[kMaps] = {
      {bpf::MapType::kArray, 4, sizeof(fh_lease), FH_SLOTS, bpf::kMmapable, bpf::kSymbolNames[kLeases]},
      {bpf::MapType::kHash, sizeof(fh_group_key), 4, FH_SLOTS, 0, bpf::kSymbolNames[kGroups]},
      {bpf::MapType::kHash, sizeof(fh_address_key), 4, kMaxAddresses, bpf::kNoPreallocation,
       bpf::kSymbolNames[kAddresses]},
      {bpf::MapType::kPerCpuArray, 4, sizeof(fh_counters), FH_SLOTS, 0, bpf::kSymbolNames[kCounters]},
      {bpf::MapType::kArray, 4, kHintOctets, 1, bpf::kMmapable, bpf::kSymbolNames[kHints]},
  };
  for (size_t map = 0; map < kMaps; ++map)
    if (Failure failure = bpf::createMap(options[map], maps_[map])) return failure;
  return {};
}

Failure Ownership::mapMemory() {
  const auto mapped = [](const UniqueFd& map, size_t size) {
    void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, map.get(), 0);
    return memory == MAP_FAILED ? nullptr : memory;
  };
  table_ = static_cast<fh_lease*>(mapped(maps_[kLeases], kTableOctets));
  if (table_ == nullptr) return Failure::ofErrno("memory of the lease table");
  hints_ = static_cast<uint16_t*>(mapped(maps_[kHints], kHintOctets));
  if (hints_ == nullptr) return Failure::ofErrno("memory of the hints");
  return {};
}

// The verifier takes some milliseconds for each, and of the two ways in most daemons use one.
Failure Ownership::load(Program program) {
  using bpf::ProgramType;
  const auto into = [&](UniqueFd& fd, ProgramType type, const char* name, const auto& code, const auto& uses) {
    if (fd.valid()) return Failure{};
    std::vector<bpf::Symbol> symbols;
    for (size_t map = 0; map < kMaps; ++map)
      symbols.push_back(map == kHints ? bpf::Symbol::memory(maps_[map].get()) : bpf::Symbol::map(maps_[map].get()));
    return bpf::loadProgram(type, name, bpf::link(code, uses, symbols), fd);
  };
  switch (program) {
    case Program::kXdp:
      return into(xdp_, ProgramType::kXdp, "fh_xdp", bpf::kXdpCode, bpf::kXdpUses);
    case Program::kIngress:
      return into(ingress_, ProgramType::kSchedCls, "fh_ingress", bpf::kIngressCode, bpf::kIngressUses);
    case Program::kEgress:
      return into(egress_, ProgramType::kSchedCls, "fh_egress", bpf::kEgressCode, bpf::kEgressUses);
    default:
      return {};
  }
}

Failure Ownership::put(uint32_t ifindex, bpf::Place place, int program, const char* name) {
  bpf::ProgramInfo info;
  if (const int error = bpf::programInfo(program, info)) return Failure::of(error, name);
  Failure failure = bpf::attach(ifindex, place, program, name);
  // XDP too keeps its program on a device's way through another network namespace, where nobody here can take it off.
  const bpf::Attached wanted{ifindex, place, info.id};
  std::vector<bpf::Attached> there;
  if (failure && (bpf::list(ifindex, there) || !isAmong(there, wanted))) return failure;
  attached_.push_back(wanted);
  return {};
}

// What kernels without tcx (before 6.6) answer.
static bool lacksTcx(const Failure& failure) {
  return failure.error == EINVAL || failure.error == E2BIG || failure.error == EOPNOTSUPP;
}

Failure Ownership::attachGuard(uint32_t ifindex, bool clsact) {
  if (!clsact) {
    Failure failure = put(ifindex, bpf::Place::kTcxEgress, egress_.get(), "fh_egress");
    if (!failure || !lacksTcx(failure)) return failure;
  }
  return put(ifindex, bpf::Place::kClsactEgress, egress_.get(), "fh_egress");
}

Failure Ownership::attach(uint32_t ifindex, Hook hook, Hook& used) {
  if (closed_) return Failure::of(EBADF, "closed");
  const bool there = std::any_of(attached_.begin(), attached_.end(),
                                 [&](const bpf::Attached& one) { return one.ifindex == ifindex; });
  if (there) return Failure::of(EEXIST, "interface " + std::to_string(ifindex));
  used = hook;
  const bool xdp = hook == Hook::kXdpNative || hook == Hook::kXdpGeneric;
  if (Failure failure = load(xdp ? Program::kXdp : Program::kIngress)) return failure;
  if (Failure failure = attachGuard(ifindex, hook == Hook::kClsact)) return failure;
  Failure failure;
  if (xdp) {
    const auto place = hook == Hook::kXdpNative ? bpf::Place::kXdpNative : bpf::Place::kXdpGeneric;
    failure = put(ifindex, place, xdp_.get(), "fh_xdp");
  } else {
    if (attached_.back().place == bpf::Place::kClsactEgress) used = Hook::kClsact;
    const auto place = used == Hook::kTc ? bpf::Place::kTcxIngress : bpf::Place::kClsactIngress;
    failure = put(ifindex, place, ingress_.get(), "fh_ingress");
  }
  if (failure) detach(ifindex);
  return failure;
}

// The descriptor of a program of ours; -1 for others.
int Ownership::ownProgram(uint32_t programId) const {
  for (const UniqueFd* own : {&xdp_, &ingress_, &egress_}) {
    bpf::ProgramInfo info;
    if (bpf::programInfo(own->get(), info) == 0 && info.id == programId) return own->get();
  }
  return -1;
}

Failure Ownership::takeOff(const bpf::Attached& attached) const {
  return bpf::detach(attached, ownProgram(attached.programId));
}

Failure Ownership::mend(uint32_t ifindex, std::vector<bpf::Attached>& lost) {
  std::vector<bpf::Attached> there;
  // An interface that is gone took everything along.
  if (closed_ || bpf::list(ifindex, there)) return {};
  Failure first;
  // In the order of attach: the guard first.
  for (const bpf::Attached& own : attached_) {
    if (own.ifindex != ifindex) continue;
    const int program = isAmong(there, own) ? -1 : ownProgram(own.programId);
    if (program < 0) continue;
    lost.push_back(own);
    const bool guard = program == egress_.get();
    const char* name = guard ? "fh_egress" : program == xdp_.get() ? "fh_xdp" : "fh_ingress";
    Failure failure = bpf::attach(ifindex, own.place, program, name);
    if (failure && !first) first = failure;
  }
  return first;
}

Failure Ownership::detach(uint32_t ifindex) {
  Failure first;
  // The way in first: without the guard, nothing may be let in.
  for (size_t index = attached_.size(); index-- > 0;) {
    if (attached_[index].ifindex != ifindex) continue;
    Failure failure = takeOff(attached_[index]);
    if (failure && !first) first = failure;
    if (!failure) attached_.erase(attached_.begin() + static_cast<ptrdiff_t>(index));
  }
  return first;
}

Failure Ownership::close() {
  Failure first;
  while (!attached_.empty()) {
    Failure failure = takeOff(attached_.back());
    if (failure && !first) first = failure;
    attached_.pop_back();
  }
  closed_ = true;
  return first;
}

void Ownership::hint(uint32_t slot, const fh_group_key& key, bool in) {
  const uint32_t hash = hashOf(key);
  std::vector<uint32_t>& slots = slotsByHash_[hash];
  if (in)
    slots.push_back(slot);
  else
    slots.erase(std::remove(slots.begin(), slots.end(), slot), slots.end());
  uint16_t value = FH_HINT_MANY;
  if (slots.size() <= 1) value = slots.empty() ? 0 : static_cast<uint16_t>(slots.front());
  __atomic_store_n(&hints_[hash], value, __ATOMIC_RELEASE);
  if (slots.empty()) slotsByHash_.erase(hash);
}

Failure Ownership::clearCounters(uint32_t slot) {
  const std::vector<fh_counters> zeros(possibleProcessors());
  const int error = bpf::update(maps_[kCounters].get(), &slot, zeros.data());
  return error == 0 ? Failure{} : Failure::of(error, slotText(slot));
}

Failure Ownership::setGroup(uint32_t slot, const OwnershipGroup& wanted) {
  fh_lease* place = lease(slot);
  if (place == nullptr) return Failure::of(EINVAL, slotText(slot));
  OwnershipGroup group = wanted;
  std::sort(group.addresses.begin(), group.addresses.end());
  group.addresses.erase(std::unique(group.addresses.begin(), group.addresses.end()), group.addresses.end());
  const auto known = groups_.find(slot);
  const bool moved = known != groups_.end() && !same(known->second.key, group.key);
  if (moved) {
    // Another MAC or interface is another group: nothing of the old one is kept.
    if (Failure failure = removeGroup(slot)) return failure;
    return setGroup(slot, wanted);
  }
  const bool fresh = known == groups_.end();
  if (fresh) {
    if (Failure failure = clearCounters(slot)) return failure;
    std::memset(static_cast<void*>(place), 0, sizeof *place);
  }
  __atomic_store_n(&place->overdue_ns, group.overdueNs, __ATOMIC_RELAXED);
  __atomic_store_n(&place->limit_ns, group.limitNs, __ATOMIC_RELAXED);
  if (fresh) {
    if (const int error = enterGroup(slot, group.key)) return Failure::of(error, slotText(slot));
    place->key = group.key;
    hint(slot, group.key, true);
    groups_[slot].key = group.key;
  }
  OwnershipGroup& current = groups_[slot];
  current.overdueNs = group.overdueNs;
  current.limitNs = group.limitNs;
  Failure failure = setAddresses(slot, current, group);
  // Half a group would keep out what nobody lets in.
  if (failure && fresh) removeGroup(slot);
  return failure;
}

// An entry is stale whose slot is nobody's here: of a process that shared these tables and did not come to use them.
int Ownership::enterGroup(uint32_t slot, const fh_group_key& key) {
  const int error = bpf::insert(maps_[kGroups].get(), &key, &slot);
  uint32_t there = 0;
  if (error != EEXIST || bpf::lookup(maps_[kGroups].get(), &key, &there) != 0) return error;
  const auto its = groups_.find(there);
  const bool used = its != groups_.end() && same(its->second.key, key);
  return used ? error : bpf::update(maps_[kGroups].get(), &key, &slot);
}

int Ownership::enterAddress(uint32_t slot, const fh_group_key& group, const std::array<uint8_t, 16>& address) {
  const fh_address_key key = addressKey(group, address);
  const int error = bpf::insert(maps_[kAddresses].get(), &key, &slot);
  uint32_t there = 0;
  if (error != EEXIST || bpf::lookup(maps_[kAddresses].get(), &key, &there) != 0) return error;
  const auto its = groups_.find(there);
  const bool used = its != groups_.end() && samePlace(its->second.key, group) &&
                    std::binary_search(its->second.addresses.begin(), its->second.addresses.end(), address);
  return used ? error : bpf::update(maps_[kAddresses].get(), &key, &slot);
}

Failure Ownership::setAddresses(uint32_t slot, OwnershipGroup& current, const OwnershipGroup& group) {
  std::vector<std::array<uint8_t, 16>> added;
  std::vector<std::array<uint8_t, 16>> removed;
  std::set_difference(group.addresses.begin(), group.addresses.end(), current.addresses.begin(),
                      current.addresses.end(), std::back_inserter(added));
  std::set_difference(current.addresses.begin(), current.addresses.end(), group.addresses.begin(),
                      group.addresses.end(), std::back_inserter(removed));
  for (const auto& address : added) {
    if (const int error = enterAddress(slot, group.key, address))
      return Failure::of(error, slotText(slot) + ": address");
    current.addresses.insert(std::lower_bound(current.addresses.begin(), current.addresses.end(), address), address);
  }
  for (const auto& address : removed) {
    const auto key = addressKey(group.key, address);
    bpf::remove(maps_[kAddresses].get(), &key);
  }
  current.addresses = group.addresses;
  return {};
}

Failure Ownership::removeGroup(uint32_t slot) {
  const auto known = groups_.find(slot);
  if (known == groups_.end()) return {};
  const OwnershipGroup& group = known->second;
  for (const auto& address : group.addresses) {
    const auto key = addressKey(group.key, address);
    bpf::remove(maps_[kAddresses].get(), &key);
  }
  const int error = bpf::remove(maps_[kGroups].get(), &group.key);
  if (error != 0 && error != ENOENT) return Failure::of(error, slotText(slot));
  hint(slot, group.key, false);
  groups_.erase(known);
  std::memset(static_cast<void*>(&table_[slot]), 0, sizeof table_[slot]);
  return {};
}

int Ownership::counters(uint32_t slot, fh_counters& sum) const {
  sum = {};
  std::vector<fh_counters> each(possibleProcessors());
  if (const int error = bpf::lookup(maps_[kCounters].get(), &slot, each.data())) return error;
  for (const auto& one : each) {
    sum.owned += one.owned;
    sum.not_owned += one.not_owned;
    sum.unanswered += one.unanswered;
    sum.kept_in += one.kept_in;
  }
  return 0;
}

int Ownership::programFd(Program program) const {
  switch (program) {
    case Program::kXdp:
      return xdp_.get();
    case Program::kIngress:
      return ingress_.get();
    case Program::kEgress:
      return egress_.get();
    default:
      return -1;
  }
}

}  // namespace firsthop
