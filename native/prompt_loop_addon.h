// Registers how the JavaScript thread is scheduled (see src/native/prompt-loop.ts).
#pragma once
#include <napi.h>

namespace firsthop {

void registerPromptLoop(Napi::Env env, Napi::Object exports);

}  // namespace firsthop
