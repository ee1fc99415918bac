// see ownership.h
#include "ownership.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <iterator>

#include "bpf/ownership_program.h"

namespace firsthop {

namespace {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the compiled programs are for little-endian processors");
static_assert(sizeof(fh_lease) == 64 && sizeof(fh_table_head) == 64, "a slot of the table has 64 octets");
static_assert(sizeof(fh_group_key) == 16 && sizeof(fh_address_key) == 24, "keys are built from whole words");

constexpr size_t kTableOctets = static_cast<size_t>(FH_SLOTS) * sizeof(fh_lease);
constexpr uint32_t kHintOctets = FH_HINTS * sizeof(uint16_t);
constexpr uint32_t kMaxAddresses = 1u << 16;
constexpr const char* kLeasesName = bpf::kMapNames[0];

fh_address_key addressKey(const fh_group_key& group, const std::array<uint8_t, 16>& address) {
  fh_address_key key{};
  key.ifindex = group.ifindex;
  std::memcpy(key.vlan, group.vlan, sizeof key.vlan);
  std::memcpy(key.address, address.data(), address.size());
  return key;
}

bool same(const fh_group_key& one, const fh_group_key& other) { return std::memcmp(&one, &other, sizeof one) == 0; }

uint32_t hashOf(const fh_group_key& key) {
  uint64_t words[2];
  std::memcpy(words, &key, sizeof words);
  return fh_hash(words[0], words[1]);
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

// Word for word of the instructions, with each map's descriptor in its place.
template <size_t Size, size_t Uses>
std::vector<uint64_t> link(const uint64_t (&code)[Size], const bpf::MapUse (&uses)[Uses], const UniqueFd* maps,
                           size_t hintIndex) {
  // linux/bpf.h: the source register of a 64-bit load says what its immediate is.
  constexpr uint64_t mapByFd = 1;
  constexpr uint64_t mapMemoryByFd = 2;
  std::vector<uint64_t> words(std::begin(code), std::end(code));
  for (const auto& use : uses) {
    const bool memory = use.map == hintIndex;
    uint64_t& word = words[use.instruction];
    const uint64_t offset = word >> 32;
    word = (word & 0xfff) | (memory ? mapMemoryByFd : mapByFd) << 12;
    word |= static_cast<uint64_t>(static_cast<uint32_t>(maps[use.map].get())) << 32;
    if (memory) words[use.instruction + 1] = (words[use.instruction + 1] & 0xffffffff) | offset << 32;
  }
  return words;
}

// A program that does nothing but to answer.
std::vector<uint64_t> bareCode(int32_t verdict) {
  const auto immediate = static_cast<uint64_t>(static_cast<uint32_t>(verdict)) << 32;
  return {immediate | 0xb4, 0x95};  // w0 = verdict; exit
}

// Puts a tag on as a device would that keeps tags beside the frame, and goes on with the program under test.
std::vector<uint64_t> taggingCode(uint16_t vlan, int programs) {
  const auto imm = [](uint32_t value) { return static_cast<uint64_t>(value) << 32; };
  return {
      0x16bf,                                                  // r6 = r1
      imm(0x0081) | 0x2b4,                                     // w2 = htons(ETH_P_8021Q)
      imm(vlan) | 0x3b4,                                       // w3 = vlan
      imm(18) | 0x85,                                          // bpf_skb_vlan_push
      0x61bf,                                                  // r1 = r6
      imm(static_cast<uint32_t>(programs)) | 0x1000 | 0x218,   // r2 = programs
      0,                                                       //
      imm(0) | 0x3b4,                                          // w3 = 0
      imm(12) | 0x85,                                          // bpf_tail_call
      imm(0xff) | 0xb4,                                        // w0 = 255: there was none
      0x95,                                                    // exit
  };
}

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
    if (candidate.name != kLeasesName) continue;
    table = candidate;
    fd = std::move(map);
    return {};
  }
  return {};
}

// The kernel sends the same pages again: whoever forwarded one has changed its addresses, time to live and checksum.
// So each frame gets its first octets anew.
std::vector<uint64_t> floodCode(uint32_t ifindex, const std::vector<uint8_t>& frame) {
  constexpr size_t kWords = 4;
  const auto imm = [](uint64_t value) { return value << 32; };
  std::vector<uint64_t> code;
  if (frame.size() >= 8 * kWords) {
    code = {
        0x1261,                         // r2 = data
        0x1361 | (4 << 16),             // r3 = data_end
        0x24bf,                         // r4 = r2
        imm(8 * kWords) | 0x0407,       // r4 += the octets to write
        0x342d | ((3 * kWords) << 16),  // r4 > r3: leaves them
    };
    for (size_t at = 0; at < kWords; at++) {
      uint64_t word = 0;
      std::memcpy(&word, &frame[8 * at], sizeof word);
      code.insert(code.end(), {imm(word & 0xffffffff) | 0x0518, imm(word >> 32),  // r5 = word
                               0x527b | ((8 * at) << 16)});                       // *(r2 + 8 at) = r5
    }
  }
  code.insert(code.end(), {
                              imm(ifindex) | 0x1b4,  // w1 = ifindex
                              imm(0) | 0x2b4,        // w2 = 0
                              imm(23) | 0x85,        // bpf_redirect
                              0x95,                  // exit
                          });
  return code;
}

}  // namespace

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
      {bpf::MapType::kArray, 4, sizeof(fh_lease), FH_SLOTS, bpf::kMmapable, bpf::kMapNames[kLeases]},
      {bpf::MapType::kHash, sizeof(fh_group_key), 4, FH_SLOTS, 0, bpf::kMapNames[kGroups]},
      {bpf::MapType::kHash, sizeof(fh_address_key), 4, kMaxAddresses, bpf::kNoPreallocation,
       bpf::kMapNames[kAddresses]},
      {bpf::MapType::kPerCpuArray, 4, sizeof(fh_counters), FH_SLOTS, 0, bpf::kMapNames[kCounters]},
      {bpf::MapType::kArray, 4, kHintOctets, 1, bpf::kMmapable, bpf::kMapNames[kHints]},
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
  const auto into = [&](UniqueFd& fd, ProgramType type, const char* name, const auto& code, const auto& maps) {
    return fd.valid() ? Failure{} : bpf::loadProgram(type, name, link(code, maps, maps_.data(), kHints), fd);
  };
  switch (program) {
    case Program::kXdp:
      return into(xdp_, ProgramType::kXdp, "fh_xdp", bpf::kXdpCode, bpf::kXdpMaps);
    case Program::kIngress:
      return into(ingress_, ProgramType::kSchedCls, "fh_ingress", bpf::kIngressCode, bpf::kIngressMaps);
    case Program::kEgress:
      return into(egress_, ProgramType::kSchedCls, "fh_egress", bpf::kEgressCode, bpf::kEgressMaps);
    default:
      return {};
  }
}

