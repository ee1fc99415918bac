// Where on an interface BPF programs stand, and putting them there so that they stay when their process ends: XDP and
// clsact by rtnetlink, tcx by bpf(2). Needs no bpffs. Works in the network namespace of the calling thread; may wait
// for the kernel for tens of milliseconds.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "util/failure.h"

namespace firsthop::bpf {

enum class Place : uint8_t { kXdpNative, kXdpGeneric, kTcxIngress, kTcxEgress, kClsactIngress, kClsactEgress };
const char* nameOf(Place place);

struct Attached {
  uint32_t ifindex = 0;
  Place place = Place::kXdpNative;
  uint32_t programId = 0;
};

// EBUSY: another XDP program is there. EOPNOTSUPP: not with this driver. EINVAL at a tcx place: the kernel has no tcx.
// `name` is what `tc filter show` tells.
Failure attach(uint32_t ifindex, Place place, int program, const char* name);
// What is gone already is no failure. A clsact qdisc goes with its last filter. `program`: a descriptor, if there is one;
// getting it by its number takes CAP_SYS_ADMIN.
Failure detach(const Attached& attached, int program = -1);
// All BPF programs at these places of an interface, whoever put them there.
Failure list(uint32_t ifindex, std::vector<Attached>& found);

}  // namespace firsthop::bpf
