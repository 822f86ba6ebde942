#include "runtime/security/user.hpp"

#include <algorithm>
#include <limits>
#include <optional>

#include "base/strings.hpp"

namespace compose::runtime::security {
namespace {

std::optional<std::uint32_t> parse_id(std::string_view text) {
  const auto value = parse_unsigned(text);
  // (uid_t)-1 means "leave as it is" to the kernel.
  if (!is_digits(text) || !value || *value >= std::numeric_limits<std::uint32_t>::max()) return std::nullopt;
  return static_cast<std::uint32_t>(*value);
}

struct Account {
  std::string name;
  std::uint32_t uid = 0, gid = 0;
  std::string home;
};

/// passwd(5) lines that are well formed.
template <typename Use>
void each_account(std::string_view passwd, Use use) {
  for (const auto& line : split(passwd, '\n')) {
    const auto parts = split(line, ':');
    if (parts.size() < 7) continue;
    const auto uid = parse_id(parts[2]);
    const auto gid = parse_id(parts[3]);
    if (uid && gid) use(Account{parts[0], *uid, *gid, parts[5]});
  }
}

struct Group {
  std::string name;
  std::uint32_t gid = 0;
  std::vector<std::string> members;
};

/// group(5) lines that are well formed.
template <typename Use>
void each_group(std::string_view group, Use use) {
  for (const auto& line : split(group, '\n')) {
    const auto parts = split(line, ':');
    if (parts.size() < 4) continue;
    if (const auto gid = parse_id(parts[2])) use(Group{parts[0], *gid, split(parts[3], ',')});
  }
}

Result<std::uint32_t> resolve_group(std::string_view name, std::string_view group) {
  if (is_digits(name)) {
    const auto gid = parse_id(name);
    if (!gid) return make_error(Errc::invalid, "group \"{}\" is out of range", name);
    return *gid;
  }
  std::optional<std::uint32_t> found;
  each_group(group, [&](const Group& entry) {
    if (!found && entry.name == name) found = entry.gid;
  });
  if (!found) return make_error(Errc::not_found, "unable to find group {}: no matching entries in group file", name);
  return *found;
}

bool valid_name(std::string_view name) {
  return !name.empty() && std::ranges::none_of(name, [](char c) { return c <= ' ' || c == ',' || c == '\x7f'; }) &&
         name.front() != '-' && name.front() != '+';
}

}  // namespace

std::string home_of(std::uint32_t uid, std::string_view passwd) {
  std::optional<std::string> home;
  each_account(passwd, [&](const Account& account) {
    if (!home && account.uid == uid) home = account.home;
  });
  return home && !home->empty() ? *home : "/";
}

Result<ResolvedUser> resolve_user(std::string_view user, std::string_view passwd, std::string_view group) {
  const auto colon = user.find(':');
  const std::string_view name = user.substr(0, colon);
  ResolvedUser result;
  std::optional<Account> account;
  if (user.empty() || is_digits(name)) {
    const auto uid = user.empty() ? std::optional<std::uint32_t>{0} : parse_id(name);
    if (!uid) return make_error(Errc::invalid, "user \"{}\" is out of range", user);
    result.uid = *uid;
    each_account(passwd, [&](const Account& entry) {
      if (!account && entry.uid == *uid) account = entry;
    });
  } else {
    if (!valid_name(name)) return make_error(Errc::invalid, "\"{}\" is not a user", user);
    each_account(passwd, [&](const Account& entry) {
      if (!account && entry.name == name) account = entry;
    });
    if (!account) {
      return make_error(Errc::not_found, "unable to find user {}: no matching entries in passwd file", name);
    }
    result.uid = account->uid;
  }
  if (account) {
    result.gid = account->gid;
    if (!account->home.empty()) result.home = account->home;
  }
  if (colon != std::string_view::npos) {
    const std::string_view group_name = user.substr(colon + 1);
    if (!is_digits(group_name) && !valid_name(group_name)) {
      return make_error(Errc::invalid, "\"{}\" is not a user and a group", user);
    }
    TRY_ASSIGN(result.gid, resolve_group(group_name, group));
  } else if (account) {
    // The memberships of the account count only when no group was asked for.
    each_group(group, [&](const Group& entry) {
      if (std::ranges::find(entry.members, account->name) != entry.members.end()) result.groups.push_back(entry.gid);
    });
  }
  // The primary group stands among the supplementary ones too, so that a process cannot shed a group whose members a
  // file's mode keeps out (CVE-2022-36109).
  std::erase(result.groups, result.gid);
  result.groups.insert(result.groups.begin(), result.gid);
  return result;
}

}  // namespace compose::runtime::security
