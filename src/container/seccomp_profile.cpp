#include "container/seccomp_profile.hpp"

#include <algorithm>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>

#include "base/strings.hpp"

namespace compose::container {
namespace {

using nlohmann::json;
using runtime::spec::Seccomp;
using runtime::spec::SeccompArg;
using runtime::spec::SeccompRule;

std::string native_architecture(const std::string& goarch) {
  static const std::map<std::string, std::string> kNames = {
      {"amd64", "SCMP_ARCH_X86_64"},   {"386", "SCMP_ARCH_X86"},         {"arm64", "SCMP_ARCH_AARCH64"},
      {"arm", "SCMP_ARCH_ARM"},        {"ppc64le", "SCMP_ARCH_PPC64LE"}, {"s390x", "SCMP_ARCH_S390X"},
      {"riscv64", "SCMP_ARCH_RISCV64"}};
  const auto found = kNames.find(goarch);
  return found == kNames.end() ? std::string{} : found->second;
}

bool any_of(const json& condition, const char* member, const std::vector<std::string>& values) {
  const auto list = condition.find(member);
  if (list == condition.end() || !list->is_array()) return false;
  return std::ranges::any_of(*list, [&](const json& item) {
    return item.is_string() && std::ranges::find(values, item.get<std::string>()) != values.end();
  });
}

bool kernel_at_least(const json& condition, const SeccompConditions& now) {
  const auto parts = split(condition.at("minKernel").get<std::string>(), '.');
  const auto major = parse_unsigned(parts.front()).value_or(0);
  const auto minor = parts.size() > 1 ? parse_unsigned(parts[1]).value_or(0) : 0;
  return std::pair{static_cast<std::uint64_t>(now.kernel_major), static_cast<std::uint64_t>(now.kernel_minor)} >=
         std::pair{major, minor};
}

// All members of `includes` must hold and none of `excludes`.
bool applies(const json& rule, const SeccompConditions& now) {
  const std::vector<std::string> architecture{now.architecture};
  if (const auto includes = rule.find("includes"); includes != rule.end() && includes->is_object()) {
    if (includes->contains("arches") && !any_of(*includes, "arches", architecture)) return false;
    if (includes->contains("caps")) {
      for (const auto& capability : includes->at("caps")) {
        if (std::ranges::find(now.capabilities, capability.get<std::string>()) == now.capabilities.end()) return false;
      }
    }
    if (includes->contains("minKernel") && !kernel_at_least(*includes, now)) return false;
  }
  if (const auto excludes = rule.find("excludes"); excludes != rule.end() && excludes->is_object()) {
    if (any_of(*excludes, "arches", architecture) || any_of(*excludes, "caps", now.capabilities)) return false;
    if (excludes->contains("minKernel") && kernel_at_least(*excludes, now)) return false;
  }
  return true;
}

SeccompRule read_rule(const json& rule) {
  SeccompRule result;
  if (rule.contains("names")) result.names = rule.at("names").get<std::vector<std::string>>();
  if (const auto name = rule.value("name", std::string{}); !name.empty()) result.names.push_back(name);
  result.action = rule.at("action").get<std::string>();
  if (rule.contains("errnoRet")) result.errno_ret = rule.at("errnoRet").get<std::uint32_t>();
  if (const auto args = rule.find("args"); args != rule.end() && args->is_array()) {
    for (const auto& arg : *args) {
      result.args.push_back(SeccompArg{arg.at("index").get<std::uint32_t>(), arg.at("value").get<std::uint64_t>(),
                                       arg.value("valueTwo", std::uint64_t{0}), arg.at("op").get<std::string>()});
    }
  }
  return result;
}

std::vector<std::string> read_architectures(const json& profile, const std::string& native) {
  if (profile.contains("architectures")) return profile.at("architectures").get<std::vector<std::string>>();
  std::vector<std::string> result;
  if (!profile.contains("archMap")) return result;
  for (const auto& entry : profile.at("archMap")) {
    if (entry.at("architecture").get<std::string>() != native) continue;
    result.push_back(native);
    if (const auto more = entry.find("subArchitectures"); more != entry.end() && more->is_array()) {
      for (const auto& name : *more) result.push_back(name.get<std::string>());
    }
  }
  return result;
}

Seccomp read_profile(const json& profile, const SeccompConditions& conditions) {
  Seccomp result;
  result.default_action = profile.at("defaultAction").get<std::string>();
  if (profile.contains("defaultErrnoRet")) {
    result.default_errno_ret = profile.at("defaultErrnoRet").get<std::uint32_t>();
  }
  result.architectures = read_architectures(profile, native_architecture(conditions.architecture));
  if (profile.contains("flags")) result.flags = profile.at("flags").get<std::vector<std::string>>();
  result.listener_path = profile.value("listenerPath", std::string{});
  result.listener_metadata = profile.value("listenerMetadata", std::string{});
  if (!profile.contains("syscalls") || !profile.at("syscalls").is_array()) return result;
  for (const auto& rule : profile.at("syscalls")) {
    if (applies(rule, conditions)) result.syscalls.push_back(read_rule(rule));
  }
  return result;
}

}  // namespace

Result<Seccomp> resolve_seccomp(std::string_view profile, const SeccompConditions& conditions) {
  try {
    return read_profile(json::parse(profile), conditions);
  } catch (const json::exception& problem) {
    return make_error(Errc::invalid, "not a seccomp profile: {}", problem.what());
  }
}

Result<Seccomp> resolve_default_seccomp(const SeccompConditions& conditions) {
  static std::mutex mutex;
  static std::map<SeccompConditions, Seccomp> resolved;
  const std::scoped_lock lock{mutex};
  if (const auto known = resolved.find(conditions); known != resolved.end()) return known->second;
  TRY_ASSIGN(auto profile, resolve_seccomp(default_seccomp_profile(), conditions));
  constexpr std::size_t kMost = 8;  // who gives each of its containers other capabilities is not to fill our memory
  if (resolved.size() == kMost) resolved.clear();
  resolved[conditions] = profile;
  return profile;
}

}  // namespace compose::container
