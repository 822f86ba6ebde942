#include "cli/log_printer.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "cli/container_view.hpp"
#include "cli/terminal.hpp"
#include "sys/file.hpp"

namespace compose::cli {
namespace {

// Cyan, yellow, green, magenta, blue, then the same bold: the cycle of Docker Compose.
constexpr std::array<std::string_view, 10> kColours = {"36",   "33",   "32",   "35",   "34",
                                                       "36;1", "33;1", "32;1", "35;1", "34;1"};
constexpr std::size_t kFlushAt = 64 << 10;

}  // namespace

void LogPrinter::announce(const std::string& name) {
  if (display_width(name) + 1 > width_) prefixes_.clear();
  width_ = std::max(width_, display_width(name) + 1);
  colours_.try_emplace(name, kColours[colours_.size() % kColours.size()]);
}

const std::string& LogPrinter::prefix_of(const std::string& name) {
  std::string& prefix = prefixes_[name];
  if (!prefix.empty() || !style_.prefix) return prefix;
  announce(name);
  std::string text = name;
  text.append(width_ - display_width(name), ' ');
  return prefix = paint(colours_[name], text + " |", style_.colour) + " ";
}

void LogPrinter::choose(bool to_stderr) {
  if (to_stderr != pending_stderr_ || pending_.size() > kFlushAt) flush();
  pending_stderr_ = to_stderr;
}

LogPrinter::Source& LogPrinter::source_of(const state::ContainerRecord& container) {
  if (last_ != nullptr && last_id_ == container.id) return *last_;
  Source& source = sources_[container.id];
  if (source.name.empty()) source.name = name_without_project(container);
  last_id_ = container.id;
  return *(last_ = &source);
}

bool LogPrinter::line(const state::ContainerRecord& container, const state::LogLine& line) {
  Source& source = source_of(container);
  std::string& open = source.open[line.to_stderr ? 1 : 0];
  if (line.partial && open.size() + line.text.size() < kFlushAt) {
    open += line.text;
    return !closed_;
  }
  choose(line.to_stderr);
  pending_ += prefix_of(source.name);
  if (style_.timestamps) {
    pending_ += line.timestamp;
    pending_ += ' ';
  }
  pending_ += open;
  pending_ += line.text;
  pending_ += '\n';
  open.clear();
  return !closed_;
}

void LogPrinter::finish() {
  for (auto& [id, source] : sources_) {
    for (const bool to_stderr : {false, true}) {
      const std::string open = std::exchange(source.open[to_stderr ? 1 : 0], {});
      if (open.empty()) continue;
      choose(to_stderr);
      pending_ += prefix_of(source.name) + open + "\n";
    }
  }
  flush();
}

void LogPrinter::status(std::string_view text) {
  choose(false);
  pending_ += text;
  pending_ += '\n';
}

bool LogPrinter::flush() {
  if (!pending_.empty() && !closed_)
    closed_ = !sys::write_all(pending_stderr_ ? STDERR_FILENO : STDOUT_FILENO, pending_).ok();
  pending_.clear();
  return !closed_;
}

}  // namespace compose::cli
