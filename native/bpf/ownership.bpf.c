// Who forwards: the programs that every frame of an interface passes, in as XDP or at tc, and out at tc. They decide
// by the lease table that the daemon writes (ownership_abi.h) and write two things themselves: counters, and that a
// lease was given up for a successor. Frames are never changed.
//
// Compiled by scripts/generate-bpf.mjs into ownership_program.h. Everything is inlined, and there is no data but the
// maps; what the kernel must offer is listed in docs/kernel.md. Little-endian processors only.
#include "kernel_calls.h"
#include "ownership_abi.h"

#define READ_ONCE(x) (*(const volatile __typeof__(x)*)&(x))
#define WRITE_ONCE(x, value) (*(volatile __typeof__(x)*)&(x) = (value))
#define BE16(x) ((fh_u16)((((x)&0xff) << 8) | (((x) >> 8) & 0xff)))

typedef long long fh_s64;

// linux/bpf.h: the kernel's struct xdp_md and the beginning of struct __sk_buff.
struct xdp_context {
  fh_u32 data, data_end, data_meta, ingress_ifindex;
};
struct tc_context {
  fh_u32 len, pkt_type, mark, queue_mapping, protocol, vlan_present, vlan_tci, vlan_proto, priority, ingress_ifindex;
  fh_u32 ifindex, tc_index, cb[5], hash, tc_classid, data, data_end;
};

// The maps: symbols that the loader puts file descriptors in the place of. The hints are their map's memory itself.
struct symbol fh_leases SECTION("maps");
struct symbol fh_groups SECTION("maps");
struct symbol fh_addresses SECTION("maps");
struct symbol fh_counters SECTION("maps");
fh_u16 fh_hints[FH_HINTS] SECTION("maps");

enum { XDP_DROP = 1, XDP_PASS = 2 };
// TCX_NEXT, which is TC_ACT_UNSPEC: programs and filters after this one run, too.
enum { TC_NEXT = -1, TC_DROP = 2 };

enum {
  ETHER_HEADER = 14,
  ETHER_IPV4 = BE16(0x0800),
  ETHER_ARP = BE16(0x0806),
  ETHER_VLAN = BE16(0x8100),
  ETHER_PROVIDER_VLAN = BE16(0x88a8),
  ETHER_IPV6 = BE16(0x86dd),
  IP_ICMPV6 = 58,
  IP_AUTHENTICATION = 51,
  IP_VRRP = 112,
  ND_SOLICITATION = 135,
  ND_SOLICITATION_LENGTH = 24,
  VRRP_HEADER = 8,
  VRRP_ADVERTISEMENT = 1,
  // What of a frame is looked at: Ethernet and three tags, then an IPv4 header with options, VRRP behind one of AH.
  LOOKED_AT_OUT = 26,
  LOOKED_AT_IN = 160,
};

struct frame {
  fh_u64 mac;  // destination on the way in, source on the way out
  // Behind the Ethernet header and all tags.
  const fh_u8* payload;
  const fh_u8* end;
  fh_u32 ifindex;
  fh_u16 etherType;  // as on the wire
  fh_u16 vlan[2];
};

// Fields stand at odd places: x86-64 and arm64 read them at the price of even ones.
INLINE fh_u16 read16(const fh_u8* at) { return *(const fh_u16*)at; }
INLINE fh_u32 read32(const fh_u8* at) { return *(const fh_u32*)at; }
INLINE fh_u64 readMac(const fh_u8* at) { return read32(at) | (fh_u64)read16(at + 4) << 32; }

// A tag with VLAN 0 carries a priority only, and the kernel takes it off as if it weren't there.
INLINE void addVlan(struct frame* frame, fh_u16 vlan) {
  if (vlan == 0) return;
  if (frame->vlan[0] == 0)
    frame->vlan[0] = vlan;
  else if (frame->vlan[1] == 0)
    frame->vlan[1] = vlan;
}

INLINE int isTag(fh_u16 etherType) { return etherType == ETHER_VLAN || etherType == ETHER_PROVIDER_VLAN; }

// A cut tag stays what it is: an EtherType that nobody asks for.
INLINE void skipTags(struct frame* frame) {
  if (__builtin_expect(!isTag(frame->etherType), 1)) return;
#pragma unroll
  for (int tag = 0; tag < 3; ++tag) {
    const fh_u8* at = frame->payload;
    if (!isTag(frame->etherType) || at + 4 > frame->end) break;
    addVlan(frame, BE16(read16(at)) & 0xfff);
    frame->etherType = read16(at + 2);
    frame->payload = at + 4;
  }
}

