#pragma once
// Addresses of the web (RFC 3986) as far as HTTP needs them, and which proxy stands before one.
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.hpp"

namespace compose::http {

struct Url {
  std::string scheme;       ///< "http" or "https"
  std::string user_info;    ///< "name:password" as written (percent-encoded), or ""
  std::string host;         ///< lower case; an IPv6 address without brackets
  std::uint16_t port = 0;   ///< never 0 after parse_url
  std::string target = "/"; ///< path and query, without the fragment

  bool secure() const { return scheme == "https"; }
  /// What the Host header says: with brackets where needed, the port only if it is not the scheme's own.
  std::string authority() const;
  /// "https://host:port", what decides whether credentials may go along.
  std::string origin() const { return scheme + "://" + authority(); }
  /// Without user_info: fit for messages.
  std::string text() const { return origin() + target; }
  bool operator==(const Url&) const = default;
};

/// Errc::invalid for another scheme, an empty host, a port outside 1..65535, spaces or control characters.
Result<Url> parse_url(std::string_view text);
/// RFC 3986, 5.2: what a Location header means, seen from `base`.
Result<Url> resolve_url(const Url& base, std::string_view location);
/// Everything but unreserved characters as %XX (RFC 3986, 2.1).
std::string percent_encode(std::string_view text);
std::string percent_decode(std::string_view text);

/// Standard alphabet with padding (RFC 4648).
std::string base64_encode(std::string_view bytes);
/// Nothing when it is not base64.
std::optional<std::string> base64_decode(std::string_view text);

/// Looks a variable of the environment up; nothing when it is not set.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;
/// That of this process.
Environment process_environment();

/// The proxy for `url` by HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY (either case), or nothing. The rules are those
/// of Go's httpproxy, which Docker uses: loopback is never proxied; NO_PROXY has host names (with their subdomains),
/// ".domain", addresses, networks in CIDR form, each with an optional ":port", or "*". Errc::invalid names the variable.
Result<std::optional<Url>> proxy_for(const Url& url, const Environment& environment);

}  // namespace compose::http
