#include "container/capabilities.hpp"

#include <algorithm>
#include <array>

#include "base/strings.hpp"

namespace compose::container {
namespace {

// In the order of their numbers, linux/capability.h.
constexpr std::array kNames = {"CAP_CHOWN",
                               "CAP_DAC_OVERRIDE",
                               "CAP_DAC_READ_SEARCH",
                               "CAP_FOWNER",
                               "CAP_FSETID",
                               "CAP_KILL",
                               "CAP_SETGID",
                               "CAP_SETUID",
                               "CAP_SETPCAP",
                               "CAP_LINUX_IMMUTABLE",
                               "CAP_NET_BIND_SERVICE",
                               "CAP_NET_BROADCAST",
                               "CAP_NET_ADMIN",
                               "CAP_NET_RAW",
                               "CAP_IPC_LOCK",
                               "CAP_IPC_OWNER",
                               "CAP_SYS_MODULE",
                               "CAP_SYS_RAWIO",
                               "CAP_SYS_CHROOT",
                               "CAP_SYS_PTRACE",
                               "CAP_SYS_PACCT",
                               "CAP_SYS_ADMIN",
                               "CAP_SYS_BOOT",
                               "CAP_SYS_NICE",
                               "CAP_SYS_RESOURCE",
                               "CAP_SYS_TIME",
                               "CAP_SYS_TTY_CONFIG",
                               "CAP_MKNOD",
                               "CAP_LEASE",
                               "CAP_AUDIT_WRITE",
                               "CAP_AUDIT_CONTROL",
                               "CAP_SETFCAP",
                               "CAP_MAC_OVERRIDE",
                               "CAP_MAC_ADMIN",
                               "CAP_SYSLOG",
                               "CAP_WAKE_ALARM",
                               "CAP_BLOCK_SUSPEND",
                               "CAP_AUDIT_READ",
                               "CAP_PERFMON",
                               "CAP_BPF",
                               "CAP_CHECKPOINT_RESTORE"};

// moby, daemon/pkg/oci/caps/defaults.go
constexpr std::array kDefaults = {"CAP_CHOWN",   "CAP_DAC_OVERRIDE", "CAP_FSETID",           "CAP_FOWNER",
                                  "CAP_MKNOD",   "CAP_NET_RAW",      "CAP_SETGID",           "CAP_SETUID",
                                  "CAP_SETFCAP", "CAP_SETPCAP",      "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT",
                                  "CAP_KILL",    "CAP_AUDIT_WRITE"};

using Names = std::vector<std::string>;

bool contains(const Names& names, const std::string& name) { return std::ranges::find(names, name) != names.end(); }

Result<Names> normalized(const Names& given, const char* attribute) {
  Names result;
  for (const auto& text : given) {
    std::string name = text;
    std::ranges::transform(name, name.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    if (name != "ALL" && !name.starts_with("CAP_")) name.insert(0, "CAP_");
    if (name != "ALL" && std::ranges::find(kNames, name) == kNames.end()) {
      const Names known{kNames.begin(), kNames.end()};
      const auto near = nearest(name, known);
      return make_error(Errc::invalid, "{}: unknown capability \"{}\"{}", attribute, text,
                        near ? fmt::format(", did you mean {}?", *near) : "");
    }
    if (!contains(result, name)) result.push_back(name);
  }
  return result;
}

Names all(int last_capability) {
  const auto count = std::min<std::size_t>(kNames.size(), static_cast<std::size_t>(std::max(last_capability, 0)) + 1);
  return {kNames.begin(), kNames.begin() + static_cast<std::ptrdiff_t>(count)};
}

}  // namespace

Result<Names> container_capabilities(const model::Service& service, int last_capability) {
  TRY_ASSIGN(const Names add, normalized(service.cap_add, "cap_add"));
  TRY_ASSIGN(const Names drop, normalized(service.cap_drop, "cap_drop"));
  if (service.privileged) return all(last_capability);

  Names result;
  if (contains(add, "ALL")) {
    result = all(last_capability);
  } else if (!contains(drop, "ALL")) {
    result.assign(kDefaults.begin(), kDefaults.end());
  }
  std::erase_if(result, [&](const std::string& name) { return contains(drop, name); });
  // An added capability wins over `cap_drop: [ALL]` and over the same name dropped.
  for (const auto& name : add) {
    if (name != "ALL" && !contains(result, name) && (!contains(add, "ALL"))) result.push_back(name);
  }
  return result;
}

}  // namespace compose::container
