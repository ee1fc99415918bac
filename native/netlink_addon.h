#pragma once
#include <napi.h>

namespace firsthop {

void registerNetlink(Napi::Env env, Napi::Object exports);

}  // namespace firsthop
