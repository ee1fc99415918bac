// What a program here is made of besides C: sections, inlining, and the kernel's helper functions, by their number in
// linux/bpf.h.
#pragma once
#include "plain_types.h"

#define SECTION(name) __attribute__((section(name), used))
#define INLINE static inline __attribute__((always_inline))
#define HELPER static __attribute__((unused))

HELPER void* (*const lookup)(void* map, const void* key) = (void*)1;  // bpf_map_lookup_elem
HELPER fh_u64 (*const clockNs)(void) = (void*)5;  // bpf_ktime_get_ns
HELPER long (*const load)(const void* skb, fh_u32 at, void* to, fh_u32 length) = (void*)26;  // bpf_skb_load_bytes
HELPER int (*const pullData)(void* skb, fh_u32 length) = (void*)39;  // bpf_skb_pull_data
// bpf_skb_load_bytes_relative
HELPER long (*const loadRelative)(const void* skb, fh_u32 at, void* to, fh_u32 length, fh_u32 start) = (void*)68;
HELPER fh_u64 (*const jiffies)(void) = (void*)118;  // bpf_jiffies64
HELPER void* (*const reserve)(void* ring, fh_u64 size, fh_u64 flags) = (void*)131;  // bpf_ringbuf_reserve
HELPER void (*const submit)(void* record, fh_u64 flags) = (void*)132;  // bpf_ringbuf_submit
HELPER fh_u64 (*const coarseClockNs)(void) = (void*)160;  // bpf_ktime_get_coarse_ns

// A symbol that the loader puts something in the place of (symbols.h).
struct symbol {
  int unused;
};