INLINE fh_u64 placeOf(const struct frame* frame) {
  return frame->ifindex | (fh_u64)frame->vlan[0] << 32 | (fh_u64)frame->vlan[1] << 48;
}

INLINE struct fh_lease* leaseOf(fh_u32 slot) { return lookup(&fh_leases, &slot); }
INLINE struct fh_counters* countersOf(fh_u32 slot) { return lookup(&fh_counters, &slot); }

// The lease of the group with this MAC where the frame is, and its slot; null when there is none. Most frames are for
// none, which one look into memory tells.
INLINE struct fh_lease* groupOf(const struct frame* frame, fh_u64 mac, fh_u32* slot) {
  const fh_u64 key[2] = {placeOf(frame), mac};
  *slot = fh_hints[fh_hash(key[0], mac)];
  if (*slot == 0) return 0;
  if (*slot == FH_HINT_MANY) {
    const fh_u32* found = lookup(&fh_groups, key);
    if (!found) return 0;
    *slot = *found;
  }
  struct fh_lease* lease = leaseOf(*slot);
  if (!lease) return 0;
  const fh_u64* its = (const fh_u64*)&lease->key;
  return its[0] == key[0] && its[1] == mac ? lease : 0;
}

// The coarse clock may be a tick behind a renewal.
INLINE int within(fh_u64 nowNs, fh_u64 sinceNs, fh_u64 durationNs) {
  return (fh_s64)(nowNs - sinceNs) < 0 || nowNs - sinceNs <= durationNs;
}

// The clock is read once a tick, processor and renewal: it costs more than all the rest.
INLINE int isOwner(const struct fh_lease* lease, struct fh_counters* counters) {
  const fh_u64 claim = READ_ONCE(lease->claim);
  if (claim == 0 || READ_ONCE(lease->yielded) == claim) return 0;
  const fh_u64 limitNs = READ_ONCE(lease->limit_ns);
  if (limitNs == 0) return 1;
  const fh_u64 renewedNs = READ_ONCE(lease->renewed_ns);
  const fh_u64 check = (renewedNs + limitNs) ^ jiffies();
  if (counters->checked == check) return 1;
  if (!within(coarseClockNs(), renewedNs, limitNs)) return 0;
  counters->checked = check;
  return 1;
}

// True when the address is one that another router answers for.
INLINE int isOthers(const struct frame* frame, fh_u64 high, fh_u64 low) {
  const fh_u64 key[3] = {placeOf(frame), high, low};
  const fh_u32* slot = lookup(&fh_addresses, key);
  if (!slot) return 0;
  const struct fh_lease* lease = leaseOf(*slot);
  struct fh_counters* counters = countersOf(*slot);
  if (!lease || !counters || isOwner(lease, counters)) return 0;
  counters->unanswered++;
  return 1;
}

// RFC 826, RFC 5227. A request whose sender is its target asks nobody: others announce that address.
INLINE int isArpForOthers(const struct frame* frame) {
  const fh_u8* arp = frame->payload;
  if (arp + 28 > frame->end) return 0;
  if (read32(arp) != 0x00080100 || read32(arp + 4) != 0x01000406) return 0;
  const fh_u32 target = read32(arp + 24);
  if (read32(arp + 14) == target) return 0;
  return isOthers(frame, 0, 0xffff0000ull | (fh_u64)target << 32);
}

// RFC 4861 7.1.1
INLINE int isSolicitationForOthers(const struct frame* frame) {
  const fh_u8* ip = frame->payload;
  const fh_u8* message = ip + 40;
  if (message + ND_SOLICITATION_LENGTH > frame->end) return 0;
  if (ip[7] != 255 || message[0] != ND_SOLICITATION || message[1] != 0) return 0;
  if (BE16(read16(ip + 4)) < ND_SOLICITATION_LENGTH) return 0;
  return isOthers(frame, read32(message + 8) | (fh_u64)read32(message + 12) << 32,
                  read32(message + 16) | (fh_u64)read32(message + 20) << 32);
}

// The fifth octet of virtual MACs.
enum family { IPV4 = 1, IPV6 = 2 };

