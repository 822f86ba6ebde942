#pragma once
// Docker's user string against the container's own account files.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"

namespace compose::runtime::security {

struct ResolvedUser {
  std::uint32_t uid = 0, gid = 0;
  std::vector<std::uint32_t> groups;  ///< supplementary, the primary one among them
  std::string home = "/";
};

/// "user", "uid", "user:group", "uid:gid" as moby's user.GetExecUser: digits are always a number, never looked up as a
/// name; a number need not be in the files; a name must be. Empty means root. Anything else ("-1", "4294967296",
/// "1000:", " 0") is Errc::invalid, a missing name Errc::not_found; never silently root.
Result<ResolvedUser> resolve_user(std::string_view user, std::string_view passwd, std::string_view group);

/// The home folder of a numeric uid, "/" if it has none there.
std::string home_of(std::uint32_t uid, std::string_view passwd);

}  // namespace compose::runtime::security
