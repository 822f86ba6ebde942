#include "http/url.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "base/strings.hpp"

namespace compose::http {

namespace {

constexpr std::size_t kMaxUrl = 16384;
constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

bool is_host_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
}

/// An address as the bytes of an IPv6 one (IPv4 mapped), so that networks compare alike.
std::optional<std::array<unsigned char, 16>> address_bytes(const std::string& text) {
  std::array<unsigned char, 16> bytes{};
  if (::inet_pton(AF_INET6, text.c_str(), bytes.data()) == 1) return bytes;
  in_addr v4{};
  if (::inet_pton(AF_INET, text.c_str(), &v4) != 1) return std::nullopt;
  bytes.fill(0);
  bytes[10] = bytes[11] = 0xff;
  std::memcpy(bytes.data() + 12, &v4, 4);
  return bytes;
}

bool is_loopback(const std::string& host) {
  if (host == "localhost" || host.ends_with(".localhost")) return true;
  const auto bytes = address_bytes(host);
  if (!bytes) return false;
  const bool mapped = (*bytes)[10] == 0xff && (*bytes)[11] == 0xff;
  if (mapped) return (*bytes)[12] == 127;
  return host == "::1";
}

bool in_network(const std::string& host, const std::string& network, std::string_view length_text) {
  const auto address = address_bytes(host);
  const auto base = address_bytes(network);
  const auto length = parse_unsigned(length_text);
  if (!address || !base || !length) return false;
  const unsigned long bits = *length + (network.find(':') == std::string::npos ? 96 : 0);
  if (bits > 128) return false;
  for (std::size_t i = 0; i < bits; ++i) {
    const unsigned mask = 0x80U >> (i % 8);
    if (((*address)[i / 8] & mask) != ((*base)[i / 8] & mask)) return false;
  }
  return true;
}

/// Whether one entry of NO_PROXY names the host.
bool excludes(std::string entry, const Url& url) {
  entry = to_lower(entry);
  if (entry == "*") return true;
  if (const std::size_t slash = entry.find('/'); slash != std::string::npos)
    return in_network(url.host, entry.substr(0, slash), std::string_view{entry}.substr(slash + 1));
  // "[::1]:80", "host:80"; more than one colon without brackets is an IPv6 address.
  std::string port;
  if (entry.starts_with("[")) {
    const std::size_t end = entry.find(']');
    if (end == std::string::npos) return false;
    if (entry.compare(end + 1, 1, ":") == 0) port = entry.substr(end + 2);
    entry = entry.substr(1, end - 1);
  } else if (const std::size_t colon = entry.find(':'); colon != std::string::npos && colon == entry.rfind(':')) {
    port = entry.substr(colon + 1);
    entry.resize(colon);
  }
  if (!port.empty() && port != std::to_string(url.port)) return false;
  if (entry.starts_with("*.")) entry.erase(0, 1);
  if (entry.empty()) return false;
  if (entry.starts_with(".")) return url.host.ends_with(entry) && url.host.size() > entry.size();
  return url.host == entry || url.host.ends_with("." + entry);
}

std::string variable(const Environment& environment, const std::vector<std::string>& names, std::string& found) {
  for (const std::string& name : names) {
    const auto value = environment(name);
    if (value && !value->empty()) {
      found = name;
      return *value;
    }
  }
  return {};
}

/// RFC 3986, 5.2.4.
std::string remove_dot_segments(std::string_view path) {
  std::vector<std::string_view> parts;
  std::size_t at = 0;
  bool directory = false;
  while (at < path.size()) {
    const std::size_t next = std::min(path.find('/', at + 1), path.size());
    const std::string_view part = path.substr(at, next - at);
    directory = part == "/." || part == "/..";
    if (part == "/..") {
      if (!parts.empty()) parts.pop_back();
    } else if (part != "/.") {
      parts.push_back(part);
    }
    at = next;
  }
  std::string result;
  for (const std::string_view part : parts) result += part;
  if (directory || result.empty()) result += '/';
  return result;
}

Result<std::uint16_t> parse_port(std::string_view text, std::string_view scheme, std::string_view url) {
  if (text.empty()) return static_cast<std::uint16_t>(scheme == "https" ? 443 : 80);
  const auto port = parse_unsigned(text);
  if (!port || *port == 0 || *port > 65535) return make_error(Errc::invalid, "\"{}\": the port must be 1 to 65535", url);
  return static_cast<std::uint16_t>(*port);
}

}  // namespace

std::string Url::authority() const {
  std::string result = host.find(':') == std::string::npos ? host : "[" + host + "]";
  if (port != (secure() ? 443 : 80)) result += ":" + std::to_string(port);
  return result;
}

