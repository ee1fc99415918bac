// Answers to the prober's echo requests: a filter of its raw sockets notes each in a ring in memory that the prober
// shares, and keeps it from the socket. Reading the socket would cost a sixth of what a probe costs. Where the ring is full, the
// socket gets the answer after all.
//
// Compiled by scripts/generate-bpf.mjs into echo_program.h. Little-endian processors only.
#include "echo_abi.h"
#include "kernel_calls.h"

struct __sk_buff;
// Symbols that the loader puts something in the place of: the ring, and as a number the octets 4 to 11 of each answer
// that is this prober's: identifier, any sequence number, secret.
struct symbol fh_echoes SECTION("maps");
struct symbol fh_identity SECTION("maps");

enum {
  NET_HEADER = 1,  // BPF_HDR_START_NET
  IPV4_HEADER = 20,
  IPV4_SOURCE = 12,
  IPV6_SOURCE = 8,
  ECHO = 24,  // header, secret, slot and nonce
  REPLY4 = 0,
  REPLY6 = 129,
  TO_NOBODY = 0,
  TO_SOCKET = 0xffff,
};
#define SEQUENCE 0xffff0000ull

struct echo {
  fh_u8 type, code;
  fh_u16 checksum;
  fh_u64 identity;
  fh_u32 slot;
  fh_u64 nonce;
} __attribute__((packed));
union message {
  struct echo echo;
  fh_u16 words[ECHO / 2];
};

INLINE int isOurs(const struct echo* echo) { return (echo->identity & ~SEQUENCE) == (fh_u64)&fh_identity; }

INLINE int note(const struct echo* echo, const fh_u64* source) {
  struct fh_echo* noted = reserve(&fh_echoes, sizeof *noted, 0);
  if (!noted) return TO_SOCKET;
  noted->at_ns = clockNs();
  noted->nonce = echo->nonce;
  noted->slot = echo->slot;
  noted->zero = 0;
  fh_u64* into = (fh_u64*)noted->source;
  into[0] = source[0];
  into[1] = source[1];
  submit(noted, 0);
  return TO_NOBODY;
}

// Sees the datagram, before anyone checked the message's checksum. An answer with options, or longer than the request
// was, is none that a host sends; the socket and whoever reads it know better what to do. What is not ours wakes nobody.
SECTION("fh_echo4")
int echo4(struct __sk_buff* skb) {
  fh_u8 header[IPV4_HEADER];
  union message message;
  if (load(skb, 0, header, sizeof header) != 0 || header[0] >> 4 != 4) return TO_NOBODY;
  const fh_u32 headerLength = (header[0] & 15) * 4;
  if (headerLength < IPV4_HEADER || load(skb, headerLength, &message, sizeof message) != 0) return TO_NOBODY;
  const struct echo* echo = &message.echo;
  if (echo->type != REPLY4 || !isOurs(echo)) return TO_NOBODY;
  if (headerLength != IPV4_HEADER || (header[2] << 8 | header[3]) != IPV4_HEADER + ECHO) return TO_SOCKET;
  fh_u32 sum = 0;
#pragma unroll
  for (int at = 0; at < ECHO / 2; ++at) sum += message.words[at];
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  if (sum != 0xffff || echo->code != 0) return TO_NOBODY;
  const fh_u64 source[2] = {*(const fh_u32*)(header + IPV4_SOURCE), 0};
  return note(echo, source);
}

// Sees the message, whose checksum the kernel has verified.
SECTION("fh_echo6")
int echo6(struct __sk_buff* skb) {
  union message message;
  fh_u64 source[2];
  if (load(skb, 0, &message, sizeof message) != 0) return TO_NOBODY;
  const struct echo* echo = &message.echo;
  if (echo->type != REPLY6 || echo->code != 0 || !isOurs(echo)) return TO_NOBODY;
  if (loadRelative(skb, IPV6_SOURCE, source, sizeof source, NET_HEADER) != 0) return TO_SOCKET;
  return note(echo, source);
}
