// see probe_mailbox.h
#include "probe_mailbox.h"

#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace firsthop {

namespace {

constexpr size_t kSightingsMax = 16384;

}  // namespace

int ProbeMailbox::open() {
  event_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  return event_.valid() ? 0 : errno;
}

void ProbeMailbox::ring() const { ::eventfd_write(event_.get(), 1); }

void ProbeMailbox::clear() const {
  eventfd_t count = 0;
  ::eventfd_read(event_.get(), &count);
}

// ---- what it is asked to do ---------------------------------------------------------------------------------------

uint32_t ProbeMailbox::add(const ProbeSettings& settings) {
  ProbeCommand command;
  command.settings = settings;
  command.counters = std::make_shared<ProbeCounters>();
  uint32_t id = 0;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    id = command.id = ++last_id_;
    known_[id] = command.counters;
    commands_.push_back(std::move(command));
  }
  ring();
  return id;
}

bool ProbeMailbox::remove(uint32_t target) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (known_.erase(target) == 0) return false;
    commands_.push_back({ProbeCommand::Kind::kRemove, target, {}, nullptr});
    // Nothing more is said about it.
    for (ProbeReport& one : reports_) {
      if (one.target == target) one.target = 0;
    }
  }
  ring();
  return true;
}

bool ProbeMailbox::changeSource(uint32_t target, const std::optional<ProbeAddress>& source) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (known_.count(target) == 0) return false;
    ProbeSettings settings;
    settings.source = source;
    commands_.push_back({ProbeCommand::Kind::kSource, target, settings, nullptr});
  }
  ring();
  return true;
}

uint32_t ProbeMailbox::follow(const std::string& interface) {
  ProbeSettings settings;
  settings.interface = interface;
  uint32_t id = 0;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    id = ++last_id_;
    followers_.insert(id);
    commands_.push_back({ProbeCommand::Kind::kFollow, id, settings, nullptr});
  }
  ring();
  return id;
}

bool ProbeMailbox::unfollow(uint32_t follower) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (followers_.erase(follower) == 0) return false;
    commands_.push_back({ProbeCommand::Kind::kUnfollow, follower, {}, nullptr});
  }
  ring();
  return true;
}

void ProbeMailbox::refresh() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    commands_.push_back({ProbeCommand::Kind::kRefresh, 0, {}, nullptr});
  }
  ring();
}

void ProbeMailbox::stop() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  ring();
}

bool ProbeMailbox::takeCommands(std::vector<ProbeCommand>& into) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (stopping_) return false;
  into.swap(commands_);
  return true;
}

// ---- what it has to tell ------------------------------------------------------------------------------------------

std::shared_ptr<const ProbeCounters> ProbeMailbox::counters(uint32_t target) {
  std::lock_guard<std::mutex> lock(mutex_);
  const auto found = known_.find(target);
  return found == known_.end() ? nullptr : found->second;
}

bool ProbeMailbox::report(ProbeTarget& target, int64_t at_ns) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (known_.count(target.id) == 0) return false;
  if (target.report_epoch == reports_taken_) {
    ProbeReport& waiting = reports_[target.report_at];
    // What was found out goes before what could not be.
    if (target.outcome == ProbeOutcome::kUntried && waiting.outcome != ProbeOutcome::kUntried) return true;
    waiting = target.report(at_ns);
  } else {
    target.report_epoch = reports_taken_;
    target.report_at = reports_.size();
    reports_.push_back(target.report(at_ns));
  }
  return true;
}

std::vector<ProbeReport> ProbeMailbox::takeReports() {
  std::vector<ProbeReport> taken;
  std::lock_guard<std::mutex> lock(mutex_);
  taken.swap(reports_);
  reports_taken_++;
  taken.erase(std::remove_if(taken.begin(), taken.end(), [](const ProbeReport& one) { return one.target == 0; }),
              taken.end());
  return taken;
}

void ProbeMailbox::tell(const std::vector<Sighting>& sightings) {
  std::lock_guard<std::mutex> lock(mutex_);
  for (const Sighting& one : sightings) {
    if (sightings_.size() < kSightingsMax) sightings_.push_back(one);
  }
}

std::vector<Sighting> ProbeMailbox::takeSightings() {
  std::vector<Sighting> taken;
  std::lock_guard<std::mutex> lock(mutex_);
  taken.swap(sightings_);
  taken.erase(std::remove_if(taken.begin(), taken.end(),
                             [this](const Sighting& one) { return followers_.count(one.follower) == 0; }),
              taken.end());
  return taken;
}

}  // namespace firsthop
