// What the BPF programs and the daemon share: the layout of the lease table and of the maps' keys. Included by both,
// so it holds plain types only. All numbers are in host order, but for addresses.
#pragma once
#include "plain_types.h"

enum { FH_ABI = 1, FH_SLOTS = 8192 };

// Which group a frame belongs to.
struct fh_group_key {
  fh_u32 ifindex;
  // VLAN identifiers, 0 for none: [0] the outer tag, [1] the inner one.
  fh_u16 vlan[2];
  fh_u8 mac[6];
  fh_u16 zero;
};

// Where to look for a group: for every hash of a key the slot, 0 for none. Two groups of one hash are in `groups` only.
#define FH_HASH_FACTOR 0x9e3779b97f4a7c15ull
enum { FH_HINTS = 1 << 14, FH_HASH_SHIFT = 64 - 14, FH_HINT_MANY = 0xffff };

// `place`: the key's first 8 octets as a number, `mac`: the MAC's 6.
static inline fh_u32 fh_hash(fh_u64 place, fh_u64 mac) {
  return (fh_u32)((place * FH_HASH_FACTOR + mac) * FH_HASH_FACTOR >> FH_HASH_SHIFT);
}

// Who forwards for one group, until when. One cache line; the daemon writes the first half, the programs the second.
// This router is the owner while `claim` is not 0, is not what it `yielded`, and was renewed within `limit_ns`.
struct fh_lease {
  // 0: closed. Else the number of this opening; a later opening has a greater one.
  fh_u64 claim;
  // CLOCK_MONOTONIC of the last advertisement that really left, in nanoseconds.
  fh_u64 renewed_ns;
  // From this long after the last renewal on, a successor's claim is believed.
  fh_u64 overdue_ns;
  // This long after the last renewal forwarding ends; 0: never.
  fh_u64 limit_ns;
  // The opening that was given up for a successor, by the programs.
  fh_u64 yielded;
  // When that successor's claim came in (CLOCK_MONOTONIC, nanoseconds).
  fh_u64 yielded_ns;
  // Whose lease this is.
  struct fh_group_key key;
};

// At the head of the lease table's memory, in the place of slot 0, which is no group's.
struct fh_table_head {
  fh_u32 abi;
  // Of the daemon that the table belongs to.
  fh_u32 token;
  // Grows with each lease that is given up: one look tells whether anything happened.
  fh_u64 yields;
  fh_u64 reserved[6];
};

// Which group answers for an address; IPv4 addresses are IPv4-mapped (::ffff:a.b.c.d).
struct fh_address_key {
  fh_u32 ifindex;
  fh_u16 vlan[2];
  fh_u8 address[16];
};

// Per group and processor, cumulative.
struct fh_counters {
  fh_u64 owned;
  fh_u64 not_owned;
  // ARP requests and neighbour solicitations that were not this router's to answer.
  fh_u64 unanswered;
  // Frames with the group's MAC as source that were kept in.
  fh_u64 kept_in;
  // No counter: the programs' note that the limit was not reached when they looked last.
  fh_u64 checked;
};
