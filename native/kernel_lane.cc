#include "kernel_lane.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>

#include <cerrno>
#include <cstring>

namespace firsthop {

namespace {

// rtnetlink carries a request out before `send` returns, so its answer is there at once. This is for a
// request that the kernel does not answer at all.
constexpr timeval kAnswerLimit{5, 0};

int64_t monotonicNs() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

int writeFile(const std::string& path, const std::string& value) {
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd.valid()) return errno;
  const ssize_t written = ::write(fd.get(), value.data(), value.size());
  if (written < 0) return errno;
  return static_cast<size_t>(written) == value.size() ? 0 : EIO;
}

}  // namespace

KernelLane::KernelLane(int priority, SendFrames send) : priority_(priority), send_(std::move(send)) {}

KernelLane::~KernelLane() { stop(0); }

int KernelLane::start() {
  wake_.reset(::eventfd(0, EFD_CLOEXEC));
  if (!wake_.valid()) return errno;
  netlink_.reset(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!netlink_.valid()) return errno;
  ::setsockopt(netlink_.get(), SOL_SOCKET, SO_RCVTIMEO, &kAnswerLimit, sizeof(kAnswerLimit));
  const int one = 1;
  // Acknowledgements without a copy of the request.
  ::setsockopt(netlink_.get(), SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one));
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  if (::bind(netlink_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) return errno;
  return thread_.start("fh-kernel", priority_, [this] { run(); });
}

void KernelLane::submit(std::shared_ptr<const KernelPlan> plan, Done done) {
  {
    std::lock_guard<PiMutex> lock(mutex_);
    jobs_.push_back({std::move(plan), std::move(done)});
  }
  submitted_.store(true);
  if (!looking_.load()) wake();
}

void KernelLane::expectUntil(int64_t until_ns) {
  awake_until_ns_.store(until_ns);
  if (!looking_.load()) wake();
}

void KernelLane::wake() {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(wake_.get(), &one, sizeof(one));
}

void KernelLane::stop(int limit_ms) {
  if (!wake_.valid()) return;
  {
    std::lock_guard<PiMutex> lock(mutex_);
    stopping_ = true;
    stop_at_ns_ = monotonicNs() + limit_ms * 1'000'000LL;
  }
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(wake_.get(), &one, sizeof(one));
  thread_.join();
  wake_.reset();
}

void KernelLane::run() {
  for (;;) {
    Job job;
    {
      std::lock_guard<PiMutex> lock(mutex_);
      const bool late = stopping_ && monotonicNs() > stop_at_ns_;
      if (stopping_ && (late || jobs_.empty())) return;
      if (!jobs_.empty()) {
        job = std::move(jobs_.front());
        jobs_.pop_front();
      }
    }
    if (job.plan) {
      auto failures = perform(*job.plan);
      if (job.done) job.done(std::move(failures));
      continue;
    }
    waitForJob();
  }
}

// Returns when there may be a job. Looks for one as long as one is expected, then sleeps; `submit` wakes it only
// when it does not look, and it looks once more after it has said that it no longer does.
void KernelLane::waitForJob() {
  looking_.store(true);
  while (!submitted_.load() && monotonicNs() < awake_until_ns_.load()) {
  }
  looking_.store(false);
  if (submitted_.exchange(false)) return;
  uint64_t ignored;
  [[maybe_unused]] const ssize_t taken = ::read(wake_.get(), &ignored, sizeof(ignored));
}

std::vector<StepFailure> KernelLane::perform(const KernelPlan& plan) {
  std::vector<StepFailure> failures;
  std::vector<const Bytes*> frames;
  const auto& steps = plan.steps;
  for (size_t i = 0; i < steps.size(); i++) {
    const KernelStep& step = steps[i];
    int error = 0;
    switch (step.kind) {
      case KernelStep::Kind::Netlink:
        error = requestNetlink(step.data);
        break;
      case KernelStep::Kind::Write:
        error = writeFile(step.label, step.value);
        break;
      case KernelStep::Kind::Send: {
        // Hosts are not pointed to where their packets are not let in.
        if (!failures.empty()) break;
        // Neighbours that leave by the same port leave together. What the line does not take is counted by the
        // port: the kernel does what it should all the same.
        frames.push_back(&step.data);
        const bool more = i + 1 < steps.size() && steps[i + 1].kind == step.kind && steps[i + 1].port == step.port;
        if (more) break;
        send_(step.port, frames.data(), frames.size());
        frames.clear();
        break;
      }
    }
    if (error != 0) failures.push_back({step.label, error});
  }
  return failures;
}

int KernelLane::requestNetlink(const Bytes& message) {
  Bytes request(message);
  nlmsghdr header;
  std::memcpy(&header, request.data(), sizeof(header));
  // A header that promises more than there is would be ignored by the kernel, without an answer.
  header.nlmsg_len = static_cast<uint32_t>(request.size());
  header.nlmsg_seq = ++sequence_;
  header.nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
  header.nlmsg_pid = 0;
  std::memcpy(request.data(), &header, sizeof(header));
  while (::send(netlink_.get(), request.data(), request.size(), 0) < 0) {
    if (errno != EINTR) return errno;
  }
  return awaitAnswer();
}

int KernelLane::awaitAnswer() {
  for (;;) {
    alignas(nlmsghdr) char buffer[8192];
    const ssize_t length = ::recv(netlink_.get(), buffer, sizeof(buffer), 0);
    if (length < 0) {
      if (errno == EINTR) continue;
      return errno == EAGAIN ? ETIMEDOUT : errno;
    }
    // Signed: to step over what follows the last answer leaves less than nothing.
    auto remaining = static_cast<int>(length);
    for (auto* answer = reinterpret_cast<nlmsghdr*>(buffer); NLMSG_OK(answer, remaining);
         answer = NLMSG_NEXT(answer, remaining)) {
      if (answer->nlmsg_seq != sequence_) continue;
      if (answer->nlmsg_type == NLMSG_DONE) return 0;
      if (answer->nlmsg_type != NLMSG_ERROR || answer->nlmsg_len < NLMSG_LENGTH(sizeof(nlmsgerr))) continue;
      return -reinterpret_cast<nlmsgerr*>(NLMSG_DATA(answer))->error;
    }
  }
}

}  // namespace firsthop