Failure Ownership::put(uint32_t ifindex, bpf::Place place, int program, const char* name) {
  bpf::ProgramInfo info;
  if (const int error = bpf::programInfo(program, info)) return Failure::of(error, name);
  if (Failure failure = bpf::attach(ifindex, place, program, name)) return failure;
  attached_.push_back({ifindex, place, info.id});
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

Failure Ownership::attachBare(uint32_t ifindex, bpf::Place place, Program program) {
  const bool xdp = program == Program::kBareXdpPass || program == Program::kBareXdpDrop;
  const int32_t verdicts[] = {2, 1, -1, 2};
  UniqueFd fd;
  const auto code = bareCode(verdicts[static_cast<int>(program) - static_cast<int>(Program::kBareXdpPass)]);
  if (Failure failure =
          bpf::loadProgram(xdp ? bpf::ProgramType::kXdp : bpf::ProgramType::kSchedCls, "bare", code, fd))
    return failure;
  return put(ifindex, place, fd.get(), "bare");
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
    const bool stands = std::any_of(there.begin(), there.end(), [&](const bpf::Attached& one) {
      return one.place == own.place && one.programId == own.programId;
    });
    const int program = stands ? -1 : ownProgram(own.programId);
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
  if (known == groups_.end()) {
    if (Failure failure = clearCounters(slot)) return failure;
    std::memset(static_cast<void*>(place), 0, sizeof *place);
  }
  __atomic_store_n(&place->overdue_ns, group.overdueNs, __ATOMIC_RELAXED);
  __atomic_store_n(&place->limit_ns, group.limitNs, __ATOMIC_RELAXED);
  if (known == groups_.end()) {
    if (const int error = bpf::insert(maps_[kGroups].get(), &group.key, &slot))
      return Failure::of(error, slotText(slot));
    place->key = group.key;
    hint(slot, group.key, true);
    groups_[slot].key = group.key;
  }
  OwnershipGroup& current = groups_[slot];
  current.overdueNs = group.overdueNs;
  current.limitNs = group.limitNs;
  std::vector<std::array<uint8_t, 16>> added;
  std::vector<std::array<uint8_t, 16>> removed;
  std::set_difference(group.addresses.begin(), group.addresses.end(), current.addresses.begin(),
                      current.addresses.end(), std::back_inserter(added));
  std::set_difference(current.addresses.begin(), current.addresses.end(), group.addresses.begin(),
                      group.addresses.end(), std::back_inserter(removed));
  for (const auto& address : added) {
    const auto key = addressKey(group.key, address);
    if (const int error = bpf::insert(maps_[kAddresses].get(), &key, &slot))
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
    if (Failure failure = view->openMaps(one)) return failure;
    if (Failure failure = view->readGroups()) return failure;
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
        if (detail.name == bpf::kMapNames[index] && !maps_[index].valid()) maps_[index] = std::move(map);
    }
  }
  // A guard alone knows no addresses; what was attached in part can be cleared, not adopted.
  for (size_t index = 0; index < kMaps; ++index)
    if (!maps_[index].valid() && index != kAddresses)
      return Failure::of(ENOENT, std::string("BPF map ") + bpf::kMapNames[index]);
  return {};
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
  if (Failure failure = ownership->load(Program::kEgress)) return failure;
  ownership->attached_ = found.attached;
  reinterpret_cast<fh_table_head*>(ownership->table_)->token = token;
  made = std::move(ownership);
  return {};
}

