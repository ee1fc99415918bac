// Registers the following of routes (see src/native/routes.ts).
#pragma once
#include <napi.h>

namespace firsthop {

void registerRoutes(Napi::Env env, Napi::Object exports);

}  // namespace firsthop
