// see bpf_attach.h
#include "bpf_attach.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cerrno>
#include <functional>
#include <optional>

#include "bpf_syscall.h"
#include "netlink_decode.h"
#include "netlink_message.h"
#include "util/unique_fd.h"

namespace firsthop::bpf {

namespace {

using netlink::Message;
using netlink::MessageBuilder;

// Attributes that the oldest supported headers may lack; their numbers are kernel ABI.
constexpr uint16_t kXdpExpectedFd = 8;
constexpr uint32_t kXdpFlagReplace = 1u << 4;

constexpr uint32_t kClsactHandle = TC_H_MAKE(TC_H_CLSACT, 0);
constexpr uint32_t kClsactIngress = TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS);
constexpr uint32_t kClsactEgress = TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS);

bool isXdp(Place place) { return place == Place::kXdpNative || place == Place::kXdpGeneric; }
bool isTcx(Place place) { return place == Place::kTcxIngress || place == Place::kTcxEgress; }
TcxPoint pointOf(Place place) {
  return place == Place::kTcxIngress ? TcxPoint::kIngress : TcxPoint::kEgress;
}
uint32_t parentOf(Place place) { return place == Place::kClsactIngress ? kClsactIngress : kClsactEgress; }

std::string at(uint32_t ifindex, Place place) {
  return std::string(nameOf(place)) + " of interface " + std::to_string(ifindex);
}

using Attributes = std::vector<const rtattr*>;

// By type, null for what is not there.
Attributes attributesOf(const rtattr* first, int length) {
  Attributes found(64, nullptr);
  for (const rtattr* one = first; RTA_OK(one, length); one = RTA_NEXT(one, length)) {
    const auto type = static_cast<uint16_t>(one->rta_type & NLA_TYPE_MASK);
    if (type < found.size()) found[type] = one;
  }
  return found;
}
Attributes nestedIn(const rtattr* outer) {
  return attributesOf(static_cast<const rtattr*>(RTA_DATA(outer)), static_cast<int>(RTA_PAYLOAD(outer)));
}
uint32_t u32Of(const rtattr* attribute) {
  uint32_t value = 0;
  if (attribute != nullptr && RTA_PAYLOAD(attribute) >= sizeof value)
    std::memcpy(&value, RTA_DATA(attribute), sizeof value);
  return value;
}
uint8_t u8Of(const rtattr* attribute) {
  return attribute != nullptr && RTA_PAYLOAD(attribute) >= 1 ? *static_cast<const uint8_t*>(RTA_DATA(attribute)) : 0;
}
bool isText(const rtattr* attribute, const char* text) {
  return attribute != nullptr && RTA_PAYLOAD(attribute) > std::strlen(text) &&
         std::strcmp(static_cast<const char*>(RTA_DATA(attribute)), text) == 0;
}

using Visit = std::function<void(const nlmsghdr*)>;

// One request and all of its answer. The kernel's words go with the error number, where it has some.
netlink::Answer transact(const Message& request, const Visit& visit = {}) {
  UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!fd.valid()) return {errno, {}};
  const int on = 1;
  setsockopt(fd.get(), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
  if (::send(fd.get(), request.data(), request.size(), 0) < 0) return {errno, {}};
  std::vector<uint8_t> buffer(1 << 16);
  for (;;) {
    const ssize_t length = ::recv(fd.get(), buffer.data(), buffer.size(), 0);
    if (length < 0 && errno == EINTR) continue;
    if (length <= 0) return {length < 0 ? errno : EIO, {}};
    int left = static_cast<int>(length);
    for (auto* one = reinterpret_cast<const nlmsghdr*>(buffer.data()); NLMSG_OK(one, left);
         one = NLMSG_NEXT(one, left)) {
      if (one->nlmsg_type == NLMSG_DONE) return {};
      if (one->nlmsg_type == NLMSG_ERROR) return netlink::decodeAnswer(one);
      if (visit) visit(one);
    }
  }
}

Failure failureOf(const netlink::Answer& answer, const std::string& what) {
  if (answer.error == 0) return {};
  Failure failure = Failure::of(answer.error, what);
  if (!answer.text.empty()) failure.what += " (" + answer.text + ")";
  return failure;
}

constexpr uint16_t kRequest = NLM_F_REQUEST | NLM_F_ACK;

// program -1 takes off what `expected` stands for.
Message xdpRequest(uint32_t ifindex, Place place, int program, int expected) {
  ifinfomsg header{};
  header.ifi_index = static_cast<int>(ifindex);
  MessageBuilder message(RTM_SETLINK, kRequest, header);
  uint32_t flags = place == Place::kXdpNative ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE;
  flags |= program < 0 ? kXdpFlagReplace : XDP_FLAGS_UPDATE_IF_NOEXIST;
  message.nest(IFLA_XDP | NLA_F_NESTED, [&] {
    message.u32(IFLA_XDP_FD, static_cast<uint32_t>(program));
    message.u32(IFLA_XDP_FLAGS, flags);
    if (program < 0) message.u32(kXdpExpectedFd, static_cast<uint32_t>(expected));
  });
  return message.finish();
}

