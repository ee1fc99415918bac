// Registration only. Each part of the native surface (declared and documented in src/native.ts) registers itself;
// state belongs to the environment, so that the addon works in worker threads and in several at once.
#include <napi.h>

#include "alarm_addon.h"
#include "heartbeat_addon.h"
#include "local_datagram_addon.h"
#include "netlink_addon.h"
#include "ownership_addon.h"
#include "prober_addon.h"
#include "program_pages_addon.h"
#include "prompt_loop_addon.h"
#include "outgoing_socket_addon.h"
#include "route_addon.h"
#include "traffic_addon.h"

static Napi::Object init(Napi::Env env, Napi::Object exports) {
  firsthop::registerAlarms(env, exports);
  firsthop::registerHeartbeat(env, exports);
  firsthop::registerLocalDatagrams(env, exports);
  firsthop::netlink::registerEncoders(env, exports);
  firsthop::netlink::registerSockets(env, exports);
  firsthop::netlink::registerMonitors(env, exports);
  firsthop::netlink::registerPresence(env, exports);
  firsthop::registerOwnership(env, exports);
  firsthop::registerProber(env, exports);
  firsthop::registerProgramPages(env, exports);
  firsthop::registerPromptLoop(env, exports);
  firsthop::registerOutgoingSockets(env, exports);
  firsthop::registerRoutes(env, exports);
  firsthop::registerTraffic(env, exports);
  return exports;
}

NODE_API_MODULE(firsthop, init)