// Another router says that it is Active. A router whose own advertisements are overdue believes it, and stops to
// forward in this moment. While they are not, its daemon decides.
INLINE void hearClaim(const struct frame* frame, const fh_u8* vrrp, fh_u32 length, enum family family) {
  const fh_u32 version = vrrp[0] >> 4;
  if ((vrrp[0] & 0xf) != VRRP_ADVERTISEMENT || (version != 3 && (version != 2 || family != IPV4))) return;
  const fh_u32 count = vrrp[3];
  const fh_u32 authentication = version == 2 ? 8 : 0;
  if (count == 0 || length < VRRP_HEADER + count * (family == IPV4 ? 4 : 16) + authentication) return;
  if (vrrp[5] == 0 && (version == 2 || (vrrp[4] & 0xf) == 0)) return;  // an interval of 0
  if (vrrp[2] == 0) return;                                            // a release
  fh_u32 slot;
  struct fh_lease* lease = groupOf(frame, 0x5e0000ull | (fh_u64)family << 32 | (fh_u64)vrrp[1] << 40, &slot);
  if (!lease) return;
  const fh_u64 claim = READ_ONCE(lease->claim);
  const fh_u64 yielded = READ_ONCE(lease->yielded);
  if (claim == 0 || yielded == claim) return;
  const fh_u64 nowNs = clockNs();
  if (within(nowNs, READ_ONCE(lease->renewed_ns), READ_ONCE(lease->overdue_ns))) return;
  WRITE_ONCE(lease->yielded_ns, nowNs);
  // Of several processors that hear it at once, one gives way; and none what was opened since.
  if (__sync_val_compare_and_swap(&lease->yielded, yielded, claim) != yielded) return;
  const fh_u32 zero = 0;
  struct fh_table_head* head = lookup(&fh_leases, &zero);
  if (head) __sync_fetch_and_add(&head->yields, 1);
}

// RFC 9568 7.1, RFC 3768 7.1; with a header of AH between (RFC 2338) also.
INLINE void listenIpv4(const struct frame* frame) {
  const fh_u8* ip = frame->payload;
  if (ip + 20 > frame->end) return;
  fh_u32 protocol = ip[9];
  if (protocol != IP_VRRP && protocol != IP_AUTHENTICATION) return;
  const fh_u32 headerLength = (ip[0] & 0xf) * 4;
  if (ip[0] >> 4 != 4 || headerLength < 20) return;
  if (ip[8] != 255) return;
  if (read16(ip + 6) & BE16(0x3fff)) return;  // fragments
  fh_u32 left = BE16(read16(ip + 2));
  const fh_u8* at = ip + headerLength;
  if (left < headerLength + VRRP_HEADER || at + VRRP_HEADER > frame->end) return;
  left -= headerLength;
  if (protocol == IP_AUTHENTICATION) {
    const fh_u32 length = (at[1] + 2) * 4;
    if (at[0] != IP_VRRP || length > 64 || left < length + VRRP_HEADER) return;
    at += length;
    left -= length;
    if (at + VRRP_HEADER > frame->end) return;
  }
  hearClaim(frame, at, left, IPV4);
}

INLINE void listenIpv6(const struct frame* frame) {
  const fh_u8* ip = frame->payload;
  const fh_u8* vrrp = ip + 40;
  if (vrrp + VRRP_HEADER > frame->end) return;
  if (ip[7] == 255) hearClaim(frame, vrrp, BE16(read16(ip + 4)), IPV6);
}

// True: not for this router.
INLINE int keepOut(struct frame* frame) {
  fh_u32 slot;
  const struct fh_lease* lease = groupOf(frame, frame->mac, &slot);
  if (lease) {
    struct fh_counters* counters = countersOf(slot);
    if (!counters) return 0;
    if (!isOwner(lease, counters)) {
      counters->not_owned++;
      return 1;
    }
    counters->owned++;
  }
  if (frame->etherType == ETHER_ARP) return isArpForOthers(frame);
  if (frame->etherType == ETHER_IPV4) {
    // What comes to a group's MAC is on its way to somewhere else, and no claim to this router.
    if (!lease) listenIpv4(frame);
    return 0;
  }
  if (frame->etherType != ETHER_IPV6 || frame->payload + 40 > frame->end || frame->payload[0] >> 4 != 6) return 0;
  const fh_u8 next = frame->payload[6];
  if (next == IP_ICMPV6) return isSolicitationForOthers(frame);
  if (next == IP_VRRP && !lease) listenIpv6(frame);
  return 0;
}

// True: a frame in the name of a group that another router speaks for.
INLINE int keepIn(struct frame* frame) {
  skipTags(frame);
  fh_u32 slot;
  const struct fh_lease* lease = groupOf(frame, frame->mac, &slot);
  if (!lease) return 0;
  struct fh_counters* counters = countersOf(slot);
  if (!counters || isOwner(lease, counters)) return 0;
  counters->kept_in++;
  return 1;
}

