#include "state/log_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <ranges>

#include "state/log_reader.hpp"

namespace compose::state {

namespace {

constexpr std::size_t kBlock = std::size_t{256} << 10;

/// "… stdout P …": the third word of a line tells whether it goes on in the next one.
bool is_partial(std::string_view line) {
  const auto first = line.find(' ');
  const auto second = first == std::string_view::npos ? first : line.find(' ', first + 1);
  return second != std::string_view::npos && line.substr(second + 1).starts_with("P ");
}

Result<std::string> read_block(int file, off_t begin, std::size_t size) {
  std::string block(size, '\0');
  std::size_t have = 0;
  while (have < size) {
    const ssize_t count =
        retry_eintr([&] { return ::pread(file, block.data() + have, size - have, begin + static_cast<off_t>(have)); });
    if (count < 0) return os_error("reading the log");
    if (count == 0) break;
    have += static_cast<std::size_t>(count);
  }
  block.resize(have);
  return block;
}

}  // namespace

std::optional<LogLine> parse_log_line(std::string_view line) {
  const auto time_end = line.find(' ');
  if (time_end == std::string_view::npos) return std::nullopt;
  auto rest = line.substr(time_end + 1);
  const bool to_stderr = rest.starts_with("stderr ");
  if (!to_stderr && !rest.starts_with("stdout ")) return std::nullopt;
  rest.remove_prefix(7);
  if (rest.size() < 2 || (rest[0] != 'F' && rest[0] != 'P') || rest[1] != ' ') return std::nullopt;
  const auto timestamp = line.substr(0, time_end);
  const auto at = parse_time(timestamp);
  if (!at) return std::nullopt;
  return LogLine{*at, std::string{timestamp}, to_stderr, rest[0] == 'P', std::string{rest.substr(2)}};
}

Result<bool> LineReader::next(std::string_view& line) {
  if (file_.get() < 0) return false;
  for (;;) {
    const auto end = buffer_.find('\n', begin_);
    if (end != std::string::npos) {
      line = std::string_view{buffer_}.substr(begin_, end - begin_);
      begin_ = end + 1;
      return true;
    }
    TRY_ASSIGN(const std::string block, read_block(file_.get(), offset_, kBlock));
    if (block.empty()) return false;
    buffer_.erase(0, begin_);
    begin_ = 0;
    buffer_ += block;
    offset_ += static_cast<off_t>(block.size());
  }
}

Result<off_t> tail_offset(int file, std::size_t& wanted) {
  struct stat status{};
  if (::fstat(file, &status) != 0) return os_error("reading the log");
  off_t position = status.st_size;  // everything from here on is wanted
  std::string text;                 // of the file from `begin` to `position`, at most one block and a line
  off_t begin = position;
  bool counted = false;  // a full line was met: its partial pieces before it belong to it
  while (position > 0) {
    // The line that ends before `position`: look for the newline before its own.
    const auto length = static_cast<std::size_t>(position - begin);
    const auto newline = length < 2 ? std::string::npos : text.rfind('\n', length - 2);
    if (newline == std::string::npos && begin > 0) {
      const off_t from = std::max<off_t>(0, begin - static_cast<off_t>(kBlock));
      TRY_ASSIGN(std::string block, read_block(file, from, static_cast<std::size_t>(begin - from)));
      text = block + text.substr(0, length);
      begin = from;
      continue;
    }
    const std::size_t line_begin = newline == std::string::npos ? 0 : newline + 1;
    const bool partial = is_partial(std::string_view{text}.substr(line_begin));
    if (!partial || !counted) {
      if (wanted == 0) return position;
      --wanted;
      counted = true;
    }
    position = begin + static_cast<off_t>(line_begin);
  }
  return position;
}

Result<std::vector<UniqueFd>> open_log_files(const std::string& log_path) {
  std::vector<UniqueFd> files;
  ino_t last = 0;
  for (int index = 0;; ++index) {
    const std::string path = index == 0 ? log_path : fmt::format("{}.{}", log_path, index);
    UniqueFd file{retry_eintr([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC); })};
    if (!file.valid()) {
      if (errno != ENOENT) return os_error("opening {}", path);
      // Between the two renames of a rotation there is no "log" for a moment.
      if (index > 0) return files;
      continue;
    }
    struct stat status{};
    if (::fstat(file.get(), &status) != 0) return os_error("opening {}", path);
    // A rotation while we walk shows us the file we have already under its next name.
    if (status.st_ino == last) continue;
    last = status.st_ino;
    files.push_back(std::move(file));
  }
}

Result<void> read_log(const std::string& log_path, const LogQuery& query,
                      const std::function<bool(const LogLine&)>& sink) {
  TRY_ASSIGN(auto files, open_log_files(log_path));
  std::vector<off_t> offsets(files.size(), 0);
  if (query.tail) {
    std::size_t wanted = *query.tail;
    for (std::size_t i = 0; i < files.size(); ++i) {
      TRY_ASSIGN(offsets[i], tail_offset(files[i].get(), wanted));
      if (wanted == 0 && i + 1 < files.size()) {
        files.resize(i + 1);
        break;
      }
    }
  }
  for (std::size_t i = files.size(); i-- > 0;) {
    LineReader reader{std::move(files[i]), offsets[i]};
    std::string_view text;
    for (;;) {
      TRY_ASSIGN(const bool more, reader.next(text));
      if (!more) break;
      const auto line = parse_log_line(text);
      if (!line || (query.since && line->at < *query.since)) continue;
      if (query.until && line->at > *query.until) return {};
      if (!sink(*line)) return {};
    }
  }
  return {};
}

}  // namespace compose::state
