#pragma once
// The texts one load has read, by number, so that a Place can be shown to people.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "yaml/value.hpp"

namespace compose::load {

using yaml::Place;

struct Source {
  std::string name;  ///< as people see it: relative to the working directory where that is shorter
  std::string path;  ///< absolute, or "-"
  std::string text;
};

class Sources {
 public:
  /// Keeps the text; the number goes into every Place of it.
  std::uint32_t add(std::string name, std::string path, std::string text);
  /// nullptr for number 0 and unknown ones.
  const Source* get(std::uint32_t number) const;
  std::string_view text(std::uint32_t number) const;
  /// "compose.yaml:3:7", or "" for a place that is nowhere.
  std::string describe(const Place& place) const;
  /// The line of a place, without its line break.
  std::string_view line(const Place& place) const;

 private:
  std::vector<Source> sources_;
};

}  // namespace compose::load
