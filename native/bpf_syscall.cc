// see bpf_syscall.h
#include "bpf_syscall.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace firsthop::bpf {

namespace {

enum class Command : uint32_t {
  kMapCreate = 0,
  kMapLookup = 1,
  kMapUpdate = 2,
  kMapDelete = 3,
  kMapNextKey = 4,
  kProgramLoad = 5,
  kAttach = 8,
  kDetach = 9,
  kTestRun = 10,
  kProgramById = 13,
  kMapById = 14,
  kInfoByFd = 15,
  kQuery = 16,
};

constexpr size_t kNameSize = 16;
constexpr int kLoadAttempts = 10;
constexpr uint32_t kAny = 0;
constexpr uint32_t kNoExist = 1;
// Frames may lie in several buffers (5.18); without it, no driver takes the program at a large MTU.
constexpr uint32_t kXdpHasFragments = 1u << 5;
constexpr uint32_t kBefore = 1u << 3;

struct CreateAttributes {
  uint32_t type, keySize, valueSize, entries, flags, innerMap, numaNode;
  char name[kNameSize];
};
struct ElementAttributes {
  uint32_t map, pad;
  uint64_t key, value, flags;
};
struct LoadAttributes {
  uint32_t type, instructionCount;
  uint64_t instructions, license;
  uint32_t logLevel, logSize;
  uint64_t log;
  uint32_t kernelVersion, flags;
  char name[kNameSize];
  uint32_t ifindex, expectedAttachType;
};
struct AttachAttributes {
  uint32_t ifindex, program, attachType, flags, replaced, relative;
  uint64_t revision;
};
struct TestAttributes {
  uint32_t program, verdict, inSize, outSize;
  uint64_t in, out;
  uint32_t repeat, durationNs, contextInSize, contextOutSize;
  uint64_t contextIn, contextOut;
  uint32_t flags, cpu, batch, pad;
};
struct IdAttributes {
  uint32_t id, next, flags, pad;
};
struct InfoAttributes {
  uint32_t fd, size;
  uint64_t info;
};
struct QueryAttributes {
  uint32_t ifindex, attachType, flags, attachFlags;
  uint64_t programIds;
  uint32_t count, pad;
  uint64_t programFlags, linkIds, linkFlags, revision;
};
// The beginnings of struct bpf_prog_info and bpf_map_info.
struct KernelProgramInfo {
  uint32_t type, id;
  uint8_t tag[8];
  uint32_t jitedLength, translatedLength;
  uint64_t jited, translated, loadTime;
  uint32_t uid, mapCount;
  uint64_t mapIds;
  char name[kNameSize];
};
struct KernelMapInfo {
  uint32_t type, id, keySize, valueSize, entries, flags;
  char name[kNameSize];
};

template <typename Attributes>
int call(Command command, Attributes& attributes) {
  // The verifier gives up with EAGAIN when a signal comes in, which a profiler or a timer sends often.
  for (int attempt = 1;; attempt++) {
    const auto result =
        static_cast<int>(::syscall(SYS_bpf, static_cast<uint32_t>(command), &attributes, sizeof attributes));
    if (result >= 0 || errno != EAGAIN || command != Command::kProgramLoad || attempt == kLoadAttempts) return result;
  }
}

template <typename Attributes>
int errorOf(Command command, Attributes& attributes) {
  return call(command, attributes) < 0 ? errno : 0;
}

uint64_t address(const void* pointer) { return reinterpret_cast<uintptr_t>(pointer); }

void setName(char (&field)[kNameSize], const char* name) { std::strncpy(field, name, kNameSize - 1); }

std::string textOf(const char (&field)[kNameSize]) { return {field, ::strnlen(field, kNameSize)}; }

int element(Command command, int map, const void* key, const void* value, uint64_t flags = kAny) {
  ElementAttributes attributes{static_cast<uint32_t>(map), 0, address(key), address(value), flags};
  return errorOf(command, attributes);
}

int openById(Command command, uint32_t id, UniqueFd& fd) {
  IdAttributes attributes{id, 0, 0, 0};
  const int result = call(command, attributes);
  if (result < 0) return errno;
  fd.reset(result);
  return 0;
}

std::string lastLine(const std::string& log) {
  std::string line;
  for (size_t end = log.size(); end > 0 && line.empty();) {
    const size_t begin = log.rfind('\n', end - 1);
    const size_t from = begin == std::string::npos ? 0 : begin + 1;
    const std::string candidate = log.substr(from, end - from);
    if (candidate.rfind("processed ", 0) != 0) line = candidate;
    end = begin == std::string::npos ? 0 : begin;
  }
  return line;
}

}  // namespace

Failure createMap(const MapOptions& options, UniqueFd& map) {
  CreateAttributes attributes{};
  attributes.type = static_cast<uint32_t>(options.type);
  attributes.keySize = options.keySize;
  attributes.valueSize = options.valueSize;
  attributes.entries = options.entries;
  attributes.flags = options.flags;
  setName(attributes.name, options.name);
  const int fd = call(Command::kMapCreate, attributes);
  if (fd < 0) return Failure::ofErrno(std::string("BPF map ") + options.name);
  map.reset(fd);
  return {};
}

int update(int map, const void* key, const void* value) { return element(Command::kMapUpdate, map, key, value); }
int insert(int map, const void* key, const void* value) {
  return element(Command::kMapUpdate, map, key, value, kNoExist);
}
int lookup(int map, const void* key, void* value) { return element(Command::kMapLookup, map, key, value); }
int remove(int map, const void* key) { return element(Command::kMapDelete, map, key, nullptr); }
int nextKey(int map, const void* key, void* next) { return element(Command::kMapNextKey, map, key, next); }

