#pragma once
// What the stages of one load share.
#include <cstdint>
#include <string>
#include <vector>

#include "compose/load/diagnostics.hpp"
#include "compose/load/environment.hpp"
#include "compose/load/file_source.hpp"
#include "compose/load/options.hpp"
#include "compose/load/sources.hpp"
#include "yaml/value.hpp"

namespace compose::load {

using yaml::Entry;
using yaml::Kind;
using yaml::Mapping;
using yaml::Sequence;
using yaml::Value;

/// One step on a value's way: what happened to it and, where another text had a part in it, that place.
struct Trace {
  std::uint32_t previous = 0;  ///< the step before, 0: the value as written
  std::string rule;            ///< "interpolated", "replaces", "appended", "extends", "include", "default", ...
  std::string detail;          ///< for people
  Place place;                 ///< of the other text, when there is one
};

class Traces {
 public:
  explicit Traces(bool enabled) : enabled_{enabled} {}
  bool enabled() const { return enabled_; }
  /// Puts a step on top of the value's steps. Nothing when disabled.
  void add(Value& value, std::string rule, std::string detail = {}, Place place = {}) {
    if (!enabled_) return;
    steps_.push_back({value.trace, std::move(rule), std::move(detail), place});
    value.trace = static_cast<std::uint32_t>(steps_.size());
  }
  const Trace* get(std::uint32_t number) const { return number == 0 ? nullptr : &steps_[number - 1]; }

 private:
  bool enabled_;
  std::vector<Trace> steps_;
};

struct Session {
  const Options& options;
  FileSource& files;
  Sources sources;
  Diagnostics diagnostics;
  Traces traces;
  std::size_t ports_made = 0;  ///< by short forms: a range is a short text and many ports

  /// Reports an error at a value, once: the value is marked broken so that later stages stay silent about it.
  Diagnostic& fail(Value& value, const Path& path, std::string message, std::string hint = {}) {
    value.broken = true;
    return diagnostics.error(value.place, path.to_string(), std::move(message), std::move(hint));
  }
};

}  // namespace compose::load
