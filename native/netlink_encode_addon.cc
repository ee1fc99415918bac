// Requests as octets, for JavaScript (declared in src/native/netlink.ts).
#include <linux/if_link.h>
#include <net/if.h>

#include <cmath>

#include "addon_values.h"
#include "netlink_addon.h"
#include "netlink_encode.h"

namespace firsthop::netlink {

namespace {

// ---- arguments ------------------------------------------------------------------------------------------------

// Reads an options object; the first thing that is wrong is remembered and thrown as a TypeError by failed().
class OptionsReader {
 public:
  explicit OptionsReader(const Napi::CallbackInfo& info) : env_(info.Env()) {
    if (info.Length() < 1 || !info[0].IsObject()) {
      complain("options", "an object");
      object_ = Napi::Object::New(env_);
    } else {
      object_ = info[0].As<Napi::Object>();
    }
  }

  bool has(const char* key) { return !object_.Get(key).IsUndefined(); }

  uint32_t u32(const char* key, uint32_t maximum = UINT32_MAX) {
    const Napi::Value value = object_.Get(key);
    if (value.IsNumber()) {
      const double number = value.As<Napi::Number>().DoubleValue();
      if (number >= 0 && number <= maximum && number == std::floor(number)) return static_cast<uint32_t>(number);
    }
    complain(key, "a whole number in range");
    return 0;
  }

  uint32_t ifindex(const char* key) {
    const uint32_t value = u32(key, INT32_MAX);
    if (value == 0) complain(key, "the index of an interface");
    return value;
  }

  bool boolean(const char* key) {
    const Napi::Value value = object_.Get(key);
    if (!value.IsBoolean()) complain(key, "true or false");
    return value.IsBoolean() && value.As<Napi::Boolean>().Value();
  }

  std::string text(const char* key, size_t maximum) {
    const Napi::Value value = object_.Get(key);
    std::string text = value.IsString() ? value.As<Napi::String>().Utf8Value() : std::string();
    if (!value.IsString() || text.size() > maximum || text.find('\0') != std::string::npos) {
      complain(key, "a text that is not too long");
      return {};
    }
    return text;
  }

  std::string linkName(const char* key) {
    std::string name = text(key, IFNAMSIZ - 1);
    if (name.empty()) complain(key, "the name of an interface");
    return name;
  }

  MacAddress mac(const char* key) {
    const auto mac = parseMac(text(key, 17));
    if (!mac) complain(key, "a MAC address");
    return mac.value_or(MacAddress{});
  }

  IpAddress ip(const char* key) {
    const auto ip = parseIpAddress(text(key, 45));
    if (!ip) complain(key, "an IP address");
    return ip.value_or(IpAddress{});
  }

  uint32_t macvlanMode(const char* key) {
    const std::string mode = text(key, 16);
    if (mode == "private") return MACVLAN_MODE_PRIVATE;
    if (mode == "source") return MACVLAN_MODE_SOURCE;
    complain(key, "\"private\" or \"source\"");
    return 0;
  }

  std::vector<std::pair<uint16_t, uint32_t>> ipv4Conf(const char* key) {
    std::vector<std::pair<uint16_t, uint32_t>> settings;
    const Napi::Value value = object_.Get(key);
    if (!value.IsObject()) {
      complain(key, "an object");
      return settings;
    }
    const Napi::Object object = value.As<Napi::Object>();
    const Napi::Array names = object.GetPropertyNames();
    // Empty: they can't be told.
    const uint32_t count = names.IsEmpty() ? 0 : names.Length();
    if (names.IsEmpty()) complain(key, "an object");
    for (uint32_t at = 0; at < count; ++at) {
      const Napi::Value given = names.Get(at);
      const std::string name = given.IsString() ? given.As<Napi::String>().Utf8Value() : std::string();
      const auto index = ipv4ConfIndex(name);
      const Napi::Value setting = object.Get(name);
      if (!index || !setting.IsNumber()) {
        complain(key, "known settings with numbers");
        return settings;
      }
      settings.emplace_back(*index, setting.As<Napi::Number>().Uint32Value());
    }
    return settings;
  }

  // Throws what was found wrong, if anything.
  bool failed() {
    if (complaint_.empty()) return false;
    throwType(env_, complaint_);
    return true;
  }

 private:
  void complain(const std::string& key, const std::string& expected) {
    if (complaint_.empty()) complaint_ = key + " must be " + expected;
  }

