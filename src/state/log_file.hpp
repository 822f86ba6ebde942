#pragma once
// The files of one log: their lines forwards from a place, where their last n lines begin, compressed ones as well.
#include <sys/stat.h>
#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/unique_fd.hpp"
#include "state/log_reader.hpp"

namespace compose::state {

/// One file of a log, plain or gzip.
struct LogPart {
  UniqueFd file;
  ino_t inode = 0;  ///< of the file as it was written: a compressed one tells what it was
  bool compressed = false;
  timespec modified{};
};

/// log, log.1, log.2.gz … as they exist now, newest first.
Result<std::vector<LogPart>> open_log_parts(const std::string& log_path);

/// Where to begin in a part.
struct LogStart {
  off_t offset = 0;       ///< plain files
  std::size_t lines = 0;  ///< whole lines to leave out from there
};

/// Reads whole lines of a part that may still grow; a line without its newline is kept for later.
class LineReader {
 public:
  LineReader();
  LineReader(LogPart part, LogStart start);
  LineReader(LineReader&&) noexcept;
  LineReader& operator=(LineReader&&) noexcept;
  ~LineReader();

  /// The next complete line without its newline, valid until the next call. False: none so far.
  Result<bool> next(std::string_view& line);
  bool open() const { return part_.file.valid(); }
  ino_t inode() const { return part_.inode; }

 private:
  struct Inflater;
  Result<std::size_t> fill();
  Result<bool> take(std::string_view& line);
  LogPart part_;
  off_t offset_ = 0;      // in the file, of what has not been read
  std::size_t skip_ = 0;  // lines that are left out yet
  std::unique_ptr<Inflater> inflater_;
  std::string buffer_;
  std::size_t begin_ = 0, end_ = 0;  // of what next() has not given yet
};

/// Where the last `wanted` lines of the part begin; `wanted` is lowered by the lines found. Pieces of a partial line
/// count as the one line they are.
Result<LogStart> tail_start(const LogPart& part, std::size_t& wanted);

/// A place before the first line that is not older than `since`, found by bisection (times grow with the file).
Result<LogStart> since_start(const LogPart& part, Time since);

/// The parts that a query needs, newest first, and where to begin in each.
struct LogView {
  std::vector<LogPart> parts;
  std::vector<LogStart> starts;
};
Result<LogView> select_parts(const std::string& log_path, const LogQuery& query);

}  // namespace compose::state
