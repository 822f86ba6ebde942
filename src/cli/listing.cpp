#include "cli/listing.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cli/go_template.hpp"
#include "cli/table.hpp"

namespace compose::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string cell(const Json& row, const std::string& field) {
  const auto found = row.find(field);
  if (found == row.end() || found->is_null()) return {};
  return found->is_string() ? found->get<std::string>() : found->dump();
}

std::string upper(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
  return text;
}

Json without(Json row, const std::vector<std::string>& fields) {
  for (const std::string& field : fields) row.erase(field);
  return row;
}

std::string render_json(const Listing& listing, const std::vector<Json>& rows) {
  const auto dump = [](const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n"; };
  std::string text;
  Json all = Json::array();
  for (const Json& row : rows) {
    if (listing.json == JsonShape::array) {
      all.push_back(without(row, listing.display_only));
    } else {
      text += dump(without(row, listing.display_only));
    }
  }
  return listing.json == JsonShape::array ? dump(all) : text;
}

Result<std::string> render_template_table(const Listing& listing, const std::string& format,
                                          const std::vector<Json>& rows) {
  Json headings = Json::object();
  if (!rows.empty())
    for (const auto& [field, value] : rows.front().items()) headings[field] = upper(field);
  for (const auto& [heading, field] : listing.columns) headings[field] = heading;
  for (const auto& [heading, field] : listing.headings) headings[field] = heading;
  std::string text;
  TRY_ASSIGN(text, render_template(format, headings));
  text += "\n";
  for (const Json& row : rows) {
    TRY_ASSIGN(const std::string line, render_template(format, row));
    text += line + "\n";
  }
  return align_tabs(text);
}

}  // namespace

Result<std::string> render_listing(const Listing& listing, const std::string& format, const std::vector<Json>& rows) {
  if (format.empty() || format == "table") {
    std::vector<std::string> header;
    for (const auto& [heading, field] : listing.columns) header.push_back(heading);
    Table table{std::move(header)};
    for (const Json& row : rows) {
      std::vector<std::string> cells;
      for (const auto& [heading, field] : listing.columns) cells.push_back(cell(row, field));
      table.add(std::move(cells));
    }
    return table.render();
  }
  if (format == "json") return render_json(listing, rows);
  if (format.starts_with("table ")) return render_template_table(listing, format.substr(6), rows);
  std::string text;
  for (const Json& row : rows) {
    TRY_ASSIGN(const std::string line, render_template(format, row));
    text += line + "\n";
  }
  return text;
}

}  // namespace compose::cli