Failure Ownership::flood(uint32_t ifindex, const std::vector<uint8_t>& frame, uint32_t count, uint64_t& tookNs) {
  const std::vector<uint64_t> code = floodCode(ifindex, frame);
  UniqueFd program;
  if (Failure failure = bpf::loadProgram(bpf::ProgramType::kXdp, "flood", code, program)) return failure;
  const auto now = [] {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
  };
  const uint64_t begun = now();
  const int error = bpf::sendLive(program.get(), frame, count);
  tookNs = now() - begun;
  return error == 0 ? Failure{} : Failure::of(error, "BPF_PROG_TEST_RUN");
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

Failure Ownership::testRun(Program program, bpf::TestRun& run, uint16_t outOfBandVlan) {
  if (Failure failure = load(program)) return failure;
  const bool xdp = program == Program::kXdp || program == Program::kBareXdpPass || program == Program::kBareXdpDrop;
  const auto type = xdp ? bpf::ProgramType::kXdp : bpf::ProgramType::kSchedCls;
  int fd = programFd(program);
  UniqueFd own;
  UniqueFd programs;
  if (fd < 0) {
    const int32_t verdicts[] = {2, 1, -1, 2};
    const auto code = bareCode(verdicts[static_cast<int>(program) - static_cast<int>(Program::kBareXdpPass)]);
    if (Failure failure = bpf::loadProgram(type, "bare", code, own)) return failure;
    fd = own.get();
  } else if (outOfBandVlan != 0) {
    if (xdp) return Failure::of(EINVAL, "XDP sees no tags beside the frame");
    if (Failure failure = bpf::createMap({bpf::MapType::kProgArray, 4, 4, 1, 0, "test"}, programs)) return failure;
    const uint32_t zero = 0;
    if (const int error = bpf::update(programs.get(), &zero, &fd)) return Failure::of(error, "test");
    if (Failure failure = bpf::loadProgram(type, "test", taggingCode(outOfBandVlan, programs.get()), own))
      return failure;
    fd = own.get();
  }
  const int error = bpf::testRun(fd, type, run);
  return error == 0 ? Failure{} : Failure::of(error, "BPF_PROG_TEST_RUN");
}

}  // namespace firsthop
