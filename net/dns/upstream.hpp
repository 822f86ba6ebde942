#pragma once
// Addresses of resolvers to ask, and sockets to ask them with.
#include <sys/socket.h>

#include <optional>
#include <string_view>

#include "base/unique_fd.hpp"

namespace compose::net::dns {

struct UpstreamAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
  int family() const { return storage.ss_family; }
};

/// "10.0.0.1", "10.0.0.1:5353", "fd00::1", "[fd00::1]:53".
std::optional<UpstreamAddress> upstream_address(std::string_view text);

/// A socket that does not block, of this process's network namespace, or of the one that the socket `beside` is in; not
/// valid when it cannot be had. What a container's `dns:` names is reached, and 127.0.0.1 meant, as the container does.
UniqueFd upstream_socket(int family, int type, int beside = -1);

}  // namespace compose::net::dns
