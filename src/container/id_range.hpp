#pragma once
// `userns_mode`: which ids of the host stand for a container's own.
//
//   "" or host     the host's: root inside is root outside (Docker's default)
//   auto           65,536 ids that no other container and no account has
//   FIRST:SIZE     these ids of the host
//
// Ranges for `auto` come from 0x70000000 to 0x7FFFFFFF, which systemd leaves free (its "UIDS-GIDS" document); a file
// <root>/userns/N for each names the container that has it.
#include <cstdint>
#include <optional>
#include <string>

#include "base/error.hpp"
#include "state/paths.hpp"

namespace compose::container {

struct IdRange {
  std::uint32_t first = 0, size = 0;
  bool operator==(const IdRange&) const = default;
};

struct UserNamespaceMode {
  bool own_ids = false;          ///< false: the host's
  std::optional<IdRange> given;  ///< nothing: to be claimed
};

/// Errc::invalid for any other text.
Result<UserNamespaceMode> parse_userns_mode(const std::string& text);

/// A range for the container with this directory, its own until the directory is gone or release_ids().
Result<IdRange> claim_ids(const state::Paths& paths, const std::string& container_directory);
Result<void> release_ids(const state::Paths& paths, const std::string& container_directory);

}  // namespace compose::container
