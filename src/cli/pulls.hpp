#pragma once
// Images from and to registries, as commands need them: policies, progress, many at once.
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/context.hpp"
#include "image/registry/registry.hpp"
#include "image/store.hpp"

namespace compose::cli {

/// Whether a policy asks the registry for an image (the specification, "pull_policy"): `always` does; `never` and
/// `build` do not; `daily`, `weekly` and `every_…` do when it was last pulled longer ago; "", `missing` and
/// `if_not_present` when it is not here. `last_pulled` is RFC 3339. Errc::invalid for another word.
Result<bool> wants_pull(std::string_view policy, bool present, std::string_view last_pulled,
                        std::chrono::system_clock::time_point now);

/// "2d12h" of every_2d12h: w, d, h, m, s. Nothing when it is none.
std::optional<std::chrono::seconds> parse_every(std::string_view text);

/// One image to move.
struct Transfer {
  std::string image;
  std::string platform = {};  ///< "" = this machine's
  // Results:
  std::optional<Error> error = {};
  std::string digest = {};
  std::string image_id = {};
  bool changed = false;
};

/// Made at the first need: a command that stays offline reads no settings.
class Registries {
 public:
  explicit Registries(Context& context) : context_{context} {}

  /// Pulls (pushes) all, some at once, with progress unless `quiet`. Each transfer says how it went; the result is an
  /// error only when nothing could begin.
  Result<void> pull(std::vector<Transfer>& transfers, bool quiet);
  Result<void> push(std::vector<Transfer>& transfers, bool quiet);
  /// One image, for a build: its progress is shown among the others.
  Result<image::Image> pull_one(const std::string& image, const std::string& platform);
  /// The client itself, for the builder's caches.
  Result<image::registry::Registry*> client();
  /// The digest at the registry now.
  Result<std::string> resolve(const std::string& image);

 private:
  Result<void> open();
  Result<void> run(std::vector<Transfer>& transfers, bool quiet, bool push);
  void pull_into(Transfer& transfer, bool quiet);
  void push_into(Transfer& transfer, bool quiet);
  image::registry::TransferOptions options(const Transfer& transfer, bool quiet);
  void show(const Transfer& transfer, bool quiet, std::string text, ProgressEvent::Status status,
            std::string details = {});

  Context& context_;
  std::mutex mutex_;
  std::optional<image::Store> store_;
  std::unique_ptr<image::registry::Registry> registry_;
};

}  // namespace compose::cli
