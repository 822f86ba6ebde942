#pragma once
// The keyboard of an attached `up`: single keys, and a line at the bottom that says which.
#include <termios.h>

#include <optional>
#include <string>

namespace compose::cli {

class Keys {
 public:
  Keys() = default;
  /// Reads keys without Enter when standard input and output are this process group's terminal and `wanted`; Ctrl-C
  /// still is a signal. Otherwise an object that never has a key.
  static Keys open(bool wanted);
  Keys(Keys&& other) noexcept;
  Keys& operator=(Keys&& other) noexcept;
  ~Keys() { close(); }
  void close();

  /// -1 when there is no keyboard.
  int fd() const { return saved_ ? 0 : -1; }
  /// The next key pressed, 0 if none.
  char next();

  /// A question at the bottom instead of the menu, answered with Enter; Escape takes it back.
  void ask(std::string question);
  bool asking() const { return !question_.empty(); }
  /// One key of the answer; the answer when it is complete.
  std::optional<std::string> type(char key);

  void hide_menu();
  void show_menu();

 private:
  std::optional<termios> saved_;
  bool shown_ = false;
  std::string question_;
  std::string typed_;
};

}  // namespace compose::cli
