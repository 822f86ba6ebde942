#pragma once
// One log file: its lines forwards from an offset, and where its last n lines begin.
#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/unique_fd.hpp"

namespace compose::state {

/// Reads whole lines of a file that may still grow; a line without its newline is kept for later.
class LineReader {
 public:
  LineReader() = default;
  LineReader(UniqueFd file, off_t offset) : file_{std::move(file)}, offset_{offset} {}

  /// The next complete line without its newline, valid until the next call. False: none so far.
  Result<bool> next(std::string_view& line);
  int fd() const { return file_.get(); }

 private:
  UniqueFd file_;
  off_t offset_ = 0;  // in the file, of what follows the buffer
  std::string buffer_;
  std::size_t begin_ = 0;  // of what next() has not given yet
};

/// Where the last `wanted` lines of the file begin; `wanted` is lowered by the lines found. Pieces of a partial line
/// count as the one line they are.
Result<off_t> tail_offset(int file, std::size_t& wanted);

/// log, log.1, log.2 … as they exist now, newest first.
Result<std::vector<UniqueFd>> open_log_files(const std::string& log_path);

}  // namespace compose::state
