#pragma once
#include <napi.h>

#include <memory>

#include "ownership.h"

namespace firsthop {

void registerOwnership(Napi::Env env, Napi::Object exports);
// What a handle from `openOwnership` or `adoptOwnership` stands for; null for any other value.
std::shared_ptr<Ownership> ownershipOf(const Napi::Value& handle);

}  // namespace firsthop
