#pragma once
// What should not go to production as it is: a policy over a loaded project, with waivers written in the files. Pure.
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "compose/load/load.hpp"

namespace compose::compare {

struct Rule {
  std::string_view name;
  std::string_view summary;
};
/// debug-setting, moving-tag, no-limit, no-healthcheck, published-database, privileged, secret-in-environment,
/// no-restart.
std::span<const Rule> rules();

struct Finding {
  std::string rule;
  std::string service;
  std::string place;    ///< "prod.yaml:3:7", "" when nothing is written where something is missing
  std::string message;  ///< what it is, and what to do
  std::string waived;   ///< the reason given in the file, "" = it counts
};

struct Report {
  std::vector<Finding> findings;    ///< by service and rule
  std::vector<std::string> unused;  ///< waivers that nothing needs any more, with their places
};

/// Waivers: `x-waive: {RULE: REASON}` in a service, or at the top for all. Errc::invalid, with its place: a waiver of a
/// rule that does not exist, or without a reason.
Result<Report> check(const load::LoadResult& loaded);

}  // namespace compose::compare