tcmsg trafficControl(uint32_t ifindex, uint32_t parent, uint32_t handle = 0, uint32_t info = 0) {
  tcmsg header{};
  header.tcm_family = AF_UNSPEC;
  header.tcm_ifindex = static_cast<int>(ifindex);
  header.tcm_handle = handle;
  header.tcm_parent = parent;
  header.tcm_info = info;
  return header;
}

Message clsactRequest(uint32_t ifindex, uint16_t type, uint16_t flags) {
  MessageBuilder message(type, kRequest | flags, trafficControl(ifindex, TC_H_CLSACT, kClsactHandle));
  message.text(TCA_KIND, "clsact");
  return message.finish();
}

// Without a number of its own, a filter goes before those that are there.
Message filterRequest(uint32_t ifindex, Place place, int program, const char* name) {
  const uint32_t info = TC_H_MAKE(0, htons(ETH_P_ALL));
  MessageBuilder message(RTM_NEWTFILTER, kRequest | NLM_F_CREATE | NLM_F_EXCL,
                         trafficControl(ifindex, parentOf(place), 0, info));
  message.text(TCA_KIND, "bpf");
  message.nest(TCA_OPTIONS, [&] {
    message.u32(TCA_BPF_FD, static_cast<uint32_t>(program));
    message.text(TCA_BPF_NAME, name);
    message.u32(TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT);
  });
  return message.finish();
}

struct Filter {
  uint32_t handle = 0;
  uint32_t info = 0;
  uint32_t programId = 0;  // 0: no BPF
};

Failure listFilters(uint32_t ifindex, Place place, std::vector<Filter>& filters) {
  MessageBuilder message(RTM_GETTFILTER, NLM_F_REQUEST | NLM_F_DUMP, trafficControl(ifindex, parentOf(place)));
  const auto answer = transact(message.finish(), [&](const nlmsghdr* one) {
    if (one->nlmsg_type != RTM_NEWTFILTER) return;
    const auto* header = static_cast<const tcmsg*>(NLMSG_DATA(one));
    const auto found = attributesOf(TCA_RTA(header), static_cast<int>(TCA_PAYLOAD(one)));
    Filter filter{header->tcm_handle, header->tcm_info, 0};
    if (isText(found[TCA_KIND], "bpf") && found[TCA_OPTIONS] != nullptr)
      filter.programId = u32Of(nestedIn(found[TCA_OPTIONS])[TCA_BPF_ID]);
    // Each chain of filters is told before its members, with handle 0.
    if (filter.handle != 0) filters.push_back(filter);
  });
  // Without a qdisc there are no filters.
  if (answer.error == EINVAL || answer.error == ENOENT) return {};
  return failureOf(answer, at(ifindex, place));
}

bool hasClsact(uint32_t ifindex) {
  bool found = false;
  MessageBuilder message(RTM_GETQDISC, NLM_F_REQUEST | NLM_F_DUMP, trafficControl(ifindex, 0));
  transact(message.finish(), [&](const nlmsghdr* one) {
    if (one->nlmsg_type != RTM_NEWQDISC) return;
    const auto* header = static_cast<const tcmsg*>(NLMSG_DATA(one));
    if (header->tcm_ifindex != static_cast<int>(ifindex)) return;
    if (isText(attributesOf(TCA_RTA(header), static_cast<int>(TCA_PAYLOAD(one)))[TCA_KIND], "clsact")) found = true;
  });
  return found;
}

void removeClsactIfEmpty(uint32_t ifindex) {
  std::vector<Filter> filters;
  if (listFilters(ifindex, Place::kClsactIngress, filters) || listFilters(ifindex, Place::kClsactEgress, filters))
    return;
  if (filters.empty()) transact(clsactRequest(ifindex, RTM_DELQDISC, 0));
}

Failure attachFilter(uint32_t ifindex, Place place, int program, const char* name) {
  const auto made = transact(clsactRequest(ifindex, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL));
  if (made.error != 0 && made.error != EEXIST) return failureOf(made, at(ifindex, place));
  const auto answer = transact(filterRequest(ifindex, place, program, name));
  if (answer.error != 0) removeClsactIfEmpty(ifindex);
  return failureOf(answer, at(ifindex, place));
}

