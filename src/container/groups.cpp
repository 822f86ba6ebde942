#include "container/groups.hpp"

#include <limits>
#include <optional>

#include "base/strings.hpp"

namespace compose::container {
namespace {

std::optional<std::uint32_t> group_id(std::string_view text) {
  const auto number = parse_unsigned(text);
  if (!number || *number >= std::numeric_limits<std::uint32_t>::max()) return std::nullopt;
  return static_cast<std::uint32_t>(*number);
}

std::optional<std::uint32_t> look_up(const std::string& database, const std::string& name) {
  for (const auto& line : split(database, '\n')) {
    const auto fields = split(line, ':');
    if (fields.size() >= 3 && fields[0] == name) return group_id(fields[2]);
  }
  return std::nullopt;
}

}  // namespace

Result<std::vector<std::uint32_t>> resolve_groups(const std::vector<std::string>& groups, const LayeredTree& image) {
  std::vector<std::uint32_t> result;
  std::optional<std::string> database;
  for (const auto& group : groups) {
    auto id = group_id(group);
    if (!id) {
      if (!database) {
        TRY_ASSIGN(auto content, image.read_file("/etc/group"));
        database = std::move(content).value_or("");
      }
      id = look_up(*database, group);
    }
    if (!id) return make_error(Errc::not_found, "group_add: no group \"{}\" in the image's /etc/group", group);
    result.push_back(*id);
  }
  return result;
}

}  // namespace compose::container
