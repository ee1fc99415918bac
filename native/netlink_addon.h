// Everything netlink for JavaScript, by what it does; src/native/netlink.ts declares and documents it.
#pragma once
#include <napi.h>

namespace firsthop::netlink {

void registerEncoders(Napi::Env env, Napi::Object exports);
void registerSockets(Napi::Env env, Napi::Object exports);
void registerMonitors(Napi::Env env, Napi::Object exports);
void registerPresence(Napi::Env env, Napi::Object exports);

}  // namespace firsthop::netlink
