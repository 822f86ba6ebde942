#pragma once
// Rows a command lists, as a table, JSON or through a template: what --format chooses.
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"

namespace compose::cli {

enum class JsonShape : std::uint8_t { lines /*one object a line*/, array };

struct Listing {
  /// The table's columns: heading and the row's field; a column may be any field of the rows.
  std::vector<std::pair<std::string, std::string>> columns;
  /// Headings for `--format "table …"` of fields that are no column; else the field's name in capitals.
  std::vector<std::pair<std::string, std::string>> headings = {};
  JsonShape json = JsonShape::lines;
  /// Fields that only tables and templates see, e.g. "2 minutes ago" beside the time itself.
  std::vector<std::string> display_only = {};
};

/// "" and "table": the table; "json"; "table TEMPLATE"; anything else is a template per row.
Result<std::string> render_listing(const Listing& listing, const std::string& format,
                                   const std::vector<nlohmann::ordered_json>& rows);

}  // namespace compose::cli
