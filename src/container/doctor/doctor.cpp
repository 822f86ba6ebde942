#include "container/doctor/doctor.hpp"

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>

#include "container/doctor/probes.hpp"

namespace compose::container::doctor {
namespace {

std::string_view word(Status status) {
  switch (status) {
    case Status::ok:
      return "ok";
    case Status::warning:
      return "warning";
    case Status::missing:
      return "missing";
  }
  return "missing";
}

}  // namespace

Check ok(std::string name, std::string detail) { return {std::move(name), Status::ok, std::move(detail), ""}; }
Check warning(std::string name, std::string detail, std::string remedy) {
  return {std::move(name), Status::warning, std::move(detail), std::move(remedy)};
}
Check missing(std::string name, std::string detail, std::string remedy) {
  return {std::move(name), Status::missing, std::move(detail), std::move(remedy)};
}

std::vector<Check> examine(const state::Paths& paths) {
  std::vector<Check> checks{check_kernel_calls(), check_capabilities(), check_namespaces(), check_overlay(paths),
                            check_seccomp()};
  std::ranges::move(check_cgroups(), std::back_inserter(checks));
  checks.push_back(check_bridge());
  checks.push_back(check_firewall());
  checks.push_back(check_resolver());
  checks.push_back(check_programs());
  std::ranges::move(check_folders(paths), std::back_inserter(checks));
  checks.push_back(check_limits());
  return checks;
}

bool healthy(std::span<const Check> checks) {
  return std::ranges::none_of(checks, [](const Check& check) { return check.status == Status::missing; });
}

std::string to_text(std::span<const Check> checks) {
  std::string text;
  for (const auto& check : checks) {
    text += fmt::format("{:<8} {:<20} {}\n", word(check.status), check.name, check.detail);
    if (!check.remedy.empty()) text += fmt::format("{:<8} {:<20} {}\n", "", "", check.remedy);
  }
  return text;
}

std::string to_json(std::span<const Check> checks) {
  using nlohmann::ordered_json;
  ordered_json list = ordered_json::array();
  for (const auto& check : checks) {
    list.push_back(
        {{"name", check.name}, {"status", word(check.status)}, {"detail", check.detail}, {"remedy", check.remedy}});
  }
  return list.dump(2) + "\n";
}

}  // namespace compose::container::doctor
