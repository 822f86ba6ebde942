#pragma once
// The composer without root: everything below the command line runs as root of a user namespace of the user's own.
//
// Each run folder has one such world: user, mount, network, ipc and pid namespaces, kept by a process of ours (the
// keeper, process 1 in there). A command enters it and goes on as if it were root. The keeper ends, and the world with
// it, when nothing of ours runs inside any more and no command is under way. slirp4netns gives the world its network.
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "container/doctor/doctor.hpp"

namespace compose::cli::rootless {

/// Is this process an ordinary user's, so that the engine needs a world?
bool needed();

/// Where an ordinary user's state and run folder are unless told otherwise: XDG_DATA_HOME (~/.local/share) and
/// XDG_RUNTIME_DIR (/run/user/UID, else /tmp/compose-UID).
std::string default_root();
std::string default_run_root();

struct IdRange {
  std::uint64_t first = 0, count = 0;
};
/// The first line of subuid(5) or subgid(5) for the user, by name or by number. Pure.
std::optional<IdRange> subordinate_ids(std::string_view text, std::string_view user, std::uint64_t uid);

/// Runs `inside` in the world of `run_root`, which is made if there is none, and gives its exit code.
/// Errors name what is missing (newuidmap, an entry in /etc/subuid, slirp4netns) and the package it is in.
Result<int> run(const std::string& run_root, const std::function<int()>& inside);

/// What the host must offer for that, for `compose doctor`.
std::vector<container::doctor::Check> examine();

}  // namespace compose::cli::rootless
