#include "runtime/monitor/respawn.hpp"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/timerfd.h>
#include <time.h>

#include "base/unique_fd.hpp"
#include "sys/lock.hpp"
#include "sys/process.hpp"

namespace compose::runtime::monitor {
namespace {

constexpr std::int64_t kWindow = 60'000;
constexpr std::size_t kMostAttempts = 5;
constexpr int kLockFd = 3;

std::int64_t now_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1'000'000;
}

void arm(int timer, int milliseconds) {
  itimerspec when{};
  when.it_value.tv_sec = milliseconds / 1000;
  when.it_value.tv_nsec = (milliseconds % 1000) * 1'000'000L;
  ::timerfd_settime(timer, 0, &when, nullptr);
}

}  // namespace

Respawner::Respawner(std::vector<std::string> argv, std::string lock_path)
    : argv_{std::move(argv)}, lock_path_{std::move(lock_path)} {}

bool Respawner::lost(int timer) {
  if (argv_.empty() || lock_path_.empty()) return false;
  std::uint16_t random = 0;
  (void)!::getrandom(&random, sizeof random, 0);
  arm(timer, 50 + random % 450);
  return true;
}

bool Respawner::try_respawn(int timer) {
  auto lock = sys::FileLock::try_acquire(lock_path_);
  if (!lock) return false;  // the project's directory is gone: nobody wants us
  if (!*lock) {
    // Its holder will find us; look again in case it dies before that.
    arm(timer, 2000);
    return true;
  }
  const std::int64_t now = now_ms();
  while (!attempts_.empty() && attempts_.front() < now - kWindow) attempts_.pop_front();
  if (attempts_.size() >= kMostAttempts) return false;
  attempts_.push_back(now);
  const UniqueFd null{::open("/dev/null", O_RDWR | O_CLOEXEC)};
  sys::SpawnOptions options;
  options.program = argv_.front();
  options.arguments = argv_;
  options.arguments.insert(options.arguments.end(), {"--lock-fd", std::to_string(kLockFd)});
  options.fds = {{null.get(), 0}, {null.get(), 1}, {null.get(), 2}, {(*lock)->fd(), kLockFd}};
  options.new_session = true;
  // The child is reaped with all others; a program that is not there counts as an attempt.
  (void)sys::spawn(options);
  arm(timer, 2000);
  return true;
}

}  // namespace compose::runtime::monitor
