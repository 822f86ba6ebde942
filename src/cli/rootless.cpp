#include "cli/rootless.hpp"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "base/strings.hpp"
#include "cli/rootless_world.hpp"
#include "sys/file.hpp"
#include "sys/process.hpp"

namespace compose::cli::rootless {
namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

/// The folder of a user's own files in /tmp must be nobody else's.
Result<void> check_owner(const std::string& folder) {
  struct stat status{};
  if (::stat(folder.c_str(), &status) != 0) return os_error("{}", folder);
  if (status.st_uid != ::getuid()) {
    return make_error(Errc::permission, "{} belongs to somebody else; set COMPOSE_RUN_ROOT to a folder of yours",
                      folder);
  }
  return {};
}

Result<UniqueFd> keeper_of(const WorldFiles& files, const UniqueFd& lock) {
  for (;;) {
    if (::flock(lock.get(), LOCK_SH) != 0) return os_error("lock {}", files.lock());
    if (auto keeper = find_keeper(files)) return keeper;
    if (::flock(lock.get(), LOCK_EX) != 0) return os_error("lock {}", files.lock());
    if (!find_keeper(files)) {
      // Held until the world is there; the next turn shares it.
      TRY(make_world(files));
    }
  }
}

Result<void> enter(const UniqueFd& keeper) {
  char* folder = ::getcwd(nullptr, 0);
  const std::string cwd = folder == nullptr ? "/" : folder;
  std::free(folder);  // NOLINT: getcwd's allocation
  if (::setns(keeper.get(), CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWIPC) != 0) {
    return os_error("enter the user's own namespaces");
  }
  if (::setresgid(0, 0, 0) != 0 || ::setresuid(0, 0, 0) != 0) return os_error("become root of the user namespace");
  if (::chdir(cwd.c_str()) != 0) return os_error("enter {}", cwd);
  return {};
}

/// What the terminal sends reaches the command as well as us; what somebody sends to us alone is passed on.
int stand_in_for(pid_t child) {
  sigset_t all;
  ::sigfillset(&all);
  for (;;) {
    siginfo_t info{};
    const int signo = ::sigwaitinfo(&all, &info);
    if (signo < 0) continue;
    if (signo != SIGCHLD) {
      if (info.si_code <= 0) ::kill(child, signo);
      continue;
    }
    int status = 0;
    if (::waitpid(child, &status, WNOHANG | WUNTRACED) != child) continue;
    if (WIFSTOPPED(status)) {
      ::kill(::getpid(), SIGSTOP);
      ::kill(child, SIGCONT);
      continue;
    }
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  }
}

}  // namespace

bool needed() { return ::geteuid() != 0; }

std::string default_root() {
  const std::string data = environment("XDG_DATA_HOME");
  return (data.starts_with('/') ? data : environment("HOME") + "/.local/share") + "/compose";
}

std::string default_run_root() {
  std::string folder = environment("XDG_RUNTIME_DIR");
  if (!folder.starts_with('/')) folder = fmt::format("/run/user/{}", ::getuid());
  if (::access(folder.c_str(), W_OK) == 0) return folder + "/compose";
  return fmt::format("/tmp/compose-{}", ::getuid());
}

std::optional<IdRange> subordinate_ids(std::string_view text, std::string_view user, std::uint64_t uid) {
  for (const auto& line : split(text, '\n')) {
    const auto fields = split(trim(line), ':');
    if (fields.size() != 3 || (fields[0] != user && fields[0] != std::to_string(uid))) continue;
    const auto first = parse_unsigned(fields[1]);
    const auto count = parse_unsigned(fields[2]);
    if (first && count && *first > 0 && *count > 0 && *first + *count <= 0xFFFFFFFF) return IdRange{*first, *count};
  }
  return std::nullopt;
}

Result<int> run(const std::string& run_root, const std::function<int()>& inside) {
  const WorldFiles files{run_root};
  TRY(sys::make_directories(files.folder, 0700));
  TRY(check_owner(run_root));
  const UniqueFd lock{::open(files.lock().c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
  if (!lock.valid()) return os_error("open {}", files.lock());
  TRY_ASSIGN(const UniqueFd keeper, keeper_of(files, lock));
  ::setenv("COMPOSE_PORT_FORWARDER", files.forwarder().c_str(), 1);
  TRY(enter(keeper));

  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, &before);
  std::fflush(nullptr);
  const pid_t child = ::fork();  // only children are in the pid namespace
  if (child < 0) return os_error("fork");
  if (child == 0) {
    ::sigprocmask(SIG_SETMASK, &before, nullptr);
    std::exit(inside());
  }
  const int code = stand_in_for(child);
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  return code;
}

}  // namespace compose::cli::rootless