  Napi::Env env_;
  Napi::Object object_;
  std::string complaint_;
};

// ---- the encoder ----------------------------------------------------------------------------------------------

Napi::Value createMacvlan(const Napi::CallbackInfo& info) {
  OptionsReader options(info);
  const CreateMacvlan request{options.ifindex("parentIfindex"), options.linkName("name"), options.mac("mac"),
                              options.macvlanMode("mode")};
  return options.failed() ? info.Env().Undefined() : toUint8Array(info.Env(), encodeCreateMacvlan(request));
}

Napi::Value changeLink(const Napi::CallbackInfo& info) {
  OptionsReader options(info);
  LinkChange change;
  if (options.has("ifindex")) change.ifindex = options.ifindex("ifindex");
  else change.name = options.linkName("name");
  if (options.has("up")) change.up = options.boolean("up");
  if (options.has("macvlanMode")) change.macvlanMode = options.macvlanMode("macvlanMode");
  if (options.has("addrGenMode")) change.addrGenMode = static_cast<uint8_t>(options.u32("addrGenMode", 3));
  if (options.has("alias")) change.alias = options.text("alias", 255);
  if (options.has("group")) change.group = options.u32("group");
  if (options.has("masterIfindex")) change.masterIfindex = options.u32("masterIfindex", INT32_MAX);
  if (options.has("mac")) change.mac = options.mac("mac");
  if (options.has("ipv4")) change.ipv4Conf = options.ipv4Conf("ipv4");
  return options.failed() ? info.Env().Undefined() : toUint8Array(info.Env(), encodeLinkChange(change));
}

Napi::Value deleteLink(const Napi::CallbackInfo& info) {
  OptionsReader options(info);
  const uint32_t ifindex = options.ifindex("ifindex");
  return options.failed() ? info.Env().Undefined() : toUint8Array(info.Env(), encodeDeleteLink(ifindex));
}

Napi::Value deleteGroup(const Napi::CallbackInfo& info) {
  OptionsReader options(info);
  const uint32_t group = options.u32("group");
  return options.failed() ? info.Env().Undefined() : toUint8Array(info.Env(), encodeDeleteGroup(group));
}

Napi::Value changeAddress(const Napi::CallbackInfo& info, bool add) {
  OptionsReader options(info);
  AddressChange change;
  change.add = add;
  change.ifindex = options.ifindex("ifindex");
  change.address = options.ip("address");
  const uint32_t longest = change.address.size() * 8;
  change.prefixLength = static_cast<uint8_t>(options.u32("prefixLength", longest));
  if (options.has("hostScope")) change.hostScope = options.boolean("hostScope");
  if (options.has("routeMetric")) change.routeMetric = options.u32("routeMetric");
  return options.failed() ? info.Env().Undefined() : toUint8Array(info.Env(), encodeAddress(change));
}

Napi::Value changeBlackhole(const Napi::CallbackInfo& info, bool add) {
  OptionsReader options(info);
  BlackholeChange change;
  change.add = add;
  change.address = options.ip("address");
  if (options.has("table")) change.table = options.u32("table");
  return options.failed() ? info.Env().Undefined() : toUint8Array(info.Env(), encodeBlackhole(change));
}

Napi::Value addAddress(const Napi::CallbackInfo& info) { return changeAddress(info, true); }
Napi::Value deleteAddress(const Napi::CallbackInfo& info) { return changeAddress(info, false); }
Napi::Value addBlackhole(const Napi::CallbackInfo& info) { return changeBlackhole(info, true); }
Napi::Value deleteBlackhole(const Napi::CallbackInfo& info) { return changeBlackhole(info, false); }

}  // namespace

void registerEncoders(Napi::Env env, Napi::Object exports) {
  exports.Set("encodeCreateMacvlan", Napi::Function::New<createMacvlan>(env, "encodeCreateMacvlan"));
  exports.Set("encodeChangeLink", Napi::Function::New<changeLink>(env, "encodeChangeLink"));
  exports.Set("encodeDeleteLink", Napi::Function::New<deleteLink>(env, "encodeDeleteLink"));
  exports.Set("encodeDeleteGroup", Napi::Function::New<deleteGroup>(env, "encodeDeleteGroup"));
  exports.Set("encodeAddAddress", Napi::Function::New<addAddress>(env, "encodeAddAddress"));
  exports.Set("encodeDeleteAddress", Napi::Function::New<deleteAddress>(env, "encodeDeleteAddress"));
  exports.Set("encodeAddBlackhole", Napi::Function::New<addBlackhole>(env, "encodeAddBlackhole"));
  exports.Set("encodeDeleteBlackhole", Napi::Function::New<deleteBlackhole>(env, "encodeDeleteBlackhole"));
}

}  // namespace firsthop::netlink
