#pragma once
#include <napi.h>

namespace firsthop {

void registerProber(Napi::Env env, Napi::Object exports);

}  // namespace firsthop
