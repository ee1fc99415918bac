// Memory that is there before it is needed: mapped, filled in and locked, so that the heartbeat thread never
// waits for a page. Only this region is locked; locking the whole process makes V8 abort.
#pragma once
#include <sys/mman.h>

#include <cstddef>
#include <cstdint>

namespace firsthop {

class LockedMemory {
 public:
  LockedMemory() = default;
  LockedMemory(const LockedMemory&) = delete;
  LockedMemory& operator=(const LockedMemory&) = delete;
  ~LockedMemory() { release(); }

  // False when there is no such memory (errno is set). That it can't be locked is no failure, see locked().
  // `guard` octets at its beginning can't be touched: the end of a stack that grows downwards.
  bool map(size_t size, size_t guard = 0) {
    release();
    void* mapped = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (mapped == MAP_FAILED) return false;
    data_ = static_cast<uint8_t*>(mapped);
    size_ = size;
    locked_ = ::mlock(data_ + guard, size - guard) == 0;
    if (guard > 0) ::mprotect(data_, guard, PROT_NONE);
    return true;
  }

  void release() {
    if (data_ != nullptr) ::munmap(data_, size_);
    data_ = nullptr;
    size_ = 0;
    locked_ = false;
  }

  uint8_t* data() const { return data_; }
  size_t size() const { return size_; }
  bool locked() const { return locked_; }

 private:
  uint8_t* data_ = nullptr;
  size_t size_ = 0;
  bool locked_ = false;
};

}  // namespace firsthop
