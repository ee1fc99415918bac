// Between the prober's thread and the others: what it is asked to do, and what it has to tell. Reports and sightings
// wait until somebody takes them.
#pragma once
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "neighbour_watch.h"
#include "probe_target.h"
#include "util/unique_fd.h"

namespace firsthop {

struct ProbeCommand {
  enum class Kind : uint8_t { kAdd, kRemove, kSource, kFollow, kUnfollow, kRefresh } kind = Kind::kAdd;
  uint32_t id = 0;
  // Of kSource the source only, of kFollow the interface only.
  ProbeSettings settings;
  std::shared_ptr<ProbeCounters> counters;
};

class ProbeMailbox {
 public:
  // 0 or an errno.
  int open();

  // ---- of any thread ----
  uint32_t add(const ProbeSettings& settings);
  bool remove(uint32_t target);
  bool changeSource(uint32_t target, const std::optional<ProbeAddress>& source);
  uint32_t follow(const std::string& interface);
  bool unfollow(uint32_t follower);
  void refresh();
  void stop();
  std::shared_ptr<const ProbeCounters> counters(uint32_t target);
  std::vector<ProbeReport> takeReports();
  std::vector<Sighting> takeSightings();

  // ---- of the prober's thread ----
  // Readable when there is something to do; read by clear().
  int fd() const { return event_.get(); }
  void clear() const;
  // False: it is to stop.
  bool takeCommands(std::vector<ProbeCommand>& into);
  // False: nobody wants to know any more. An earlier report of the same target that still waits is replaced.
  bool report(ProbeTarget& target, int64_t at_ns);
  void tell(const std::vector<Sighting>& sightings);

 private:
  void ring() const;

  UniqueFd event_;
  std::mutex mutex_;
  // Under the mutex:
  std::vector<ProbeCommand> commands_;
  std::unordered_map<uint32_t, std::shared_ptr<ProbeCounters>> known_;
  uint32_t last_id_ = 0;
  std::vector<ProbeReport> reports_;
  uint64_t reports_taken_ = 0;
  std::unordered_set<uint32_t> followers_;
  std::vector<Sighting> sightings_;
  bool stopping_ = false;
};

}  // namespace firsthop
