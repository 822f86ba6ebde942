#include <algorithm>
#include <array>

#include "base/units.hpp"
#include "cli/progress.hpp"

namespace compose::cli {
namespace {

using Status = ProgressEvent::Status;

constexpr std::array<std::string_view, 10> kSpinner = {"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"};
constexpr std::array<std::string_view, 9> kBar = {" ", "⡀", "⣀", "⣄", "⣤", "⣦", "⣶", "⣷", "⣿"};
constexpr std::string_view kDryRun = " DRY-RUN MODE - ";

struct Look {
  std::string_view glyph;
  std::string_view sgr;
};

Look look_of(Status status, std::size_t spinner) {
  switch (status) {
    case Status::done:
      return {"✔", "32"};
    case Status::error:
      return {"✘", "1;31"};
    case Status::warning:
      return {"!", "1;33"};
    case Status::working:
      break;
  }
  return {kSpinner[spinner % kSpinner.size()], "33"};
}

/// "[⣿⣦⠀] 12.3MB / 45.6MB" over all children that have a size, or "".
std::string bar(const std::vector<ProgressLine>& lines, const std::string& parent) {
  std::string cells;
  std::uint64_t current = 0;
  std::uint64_t total = 0;
  for (const ProgressLine& line : lines) {
    if (line.event.parent != parent || line.event.total == 0) continue;
    const std::uint64_t done = std::min(line.event.current, line.event.total);
    cells += kBar[static_cast<std::size_t>(done * (kBar.size() - 1) / line.event.total)];
    current += done;
    total += line.event.total;
  }
  if (cells.empty()) return {};
  return fmt::format("[{}] {} / {}", cells, format_bytes(current), format_bytes(total));
}

std::string pad(std::string_view text, std::size_t width) {
  std::string padded{clip_width(text, width)};
  padded.append(width - display_width(padded), ' ');
  return padded;
}

/// Widths of the columns for a terminal: names give way last, details first.
struct Columns {
  std::size_t id = 0;
  std::size_t text = 0;
  std::size_t details = 0;
};

Columns fit(const std::vector<const ProgressLine*>& lines, const std::vector<std::string>& details, std::size_t room) {
  Columns columns;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    columns.id = std::max(columns.id, display_width(lines[i]->event.id()));
    columns.text = std::max(columns.text, display_width(lines[i]->event.text));
    columns.details = std::max(columns.details, display_width(details[i]));
  }
  const auto used = [&] { return columns.id + 1 + columns.text + (columns.details == 0 ? 0 : columns.details + 1); };
  if (used() > room) columns.details -= std::min(columns.details, used() - room);
  if (used() > room) columns.id -= std::min(columns.id > 8 ? columns.id - 8 : 0, used() - room);
  if (used() > room) columns.text -= std::min(columns.text, used() - room);
  return columns;
}

/// The top-level lines that fit the terminal's height: unfinished ones first, then the latest; in their order.
std::vector<const ProgressLine*> choose(const std::vector<ProgressLine>& lines, std::size_t room, std::size_t& hidden) {
  std::vector<const ProgressLine*> top;
  for (const ProgressLine& line : lines)
    if (line.event.parent.empty()) top.push_back(&line);
  hidden = 0;
  if (top.size() <= room) return top;
  hidden = top.size() - (room - 1);
  std::size_t drop = hidden;
  const auto finished = [](const ProgressLine* line) { return line->event.status == Status::done; };
  std::vector<const ProgressLine*> kept;
  for (const ProgressLine* line : top) {
    if (drop > 0 && finished(line)) {
      --drop;
    } else {
      kept.push_back(line);
    }
  }
  kept.resize(kept.size() - drop);
  return kept;
}

}  // namespace

std::string render_frame(std::string_view operation, const std::vector<ProgressLine>& lines, const FrameStyle& style) {
  const auto columns_total = static_cast<std::size_t>(style.columns > 0 ? style.columns : 80);
  const std::size_t rows = style.rows > 4 ? static_cast<std::size_t>(style.rows) - 2 : 2;
  std::size_t hidden = 0;
  const auto shown = choose(lines, rows, hidden);
  std::size_t total = 0;
  std::size_t done = 0;
  for (const ProgressLine& line : lines) {
    if (!line.event.parent.empty()) continue;
    ++total;
    if (line.event.status != Status::working) ++done;
  }
  const std::string prefix = style.dry_run ? std::string{kDryRun} : std::string{};
  std::string frame = paint("36", prefix, style.colour) +
                      std::string{clip_width(fmt::format("[+] {} {}/{}", operation, done, total), columns_total)} +
                      "\n";

  std::vector<std::string> details;
  for (const ProgressLine* line : shown) {
    std::string text = bar(lines, line->event.id());
    if (!line->event.details.empty()) text += (text.empty() ? "" : " ") + line->event.details;
    details.push_back(std::move(text));
  }
  const std::size_t timer_width = columns_total < 16 ? 0 : 7;  // " 123.4s"
  const std::size_t fixed = display_width(prefix) + 3 + timer_width;
  const std::size_t room = columns_total > fixed + 1 ? columns_total - fixed - 1 : 1;
  const Columns columns = fit(shown, details, room);
  for (std::size_t i = 0; i < shown.size(); ++i) {
    const ProgressLine& line = *shown[i];
    const Look look = look_of(line.event.status, style.spinner);
    std::string middle = pad(line.event.id(), columns.id) + " ";
    middle += paint(look.sgr, pad(line.event.text, columns.text), style.colour);
    std::size_t width = columns.id + 1 + columns.text;
    if (columns.details > 0) {
      middle += " " + pad(details[i], columns.details);
      width += columns.details + 1;
    }
    if (room > width) middle.append(room - width, ' ');
    std::string timer;
    if (timer_width != 0) timer = fmt::format("{:>{}}", fmt::format("{:.1f}s", line.seconds), timer_width);
    frame += paint("36", prefix, style.colour) + " " + paint(look.sgr, look.glyph, style.colour) + " " + middle +
             paint("34", timer, style.colour) + "\n";
  }
  if (hidden > 0) frame += fmt::format(" ... {} more\n", hidden);
  return frame;
}

}  // namespace compose::cli
