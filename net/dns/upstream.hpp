#pragma once
// Addresses of resolvers to ask.
#include <sys/socket.h>

#include <optional>
#include <string_view>

namespace compose::net::dns {

struct UpstreamAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
  int family() const { return storage.ss_family; }
};

/// "10.0.0.1", "10.0.0.1:5353", "fd00::1", "[fd00::1]:53".
std::optional<UpstreamAddress> upstream_address(std::string_view text);

}  // namespace compose::net::dns
