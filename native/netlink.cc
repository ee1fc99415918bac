// see netlink.h
#include "netlink.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "route_socket.h"

namespace firsthop::netlink {

namespace {

// Answers wait in the socket until all requests of one call are done, so a call must not earn more than fit.
constexpr size_t kMessagesPerCall = 64;
constexpr int kAnswerRoomOctets = 1 << 20;
constexpr int kNewsRoomOctets = 8 << 20;
constexpr int kDumpAttempts = 8;

int openForRequests(UniqueFd& fd) {
  if (const int error = openRouteSocket(fd, 0, kAnswerRoomOctets)) return error;
  const int on = 1;
  // Each is an improvement where the kernel has it, and not needed where it has not.
  setsockopt(fd.get(), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
  setsockopt(fd.get(), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
  setsockopt(fd.get(), SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof on);
  return 0;
}

int writeFile(const FileWrite& write) {
  UniqueFd fd(::open(write.path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd.valid()) return errno;
  return ::write(fd.get(), write.value.data(), write.value.size()) < 0 ? errno : 0;
}

}  // namespace

int Socket::open() {
  buffer_.resize(kReceiveBuffer);
  return openForRequests(fd_);
}

std::vector<StepFailure> Socket::run(const std::vector<KernelStep>& steps) {
  std::vector<StepFailure> failures;
  for (size_t at = 0; at < steps.size();) {
    if (const auto* write = std::get_if<FileWrite>(&steps[at])) {
      if (const int error = writeFile(*write)) failures.push_back({at, error, {}});
      ++at;
      continue;
    }
    size_t end = at + 1;
    while (end < steps.size() && end - at < kMessagesPerCall && steps[end].index() == 0) ++end;
    transact(steps, at, end, failures);
    at = end;
  }
  return failures;
}

void Socket::transact(const std::vector<KernelStep>& steps, size_t from, size_t to,
                             std::vector<StepFailure>& failures) {
  const uint32_t firstSequence = sequence_ + 1;
  std::vector<uint8_t> request;
  for (size_t index = from; index < to; ++index) {
    const size_t start = request.size();
    const auto& message = std::get<Message>(steps[index]);
    request.insert(request.end(), message.begin(), message.end());
    request.resize(NLMSG_ALIGN(request.size()));
    const uint32_t sequence = ++sequence_;
    std::memcpy(&request[start + offsetof(nlmsghdr, nlmsg_seq)], &sequence, sizeof sequence);
  }
  if (send(fd_.get(), request.data(), request.size(), 0) < 0) {
    const int error = errno;
    for (size_t index = from; index < to; ++index) failures.push_back({index, error, {}});
    return;
  }
  // The kernel works during send(), so every answer is there already: nothing to wait for.
  std::vector<bool> answered(to - from, false);
  size_t missing = to - from;
  while (missing > 0) {
    const ssize_t length = recv(fd_.get(), buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (length < 0 && (errno == EINTR || errno == ENOBUFS)) continue;
    if (length <= 0) break;
    eachMessage(buffer_.data(), static_cast<size_t>(length), [&](const nlmsghdr* message) {
      const uint32_t index = message->nlmsg_seq - firstSequence;
      if (message->nlmsg_type != NLMSG_ERROR || index >= answered.size() || answered[index]) return;
      answered[index] = true;
      --missing;
      Answer answer = decodeAnswer(message);
      if (answer.error != 0) failures.push_back({from + index, answer.error, std::move(answer.text)});
    });
  }
  for (size_t index = 0; index < answered.size(); ++index)
    if (!answered[index]) failures.push_back({from + index, EIO, "no answer from the kernel"});
}

int Socket::dump(DumpKind kind, std::vector<News>& found) {
  for (int attempt = 1;; ++attempt) {
    bool torn = false;
    found.clear();
    const int error = dumpOnce(kind, found, torn);
    if (error != 0) return error;
    if (!torn) return 0;
    if (attempt == kDumpAttempts) return EAGAIN;
  }
}

int Socket::dumpOnce(DumpKind kind, std::vector<News>& found, bool& torn) {
  Message request = encodeDump(kind);
  const uint32_t sequence = ++sequence_;
  std::memcpy(&request[offsetof(nlmsghdr, nlmsg_seq)], &sequence, sizeof sequence);
  if (send(fd_.get(), request.data(), request.size(), 0) < 0) return errno;
  return readDump(fd_.get(), buffer_, sequence, torn, [&](const nlmsghdr* message) {
    if (auto news = decodeMessage(message)) found.push_back(std::move(*news));
  });
}

int Monitor::open() {
  buffer_.resize(kReceiveBuffer);
  return openNewsSocket(fd_, RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR, kNewsRoomOctets);
}

bool Monitor::read(std::vector<News>& found) {
  return readNews(fd_.get(), buffer_, [&](const nlmsghdr* message) {
    if (auto news = decodeMessage(message)) found.push_back(std::move(*news));
  });
}

}  // namespace firsthop::netlink