Result<Url> parse_url(std::string_view text) {
  const auto bad = [](char c) { return static_cast<unsigned char>(c) <= ' ' || c == '\x7f'; };
  if (text.size() > kMaxUrl) return make_error(Errc::invalid, "an address of {} bytes is too long", text.size());
  if (std::any_of(text.begin(), text.end(), bad))
    return make_error(Errc::invalid, "an address must not have spaces or control characters");
  Url url;
  const std::size_t colon = text.find("://");
  url.scheme = colon == std::string_view::npos ? "" : to_lower(text.substr(0, colon));
  if (url.scheme != "http" && url.scheme != "https")
    return make_error(Errc::invalid, "\"{}\" is no http:// or https:// address", text);
  std::string_view rest = text.substr(colon + 3);
  const std::size_t end = std::min(rest.find_first_of("/?#"), rest.size());
  std::string_view authority = rest.substr(0, end);
  rest.remove_prefix(end);
  if (const std::size_t at = authority.rfind('@'); at != std::string_view::npos) {
    url.user_info = authority.substr(0, at);
    authority.remove_prefix(at + 1);
  }
  std::string_view port;
  if (authority.starts_with('[')) {
    const std::size_t close = authority.find(']');
    url.host = close == std::string_view::npos ? "" : to_lower(authority.substr(1, close - 1));
    in6_addr address{};
    if (::inet_pton(AF_INET6, url.host.c_str(), &address) != 1)
      return make_error(Errc::invalid, "\"{}\": no IPv6 address in the brackets", text);
    authority.remove_prefix(close + 1);
    if (!authority.empty() && !authority.starts_with(':')) return make_error(Errc::invalid, "\"{}\": no address", text);
    if (!authority.empty()) port = authority.substr(1);
  } else {
    const std::size_t separator = authority.find(':');
    url.host = to_lower(authority.substr(0, separator));
    if (separator != std::string_view::npos) port = authority.substr(separator + 1);
    if (url.host.empty() || !std::all_of(url.host.begin(), url.host.end(), is_host_character))
      return make_error(Errc::invalid, "\"{}\" has no valid host name", text);
  }
  TRY_ASSIGN(url.port, parse_port(port, url.scheme, text));
  rest = rest.substr(0, rest.find('#'));
  url.target = rest.empty() ? "/" : std::string{rest};
  if (!url.target.starts_with('/')) url.target.insert(0, "/");
  return url;
}

Result<Url> resolve_url(const Url& base, std::string_view location) {
  const std::size_t scheme = location.find("://");
  if (scheme != std::string_view::npos && scheme < location.find_first_of("/?#")) return parse_url(location);
  if (location.starts_with("//")) return parse_url(base.scheme + ":" + std::string{location});
  const std::size_t query = base.target.find('?');
  const std::string base_path = base.target.substr(0, query);
  std::string target;
  if (location.starts_with('/')) {
    target = location;
  } else if (location.empty() || location.starts_with('?')) {
    target = base_path + std::string{location};
  } else {
    target = base_path.substr(0, base_path.rfind('/') + 1) + std::string{location};
  }
  const std::size_t end = std::min(target.find_first_of("?#"), target.size());
  target = remove_dot_segments(std::string_view{target}.substr(0, end)) + target.substr(end);
  return parse_url(base.origin() + target);
}

std::string percent_encode(std::string_view text) {
  std::string result;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                       c == '.' || c == '_' || c == '~';
    if (plain) {
      result += c;
    } else {
      result += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return result;
}

std::string percent_decode(std::string_view text) {
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool encoded = text[i] == '%' && i + 2 < text.size() && digit(text[i + 1]) >= 0 && digit(text[i + 2]) >= 0;
    result += encoded ? static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2])) : text[i];
    if (encoded) i += 2;
  }
  return result;
}

std::string base64_encode(std::string_view bytes) {
  std::string result;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t count = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t word = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      word = (word << 8U) | (k < count ? static_cast<unsigned char>(bytes[i + k]) : 0U);
    }
    for (std::size_t k = 0; k < 4; ++k) result += k <= count ? kAlphabet[(word >> (18 - 6 * k)) & 63U] : '=';
  }
  return result;
}

std::optional<std::string> base64_decode(std::string_view text) {
  while (text.ends_with('=')) text.remove_suffix(1);
  std::string result;
  std::uint32_t word = 0;
  unsigned bits = 0;
  for (const char c : text) {
    const std::size_t value = kAlphabet.find(c);
    if (value == std::string_view::npos) return std::nullopt;
    word = (word << 6U) | static_cast<std::uint32_t>(value);
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      result += static_cast<char>((word >> bits) & 0xffU);
    }
  }
  return result;
}

Environment process_environment() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    return value == nullptr ? std::nullopt : std::optional<std::string>{value};
  };
}

Result<std::optional<Url>> proxy_for(const Url& url, const Environment& environment) {
  if (is_loopback(url.host)) return std::optional<Url>{};
  std::string name;
  std::string value = url.secure() ? variable(environment, {"HTTPS_PROXY", "https_proxy"}, name)
                                   : variable(environment, {"HTTP_PROXY", "http_proxy"}, name);
  if (value.empty()) value = variable(environment, {"ALL_PROXY", "all_proxy"}, name);
  if (value.empty()) return std::optional<Url>{};
  std::string exceptions_name;
  const std::string exceptions = variable(environment, {"NO_PROXY", "no_proxy"}, exceptions_name);
  for (const std::string& entry : split(exceptions, ',')) {
    if (excludes(std::string{trim(entry)}, url)) return std::optional<Url>{};
  }
  if (value.find("://") == std::string::npos) value = "http://" + value;
  TRY_ASSIGN(Url proxy, parse_url(value).with("the environment variable {}", name));
  return std::optional{std::move(proxy)};
}

}  // namespace compose::http
