#include "sys/file.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <utility>

#include "base/crash_point.hpp"
#include "sys/staged_file.hpp"

namespace compose::sys {

Result<std::string> read_all(int fd, std::size_t limit) {
  std::string data;
  struct stat status{};
  const bool sized = ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0;
  std::size_t room = sized ? static_cast<std::size_t>(status.st_size) + 1 : 4096;
  for (;;) {
    const std::size_t used = data.size();
    room = std::min(room, limit + 1 - used);
    data.resize(used + room);
    const ssize_t got = retry_eintr([&] { return ::read(fd, data.data() + used, room); });
    if (got < 0) return os_error("read");
    data.resize(used + static_cast<std::size_t>(got));
    if (got == 0) return data;
    if (data.size() > limit) return make_error(Errc::invalid, "larger than {} bytes", limit);
    // The end shows in what is left of the room; only a file that is larger than it said needs more.
    room -= static_cast<std::size_t>(got);
    if (room == 0) room = std::max<std::size_t>(4096, data.size());
  }
}

Result<std::string> read_file(const std::string& path, std::size_t limit) {
  const UniqueFd fd{retry_eintr([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC); })};
  if (!fd.valid()) return os_error("open {}", path);
  return read_all(fd.get(), limit).with("read {}", path);
}

Result<void> write_all(int fd, std::string_view data) {
  while (!data.empty()) {
    const ssize_t written = retry_eintr([&] { return ::write(fd, data.data(), data.size()); });
    if (written < 0) return os_error("write");
    data.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

namespace {

std::string parent_of(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Result<void> write_new_file(const std::string& path, std::string_view data, mode_t mode, bool durable) {
  const UniqueFd fd{::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)};
  if (!fd.valid()) return os_error("create {}", path);
  TRY(write_all(fd.get(), data).with("{}", path));
  if (::fchmod(fd.get(), mode) != 0) return os_error("chmod {}", path);  // whatever the umask is
  if (durable && ::fsync(fd.get()) != 0) return os_error("fsync {}", path);
  return {};
}

}  // namespace

StagedFile::StagedFile(std::string path, std::string temporary, Durability durability)
    : path_{std::move(path)}, temporary_{std::move(temporary)}, durability_{durability} {}

StagedFile::StagedFile(StagedFile&& other) noexcept
    : path_{std::move(other.path_)}, temporary_{std::exchange(other.temporary_, "")}, durability_{other.durability_} {}

StagedFile& StagedFile::operator=(StagedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(temporary_, other.temporary_);
  durability_ = other.durability_;
  return *this;
}

StagedFile::~StagedFile() {
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

Result<StagedFile> StagedFile::write(const std::string& path, std::string_view data, mode_t mode,
                                     Durability durability) {
  static std::atomic<unsigned> counter{0};
  StagedFile staged{path, fmt::format("{}.tmp-{}-{}", path, ::getpid(), counter++), durability};
  crash_point("write", path.c_str());
  TRY(write_new_file(staged.temporary_, data, mode, durability == Durability::durable));
  return staged;
}

Result<void> StagedFile::commit() {
  crash_point("rename", path_.c_str());
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) return os_error("rename {} to {}", temporary_, path_);
  temporary_.clear();
  crash_point("written", path_.c_str());
  if (durability_ == Durability::durable) {
    const UniqueFd folder{::open(parent_of(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (!folder.valid() || ::fsync(folder.get()) != 0) return os_error("fsync {}", parent_of(path_));
  }
  return {};
}

Result<void> write_file_atomic(const std::string& path, std::string_view data, mode_t mode, Durability durability) {
  TRY_ASSIGN(StagedFile staged, StagedFile::write(path, data, mode, durability));
  return staged.commit();
}

Result<void> write_kernel_file(const std::string& path, std::string_view data) {
  return write_kernel_file_at(AT_FDCWD, path, data);
}

Result<void> write_kernel_file_at(int directory, const std::string& path, std::string_view data) {
  const UniqueFd fd{::openat(directory, path.c_str(), O_WRONLY | O_CLOEXEC)};
  if (!fd.valid()) return os_error("open {}", path);
  const ssize_t written = retry_eintr([&] { return ::write(fd.get(), data.data(), data.size()); });
  if (written < 0) return os_error("write \"{}\" to {}", data, path);
  if (static_cast<std::size_t>(written) != data.size()) return make_error(Errc::failed, "short write to {}", path);
  return {};
}

Result<void> make_directories(const std::string& path, mode_t mode) {
  if (::mkdir(path.c_str(), mode) == 0) {
    crash_point("made", path.c_str());
    return {};
  }
  if (errno == EEXIST) return {};
  if (errno != ENOENT) return os_error("create directory {}", path);
  TRY(make_directories(parent_of(path), mode));
  if (::mkdir(path.c_str(), mode) == 0 || errno == EEXIST) return {};
  return os_error("create directory {}", path);
}

namespace {

Result<void> remove_entries(int directory_fd, const std::string& path);

Result<void> remove_entry(int parent, const char* name, const std::string& path) {
  if (::unlinkat(parent, name, 0) == 0 || errno == ENOENT) return {};
  if (errno != EISDIR && errno != EPERM) return os_error("remove {}", path);
  UniqueFd fd{::openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
  if (!fd.valid()) return os_error("remove {}", path);
  TRY(remove_entries(fd.release(), path));
  if (::unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT) return {};
  return os_error("remove {}", path);
}

Result<void> remove_entries(int directory_fd, const std::string& path) {
  const std::unique_ptr<DIR, int (*)(DIR*)> directory{::fdopendir(directory_fd), ::closedir};
  if (!directory) return os_error("open {}", path);
  while (const dirent* entry = ::readdir(directory.get())) {
    if (std::strcmp(entry->d_name, ".") == 0 || std::strcmp(entry->d_name, "..") == 0) continue;
    TRY(remove_entry(::dirfd(directory.get()), entry->d_name, path + "/" + entry->d_name));
    crash_point("removed", entry->d_name);
  }
  return {};
}

}  // namespace

Result<void> remove_tree(const std::string& path) {
  crash_point("remove", path.c_str());
  TRY(remove_entry(AT_FDCWD, path.c_str(), path));
  crash_point("removed", path.c_str());
  return {};
}

bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

Result<std::vector<std::string>> list_directory(const std::string& path) {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> directory{::opendir(path.c_str()), ::closedir};
  if (!directory) {
    if (errno == ENOENT) return names;
    return os_error("open directory {}", path);
  }
  while (const dirent* entry = ::readdir(directory.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

Result<UniqueFd> memfd_from(const char* name, std::string_view data) {
  UniqueFd fd{::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING)};
  if (!fd.valid()) return os_error("memfd_create {}", name);
  TRY(write_all(fd.get(), data).with("memfd {}", name));
  if (::lseek(fd.get(), 0, SEEK_SET) != 0) return os_error("lseek");
  if (::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0) {
    return os_error("seal memfd {}", name);
  }
  return fd;
}

}  // namespace compose::sys
