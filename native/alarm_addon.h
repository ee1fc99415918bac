// Registers the alarm's part of the native surface.
#pragma once
#include <napi.h>

namespace firsthop {

void registerAlarms(Napi::Env env, Napi::Object exports);

}  // namespace firsthop
