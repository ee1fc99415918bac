#pragma once
#include <napi.h>

namespace firsthop {

void registerTraffic(Napi::Env env, Napi::Object exports);

}  // namespace firsthop
