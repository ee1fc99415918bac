#pragma once
#include <napi.h>

namespace firsthop {

void registerHeartbeat(Napi::Env env, Napi::Object exports);

}  // namespace firsthop
