// The code that a real-time thread runs, kept in memory. Its pages belong to files, so the kernel may give them up at any
// moment, and the deadline that needs one next waits for a disk. Only this library and the C library's code are locked:
// locking the whole process makes V8 abort.
#pragma once
#include <link.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>

namespace firsthop {

namespace locked_code {

struct Request {
  uintptr_t address;  // of anything in the library that is meant
  bool code_only;
  bool found = false;
  bool locked = true;
};

inline int visit(dl_phdr_info* library, size_t, void* request_pointer) {
  auto* request = static_cast<Request*>(request_pointer);
  const auto covers = [&](const ElfW(Phdr) & part) {
    const uintptr_t begin = library->dlpi_addr + part.p_vaddr;
    return part.p_type == PT_LOAD && request->address >= begin && request->address < begin + part.p_memsz;
  };
  for (int i = 0; i < library->dlpi_phnum && !request->found; i++) request->found = covers(library->dlpi_phdr[i]);
  if (!request->found) return 0;
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  for (int i = 0; i < library->dlpi_phnum; i++) {
    const ElfW(Phdr)& part = library->dlpi_phdr[i];
    if (part.p_type != PT_LOAD || (request->code_only && (part.p_flags & PF_X) == 0)) continue;
    const uintptr_t begin = (library->dlpi_addr + part.p_vaddr) & ~(page - 1);
    const uintptr_t end = (library->dlpi_addr + part.p_vaddr + part.p_memsz + page - 1) & ~(page - 1);
    if (::mlock(reinterpret_cast<void*>(begin), end - begin) == 0) continue;
    request->locked = false;
#ifdef MADV_POPULATE_READ
    // At least it is there now.
    ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_POPULATE_READ);
#endif
  }
  return 1;
}

}  // namespace locked_code

// False when the system does not allow it. It stays locked as long as the library is loaded; to ask again costs little.
inline bool lockCode() {
  static const char here = 0;
  locked_code::Request own{reinterpret_cast<uintptr_t>(&here), false};
  locked_code::Request libc{reinterpret_cast<uintptr_t>(&::sendmmsg), true};
  ::dl_iterate_phdr(locked_code::visit, &own);
  ::dl_iterate_phdr(locked_code::visit, &libc);
  return own.locked && libc.locked;
}

}  // namespace firsthop
