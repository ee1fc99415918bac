#include "program_pages_addon.h"

#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

namespace firsthop {

namespace {

// The first object that the loader tells of is the program itself. Only its code is dropped: it is mapped unwritten
// from the file. What the heartbeat thread runs is in other files, and what is locked the kernel refuses to drop.
int dropCode(dl_phdr_info* program, size_t, void* dropped) {
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  for (int i = 0; i < program->dlpi_phnum; i++) {
    const auto& segment = program->dlpi_phdr[i];
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_X) == 0 || (segment.p_flags & PF_W) != 0) continue;
    const uintptr_t begin = (program->dlpi_addr + segment.p_vaddr + page - 1) / page * page;
    const uintptr_t end = (program->dlpi_addr + segment.p_vaddr + segment.p_memsz) / page * page;
    if (end <= begin) continue;
    if (::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED) == 0) *static_cast<bool*>(dropped) = true;
  }
  return 1;
}

Napi::Value dropProgramPages(const Napi::CallbackInfo& info) {
  bool dropped = false;
  ::dl_iterate_phdr(dropCode, &dropped);
  return Napi::Boolean::New(info.Env(), dropped);
}

}  // namespace

void registerProgramPages(Napi::Env env, Napi::Object exports) {
  exports.Set("dropProgramPages", Napi::Function::New<dropProgramPages>(env, "dropProgramPages"));
}

}  // namespace firsthop
