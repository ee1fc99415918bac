// What the program that notes echo answers and the prober share: all but the time is as it came.
#pragma once
#include "plain_types.h"

// One answer, as it lies in the ring.
struct fh_echo {
  fh_u64 at_ns;  // monotonic
  fh_u64 nonce;
  fh_u32 slot;
  fh_u32 zero;
  fh_u8 source[16];  // IPv4: the first four
};
