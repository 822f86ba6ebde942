#include "cli/progress.hpp"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>
#include <vector>

#include "base/strings.hpp"
#include "sys/file.hpp"

namespace compose::cli {
namespace {

using Clock = std::chrono::steady_clock;
using Status = ProgressEvent::Status;

/// Progress must not stop the work: a closed standard error is not an error of the command.
void put(int fd, std::string_view text) { static_cast<void>(sys::write_all(fd, text).ok()); }

class QuietProgress : public Progress {
 public:
  explicit QuietProgress(int fd) : fd_{fd} {}
  void event(const ProgressEvent&) override {}
  void line(std::string_view) override {}
  void failure(std::string_view message) override { put(fd_, fmt::format("{}\n", message)); }

 private:
  int fd_;
};

class PlainProgress : public Progress {
 public:
  PlainProgress(int fd, bool dry_run) : fd_{fd}, prefix_{dry_run ? " DRY-RUN MODE - " : ""} {}
  void event(const ProgressEvent& event) override {
    if (event.total != 0 && event.status == Status::working) return;  // a bar has no plain form
    put(fd_, event.details.empty() ? fmt::format("{} {} {} \n", prefix_, event.id(), event.text)
                                   : fmt::format("{} {} {} {}\n", prefix_, event.id(), event.text, event.details));
  }
  void line(std::string_view text) override { put(fd_, fmt::format("{}\n", text)); }
  void failure(std::string_view message) override { put(fd_, fmt::format("{}\n", message)); }

 private:
  int fd_;
  std::string prefix_;
};

class JsonProgress : public Progress {
 public:
  JsonProgress(int fd, bool dry_run) : fd_{fd}, dry_run_{dry_run} {}
  void event(const ProgressEvent& event) override {
    static constexpr const char* kStatus[] = {"Working", "Done", "Warning", "Error"};
    nlohmann::ordered_json object;
    if (dry_run_) object["dry-run"] = true;
    object["id"] = event.id();
    if (!event.parent.empty()) object["parent_id"] = event.parent;
    object["status"] = kStatus[static_cast<std::size_t>(event.status)];
    if (!event.text.empty()) object["text"] = event.text;
    if (!event.details.empty()) object["details"] = event.details;
    if (event.total != 0) {
      object["current"] = event.current;
      object["total"] = event.total;
      object["percent"] = event.current * 100 / event.total;
    }
    write(object);
  }
  void line(std::string_view text) override { write({{"text", text}}); }
  void failure(std::string_view message) override { write({{"error", true}, {"message", message}}); }

 private:
  void write(const nlohmann::ordered_json& object) {
    put(fd_, object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
  }
  int fd_;
  bool dry_run_;
};

/// Redraws its lines ten times a second from a thread of its own while a group is open.
class TerminalProgress : public Progress {
 public:
  TerminalProgress(int fd, bool colour, bool dry_run) : fd_{fd}, colour_{colour}, dry_run_{dry_run} {}
  ~TerminalProgress() override { end(); }
  bool redraws() const override { return true; }

  void begin(std::string_view operation) override {
    end();
    operation_ = operation;
    lines_.clear();
    drawn_ = 0;
    open_ = true;
    thread_ = std::thread{[this] { run(); }};
  }

  void event(const ProgressEvent& event) override {
    const std::lock_guard lock{mutex_};
    for (Entry& entry : lines_) {
      if (entry.line.event.id() != event.id() || entry.line.event.parent != event.parent) continue;
      const bool was_working = entry.line.event.status == Status::working;
      if (!was_working && event.status == Status::working) {  // a second phase: "Created", then "Starting"
        entry.line.event = event;
        entry.stopped.reset();
        return;
      }
      entry.line.event = event;
      if (event.status != Status::working && was_working) entry.stopped = Clock::now();
      return;
    }
    Entry entry{{event, 0}, Clock::now(), std::nullopt};
    if (event.status != Status::working) entry.stopped = entry.started;
    lines_.push_back(std::move(entry));
  }

