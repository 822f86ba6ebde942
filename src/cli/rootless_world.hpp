#pragma once
// The world itself: made, found, kept. See rootless.hpp.
#include <sys/types.h>

#include <string>

#include "base/error.hpp"
#include "base/unique_fd.hpp"

namespace compose::cli::rootless {

/// The files of a world, all below the run folder.
struct WorldFiles {
  explicit WorldFiles(const std::string& run_root) : folder{run_root + "/rootless"} {}
  std::string folder;
  std::string lock() const { return folder + "/lock"; }
  std::string keeper() const { return folder + "/keeper"; }  ///< "PID START-TIME"
  std::string forwarder() const { return folder + "/slirp4netns.sock"; }
  std::string log() const { return folder + "/slirp4netns.log"; }
  std::string resolv_conf() const { return folder + "/resolv.conf"; }
};

/// A pidfd of the keeper; Errc::not_found when there is none.
Result<UniqueFd> find_keeper(const WorldFiles& files);

/// Makes the namespaces, their id maps and their network. The caller holds the exclusive lock.
Result<UniqueFd> make_world(const WorldFiles& files);

}  // namespace compose::cli::rootless