Failure detachFilter(const Attached& attached) {
  std::vector<Filter> filters;
  if (Failure failure = listFilters(attached.ifindex, attached.place, filters)) return failure;
  for (const Filter& filter : filters) {
    if (filter.programId != attached.programId) continue;
    MessageBuilder message(RTM_DELTFILTER, kRequest,
                           trafficControl(attached.ifindex, parentOf(attached.place), filter.handle, filter.info));
    message.text(TCA_KIND, "bpf");
    const auto answer = transact(message.finish());
    if (answer.error != 0 && answer.error != ENOENT) return failureOf(answer, at(attached.ifindex, attached.place));
  }
  removeClsactIfEmpty(attached.ifindex);
  return {};
}

Failure listXdp(uint32_t ifindex, std::vector<Attached>& found) {
  ifinfomsg header{};
  header.ifi_index = static_cast<int>(ifindex);
  MessageBuilder message(RTM_GETLINK, kRequest, header);
  const auto answer = transact(message.finish(), [&](const nlmsghdr* one) {
    if (one->nlmsg_type != RTM_NEWLINK) return;
    const auto* link = static_cast<const ifinfomsg*>(NLMSG_DATA(one));
    const auto* outer = attributesOf(IFLA_RTA(link), static_cast<int>(IFLA_PAYLOAD(one)))[IFLA_XDP];
    if (outer == nullptr) return;
    const auto xdp = nestedIn(outer);
    const uint8_t mode = u8Of(xdp[IFLA_XDP_ATTACHED]);
    uint32_t native = u32Of(xdp[IFLA_XDP_DRV_PROG_ID]);
    uint32_t generic = u32Of(xdp[IFLA_XDP_SKB_PROG_ID]);
    if (mode == XDP_ATTACHED_DRV && native == 0) native = u32Of(xdp[IFLA_XDP_PROG_ID]);
    if (mode == XDP_ATTACHED_SKB && generic == 0) generic = u32Of(xdp[IFLA_XDP_PROG_ID]);
    if (native != 0) found.push_back({ifindex, Place::kXdpNative, native});
    if (generic != 0) found.push_back({ifindex, Place::kXdpGeneric, generic});
  });
  return failureOf(answer, "interface " + std::to_string(ifindex));
}

}  // namespace

const char* nameOf(Place place) {
  switch (place) {
    case Place::kXdpNative:
      return "native XDP";
    case Place::kXdpGeneric:
      return "generic XDP";
    case Place::kTcxIngress:
      return "tcx ingress";
    case Place::kTcxEgress:
      return "tcx egress";
    case Place::kClsactIngress:
      return "clsact ingress";
    case Place::kClsactEgress:
      return "clsact egress";
  }
  return "";
}

Failure attach(uint32_t ifindex, Place place, int program, const char* name) {
  if (isXdp(place)) return failureOf(transact(xdpRequest(ifindex, place, program, -1)), at(ifindex, place));
  if (!isTcx(place)) return attachFilter(ifindex, place, program, name);
  const int error = attachTcx(ifindex, pointOf(place), program);
  // EEXIST: this very program stands there. A device keeps it on its way through another network namespace, where
  // nobody here could take it off.
  return error == 0 || error == EEXIST ? Failure{} : Failure::of(error, at(ifindex, place));
}

Failure detach(const Attached& attached, int program) {
  const auto& [ifindex, place, programId] = attached;
  if (!isXdp(place) && !isTcx(place)) return detachFilter(attached);
  UniqueFd opened;
  if (program < 0) {
    if (const int error = programById(programId, opened)) {
      // No program of this number, so it stands nowhere.
      return error == ENOENT ? Failure{} : Failure::of(error, at(ifindex, place));
    }
    program = opened.get();
  }
  if (isTcx(place)) {
    const int error = detachTcx(ifindex, pointOf(place), program);
    return error == 0 || error == ENOENT || error == ENODEV ? Failure{} : Failure::of(error, at(ifindex, place));
  }
  const auto answer = transact(xdpRequest(ifindex, place, -1, program));
  if (answer.error == ENODEV) return {};
  if (answer.error == EEXIST) return {};  // another program stands there by now
  return failureOf(answer, at(ifindex, place));
}

Failure list(uint32_t ifindex, std::vector<Attached>& found) {
  if (Failure failure = listXdp(ifindex, found)) return failure;
  for (const Place place : {Place::kTcxIngress, Place::kTcxEgress}) {
    std::vector<uint32_t> ids;
    // Kernels without tcx refuse the question, and have nothing there.
    if (queryTcx(ifindex, pointOf(place), ids) != 0) continue;
    for (const uint32_t id : ids) found.push_back({ifindex, place, id});
  }
  if (!hasClsact(ifindex)) return {};
  for (const Place place : {Place::kClsactIngress, Place::kClsactEgress}) {
    std::vector<Filter> filters;
    if (Failure failure = listFilters(ifindex, place, filters)) return failure;
    for (const Filter& filter : filters)
      if (filter.programId != 0) found.push_back({ifindex, place, filter.programId});
  }
  return {};
}

}  // namespace firsthop::bpf
