// Registers the local datagrams' part of the native surface.
#pragma once
#include <napi.h>

namespace firsthop {

void registerLocalDatagrams(Napi::Env env, Napi::Object exports);

}  // namespace firsthop
