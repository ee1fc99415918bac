// Registers how the JavaScript thread is scheduled (see src/native/prompt-loop.ts).
#pragma once
#include <napi.h>

namespace firsthop {

// What follows in this turn of the loop is urgent to nobody: it goes on in the ordinary class. On the JavaScript thread.
void finishTurnOrdinarily();

void registerPromptLoop(Napi::Env env, Napi::Object exports);

}  // namespace firsthop
