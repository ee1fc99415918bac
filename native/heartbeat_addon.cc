#include "heartbeat_addon.h"

namespace firsthop {

void registerHeartbeat(Napi::Env, Napi::Object) {}

}  // namespace firsthop
