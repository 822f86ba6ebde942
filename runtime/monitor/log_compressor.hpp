#pragma once
// Compresses older log files (log.2 -> log.2.gz; log.1 is left as it is, readers are likely to be at it) in a process
// of its own, with the lowest priority: the container's output never waits for it and the monitor stays small.
#include <sys/types.h>

#include <string>

namespace compose::runtime::monitor {

class LogCompressor {
 public:
  explicit LogCompressor(bool wanted) : wanted_{wanted} {}
  ~LogCompressor() { stop(); }
  LogCompressor(const LogCompressor&) = delete;
  LogCompressor& operator=(const LogCompressor&) = delete;

  /// Begins with what there is to compress among `path`.2 … Does nothing when it cannot: then the files stay as they
  /// are, which readers take as well.
  void start(const std::string& path, int max_files);
  /// Ends it at once, before files are renamed; what it was at stays uncompressed.
  void stop();

 private:
  bool wanted_;
  pid_t pid_ = 0;
  std::string path_;
  int max_files_ = 0;
};

/// Writes `from` to `to` as gzip (RFC 1952) and removes `from`. The comment in the file's header is "inode N", the
/// number of the original: by it a reader that was at it knows where it is. Durable before the original goes.
bool compress_log(const std::string& from, const std::string& to);

}  // namespace compose::runtime::monitor
