#pragma once
// compose watch: follows the files that develop.watch names and brings what changes into the containers.
#include <functional>
#include <memory>
#include <string>

#include "base/error.hpp"
#include "cli/context.hpp"

namespace compose::cli {

struct WatchSettings {
  bool prune = true;   ///< remove the image a rebuild has replaced
  bool quiet = false;  ///< no output of builds
  /// A line about what is done, without an end of line.
  std::function<void(const std::string&)> say = {};
};

/// Follows from open() on; does nothing on its own.
class Watcher {
 public:
  /// Errors as watch_rules, or a path that cannot be followed.
  static Result<Watcher> open(Context& context, const model::Project& project, const Strings& services,
                              const WatchSettings& settings);
  /// Whether open() would find something to follow, and the files' mistakes.
  static Result<void> check(const model::Project& project, const Strings& services);
  Watcher(Watcher&&) noexcept;
  Watcher& operator=(Watcher&&) = delete;
  ~Watcher();

  /// Brings what `initial_sync` asks for into the containers: what differs there.
  void begin();
  int fd() const;
  /// Milliseconds until turn() has something to do without the descriptor being readable, -1 = it has not.
  int timeout() const;
  /// Hears of changes, and carries them out when no more have come for a moment. What fails is said, not returned:
  /// the next change may mend it.
  void turn();

 private:
  struct Impl;
  explicit Watcher(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// A Watcher on a thread of its own, for an attached up.
class BackgroundWatch {
 public:
  /// Opens in the calling thread, so mistakes in the files are told at once. `settings.say` is not used.
  static Result<std::unique_ptr<BackgroundWatch>> start(const Context& context, const model::Project& project,
                                                        const Strings& services, const WatchSettings& settings);
  /// Waits for what is being done.
  ~BackgroundWatch();
  BackgroundWatch(const BackgroundWatch&) = delete;
  BackgroundWatch& operator=(const BackgroundWatch&) = delete;

  /// Readable when there are lines.
  int fd() const;
  Strings lines();

 private:
  struct Impl;
  explicit BackgroundWatch(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace compose::cli
