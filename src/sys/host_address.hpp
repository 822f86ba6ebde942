#pragma once
// Names of hosts, for programs that cannot look them up themselves.
#include <string>

#include "base/error.hpp"

namespace compose::sys {

/// "udp:HOST:PORT" or "tcp:HOST:PORT" with the host's first IP address in its place (getaddrinfo(3), may take seconds);
/// everything else ("unix:/path") as it is. Errc::not_found: there is no such host.
Result<std::string> resolve_place(const std::string& place);

/// This machine's name, gethostname(2).
std::string host_name();

}  // namespace compose::sys
