// A NETLINK_ROUTE socket that carries out requests and dumps. One thread at a time; it blocks for as long as the
// kernel does (removing links: tens of milliseconds), so it belongs on a thread that may wait.
#pragma once
#include <cstddef>
#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "netlink_decode.h"
#include "netlink_encode.h"
#include "util/unique_fd.h"

namespace firsthop::netlink {

struct FileWrite {
  std::string path;
  std::string value;
};
using KernelStep = std::variant<Message, FileWrite>;

struct StepFailure {
  size_t index = 0;
  int error = 0;
  std::string text;  // the kernel's own words, where it has some
};

class Socket {
 public:
  // 0, or an error number.
  int open();
  void close() { fd_.reset(); }
  // Carries out all steps in order; a failed one does not stop those behind it.
  std::vector<StepFailure> run(const std::vector<KernelStep>& steps);
  // 0, or an error number. Repeated while the kernel says that what it told does not fit together.
  int dump(DumpKind kind, std::vector<News>& found);

 private:
  void transact(const std::vector<KernelStep>& steps, size_t from, size_t to, std::vector<StepFailure>& failures);
  int dumpOnce(DumpKind kind, std::vector<News>& found, bool& torn);

  UniqueFd fd_;
  uint32_t sequence_ = 0;
  std::vector<uint8_t> buffer_;
};

// Follows links and addresses. Never blocks.
class Monitor {
 public:
  int open();
  int fd() const { return fd_.get(); }
  // Reads what has come in. False: news were lost for want of room, and only a dump tells what is.
  bool read(std::vector<News>& found);

 private:
  UniqueFd fd_;
  std::vector<uint8_t> buffer_;
};

}  // namespace firsthop::netlink