  void line(std::string_view text) override {
    const std::lock_guard lock{mutex_};
    put(fd_, erase() + std::string{text} + "\n" + (open_ ? frame() : std::string{}));
  }

  void end() override {
    if (!thread_.joinable()) return;
    {
      const std::lock_guard lock{mutex_};
      open_ = false;
    }
    wake_.notify_all();
    thread_.join();
    if (!lines_.empty()) put(fd_, erase() + frame());
    lines_.clear();
    drawn_ = 0;
  }

  void failure(std::string_view message) override {
    end();
    put(fd_, fmt::format("{}\n", message));
  }

 private:
  struct Entry {
    ProgressLine line;
    Clock::time_point started;
    std::optional<Clock::time_point> stopped;
  };

  void run() {
    std::unique_lock lock{mutex_};
    while (open_) {
      if (!lines_.empty()) put(fd_, "\x1b[?25l" + erase() + frame() + "\x1b[?25h");
      ++spinner_;
      wake_.wait_for(lock, std::chrono::milliseconds{100}, [this] { return !open_; });
    }
  }

  /// Moves back to the first line drawn and clears from there.
  std::string erase() {
    if (drawn_ == 0) return {};
    std::string sequence = fmt::format("\x1b[{}A\x1b[0J", drawn_);
    drawn_ = 0;
    return sequence;
  }

  std::string frame() {
    const TerminalSize size = terminal_size(fd_);
    const FrameStyle style{size.columns, size.rows > 0 ? size.rows : 24, colour_, dry_run_, spinner_};
    std::vector<ProgressLine> lines;
    const auto now = Clock::now();
    for (const Entry& entry : lines_) {
      lines.push_back(entry.line);
      lines.back().seconds = std::chrono::duration<double>(entry.stopped.value_or(now) - entry.started).count();
    }
    std::string text = render_frame(operation_, lines, style);
    drawn_ = static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
    return text;
  }

  int fd_;
  bool colour_;
  bool dry_run_;
  std::string operation_;
  std::vector<Entry> lines_;
  std::size_t drawn_ = 0;
  std::size_t spinner_ = 0;
  bool open_ = false;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::thread thread_;
};

}  // namespace

Result<ProgressMode> parse_progress_mode(std::string_view text) {
  if (text.empty() || text == "auto") return ProgressMode::automatic;
  if (text == "tty") return ProgressMode::tty;
  if (text == "plain" || text == "rawjson") return text == "plain" ? ProgressMode::plain : ProgressMode::json;
  if (text == "json") return ProgressMode::json;
  if (text == "quiet" || text == "none") return ProgressMode::quiet;
  return make_error(Errc::invalid, "unsupported --progress value \"{}\" (auto, tty, plain, json, quiet)", text);
}

Result<std::unique_ptr<Progress>> make_progress(const ProgressSettings& settings) {
  ProgressMode mode = settings.mode;
  if (mode == ProgressMode::tty && settings.ansi == Ansi::never)
    return make_error(Errc::invalid, "can't use --progress tty while ANSI support is disabled");
  if (mode == ProgressMode::plain && settings.ansi == Ansi::always)
    return make_error(Errc::invalid, "can't use --progress plain while ANSI support is forced");
  if (mode == ProgressMode::automatic)
    mode =
        is_terminal(settings.fd) && ansi_allowed(settings.ansi, settings.fd) ? ProgressMode::tty : ProgressMode::plain;
  std::unique_ptr<Progress> progress;
  if (mode == ProgressMode::tty) {
    progress =
        std::make_unique<TerminalProgress>(settings.fd, colour_allowed(settings.ansi, settings.fd), settings.dry_run);
  } else if (mode == ProgressMode::json) {
    progress = std::make_unique<JsonProgress>(settings.fd, settings.dry_run);
  } else if (mode == ProgressMode::quiet) {
    progress = std::make_unique<QuietProgress>(settings.fd);
  } else {
    progress = std::make_unique<PlainProgress>(settings.fd, settings.dry_run);
  }
  return progress;
}

}  // namespace compose::cli
