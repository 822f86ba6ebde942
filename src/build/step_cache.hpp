#pragma once
// Results of build steps by their keys: <root>/build/steps/<key>.json. A key is a digest of everything a step depends
// on, so an entry is never wrong, only unused. The layers an entry lists are kept by the store's garbage collection.
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "image/store_internal.hpp"
#include "sys/lock.hpp"

namespace compose::build {

struct StepResult {
  std::vector<std::string> chain;  ///< diff ids, lowest first, of everything after the step
  bool empty = false;              ///< the step changed no file
  std::string created;             ///< RFC 3339
};

class StepCache {
 public:
  explicit StepCache(const image::Store::Internal& store);
  Result<void> make_folders() const;

  /// Nothing when the step was never run, or a layer of it is gone.
  Result<std::optional<StepResult>> find(const std::string& key) const;
  Result<void> remember(const std::string& key, const StepResult& result) const;
  /// Held while the step runs: a second build with the same step waits, and then finds its result.
  Result<sys::FileLock> lock(const std::string& key) const;
  /// Removes a lock file nobody waits for; called with the lock held.
  void unlock(const std::string& key, sys::FileLock lock) const;
  /// Removes the lock files that killed builders have left.
  void sweep_locks() const;
  /// The folder of a cache mount (RUN --mount=type=cache), made if missing.
  struct MountFolder {
    std::string path;
    bool fresh = false;  ///< made by this call
  };
  Result<MountFolder> mount_folder(const std::string& id) const;
  std::string lock_path(const std::string& name) const;
  /// Where digests of a context's files are remembered (build/content_hashes.hpp).
  std::string hashes_path(const std::string& name) const { return folder_ + "/hashes/" + name; }

 private:
  const image::Store::Internal& store_;
  std::string folder_;
};

/// Collects the parts of a key.
class KeyBuilder {
 public:
  KeyBuilder& add(std::string_view text);
  KeyBuilder& add(const std::vector<std::string>& texts);
  std::string digest() const;  ///< 64 digits

 private:
  std::string parts_;
};

}  // namespace compose::build
