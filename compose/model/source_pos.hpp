#pragma once
// Where a value of the model was written.
#include <cstdint>
#include <string>

namespace compose::model {

/// A place in a Compose file. Lines and columns count from 1; columns count bytes. line 0: no place is known (a
/// default, or a value made by the loader).
struct SourcePos {
  std::string file;
  std::uint32_t line = 0;
  std::uint32_t column = 0;

  bool known() const { return line != 0; }
  /// "compose.yaml:3:7", or "" when nothing is known.
  std::string to_string() const;
  bool operator==(const SourcePos&) const = default;
};

}  // namespace compose::model
