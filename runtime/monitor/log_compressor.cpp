#include "runtime/monitor/log_compressor.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include <array>

#include "base/error.hpp"
#include "base/unique_fd.hpp"
#include "sys/file.hpp"

namespace compose::runtime::monitor {
namespace {

constexpr int kWindow = 15 + 16;  // zlib: the largest window, and a gzip header

/// One whole file; false: an error of the disk.
bool deflate_file(int from, int to, z_stream& stream) {
  std::array<unsigned char, 16384> in{}, out{};
  for (int flush = Z_NO_FLUSH; flush != Z_FINISH;) {
    const ssize_t size = retry_eintr([&] { return ::read(from, in.data(), in.size()); });
    if (size < 0) return false;
    flush = size == 0 ? Z_FINISH : Z_NO_FLUSH;
    stream.next_in = in.data();
    stream.avail_in = static_cast<uInt>(size);
    do {
      stream.next_out = out.data();
      stream.avail_out = static_cast<uInt>(out.size());
      ::deflate(&stream, flush);
      const std::string_view piece{reinterpret_cast<const char*>(out.data()), out.size() - stream.avail_out};
      if (!sys::write_all(to, piece)) return false;
    } while (stream.avail_out == 0);
  }
  return true;
}

[[noreturn]] void compress_all(const std::string& path, int max_files) {
  ::prctl(PR_SET_NAME, "compose-logz");
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // the folder may be removed as soon as the monitor has gone
  ::setpriority(PRIO_PROCESS, 0, 19);
  for (int i = max_files - 1; i >= 2; --i) {
    const std::string from = fmt::format("{}.{}", path, i);
    if (::access(from.c_str(), R_OK) == 0) compress_log(from, from + ".gz");
  }
  ::_exit(0);
}

}  // namespace

bool compress_log(const std::string& from, const std::string& to) {
  const UniqueFd source{::open(from.c_str(), O_RDONLY | O_CLOEXEC)};
  struct stat status{};
  if (!source.valid() || ::fstat(source.get(), &status) != 0) return false;
  const std::string temporary = to + ".tmp";
  const UniqueFd target{::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0640)};
  if (!target.valid()) return false;
  z_stream stream{};
  if (::deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, kWindow, 8, Z_DEFAULT_STRATEGY) != Z_OK) return false;
  std::string comment = fmt::format("inode {}", status.st_ino);
  gz_header header{};
  header.comment = reinterpret_cast<Bytef*>(comment.data());
  header.time = static_cast<uLong>(status.st_mtime);
  header.os = 3;  // Unix
  ::deflateSetHeader(&stream, &header);
  bool done = deflate_file(source.get(), target.get(), stream);
  ::deflateEnd(&stream);
  const std::array<timespec, 2> times{status.st_atim, status.st_mtim};
  done = done && ::futimens(target.get(), times.data()) == 0 && ::fsync(target.get()) == 0 &&
         ::rename(temporary.c_str(), to.c_str()) == 0;
  ::unlink(done ? from.c_str() : temporary.c_str());
  return done;
}

void LogCompressor::start(const std::string& path, int max_files) {
  if (!wanted_) return;
  const pid_t pid = ::fork();
  if (pid == 0) {
    sigset_t none{};
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    // Sockets, pipes and the terminal are the monitor's: nobody is to wait for a compression to see them closed.
    ::close_range(3, ~0U, 0);
    compress_all(path, max_files);
  }
  pid_ = pid > 0 ? pid : 0;
  path_ = path;
  max_files_ = max_files;
}

void LogCompressor::stop() {
  if (pid_ == 0) return;
  // The main loop may have reaped it already; then the number is no child of ours any more and nothing is killed.
  if (::waitpid(pid_, nullptr, WNOHANG) == 0) {
    ::kill(pid_, SIGKILL);
    retry_eintr([&] { return ::waitpid(pid_, nullptr, 0); });
    for (int i = 2; i < max_files_; ++i) ::unlink(fmt::format("{}.{}.gz.tmp", path_, i).c_str());
  }
  pid_ = 0;
}

}  // namespace compose::runtime::monitor
