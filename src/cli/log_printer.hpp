#pragma once
// Containers' lines with their prefixes, as `logs` and an attached `up` show them.
#include <array>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "state/log_reader.hpp"
#include "state/records.hpp"

namespace compose::cli {

struct LogStyle {
  bool prefix = true;
  bool colour = false;
  bool timestamps = false;
};

/// Writes to standard output and standard error what the containers wrote there. Lines gather until flush().
class LogPrinter {
 public:
  explicit LogPrinter(LogStyle style) : style_{style} {}
  ~LogPrinter() { finish(); }
  LogPrinter(const LogPrinter&) = delete;
  LogPrinter& operator=(const LogPrinter&) = delete;

  /// Fixes the prefix's width and colour before its first line; names in the order they should get their colours.
  void announce(const std::string& name);
  /// false: as flush().
  bool line(const state::ContainerRecord& container, const state::LogLine& line);
  /// A line of our own about a container: "web-1 exited with code 0".
  void status(std::string_view text);
  /// Writes what has no end of line yet, as a line; then as flush().
  void finish();
  /// false: standard output is closed, nobody reads any more.
  bool flush();

 private:
  struct Source {
    std::string name;
    std::array<std::string, 2> open;  ///< of each stream, a line without its end
  };
  const std::string& prefix_of(const std::string& name);
  Source& source_of(const state::ContainerRecord& container);
  void choose(bool to_stderr);

  LogStyle style_;
  std::size_t width_ = 0;
  std::map<std::string, std::string> colours_;
  std::map<std::string, std::string> prefixes_;
  std::map<std::string, Source> sources_;  ///< by container id
  std::string last_id_;
  Source* last_ = nullptr;
  std::string pending_;
  bool pending_stderr_ = false;
  bool closed_ = false;
};

}  // namespace compose::cli
