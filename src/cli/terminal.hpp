#pragma once
// The terminal: what it can show, its size, raw mode.
#include <termios.h>

#include <optional>
#include <string>
#include <string_view>

#include "base/error.hpp"

namespace compose::cli {

/// --ansi / COMPOSE_ANSI.
enum class Ansi : std::uint8_t { automatic, always, never };

bool is_terminal(int fd);

struct TerminalSize {
  int rows = 0;  ///< 0 = unknown
  int columns = 0;
};
TerminalSize terminal_size(int fd);

/// Whether escape sequences may be written to `fd`: never, always, or when it is a terminal that is not "dumb".
bool ansi_allowed(Ansi ansi, int fd);
/// As ansi_allowed, and NO_COLOR (https://no-color.org) is empty.
bool colour_allowed(Ansi ansi, int fd);

/// SGR sequences; `colour` false gives the text as it is.
std::string paint(std::string_view sgr, std::string_view text, bool colour);

/// How many columns a terminal uses for UTF-8 text without escape sequences (wide characters count two).
std::size_t display_width(std::string_view text);
/// The longest prefix of at most `columns` columns, whole characters only.
std::string_view clip_width(std::string_view text, std::size_t columns);

/// Puts a terminal into raw mode (cfmakeraw(3)) and back.
class RawMode {
 public:
  static Result<RawMode> enter(int fd);
  RawMode(RawMode&& other) noexcept : fd_{other.fd_}, saved_{other.saved_} { other.fd_ = -1; }
  RawMode& operator=(RawMode&&) = delete;
  ~RawMode() { leave(); }
  void leave();

 private:
  RawMode(int fd, const termios& saved) : fd_{fd}, saved_{saved} {}
  int fd_;
  termios saved_;
};

}  // namespace compose::cli