Failure loadProgram(ProgramType type, const char* name, const std::vector<uint64_t>& instructions,
                    UniqueFd& program) {
  // No helper of these programs asks for a licence that the GPL knows.
  static const char license[] = "MIT";
  LoadAttributes attributes{};
  attributes.type = static_cast<uint32_t>(type);
  attributes.instructionCount = static_cast<uint32_t>(instructions.size());
  attributes.instructions = address(instructions.data());
  attributes.license = address(license);
  attributes.flags = type == ProgramType::kXdp ? kXdpHasFragments : 0;
  setName(attributes.name, name);
  int fd = call(Command::kProgramLoad, attributes);
  if (fd < 0 && errno == EINVAL && attributes.flags != 0) {
    attributes.flags = 0;
    fd = call(Command::kProgramLoad, attributes);
  }
  if (fd >= 0) {
    program.reset(fd);
    return {};
  }
  Failure failure = Failure::ofErrno(std::string("BPF program ") + name);
  std::string log(1 << 20, '\0');
  attributes.logLevel = 1;
  attributes.logSize = static_cast<uint32_t>(log.size());
  attributes.log = address(log.data());
  // The second attempt is for its log; it would be odd if it succeeded, but then the program is there.
  fd = call(Command::kProgramLoad, attributes);
  if (fd >= 0) {
    program.reset(fd);
    return {};
  }
  log.resize(::strnlen(log.data(), log.size()));
  const std::string words = lastLine(log);
  if (!words.empty()) failure.what += " (" + words + ")";
  return failure;
}

int programById(uint32_t id, UniqueFd& program) { return openById(Command::kProgramById, id, program); }
int mapById(uint32_t id, UniqueFd& map) { return openById(Command::kMapById, id, map); }

int programInfo(int program, ProgramInfo& info) {
  KernelProgramInfo raw{};
  info.mapIds.resize(16);
  raw.mapCount = static_cast<uint32_t>(info.mapIds.size());
  raw.mapIds = address(info.mapIds.data());
  InfoAttributes attributes{static_cast<uint32_t>(program), sizeof raw, address(&raw)};
  if (const int error = errorOf(Command::kInfoByFd, attributes)) return error;
  info.id = raw.id;
  std::memcpy(&info.tag, raw.tag, sizeof info.tag);
  info.name = textOf(raw.name);
  if (raw.mapCount < info.mapIds.size()) info.mapIds.resize(raw.mapCount);
  return 0;
}

int mapInfo(int map, MapInfo& info) {
  KernelMapInfo raw{};
  InfoAttributes attributes{static_cast<uint32_t>(map), sizeof raw, address(&raw)};
  if (const int error = errorOf(Command::kInfoByFd, attributes)) return error;
  info = {raw.id, raw.valueSize, raw.entries, textOf(raw.name)};
  return 0;
}

int attachTcx(uint32_t ifindex, TcxPoint point, int program) {
  AttachAttributes attributes{};
  attributes.ifindex = ifindex;
  attributes.program = static_cast<uint32_t>(program);
  attributes.attachType = static_cast<uint32_t>(point);
  attributes.flags = kBefore;
  return errorOf(Command::kAttach, attributes);
}

int detachTcx(uint32_t ifindex, TcxPoint point, int program) {
  AttachAttributes attributes{};
  attributes.ifindex = ifindex;
  attributes.program = static_cast<uint32_t>(program);
  attributes.attachType = static_cast<uint32_t>(point);
  return errorOf(Command::kDetach, attributes);
}

int queryTcx(uint32_t ifindex, TcxPoint point, std::vector<uint32_t>& programIds) {
  programIds.assign(64, 0);  // as many as the kernel lets stand at one point
  QueryAttributes attributes{};
  attributes.ifindex = ifindex;
  attributes.attachType = static_cast<uint32_t>(point);
  attributes.programIds = address(programIds.data());
  attributes.count = static_cast<uint32_t>(programIds.size());
  const int error = errorOf(Command::kQuery, attributes);
  programIds.resize(error == 0 ? attributes.count : 0);
  return error;
}

int testRun(int program, ProgramType type, TestRun& run) {
  // What of struct xdp_md and struct __sk_buff may be given: where the frame came in.
  uint32_t context[48] = {};
  std::vector<uint8_t> out(run.frame.size() + 256);
  TestAttributes attributes{};
  attributes.program = static_cast<uint32_t>(program);
  attributes.inSize = static_cast<uint32_t>(run.frame.size());
  attributes.in = address(run.frame.data());
  attributes.outSize = static_cast<uint32_t>(out.size());
  attributes.out = address(out.data());
  attributes.repeat = run.repeat;
  if (run.ifindex != 0) {
    if (type == ProgramType::kXdp) {
      context[1] = attributes.inSize;
      context[3] = run.ifindex;
      attributes.contextInSize = 6 * sizeof(uint32_t);
    } else {
      context[10] = run.ifindex;
      attributes.contextInSize = sizeof context;
    }
    attributes.contextIn = address(context);
  }
  if (const int error = errorOf(Command::kTestRun, attributes)) return error;
  out.resize(attributes.outSize);
  run.frame = std::move(out);
  run.verdict = attributes.verdict;
  run.durationNs = attributes.durationNs;
  return 0;
}

int sendLive(int program, const std::vector<uint8_t>& frame, uint32_t count) {
  constexpr uint32_t liveFrames = 1u << 1;
  TestAttributes attributes{};
  attributes.program = static_cast<uint32_t>(program);
  attributes.inSize = static_cast<uint32_t>(frame.size());
  attributes.in = address(frame.data());
  attributes.repeat = count;
  attributes.flags = liveFrames;
  attributes.batch = 64;
  return errorOf(Command::kTestRun, attributes);
}

}  // namespace firsthop::bpf
