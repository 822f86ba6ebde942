#include "net/host_settings.hpp"

#include "net/bridge/links.hpp"
#include "sys/file.hpp"

namespace compose::net {

namespace {

using Settings = std::map<std::string, std::string>;

/// Sets `name` to `wanted` unless it is so already; the former value goes to `former`.
Result<void> change(const std::string& name, const std::string& wanted, Settings& former) {
  const auto now = read_net_sysctl(name);
  if (!now || *now == wanted) return {};
  TRY(write_net_sysctl(name, wanted));
  former.emplace(name, *now);
  return {};
}

constexpr const char* kForward4 = "ipv4/ip_forward";
constexpr const char* kForward6 = "ipv6/conf/all/forwarding";

bool needs_change(bool ipv6) {
  return read_net_sysctl(kForward4) != "1" || (ipv6 && read_net_sysctl(kForward6) == "0");
}

}  // namespace

Result<void> enable_forwarding(const NetworkFiles& files, bool ipv6) {
  if (!needs_change(ipv6)) return {};
  TRY_ASSIGN(Settings former, files.load_sysctls());
  const Settings before = former;
  TRY(change(kForward4, "1", former));
  if (ipv6 && read_net_sysctl(kForward6) == "0") {
    TRY_ASSIGN(const std::vector<Link> links, list_links());
    for (const Link& link : links) {
      const std::string name = "ipv6/conf/" + link.name + "/accept_ra";
      if (!link.kind.empty() || read_net_sysctl(name) != "1") continue;
      TRY(change(name, "2", former));
    }
    TRY(change(kForward6, "1", former));
  }
  if (former == before) return {};
  return files.save_sysctls(former);
}

Result<void> restore_settings(const NetworkFiles& files, bool needed) {
  TRY_ASSIGN(const Settings former, files.load_sysctls());
  for (const auto& [name, value] : former) {
    if (needed) break;
    const char* ours = name.ends_with("/accept_ra") ? "2" : "1";
    if (read_net_sysctl(name) == ours) (void)write_net_sysctl(name, value).ok();  // an interface may be gone
  }
  return files.save_sysctls({});
}

}  // namespace compose::net
