// What went wrong, in words, and the error number.
#pragma once
#include <cerrno>
#include <cstring>
#include <string>

namespace firsthop {

// `what` is empty when nothing did.
struct Failure {
  std::string what;
  int error = 0;
  explicit operator bool() const { return !what.empty(); }
  static Failure of(int error, const std::string& what) { return {what + ": " + std::strerror(error), error}; }
  static Failure ofErrno(const std::string& what) { return of(errno, what); }
};

}  // namespace firsthop
