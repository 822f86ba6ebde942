#pragma once
// What is going on, shown on standard error while a command works: redrawn lines on a terminal, plain lines elsewhere,
// JSON objects for programs, or nothing. Shapes and words are those of Docker Compose.
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "cli/terminal.hpp"

namespace compose::cli {

struct ProgressEvent {
  enum class Status : std::uint8_t { working, done, warning, error };
  std::string kind;  ///< Container, Network, Volume, Image, ...
  std::string name;
  std::string text;  ///< "Starting", "Started", ...
  Status status = Status::working;
  std::string details{};      ///< a cause, or an error's text
  std::string parent{};       ///< the line this one belongs to, e.g. an image for its layers
  std::uint64_t current = 0;  ///< bytes so far; 0 of 0 = no bar
  std::uint64_t total = 0;

  std::string id() const { return kind.empty() ? name : kind + " " + name; }
};

class Progress {
 public:
  virtual ~Progress() = default;
  /// Starts a group of lines; `operation` names it in the header ("up").
  virtual void begin(std::string_view /*operation*/) {}
  virtual void event(const ProgressEvent& event) = 0;
  /// A line of text among the progress (a build's output, a warning).
  virtual void line(std::string_view text) = 0;
  /// Ends the group; what is drawn stays.
  virtual void end() {}
  /// The command's last word when it failed.
  virtual void failure(std::string_view message) = 0;
  /// Whether lines are redrawn: a build then shows its current step in place instead of all its output.
  virtual bool redraws() const { return false; }
};

enum class ProgressMode : std::uint8_t { automatic, tty, plain, json, quiet };

/// --progress / COMPOSE_PROGRESS; "" is auto, "none" is quiet.
Result<ProgressMode> parse_progress_mode(std::string_view text);

struct ProgressSettings {
  ProgressMode mode = ProgressMode::automatic;
  Ansi ansi = Ansi::automatic;
  int fd = 2;
  bool dry_run = false;
};

/// Errors: tty with --ansi never, plain with --ansi always (Docker Compose refuses both).
Result<std::unique_ptr<Progress>> make_progress(const ProgressSettings& settings);

/// One frame of the terminal view, for tests and for the drawing itself.
struct ProgressLine {
  ProgressEvent event;
  double seconds = 0;
};
struct FrameStyle {
  int columns = 80;
  int rows = 24;
  bool colour = true;
  bool dry_run = false;
  std::size_t spinner = 0;  ///< frame of the spinner
};
/// The header and one line per entry, each ended by a newline, none wider than the terminal.
std::string render_frame(std::string_view operation, const std::vector<ProgressLine>& lines, const FrameStyle& style);

}  // namespace compose::cli
