// Puts a netlink message together: header, then attributes, which may hold attributes.
#pragma once
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <utility>

#include "netlink_encode.h"

namespace firsthop::netlink {

class MessageBuilder {
 public:
  template <typename Header>
  MessageBuilder(uint16_t type, uint16_t flags, const Header& header) : bytes_(NLMSG_HDRLEN) {
    nlmsghdr head{};
    head.nlmsg_type = type;
    head.nlmsg_flags = flags;
    std::memcpy(bytes_.data(), &head, sizeof head);
    append(&header, sizeof header);
  }

  void attribute(uint16_t type, const void* data, size_t length) {
    const rtattr head{static_cast<uint16_t>(RTA_LENGTH(length)), type};
    append(&head, sizeof head);
    append(data, length);
  }
  void text(uint16_t type, const std::string& value) { attribute(type, value.c_str(), value.size() + 1); }
  void u8(uint16_t type, uint8_t value) { attribute(type, &value, sizeof value); }
  void u32(uint16_t type, uint32_t value) { attribute(type, &value, sizeof value); }

  template <typename Body>
  void nest(uint16_t type, Body body) {
    const size_t at = bytes_.size();
    attribute(type, nullptr, 0);
    body();
    const auto length = static_cast<uint16_t>(bytes_.size() - at);
    std::memcpy(&bytes_[at], &length, sizeof length);
  }

  Message finish() {
    const auto length = static_cast<uint32_t>(bytes_.size());
    std::memcpy(bytes_.data(), &length, sizeof length);
    return std::move(bytes_);
  }

 private:
  void append(const void* data, size_t length) {
    if (length > 0) {
      const auto* octets = static_cast<const uint8_t*>(data);
      bytes_.insert(bytes_.end(), octets, octets + length);
    }
    bytes_.resize(NLMSG_ALIGN(bytes_.size()));
  }

  Message bytes_;
};

}  // namespace firsthop::netlink
