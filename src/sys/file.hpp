#pragma once
// Files and directories: whole-file reads and writes, trees, memfds.
#include <sys/types.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/unique_fd.hpp"

namespace compose::sys {

inline constexpr std::size_t kReadLimit = std::size_t{64} << 20;

/// The whole file; an error when it is larger than `limit` bytes (so that /dev/zero cannot eat the memory).
Result<std::string> read_file(const std::string& path, std::size_t limit = kReadLimit);
/// The rest of an open file.
Result<std::string> read_all(int fd, std::size_t limit = kReadLimit);
/// Writes all bytes, over short writes and signals.
Result<void> write_all(int fd, std::string_view data);

/// atomic: a reader sees the old or the new content, but a power cut may lose it.
/// durable: as atomic, and fsync of file and folder before it returns: only where something is promised.
enum class Durability { atomic, durable };
/// Temporary file beside `path`, then rename(2).
Result<void> write_file_atomic(const std::string& path, std::string_view data, mode_t mode = 0644,
                               Durability durability = Durability::atomic);
/// Writes in place (kernel files such as sysctls and cgroup files): one write(2), no create.
Result<void> write_kernel_file(const std::string& path, std::string_view data);
Result<void> write_kernel_file_at(int directory, const std::string& path, std::string_view data);

/// mkdir -p; directories that exist are fine.
Result<void> make_directories(const std::string& path, mode_t mode = 0755);
/// rm -r without following symbolic links; a path that is not there is fine.
Result<void> remove_tree(const std::string& path);
bool exists(const std::string& path);
/// Names in a directory but "." and "..", sorted; an empty list when there is no such directory.
Result<std::vector<std::string>> list_directory(const std::string& path);

/// An anonymous file with `data`, positioned at 0, sealed against change.
Result<UniqueFd> memfd_from(const char* name, std::string_view data);

}  // namespace compose::sys
