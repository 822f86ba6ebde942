#pragma once
// `compose doctor`: tries everything that containers need of this host and says what is missing and what to do.
// Whatever it tries, it tries in namespaces of its own that end with it; nothing stays.
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "state/paths.hpp"

namespace compose::container::doctor {

enum class Status : std::uint8_t {
  ok,
  warning,  ///< something works less well or only some files need it
  missing,  ///< containers cannot be run
};

struct Check {
  std::string name;  ///< "overlayfs"
  Status status = Status::ok;
  std::string detail;  ///< what was found, or how the attempt failed
  std::string remedy;  ///< what to do; "" when ok
  bool operator==(const Check&) const = default;
};

/// All checks, in a fixed order. Takes a few milliseconds; needs no rights itself (it then names those that lack).
std::vector<Check> examine(const state::Paths& paths);

/// Whether containers can be run: nothing is missing.
bool healthy(std::span<const Check> checks);

/// One line each, with the remedy on a second one.
std::string to_text(std::span<const Check> checks);
/// [{"name","status":"ok|warning|missing","detail","remedy"},…]
std::string to_json(std::span<const Check> checks);

}  // namespace compose::container::doctor
