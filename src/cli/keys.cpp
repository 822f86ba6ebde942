#include "cli/keys.hpp"

#include <poll.h>
#include <unistd.h>

#include <string>
#include <utility>

#include "cli/terminal.hpp"
#include "sys/file.hpp"

namespace compose::cli {

Keys Keys::open(bool wanted) {
  Keys keys;
  if (!wanted || !is_terminal(STDIN_FILENO) || !is_terminal(STDOUT_FILENO)) return keys;
  if (::tcgetpgrp(STDIN_FILENO) != ::getpgrp()) return keys;  // in the background reading would stop us
  termios settings{};
  if (::tcgetattr(STDIN_FILENO, &settings) != 0) return keys;
  termios single = settings;
  single.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
  single.c_cc[VMIN] = 1;
  single.c_cc[VTIME] = 0;
  if (::tcsetattr(STDIN_FILENO, TCSANOW, &single) != 0) return keys;
  keys.saved_ = settings;
  return keys;
}

Keys::Keys(Keys&& other) noexcept
    : saved_{std::exchange(other.saved_, {})}, shown_{std::exchange(other.shown_, false)} {}

Keys& Keys::operator=(Keys&& other) noexcept {
  close();
  saved_ = std::exchange(other.saved_, {});
  shown_ = std::exchange(other.shown_, false);
  return *this;
}

void Keys::close() {
  if (!saved_) return;
  hide_menu();
  ::tcsetattr(STDIN_FILENO, TCSANOW, &*saved_);
  saved_.reset();
}

char Keys::next() {
  if (!saved_) return 0;
  pollfd polled{STDIN_FILENO, POLLIN, 0};
  char key = 0;
  if (::poll(&polled, 1, 0) != 1 || ::read(STDIN_FILENO, &key, 1) != 1) return 0;
  return key;
}

void Keys::hide_menu() {
  if (!shown_) return;
  shown_ = false;
  static_cast<void>(sys::write_all(STDOUT_FILENO, "\r\x1b[2K").ok());
}

void Keys::show_menu() {
  if (!saved_ || shown_) return;
  const int columns = terminal_size(STDOUT_FILENO).columns;
  if (columns < 10) return;
  shown_ = true;
  const std::string_view text =
      clip_width("d Detach   r Restart   s Stop   ? Help", static_cast<std::size_t>(columns - 1));
  static_cast<void>(sys::write_all(STDOUT_FILENO, "\x1b[2m" + std::string{text} + "\x1b[0m").ok());
}

}  // namespace compose::cli
