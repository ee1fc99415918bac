// Types that BPF programs and C++ have in common.
#pragma once
#ifdef __bpf__
typedef unsigned char fh_u8;
typedef unsigned short fh_u16;
typedef unsigned int fh_u32;
typedef unsigned long long fh_u64;
#else
#include <stdint.h>
typedef uint8_t fh_u8;
typedef uint16_t fh_u16;
typedef uint32_t fh_u32;
typedef uint64_t fh_u64;
#endif
