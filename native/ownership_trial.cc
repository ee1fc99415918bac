// For tests and measurements: programs over single frames, programs to compare with, floods. See ownership.h.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "ownership.h"

namespace firsthop {

namespace {

bool isXdp(Ownership::Program program) {
  return program == Ownership::Program::kXdp || program == Ownership::Program::kBareXdpPass ||
         program == Ownership::Program::kBareXdpDrop;
}

// A program that does nothing but to answer.
std::vector<uint64_t> bareCode(Ownership::Program program) {
  const int32_t verdicts[] = {2, 1, -1, 2, 0};
  const int32_t verdict = verdicts[static_cast<int>(program) - static_cast<int>(Ownership::Program::kBareXdpPass)];
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

Failure Ownership::attachBare(uint32_t ifindex, bpf::Place place, Program program) {
  UniqueFd fd;
  const auto type = isXdp(program) ? bpf::ProgramType::kXdp : bpf::ProgramType::kSchedCls;
  if (Failure failure = bpf::loadProgram(type, "bare", bareCode(program), fd)) return failure;
  return put(ifindex, place, fd.get(), "bare");
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

Failure Ownership::testRun(Program program, bpf::TestRun& run, uint16_t outOfBandVlan) {
  if (Failure failure = load(program)) return failure;
  const auto type = isXdp(program) ? bpf::ProgramType::kXdp : bpf::ProgramType::kSchedCls;
  int fd = programFd(program);
  UniqueFd own;
  UniqueFd programs;
  if (fd < 0) {
    if (Failure failure = bpf::loadProgram(type, "bare", bareCode(program), own)) return failure;
    fd = own.get();
  } else if (outOfBandVlan != 0) {
    if (isXdp(program)) return Failure::of(EINVAL, "XDP sees no tags beside the frame");
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
