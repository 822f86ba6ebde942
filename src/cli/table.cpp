#include "cli/table.hpp"

#include <algorithm>

#include "base/strings.hpp"
#include "cli/terminal.hpp"

namespace compose::cli {
namespace {

constexpr std::size_t kGap = 3;

std::string render_rows(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (i == widths.size()) widths.push_back(0);
      widths[i] = std::max(widths[i], display_width(row[i]));
    }
  std::string text;
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      text += row[i];
      if (i + 1 < row.size()) text.append(widths[i] - display_width(row[i]) + kGap, ' ');
    }
    text += '\n';
  }
  return text;
}

}  // namespace

std::string Table::render() const {
  std::vector<std::vector<std::string>> all{header_};
  all.insert(all.end(), rows_.begin(), rows_.end());
  return render_rows(all);
}

std::string align_tabs(const std::string& text) {
  std::vector<std::vector<std::string>> rows;
  for (const std::string& line : split(text, '\n')) rows.push_back(split(line, '\t'));
  if (text.ends_with('\n')) rows.pop_back();
  return render_rows(rows);
}

}  // namespace compose::cli
