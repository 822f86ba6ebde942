#include "runtime/monitor/log_writer.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <utility>

#include "runtime/monitor/log_format.hpp"
#include "sys/file.hpp"

namespace compose::runtime::monitor {
namespace {

// One write(2) takes at most this much. The pages are touched only by containers that write a lot.
constexpr std::size_t kBuffer = std::size_t{64} << 10;
// A piece of a line that is written as one JSON object; with its growth it fits into the buffer.
constexpr std::size_t kJsonPiece = 8192;
static_assert(kJsonPiece * kJsonGrowth + kMaxAttributes + 128 <= kBuffer);
constexpr std::size_t kFrame = 64;  // what the text format puts around a line

const char* stream_name(bool to_stderr) { return to_stderr ? "stderr" : "stdout"; }

char* put(char* out, std::string_view text) {
  std::memcpy(out, text.data(), text.size());
  return out + text.size();
}

}  // namespace

LogWriter::LogWriter(LogFileSettings settings)
    : settings_{std::move(settings)}, compressor_{settings_.compress && settings_.max_files > 2} {
  if (settings_.max_files < 1) settings_.max_files = 1;
  if (settings_.attributes.size() > kMaxAttributes) settings_.attributes.clear();
}

Result<void> LogWriter::open() {
  if (settings_.path.empty()) return {};
  if (!buffer_) {
    buffer_.reset(new char[kBuffer]);  // not make_unique: that would touch every page
    end_ = buffer_.get();
  }
  UniqueFd fd{::open(settings_.path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0640)};
  if (!fd.valid()) return os_error("open log {}", settings_.path);
  struct stat status{};
  size_ = ::fstat(fd.get(), &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
  fd_ = std::move(fd);
  return {};
}

void LogWriter::rotate() {
  const std::string& path = settings_.path;
  compressor_.stop();
  if (settings_.max_files == 1) {
    ::unlink(path.c_str());
  } else {
    ::unlink(fmt::format("{}.{}", path, settings_.max_files - 1).c_str());
    ::unlink(fmt::format("{}.{}.gz", path, settings_.max_files - 1).c_str());
    for (int i = settings_.max_files - 1; i > 1; --i) {
      for (const char* ending : {"", ".gz"}) {
        ::rename(fmt::format("{}.{}{}", path, i - 1, ending).c_str(), fmt::format("{}.{}{}", path, i, ending).c_str());
      }
    }
    ::rename(path.c_str(), (path + ".1").c_str());
  }
  (void)open();
  compressor_.start(path, settings_.max_files);
}

/// Everything in the buffer is whole lines: what the disk does not take is taken back, so that no line is torn.
void LogWriter::flush() {
  const auto size = static_cast<std::size_t>(end_ - buffer_.get());
  if (size == 0) return;
  if (fd_.valid() && sys::write_all(fd_.get(), {buffer_.get(), size})) {
    size_ += size;
  } else {
    lost_ += pending_source_;
    untold_ += pending_source_;
    if (fd_.valid()) (void)!::ftruncate(fd_.get(), static_cast<off_t>(size_));
  }
  end_ = buffer_.get();
  pending_source_ = 0;
}

/// Room for a line of at most `size` bytes; it begins where this points.
char* LogWriter::begin_line(std::size_t size) {
  if (static_cast<std::size_t>(end_ - buffer_.get()) + size > kBuffer) flush();
  return end_;
}

/// The line from end_ to `end` is complete: it goes into this file or the next. A line is kept in one file, unless it
/// is longer than a file may be.
void LogWriter::end_line(char* end, std::size_t source, bool at_line_end) {
  const auto size = static_cast<std::size_t>(end - end_);
  const std::uint64_t before = size_ + static_cast<std::size_t>(end_ - buffer_.get());
  const bool full = settings_.max_size != 0 && before != 0 && before + size > settings_.max_size;
  if (full && (at_line_start_ || before > 2 * settings_.max_size)) {
    const char* const begin = end_;
    flush();
    if (size_ != 0) rotate();
    std::memmove(end_, begin, size);
  }
  end_ += size;
  pending_source_ += source;
  at_line_start_ = at_line_end;
}

void LogWriter::text_line(bool to_stderr, std::string_view text, bool complete) {
  do {
    const std::string_view piece = text.substr(0, kBuffer - kFrame);
    text.remove_prefix(piece.size());
    const bool ends = complete && text.empty();
    char* out = put(begin_line(piece.size() + kFrame), time_);
    *out++ = ' ';
    out = put(out, stream_name(to_stderr));
    out = put(out, ends ? " F " : " P ");
    out = put(out, piece);
    *out++ = '\n';
    end_line(out, piece.size() + (ends ? 1 : 0), ends);
  } while (!text.empty());
}

void LogWriter::json_line(bool to_stderr, std::string_view text, bool complete) {
  do {
    std::string_view piece = text.substr(0, kJsonPiece);
    if (piece.size() < text.size()) piece.remove_suffix(open_character(piece));
    text.remove_prefix(piece.size());
    const bool ends = complete && text.empty();
    char* out = begin_line(piece.size() * kJsonGrowth + settings_.attributes.size() + 2 * kFrame);
    out = put(out, R"({"log":")");
    out = write_json_text(out, piece);
    out = put(out, ends ? R"(\n","stream":")" : R"(","stream":")");
    out = put(out, stream_name(to_stderr));
    out = put(out, R"(",)");
    out = put(out, settings_.attributes);
    out = put(out, R"("time":")");
    out = put(out, time_);
    out = put(out, "\"}\n");
    end_line(out, piece.size() + (ends ? 1 : 0), ends);
  } while (!text.empty());
}

void LogWriter::line(bool to_stderr, std::string_view text, bool complete) {
  if (settings_.format == LogFormat::text) return text_line(to_stderr, text, complete);
  // A character whose end has not come yet waits for it: half of one cannot be written as JSON.
  std::string& held = held_[to_stderr ? 1 : 0];
  const std::string whole = held.empty() ? std::string{} : held + std::string{text};
  if (!held.empty()) text = whole;
  std::string rest;
  if (!complete) {
    const std::size_t open = open_character(text);
    rest = text.substr(text.size() - open);
    text.remove_suffix(open);
  }
  if (complete || !text.empty()) json_line(to_stderr, text, complete);
  held = std::move(rest);
}

void LogWriter::tell_loss(const timespec& now) {
  const std::uint64_t told = std::exchange(untold_, 0);
  time_ = format_time(now);
  line(true, fmt::format("compose: {} bytes of output were lost here: the log could not be written", told), true);
  flush();
  if (untold_ != 0) untold_ = told;  // still full
}

void LogWriter::write(bool to_stderr, std::string_view bytes, const timespec& now) {
  if (!fd_.valid()) {
    lost_ += settings_.path.empty() ? 0 : bytes.size();
    return;
  }
  if (untold_ != 0) tell_loss(now);
  time_ = format_time(now);
  while (!bytes.empty()) {
    const auto end = bytes.find('\n');
    line(to_stderr, bytes.substr(0, end), end != std::string_view::npos);
    bytes.remove_prefix(end == std::string_view::npos ? bytes.size() : end + 1);
  }
  flush();
}

void LogWriter::finish(const timespec& now) {
  if (!fd_.valid()) return;
  time_ = format_time(now);
  for (const bool to_stderr : {false, true}) {
    const std::string rest = std::exchange(held_[to_stderr ? 1 : 0], {});
    if (!rest.empty()) json_line(to_stderr, rest, false);
  }
  flush();
}

}  // namespace compose::runtime::monitor
