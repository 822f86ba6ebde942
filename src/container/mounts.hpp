#pragma once
// The mounts of one container, with the volumes and directories behind them made.
#include <map>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "container/layered_tree.hpp"
#include "container/prepare.hpp"
#include "container/run_files.hpp"
#include "runtime/spec/spec.hpp"
#include "state/records.hpp"

namespace compose::container {

struct Mounts {
  std::vector<runtime::spec::Mount> mounts;
  std::vector<state::MountRecord> records;
};

/// `volumes`, `volumes_from`, the image's own volumes, and binds of `granted` (files below the run directory).
Result<Mounts> make_mounts(const state::Paths& paths, const CreateInput& input, const LayeredTree& image,
                           const std::vector<GrantedFile>& granted);

}  // namespace compose::container
