// see netlink.h
#include "netlink.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace firsthop::netlink {

namespace {

constexpr size_t kReceiveBuffer = 1 << 16;
// Answers wait in the socket until all requests of one call are done, so a call must not earn more than fit.
constexpr size_t kMessagesPerCall = 64;
constexpr int kAnswerRoomOctets = 1 << 20;
constexpr int kNewsRoomOctets = 8 << 20;
constexpr int kDumpAttempts = 8;

int openRouteSocket(UniqueFd& fd, int flags, int roomOctets) {
  fd.reset(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | flags, NETLINK_ROUTE));
  if (!fd.valid()) return errno;
  if (setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &roomOctets, sizeof roomOctets) != 0)
    setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &roomOctets, sizeof roomOctets);
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

template <typename Body>
void eachMessage(const uint8_t* data, size_t length, Body body) {
  int left = static_cast<int>(length);
  for (auto* message = reinterpret_cast<const nlmsghdr*>(data); NLMSG_OK(message, left);
       message = NLMSG_NEXT(message, left))
    body(message);
}

}  // namespace

int Socket::open() {
  buffer_.resize(kReceiveBuffer);
  return openRouteSocket(fd_, 0, kAnswerRoomOctets);
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
  bool done = false;
  int error = 0;
  while (!done) {
    const ssize_t length = recv(fd_.get(), buffer_.data(), buffer_.size(), 0);
    if (length < 0 && errno == EINTR) continue;
    if (length <= 0) return length < 0 ? errno : EIO;
    eachMessage(buffer_.data(), static_cast<size_t>(length), [&](const nlmsghdr* message) {
      if (message->nlmsg_seq != sequence) return;
      if ((message->nlmsg_flags & NLM_F_DUMP_INTR) != 0) torn = true;
      if (message->nlmsg_type == NLMSG_DONE) {
        done = true;
      } else if (message->nlmsg_type == NLMSG_ERROR) {
        error = decodeAnswer(message).error;
        done = true;
      } else if (auto news = decodeMessage(message)) {
        found.push_back(std::move(*news));
      }
    });
  }
  return error;
}

int Monitor::open() {
  buffer_.resize(kReceiveBuffer);
  if (const int error = openRouteSocket(fd_, SOCK_NONBLOCK, kNewsRoomOctets)) return error;
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR;
  if (bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return errno;
  return 0;
}

bool Monitor::read(std::vector<News>& found) {
  bool complete = true;
  for (;;) {
    sockaddr_nl from{};
    socklen_t fromLength = sizeof from;
    const ssize_t length = recvfrom(fd_.get(), buffer_.data(), buffer_.size(), 0,
                                    reinterpret_cast<sockaddr*>(&from), &fromLength);
    if (length < 0 && errno == EINTR) continue;
    if (length < 0 && errno == ENOBUFS) {
      complete = false;
      continue;
    }
    if (length <= 0) return complete;
    if (from.nl_pid != 0) continue;  // other processes can write to this socket, too
    eachMessage(buffer_.data(), static_cast<size_t>(length), [&](const nlmsghdr* message) {
      if (auto news = decodeMessage(message)) found.push_back(std::move(*news));
    });
  }
}

}  // namespace firsthop::netlink
