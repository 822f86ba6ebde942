#include "compose/load/short_syntax.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/strings.hpp"

namespace compose::load {
namespace {

struct Range {
  std::uint32_t first = 0;
  std::uint32_t last = 0;
  std::uint32_t length() const { return last - first; }
};

std::optional<std::uint32_t> parse_port(std::string_view text) {
  const auto number = parse_unsigned(text);
  if (!number || *number > 65535) return std::nullopt;
  return static_cast<std::uint32_t>(*number);
}

std::optional<Range> parse_range(std::string_view text) {
  const auto dash = text.find('-');
  const auto first = parse_port(text.substr(0, dash));
  if (!first) return std::nullopt;
  if (dash == std::string_view::npos) return Range{*first, *first};
  const auto last = parse_port(text.substr(dash + 1));
  if (!last || *last < *first) return std::nullopt;
  return Range{*first, *last};
}

PortSpecs port_error(std::string message, std::string hint = {}) {
  return {{}, std::move(message), hint.empty() ? "write \"HOST:CONTAINER\", like \"8080:80\"" : std::move(hint)};
}

struct PortParts {
  std::string_view ip;
  std::string_view host;
  std::string_view container;
};

// The last two colons separate the ports; what stands before them is the address.
PortParts split_port(std::string_view text) {
  PortParts parts;
  const auto last = text.rfind(':');
  if (last == std::string_view::npos) {
    parts.container = text;
    return parts;
  }
  parts.container = text.substr(last + 1);
  const std::string_view rest = text.substr(0, last);
  const auto middle = rest.rfind(':');
  if (middle == std::string_view::npos) {
    parts.host = rest;
    return parts;
  }
  parts.host = rest.substr(middle + 1);
  parts.ip = rest.substr(0, middle);
  return parts;
}

bool letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

bool is_file_path(std::string_view source) {
  if (source.empty()) return false;
  if (source[0] == '.' || source[0] == '/' || source[0] == '~') return true;
  if (source.starts_with("\\\\")) return true;  // a named pipe of Windows
  return source.size() > 1 && letter(source[0]) && source[1] == ':';
}

void mount_options(std::string_view options, MountSpec& out) {
  constexpr std::string_view kPropagation[] = {"rprivate", "private", "rshared", "shared", "rslave", "slave"};
  for (const std::string& option : split(options, ',')) {
    if (option == "ro") {
      out.read_only = true;
    } else if (option == "rw") {
      out.read_only = false;
    } else if (option == "nocopy") {
      out.nocopy = true;
    } else if (option == "z" || option == "Z") {
      out.selinux = option;
    } else if (std::find(std::begin(kPropagation), std::end(kPropagation), option) != std::end(kPropagation)) {
      out.propagation = option;
    }
  }
}

// Cuts at colons, but not behind a drive letter nor inside ${...}, which a file that is not interpolated may have.
std::vector<std::string> mount_parts(std::string_view text) {
  std::vector<std::string> parts(1);
  int variables = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::string& part = parts.back();
    const char c = text[i];
    if (c == '$' && i + 1 < text.size() && text[i + 1] == '{') ++variables;
    if (c == '}' && variables > 0) --variables;
    const bool drive = c == ':' && part.size() == 1 && letter(part[0]);
    if (c == ':' && !drive && variables == 0) {
      parts.emplace_back();
    } else {
      part += c;
    }
  }
  return parts;
}

}  // namespace

bool is_ip_address(std::string_view text) {
  const std::string copy(text);
  unsigned char buffer[16];
  return inet_pton(AF_INET, copy.c_str(), buffer) == 1 || inet_pton(AF_INET6, copy.c_str(), buffer) == 1;
}

PortSpecs parse_ports(std::string_view text) {
  PortParts parts = split_port(text);
  std::string_view protocol = "tcp";
  if (const auto slash = parts.container.find('/'); slash != std::string_view::npos) {
    const std::string_view after = parts.container.substr(slash + 1);
    const std::string_view named = after.substr(0, after.find('/'));
    if (!named.empty()) protocol = named;
    parts.container = parts.container.substr(0, slash);
  }
  if (parts.ip.starts_with('[') && parts.ip.ends_with(']')) parts.ip = parts.ip.substr(1, parts.ip.size() - 2);
  if (!parts.ip.empty() && !is_ip_address(parts.ip)) {
    return port_error(fmt::format("invalid IP address: {}", parts.ip));
  }
  if (parts.container.empty()) return port_error(fmt::format("no port specified: {}<empty>", text));
  const auto container = parse_range(parts.container);
  if (!container) {
    return port_error(fmt::format("invalid container port: {}", parts.container), "ports go from 1 to 65535");
  }
  Range host;
  if (!parts.host.empty()) {
    const auto range = parse_range(parts.host);
    if (!range) return port_error(fmt::format("invalid host port: {}", parts.host), "ports go from 0 to 65535");
    host = *range;
    if (host.length() != container->length() && container->length() != 0) {
      return port_error(
          fmt::format("invalid ranges specified for container and host ports: {} and {}", parts.container, parts.host),
          "give both ranges the same length");
    }
  }
  const std::string lower = to_lower(protocol);
  if (lower != "tcp" && lower != "udp" && lower != "sctp") {
    return port_error(fmt::format("invalid protocol: {}", protocol), "use tcp, udp or sctp");
  }
  PortSpecs out;
  for (std::uint32_t i = 0; i <= container->length(); ++i) {
    PortSpec port{std::string(parts.ip), {}, static_cast<std::uint16_t>(container->first + i), lower};
    if (!parts.host.empty()) {
      port.published = fmt::format("{}", host.first + i);
      if (container->length() == 0 && host.length() != 0) port.published += fmt::format("-{}", host.last);
    }
    out.ports.push_back(std::move(port));
  }
  // Docker Compose sorts the texts "PORT/PROTOCOL": 10 comes before 9.
  std::vector<std::pair<std::string, std::size_t>> order;
  for (std::size_t i = 0; i < out.ports.size(); ++i) order.emplace_back(fmt::format("{}/", out.ports[i].target), i);
  std::sort(order.begin(), order.end());
  std::vector<PortSpec> sorted;
  sorted.reserve(order.size());
  for (const auto& [text_form, index] : order) sorted.push_back(std::move(out.ports[index]));
  out.ports = std::move(sorted);
  return out;
}

MountSpec parse_mount(std::string_view text) {
  MountSpec out;
  if (text.empty()) {
    out.error = "invalid empty volume spec";
    return out;
  }
  if (text.size() <= 2) {
    out.type = "volume";
    out.target = std::string(text);
    return out;
  }
  const auto parts = mount_parts(text);
  if (std::any_of(parts.begin(), parts.end(), [](const std::string& part) { return part.empty(); })) {
    out.error = fmt::format("invalid spec: {}: empty section between colons", text);
  } else if (parts.size() > 3) {
    out.error = fmt::format("invalid spec: {}: too many colons", text);
  } else if (parts.size() == 1) {
    out.target = parts[0];
  } else {
    out.source = parts[0];
    out.target = parts[1];
    if (parts.size() == 3) mount_options(parts[2], out);
  }
  out.type = is_file_path(out.source) ? "bind" : "volume";
  return out;
}

}  // namespace compose::load
