#include "netlink_addon.h"

namespace firsthop {

void registerNetlink(Napi::Env, Napi::Object) {}

}  // namespace firsthop
