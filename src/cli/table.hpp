#pragma once
// Tables as Docker prints them: columns padded with blanks, three between them, none after the last.
#include <string>
#include <vector>

namespace compose::cli {

class Table {
 public:
  explicit Table(std::vector<std::string> header) : header_{std::move(header)} {}
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  bool empty() const { return rows_.empty(); }
  /// The header's line, then one line per row.
  std::string render() const;

 private:
  std::vector<std::string> header_;
  std::vector<std::vector<std::string>> rows_;
};

/// As Table without a header of its own: text with tabs, aligned as Go's tabwriter does with a padding of 3 blanks.
std::string align_tabs(const std::string& text);

}  // namespace compose::cli
