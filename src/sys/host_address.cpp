#include "sys/host_address.hpp"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <memory>

namespace compose::sys {

Result<std::string> resolve_place(const std::string& place) {
  const auto first = place.find(':');
  const auto last = place.rfind(':');
  const std::string scheme = place.substr(0, first);
  if ((scheme != "udp" && scheme != "tcp") || first == last) return place;
  std::string host = place.substr(first + 1, last - first - 1);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  addrinfo hints{};
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* list = nullptr;
  if (const int code = ::getaddrinfo(host.c_str(), nullptr, &hints, &list); code != 0) {
    return make_error(Errc::not_found, "host \"{}\": {}", host, ::gai_strerror(code));
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner{list, &::freeaddrinfo};
  std::array<char, NI_MAXHOST> text{};
  if (::getnameinfo(list->ai_addr, list->ai_addrlen, text.data(), text.size(), nullptr, 0, NI_NUMERICHOST) != 0) {
    return make_error(Errc::not_found, "host \"{}\" has no address", host);
  }
  const std::string address{text.data()};
  const bool six = address.find(':') != std::string::npos;
  return scheme + ":" + (six ? "[" + address + "]" : address) + place.substr(last);
}

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return "localhost";
  return name.data();
}

}  // namespace compose::sys
