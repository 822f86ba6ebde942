#include <sstream>

#include "base/strings.hpp"
#include "net/dns/server.hpp"
#include "net/dns/upstream.hpp"
#include "sys/file.hpp"

#include <arpa/inet.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>

#include <cstring>
#include <thread>

namespace compose::net::dns {

std::vector<std::string> upstreams_from(const std::string& resolv_conf_path) {
  std::vector<std::string> upstreams;
  if (const auto text = sys::read_file(resolv_conf_path, std::size_t{1} << 20)) {
    std::istringstream lines{*text};
    for (std::string line; std::getline(lines, line);) {
      std::istringstream words{line};
      std::string keyword;
      std::string address;
      if (words >> keyword >> address && keyword == "nameserver" && upstream_address(address))
        upstreams.push_back(address);
    }
  }
  if (upstreams.empty()) upstreams.emplace_back("127.0.0.1");  // resolv.conf(5)
  return upstreams;
}

std::optional<UpstreamAddress> upstream_address(std::string_view text) {
  std::string_view host = text;
  std::uint64_t port = 53;
  const auto colon = text.rfind(':');
  const bool bracketed = text.starts_with('[');
  const bool one_colon = colon != std::string_view::npos && text.find(':') == colon;
  if (one_colon || (bracketed && colon != std::string_view::npos && colon > 0 && text[colon - 1] == ']')) {
    host = text.substr(0, colon);
    const auto number = parse_unsigned(text.substr(colon + 1));
    if (!number || *number == 0 || *number > 65535) return std::nullopt;
    port = *number;
  }
  host = host.substr(0, host.find('%'));  // a zone cannot be kept: link-local resolvers are asked without
  const auto address = IpAddress::parse(host);
  if (!address) return std::nullopt;
  UpstreamAddress result;
  if (address->is_v4()) {
    auto* v4 = reinterpret_cast<sockaddr_in*>(&result.storage);
    v4->sin_family = AF_INET;
    v4->sin_port = htons(static_cast<std::uint16_t>(port));
    std::memcpy(&v4->sin_addr, address->bytes().data(), 4);
    result.size = sizeof *v4;
  } else {
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&result.storage);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(static_cast<std::uint16_t>(port));
    std::memcpy(&v6->sin6_addr, address->bytes().data(), 16);
    result.size = sizeof *v6;
  }
  return result;
}

UniqueFd upstream_socket(int family, int type, int beside) {
  type |= SOCK_CLOEXEC | SOCK_NONBLOCK;
  if (beside < 0) return UniqueFd{::socket(family, type, 0)};
  const UniqueFd space{::ioctl(beside, SIOCGSKNS)};
  UniqueFd made;
  if (!space.valid()) return made;
  // Only a thread of its own ever goes there.
  std::thread{[&] {
    if (::setns(space.get(), CLONE_NEWNET) == 0) made.reset(::socket(family, type, 0));
  }}.join();
  return made;
}

}  // namespace compose::net::dns
