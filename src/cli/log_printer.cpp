#include "cli/log_printer.hpp"

#include <unistd.h>

#include <array>

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
  width_ = std::max(width_, display_width(name) + 1);
  colours_.try_emplace(name, kColours[colours_.size() % kColours.size()]);
}

std::string LogPrinter::prefix_of(const std::string& name) {
  if (!style_.prefix) return {};
  announce(name);
  std::string text = name;
  text.append(width_ - display_width(name), ' ');
  return paint(colours_[name], text + " |", style_.colour) + " ";
}

void LogPrinter::append(bool to_stderr, std::string_view text) {
  if (to_stderr != pending_stderr_ || pending_.size() > kFlushAt) flush();
  pending_stderr_ = to_stderr;
  pending_ += text;
}

void LogPrinter::line(const state::ContainerRecord& container, const state::LogLine& line) {
  std::string text = line.text;
  const auto open = partial_.find({container.id, line.to_stderr});
  if (open != partial_.end()) text = open->second.second + text;
  if (line.partial && text.size() < kFlushAt) {
    partial_[{container.id, line.to_stderr}] = {name_without_project(container), std::move(text)};
    return;
  }
  if (open != partial_.end()) partial_.erase(open);
  std::string whole = prefix_of(name_without_project(container));
  if (style_.timestamps) whole += line.timestamp + " ";
  append(line.to_stderr, whole + text + "\n");
}

void LogPrinter::finish() {
  for (const auto& [key, open] : partial_) append(key.second, prefix_of(open.first) + open.second + "\n");
  partial_.clear();
  flush();
}

void LogPrinter::status(std::string_view text) { append(false, std::string{text} + "\n"); }

bool LogPrinter::flush() {
  if (!pending_.empty() && !closed_)
    closed_ = !sys::write_all(pending_stderr_ ? STDERR_FILENO : STDOUT_FILENO, pending_).ok();
  pending_.clear();
  return !closed_;
}

}  // namespace compose::cli
