// What the kernel tells of links, addresses and routes, as JavaScript sees it (declared in src/native/netlink.ts).
#pragma once
#include <napi.h>

#include <vector>

#include "netlink_decode.h"

namespace firsthop::netlink {

// A dump's rows, without the wrapping that news have.
Napi::Array toRows(Napi::Env env, const std::vector<News>& found);
// Links and addresses that came, changed or went.
Napi::Array toNews(Napi::Env env, const std::vector<News>& found);

}  // namespace firsthop::netlink
