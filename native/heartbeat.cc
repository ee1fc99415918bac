// see heartbeat_addon.cc
