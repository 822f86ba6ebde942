#pragma once
// WWW-Authenticate: what a registry wants to see (RFC 9110, 11.6.1; distribution-spec's token authentication).
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace compose::image::registry {

struct Challenge {
  std::string scheme;                             ///< lower case: "basic", "bearer"
  std::map<std::string, std::string> parameters;  ///< names in lower case: realm, service, scope, error
};

/// The challenges in one header's value; what cannot be read is left out.
std::vector<Challenge> parse_challenges(std::string_view header);

}  // namespace compose::image::registry
