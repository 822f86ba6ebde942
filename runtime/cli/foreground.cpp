#include "runtime/cli/foreground.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <optional>
#include <string_view>

#include "sys/file.hpp"
#include "sys/message.hpp"
#include "sys/process.hpp"

namespace compose::runtime::cli {
namespace {

sigset_t forwarded() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signo : {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT, SIGCHLD, SIGPIPE}) {
    ::sigaddset(&set, signo);
  }
  return set;
}

/// Our terminal passes every key through as long as this lives.
class RawTerminal {
 public:
  RawTerminal() {
    if (::tcgetattr(0, &saved_) != 0) return;
    termios raw = saved_;
    ::cfmakeraw(&raw);
    raw.c_oflag |= OPOST;  // our terminal ends the lines, see launch::Options::relayed_terminal
    active_ = ::tcsetattr(0, TCSANOW, &raw) == 0;
  }
  ~RawTerminal() {
    if (active_) ::tcsetattr(0, TCSANOW, &saved_);
  }
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;

 private:
  termios saved_{};
  bool active_ = false;
};

void copy_size(int terminal) {
  winsize size{};
  if (::ioctl(0, TIOCGWINSZ, &size) == 0) ::ioctl(terminal, TIOCSWINSZ, &size);
}

/// Moves what is there; false at the end of the source.
bool copy_some(int from, int to) {
  std::array<char, 4096> buffer{};
  const ssize_t size = retry_eintr([&] { return ::read(from, buffer.data(), buffer.size()); });
  if (size <= 0) return size < 0 && errno == EAGAIN;
  return sys::write_all(to, std::string_view{buffer.data(), static_cast<std::size_t>(size)}).ok();
}

bool has_data(int fd) {
  pollfd poll{fd, POLLIN, 0};
  return ::poll(&poll, 1, 0) > 0 && (poll.revents & POLLIN) != 0;
}

}  // namespace

void block_signals() {
  const sigset_t set = forwarded();
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
}

Result<int> wait_in_foreground(pid_t pid, int pidfd, UniqueFd terminal) {
  const sigset_t set = forwarded();
  const UniqueFd signals{::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)};
  if (!signals.valid()) return os_error("signalfd");
  std::optional<RawTerminal> raw;
  bool input_open = terminal.valid();
  if (terminal.valid()) {
    raw.emplace();
    copy_size(terminal.get());
  }
  for (;;) {
    std::array<pollfd, 4> polls{{{pidfd, POLLIN, 0},
                                 {signals.get(), POLLIN, 0},
                                 {terminal.get(), POLLIN, 0},
                                 {input_open ? 0 : -1, POLLIN, 0}}};
    if (::poll(polls.data(), polls.size(), -1) < 0 && errno != EINTR) return os_error("poll");
    signalfd_siginfo info{};
    while (::read(signals.get(), &info, sizeof info) == sizeof info) {
      const int signo = static_cast<int>(info.ssi_signo);
      if (signo == SIGWINCH && terminal.valid()) copy_size(terminal.get());
      if (signo != SIGCHLD && signo != SIGPIPE && signo != SIGWINCH) (void)sys::send_signal(pidfd, signo);
    }
    // Only the terminal's hang-up, not the end of our input, ends the relay.
    if (polls[2].revents != 0 && !copy_some(terminal.get(), 1)) terminal.reset();
    if (input_open && polls[3].revents != 0) {
      const bool more = terminal.valid() && copy_some(0, terminal.get());
      if (!more) {
        input_open = false;
        const char end_of_transmission = 4;
        if (terminal.valid()) (void)!::write(terminal.get(), &end_of_transmission, 1);
      }
    }
    if ((polls[0].revents & POLLIN) != 0) break;
  }
  while (terminal.valid() && has_data(terminal.get()) && copy_some(terminal.get(), 1)) {
  }
  TRY_ASSIGN(const sys::ExitStatus status, sys::wait_child(pid));
  return status.code;
}

Result<void> send_pidfd(const std::string& path, int pidfd) {
  TRY_ASSIGN(const UniqueFd socket, sys::connect_unix(path, SOCK_STREAM).with("--pidfd-socket"));
  const std::array<int, 1> fds{pidfd};
  return sys::send_message(socket.get(), "pidfd", fds).with("--pidfd-socket");
}

Result<void> send_to_console_socket(const std::string& path, const UniqueFd& terminal) {
  TRY_ASSIGN(const UniqueFd socket, sys::connect_unix(path, SOCK_STREAM).with("console socket"));
  const std::array<int, 1> fds{terminal.get()};
  return sys::send_message(socket.get(), "/dev/pts/0", fds).with("console socket");
}

void own_terminal_size(std::uint16_t& rows, std::uint16_t& columns) {
  winsize size{};
  if (::ioctl(0, TIOCGWINSZ, &size) != 0) return;
  rows = size.ws_row;
  columns = size.ws_col;
}

}  // namespace compose::runtime::cli