SECTION("fh_xdp")
int xdp(struct xdp_context* context) {
  const fh_u8* data = (const fh_u8*)(long)context->data;
  struct frame frame = {.end = (const fh_u8*)(long)context->data_end, .ifindex = context->ingress_ifindex};
  if (data + ETHER_HEADER > frame.end) return XDP_PASS;
  frame.mac = readMac(data);
  frame.etherType = read16(data + 12);
  frame.payload = data + ETHER_HEADER;
  skipTags(&frame);
  return keepOut(&frame) ? XDP_DROP : XDP_PASS;
}

// Behind another's generic XDP, kernels from 6.9 on give tc a frame without its Ethernet header (the length of that is
// lost when they copy the frame). Then the EtherType is not where it should be; or by chance it is, but then what
// stands there looks like the beginning of a payload.
INLINE int isWithoutHeader(const fh_u8* data, const fh_u8* end, fh_u16 protocol) {
  if (data + ETHER_HEADER > end || read16(data + 12) != protocol) return 1;
  if (protocol == ETHER_IPV4) return data[0] >> 4 == 4;
  if (protocol == ETHER_IPV6) return data[0] >> 4 == 6;
  return protocol == ETHER_ARP && read16(data) == BE16(1);
}

// False for what holds no Ethernet header at all.
INLINE int readTc(struct tc_context* context, struct frame* frame, fh_u32 lookedAt, fh_u32 macAt) {
  // What is asked for may lie in other pages than the first octets.
  if (context->data + lookedAt > context->data_end && context->data_end - context->data < context->len)
    pullData(context, context->len < lookedAt ? context->len : lookedAt);
  const fh_u8* data = (const fh_u8*)(long)context->data;
  frame->end = (const fh_u8*)(long)context->data_end;
  frame->ifindex = context->ifindex;
  frame->etherType = context->protocol;
  // The outermost tag is taken off at reception (or put on by the device), and told here.
  if (context->vlan_present) addVlan(frame, context->vlan_tci & 0xfff);
  frame->payload = data;
  if (__builtin_expect(isWithoutHeader(data, frame->end, context->protocol), 0)) {
    fh_u64 macs[2] = {};
    if (loadRelative(context, 0, &macs[0], 6, 0) < 0 || loadRelative(context, 6, &macs[1], 6, 0) < 0) return 0;
    frame->mac = macs[macAt / 6];
    if (data + ETHER_HEADER > frame->end || readMac(data) != macs[0] || readMac(data + 6) != macs[1]) return 1;
  }
  if (data + ETHER_HEADER > frame->end) return 0;
  frame->mac = readMac(data + macAt);
  frame->etherType = read16(data + 12);
  frame->payload = data + ETHER_HEADER;
  return 1;
}

// What another router sends to all from a group's MAC: advertisements and announcements. The macvlan driver would hand it
// to the group's own device and to nobody else, where no socket of ours is: the packet sockets have had it before tc. What
// the kernel would do with it there grows with the number of devices, since each has a route for multicast. At XDP, which
// comes before the sockets, it passes; so does what has a tag, whose socket is behind this program.
//
// Zero when the frame is spent in this way. Asked for before the frame is judged: the verifier would go through it once
// for each way to judge one.
INLINE fh_u64 unlessSpent(const struct tc_context* context, const struct frame* frame) {
  const fh_u8* data = (const fh_u8*)(long)context->data;
  if (data + ETHER_HEADER > (const fh_u8*)(long)context->data_end || !(data[0] & 1)) return 1;
  const fh_u64 source = readMac(data + 6);
  const fh_u64 key[2] = {context->ifindex, source};
  fh_u32 slot = fh_hints[fh_hash(key[0], key[1])];
  if (slot == FH_HINT_MANY) {
    const fh_u32* found = lookup(&fh_groups, key);
    if (!found) return 1;
    slot = *found;
  }
  const struct fh_lease* lease = leaseOf(slot);
  if (!lease) return 1;
  const fh_u64* its = (const fh_u64*)&lease->key;
  return (its[0] ^ key[0]) | (its[1] ^ key[1]) | frame->vlan[0];
}

SECTION("fh_ingress")
int ingress(struct tc_context* context) {
  struct frame frame = {};
  if (!readTc(context, &frame, LOOKED_AT_IN, 0)) return TC_NEXT;
  skipTags(&frame);
  const fh_u64 wanted = unlessSpent(context, &frame);
  return keepOut(&frame) || wanted == 0 ? TC_DROP : TC_NEXT;
}

SECTION("fh_egress")
int egress(struct tc_context* context) {
  struct frame frame = {};
  return readTc(context, &frame, LOOKED_AT_OUT, 6) && keepIn(&frame) ? TC_DROP : TC_NEXT;
}
