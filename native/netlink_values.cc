// see netlink_values.h
#include "netlink_values.h"

#include <string>
#include <variant>

namespace firsthop::netlink {

namespace {

Napi::Value numberOrNull(Napi::Env env, uint32_t value) {
  return value == 0 ? env.Null() : Napi::Value(Napi::Number::New(env, value));
}

Napi::Value textOrNull(Napi::Env env, const std::string& text) {
  return text.empty() ? env.Null() : Napi::Value(Napi::String::New(env, text));
}

Napi::Object toObject(Napi::Env env, const LinkRecord& link) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("ifindex", link.ifindex);
  object.Set("name", link.name);
  object.Set("mac", link.mac);
  object.Set("mtu", link.mtu);
  object.Set("adminUp", Napi::Boolean::New(env, link.adminUp));
  object.Set("carrier", Napi::Boolean::New(env, link.carrier));
  object.Set("kind", textOrNull(env, link.kind));
  object.Set("slaveKind", textOrNull(env, link.slaveKind));
  object.Set("parentIfindex", numberOrNull(env, link.parentIfindex));
  object.Set("masterIfindex", numberOrNull(env, link.masterIfindex));
  object.Set("alias", link.alias ? Napi::Value(Napi::String::New(env, *link.alias)) : env.Null());
  object.Set("group", link.group);
  object.Set("macvlanMode", link.macvlanMode);
  object.Set("vrfTable", numberOrNull(env, link.vrfTable));
  return object;
}

Napi::Object toObject(Napi::Env env, const AddressRecord& address) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("ifindex", address.ifindex);
  object.Set("address", address.address);
  object.Set("prefixLength", Napi::Number::New(env, address.prefixLength));
  object.Set("family", address.ipv6 ? "ipv6" : "ipv4");
  object.Set("tentative", Napi::Boolean::New(env, address.tentative));
  object.Set("secondary", Napi::Boolean::New(env, address.secondary));
  object.Set("origin", Napi::Number::New(env, address.origin));
  return object;
}

Napi::Object toObject(Napi::Env env, const RouteRecord& route) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("family", route.ipv6 ? "ipv6" : "ipv4");
  object.Set("destination", route.destination);
  object.Set("prefixLength", Napi::Number::New(env, route.prefixLength));
  object.Set("table", route.table);
  return object;
}

}  // namespace

Napi::Array toRows(Napi::Env env, const std::vector<News>& found) {
  Napi::Array rows = Napi::Array::New(env, found.size());
  for (size_t index = 0; index < found.size(); ++index) {
    Napi::HandleScope scope(env);
    Napi::Object row;
    if (const auto* link = std::get_if<LinkNews>(&found[index])) row = toObject(env, link->link);
    else if (const auto* address = std::get_if<AddressNews>(&found[index])) row = toObject(env, address->address);
    else row = toObject(env, std::get<RouteRecord>(found[index]));
    rows.Set(static_cast<uint32_t>(index), row);
  }
  return rows;
}

Napi::Array toNews(Napi::Env env, const std::vector<News>& found) {
  Napi::Array all = Napi::Array::New(env);
  uint32_t count = 0;
  for (const News& one : found) {
    Napi::HandleScope scope(env);
    Napi::Object news = Napi::Object::New(env);
    if (const auto* link = std::get_if<LinkNews>(&one)) {
      news.Set("gone", Napi::Boolean::New(env, link->gone));
      news.Set("link", toObject(env, link->link));
    } else if (const auto* address = std::get_if<AddressNews>(&one)) {
      news.Set("gone", Napi::Boolean::New(env, address->gone));
      news.Set("address", toObject(env, address->address));
    } else {
      continue;
    }
    all.Set(count++, news);
  }
  return all;
}

}  // namespace firsthop::netlink
