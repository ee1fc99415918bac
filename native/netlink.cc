// see netlink_addon.cc
