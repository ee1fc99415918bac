// The calls of bpf(2) that the programs need, and no more. The structures are the kernel's ABI, written down
// here because the headers that an addon is compiled with may be older than the kernel it runs on.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "util/failure.h"
#include "util/unique_fd.h"

namespace firsthop::bpf {

enum class MapType : uint32_t { kHash = 1, kArray = 2, kProgArray = 3, kPerCpuArray = 6, kRing = 27 };
enum class ProgramType : uint32_t { kSocketFilter = 1, kSchedCls = 3, kXdp = 6 };
enum class TcxPoint : uint32_t { kIngress = 46, kEgress = 47 };

constexpr uint32_t kNoPreallocation = 1u << 0;
constexpr uint32_t kMmapable = 1u << 10;

struct MapOptions {
  MapType type = MapType::kArray;
  uint32_t keySize = 4;
  uint32_t valueSize = 4;
  uint32_t entries = 1;
  uint32_t flags = 0;
  const char* name = "";
};
Failure createMap(const MapOptions& options, UniqueFd& map);
// 0, or an error number.
int update(int map, const void* key, const void* value);
int insert(int map, const void* key, const void* value);  // EEXIST when it is there
int lookup(int map, const void* key, void* value);
int remove(int map, const void* key);
// The key after `key` (null: the first); ENOENT at the end.
int nextKey(int map, const void* key, void* next);

// Loads a program; `failure` carries the verifier's last words.
Failure loadProgram(ProgramType type, const char* name, const std::vector<uint64_t>& instructions, UniqueFd& program);

struct ProgramInfo {
  uint32_t id = 0;
  uint64_t tag = 0;
  std::string name;
  std::vector<uint32_t> mapIds;
};
int programById(uint32_t id, UniqueFd& program);
int programInfo(int program, ProgramInfo& info);
struct MapInfo {
  uint32_t id = 0;
  uint32_t valueSize = 0;
  uint32_t entries = 0;
  std::string name;
};
int mapById(uint32_t id, UniqueFd& map);
int mapInfo(int map, MapInfo& info);

// Attachments of tcx that live as long as the interface: no link, nobody holds them. EINVAL: this kernel has no tcx.
// The program goes before all others that are there: any of them may end the way with its answer.
int attachTcx(uint32_t ifindex, TcxPoint point, int program);
int detachTcx(uint32_t ifindex, TcxPoint point, int program);
int queryTcx(uint32_t ifindex, TcxPoint point, std::vector<uint32_t>& programIds);

struct TestRun {
  std::vector<uint8_t> frame;  // before; afterwards what it became
  uint32_t ifindex = 0;        // 0: the kernel's choice (lo)
  uint32_t repeat = 1;
  uint32_t verdict = 0;
  uint32_t durationNs = 0;  // of one run, on average
};
int testRun(int program, ProgramType type, TestRun& run);
// Runs an XDP program on so many copies of a frame, which then go where it says (5.18).
int sendLive(int program, const std::vector<uint8_t>& frame, uint32_t count);

}  // namespace firsthop::bpf
