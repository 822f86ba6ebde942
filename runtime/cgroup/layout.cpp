#include <algorithm>

#include "base/strings.hpp"
#include "runtime/cgroup/cgroup.hpp"
#include "sys/file.hpp"

namespace compose::runtime::cgroup {
namespace {

/// The options of a v1 mount that are controllers (or the tree's name), not flags.
std::vector<std::string> v1_controllers(std::string_view options) {
  static constexpr std::string_view kFlags[] = {"rw",           "ro",  "xattr", "noprefix", "clone_children",
                                                "favordynmods", "none"};
  std::vector<std::string> result;
  for (auto& option : split(options, ',')) {
    if (option.starts_with("release_agent=")) continue;
    if (std::find(std::begin(kFlags), std::end(kFlags), option) == std::end(kFlags))
      result.push_back(std::move(option));
  }
  return result;
}

/// Octal escapes of mountinfo: "\040".
std::string unescape(std::string_view text) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      result += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
      i += 3;
    } else {
      result += text[i];
    }
  }
  return result;
}

std::string own_path(std::string_view self_cgroup, const Hierarchy& hierarchy) {
  for (const auto& line : split(self_cgroup, '\n')) {
    const auto first = line.find(':');
    const auto second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const auto names = split(std::string_view{line}.substr(first + 1, second - first - 1), ',');
    const bool same =
        hierarchy.version == Version::v2
            ? names.front().empty()
            : !hierarchy.controllers.empty() && std::ranges::find(names, hierarchy.controllers.front()) != names.end();
    if (same) return line.substr(second + 1);
  }
  return "/";
}

}  // namespace

const Hierarchy* Layout::find(std::string_view controller) const {
  for (const auto& hierarchy : hierarchies) {
    if (std::ranges::find(hierarchy.controllers, controller) != hierarchy.controllers.end()) return &hierarchy;
  }
  return nullptr;
}

const Hierarchy* Layout::unified() const {
  for (const auto& hierarchy : hierarchies) {
    if (hierarchy.version == Version::v2) return &hierarchy;
  }
  return nullptr;
}

bool Layout::pure_v2() const { return hierarchies.size() == 1 && hierarchies.front().version == Version::v2; }

Layout parse_layout(std::string_view mountinfo, std::string_view self_cgroup, std::string_view v2_controllers) {
  Layout layout;
  for (const auto& line : split(mountinfo, '\n')) {
    // proc_pid_mountinfo(5): id parent major:minor root mount-point options… - type source super-options
    const auto dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    const auto before = split(std::string_view{line}.substr(0, dash), ' ');
    const auto after = split(std::string_view{line}.substr(dash + 3), ' ');
    if (before.size() < 6 || after.size() < 3) continue;
    Hierarchy hierarchy;
    hierarchy.mount_point = unescape(before[4]);
    if (after[0] == "cgroup2") {
      hierarchy.version = Version::v2;
      for (auto& name : split(trim(v2_controllers), ' ')) {
        if (!name.empty()) hierarchy.controllers.push_back(std::move(name));
      }
    } else if (after[0] == "cgroup") {
      hierarchy.controllers = v1_controllers(after[2]);
    } else {
      continue;
    }
    const bool known = hierarchy.version == Version::v2
                           ? layout.unified() != nullptr
                           : hierarchy.controllers.empty() || layout.find(hierarchy.controllers.front()) != nullptr;
    if (known) continue;  // mounted a second time elsewhere
    hierarchy.own_path = own_path(self_cgroup, hierarchy);
    layout.hierarchies.push_back(std::move(hierarchy));
  }
  return layout;
}

Result<Layout> detect_layout() {
  TRY_ASSIGN(const std::string mountinfo, sys::read_file("/proc/self/mountinfo"));
  TRY_ASSIGN(const std::string self, sys::read_file("/proc/self/cgroup"));
  Layout layout = parse_layout(mountinfo, self, "");
  if (const Hierarchy* unified = layout.unified()) {
    TRY_ASSIGN(const std::string names, sys::read_file(unified->mount_point + "/cgroup.controllers"));
    layout = parse_layout(mountinfo, self, names);
  }
  return layout;
}

}  // namespace compose::runtime::cgroup
