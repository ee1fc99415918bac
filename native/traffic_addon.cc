#include "traffic_addon.h"

namespace firsthop {

void registerTraffic(Napi::Env, Napi::Object) {}

}  // namespace firsthop
