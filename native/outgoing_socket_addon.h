// Registers what trackers' probes need beyond Node (see src/native/outgoing-socket.ts).
#pragma once
#include <napi.h>

namespace firsthop {

void registerOutgoingSockets(Napi::Env env, Napi::Object exports);

}  // namespace firsthop
