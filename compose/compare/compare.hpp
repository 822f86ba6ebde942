#pragma once
// What differs between projects (staging and production, say), value by value, with the places they were written at.
// Pure.
#include <string>
#include <vector>

#include "compose/load/load.hpp"

namespace compose::compare {

struct Cell {
  bool there = false;
  std::string
      value;  ///< as JSON, a text without its quotes; secret-looking values are not hidden: they are in the files
  std::string place;  ///< "prod.yaml:3:7", "" for what the loader made
  bool operator==(const Cell&) const = default;
};

struct Row {
  std::string section;      ///< "service web", "network back", "volume data", "secret …", "config …", "project"
  std::string setting;      ///< "environment.DEBUG", "ports[0].published"; "" = the whole section is on some sides only
  std::vector<Cell> cells;  ///< one for each side
};

/// Every value that is not the same on all sides, in the order of the keys. The project's name and what is made from it
/// (names of networks and volumes) do not count. Sequences are compared by what they hold when their order means
/// nothing (ports, volumes, secrets, configs, networks, cap_add …), else by position.
std::vector<Row> compare(const std::vector<const load::LoadResult*>& sides);

}  // namespace compose::compare
