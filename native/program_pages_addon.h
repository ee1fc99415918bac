// Registers what keeps the process small (see src/native/program-pages.ts).
#pragma once
#include <napi.h>

namespace firsthop {

void registerProgramPages(Napi::Env env, Napi::Object exports);

}  // namespace firsthop
