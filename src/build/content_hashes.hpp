#pragma once
// Digests of a context's files, remembered by what the kernel says of each: device, inode, size and the times of its
// last change. A build with nothing changed then reads no file.
//
// Safe against edits that the times do not show: a digest is kept only when the file's last change is older than the
// coarsest time stamps in use (2 s, FAT), measured before it was read; ctime (which no program can set) is part of the
// key, and the file must be the same after reading as before.
#include <sys/stat.h>

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>

#include "base/error.hpp"

namespace compose::build {

class ContentHashes {
 public:
  /// `file` is where they are kept; one that is missing, of another version or damaged is the same as an empty one.
  explicit ContentHashes(std::string file);

  /// SHA-256 of a regular file's content, 64 digits. `status` is what lstat said of `path`. From several threads.
  Result<std::string> digest(const std::string& path, const struct stat& status);

  /// Writes what was learned, if anything was. What it cannot write is only lost time.
  Result<void> save();

  std::uint64_t files_read() const { return files_read_; }

 private:
  using Key = std::array<std::uint64_t, 7>;  ///< device, inode, size, mtime (s, ns), ctime (s, ns)
  using Value = std::array<unsigned char, 32>;
  struct Entry {
    Value digest{};
    bool used = false;
  };
  static Key key_of(const struct stat& status);
  void load();

  std::string file_;
  std::mutex mutex_;
  std::map<Key, Entry> entries_;
  bool changed_ = false;
  std::uint64_t files_read_ = 0;
};

}  // namespace compose::build
