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
    : saved_{std::exchange(other.saved_, {})},
      shown_{std::exchange(other.shown_, false)},
      question_{std::move(other.question_)},
      typed_{std::move(other.typed_)} {}

Keys& Keys::operator=(Keys&& other) noexcept {
  close();
  saved_ = std::exchange(other.saved_, {});
  shown_ = std::exchange(other.shown_, false);
  question_ = std::move(other.question_);
  typed_ = std::move(other.typed_);
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

void Keys::ask(std::string question) {
  question_ = std::move(question);
  typed_.clear();
}

std::optional<std::string> Keys::type(char key) {
  if (key == '\r' || key == '\n') {
    question_.clear();
    return std::exchange(typed_, {});
  }
  if (key == '\x1b') {  // Escape: no answer
    question_.clear();
  } else if (key == '\x7f' || key == '\b') {
    while (!typed_.empty() && (static_cast<unsigned char>(typed_.back()) & 0xC0U) == 0x80U) typed_.pop_back();
    if (!typed_.empty()) typed_.pop_back();
  } else if (static_cast<unsigned char>(key) >= ' ') {
    typed_ += key;
  }
  return std::nullopt;
}

void Keys::show_menu() {
  if (!saved_ || shown_) return;
  const int columns = terminal_size(STDOUT_FILENO).columns;
  if (columns < 10) return;
  shown_ = true;
  const auto room = static_cast<std::size_t>(columns - 1);
  std::string text = "d Detach   w Watch   r Restart   l Filter   s Stop   ? Help";
  if (asking()) text = question_ + typed_;
  // Narrow: the letters at least.
  if (!asking() && display_width(text) > room) text = "d w r l s ?  (? Help)";
  static_cast<void>(
      sys::write_all(STDOUT_FILENO, "\x1b[2m" + std::string{clip_width(text, room)} + "\x1b[0m").ok());
}

}  // namespace compose::cli
