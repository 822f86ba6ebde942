#include "state/log_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/strings.hpp"

namespace compose::state {

namespace {

constexpr std::size_t kBlock = std::size_t{256} << 10;
constexpr int kWindow = 15 + 16;  // zlib: the largest window, and a gzip header
constexpr int kWalks = 50;

/// The third word of a line, or its JSON, tells whether it goes on in the next one.
bool is_partial(std::string_view line) {
  std::string scratch;
  const auto parsed = parse_log_line(line, scratch);
  return parsed && parsed->partial;
}

Result<std::size_t> read_at(int file, off_t offset, char* into, std::size_t size) {
  std::size_t have = 0;
  while (have < size) {
    const ssize_t count =
        retry_eintr([&] { return ::pread(file, into + have, size - have, offset + static_cast<off_t>(have)); });
    if (count < 0) return os_error("reading the log");
    if (count == 0) break;
    have += static_cast<std::size_t>(count);
  }
  return have;
}

Result<std::string> read_block(int file, off_t begin, std::size_t size) {
  std::string block(size, '\0');
  TRY_ASSIGN(const std::size_t have, read_at(file, begin, block.data(), size));
  block.resize(have);
  return block;
}

/// "inode N", which the compressor writes as the file's comment (RFC 1952 section 2.3: it follows the ten bytes of the
/// header). 0: another program made the file.
ino_t original_inode(int file) {
  const auto head = read_block(file, 0, 64);
  constexpr std::string_view kWord = "inode ";
  constexpr unsigned kCommentFlag = 16;
  if (!head || head->size() < 12 || static_cast<unsigned char>((*head)[3]) != kCommentFlag) return 0;
  const std::string comment{head->c_str() + 10};
  if (!comment.starts_with(kWord)) return 0;
  return parse_unsigned(std::string_view{comment}.substr(kWord.size())).value_or(0);
}

/// Nothing: there is no such file.
Result<std::optional<LogPart>> open_part(const std::string& path, bool compressed) {
  LogPart part;
  part.file.reset(retry_eintr([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC); }));
  if (!part.file.valid()) {
    if (errno == ENOENT) return std::optional<LogPart>{};
    return os_error("opening {}", path);
  }
  struct stat status{};
  if (::fstat(part.file.get(), &status) != 0) return os_error("opening {}", path);
  part.compressed = compressed;
  part.modified = status.st_mtim;
  part.inode = compressed ? original_inode(part.file.get()) : status.st_ino;
  return std::optional{std::move(part)};
}

/// Number `index` of a log. Its compressed form is complete before the plain one goes.
Result<std::optional<LogPart>> open_number(const std::string& log_path, int index) {
  const std::string path = index == 0 ? log_path : fmt::format("{}.{}", log_path, index);
  TRY_ASSIGN(auto plain, open_part(path, false));
  if (plain || index == 0) return plain;
  return open_part(path + ".gz", true);
}

/// A rotation while we walk shows us the file we have already under its next name. The number of a file that was
/// compressed and removed may have been given to a new one: then the times differ.
bool same_file(const LogPart& before, const LogPart& now) {
  if (before.compressed != now.compressed) {
    return before.inode == now.inode && before.modified.tv_sec == now.modified.tv_sec &&
           before.modified.tv_nsec == now.modified.tv_nsec;
  }
  return !now.compressed && before.inode == now.inode;
}

/// Nothing: a rotation was at work meanwhile.
Result<std::optional<std::vector<LogPart>>> walk(const std::string& log_path) {
  std::vector<LogPart> parts;
  for (int index = 0;; ++index) {
    TRY_ASSIGN(auto part, open_number(log_path, index));
    if (!part) {
      // Between the renames of a rotation there is no "log" for a moment, or no log.2 though there is a log.3.
      TRY_ASSIGN(const auto beyond, open_number(log_path, index + 1));
      if (beyond) return std::optional<std::vector<LogPart>>{};
      return std::optional{std::move(parts)};
    }
    if (!parts.empty() && same_file(parts.back(), *part)) continue;
    parts.push_back(std::move(*part));
  }
}

}  // namespace

Result<std::vector<LogPart>> open_log_parts(const std::string& log_path) {
  for (int i = 0; i < kWalks; ++i) {
    TRY_ASSIGN(auto parts, walk(log_path));
    if (parts) return *std::move(parts);
  }
  return make_error(Errc::busy, "the log {} is rotated all the time", log_path);
}

/// Decompresses a part piece by piece.
struct LineReader::Inflater {
  z_stream stream{};
  std::array<unsigned char, 65536> in{};
  bool ended = false;

  Inflater() { ::inflateInit2(&stream, kWindow); }
  ~Inflater() { ::inflateEnd(&stream); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  /// 0: the end.
  Result<std::size_t> read(int file, off_t& offset, char* into, std::size_t size) {
    stream.next_out = reinterpret_cast<Bytef*>(into);
    stream.avail_out = static_cast<uInt>(size);
    while (!ended && stream.avail_out > 0) {
      if (stream.avail_in == 0) {
        TRY_ASSIGN(const std::size_t have, read_at(file, offset, reinterpret_cast<char*>(in.data()), in.size()));
        offset += static_cast<off_t>(have);
        stream.next_in = in.data();
        stream.avail_in = static_cast<uInt>(have);
        if (have == 0) return make_error(Errc::corrupt, "a compressed part of the log ends too early");
      }
      const int code = ::inflate(&stream, Z_NO_FLUSH);
      if (code == Z_STREAM_END) {
        // Another member may follow, as gzip(1) has it.
        ended = stream.avail_in == 0;
        if (!ended) ::inflateReset(&stream);
      } else if (code != Z_OK) {
        return make_error(Errc::corrupt, "a compressed part of the log cannot be read: {}",
                          stream.msg == nullptr ? "damaged" : stream.msg);
      }
    }
    return size - stream.avail_out;
  }
};

LineReader::LineReader() = default;
LineReader::LineReader(LogPart part, LogStart start)
    : part_{std::move(part)}, offset_{start.offset}, skip_{start.lines} {
  if (part_.compressed) inflater_ = std::make_unique<Inflater>();
}
LineReader::LineReader(LineReader&&) noexcept = default;
LineReader& LineReader::operator=(LineReader&&) noexcept = default;
LineReader::~LineReader() = default;

/// More bytes behind those that are there; 0: no more at present.
Result<std::size_t> LineReader::fill() {
  if (begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (buffer_.size() < end_ + kBlock) buffer_.resize(end_ + kBlock);
  std::size_t have = 0;
  if (inflater_) {
    TRY_ASSIGN(have, inflater_->read(part_.file.get(), offset_, buffer_.data() + end_, kBlock));
  } else {
    TRY_ASSIGN(have, read_at(part_.file.get(), offset_, buffer_.data() + end_, kBlock));
    offset_ += static_cast<off_t>(have);
  }
  end_ += have;
  return have;
}

Result<bool> LineReader::take(std::string_view& line) {
  if (!part_.file.valid()) return false;
  std::size_t looked = begin_;
  for (;;) {
    const void* newline = std::memchr(buffer_.data() + looked, '\n', end_ - looked);
    if (newline != nullptr) {
      const auto at = static_cast<std::size_t>(static_cast<const char*>(newline) - buffer_.data());
      line = std::string_view{buffer_}.substr(begin_, at - begin_);
      begin_ = at + 1;
      return true;
    }
    const std::size_t open = end_ - begin_;
    TRY_ASSIGN(const std::size_t more, fill());
    if (more == 0) return false;
    looked = begin_ + open;
  }
}

Result<bool> LineReader::next(std::string_view& line) {
  for (;;) {
    TRY_ASSIGN(const bool more, take(line));
    if (!more || skip_ == 0) return more;
    if (!is_partial(line)) --skip_;
  }
}

namespace {

/// A compressed part can only be read forwards: count, then leave out the rest.
Result<LogStart> tail_of_compressed(const LogPart& part, std::size_t& wanted) {
  LogPart copy{UniqueFd{::fcntl(part.file.get(), F_DUPFD_CLOEXEC, 3)}, part.inode, true, part.modified};
  LineReader reader{std::move(copy), {}};
  std::size_t total = 0;
  std::string_view line;
  for (bool open = false;;) {
    TRY_ASSIGN(const bool more, reader.next(line));
    if (!more) {
      if (open) ++total;
      break;
    }
    open = is_partial(line);
    if (!open) ++total;
  }
  const std::size_t taken = std::min(total, wanted);
  wanted -= taken;
  return LogStart{0, total - taken};
}

}  // namespace

Result<LogStart> tail_start(const LogPart& part, std::size_t& wanted) {
  if (part.compressed) return tail_of_compressed(part, wanted);
  const int file = part.file.get();
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
    const bool partial = is_partial(std::string_view{text}.substr(line_begin, length - line_begin - 1));
    if (!partial || !counted) {
      if (wanted == 0) return LogStart{position, 0};
      --wanted;
      counted = true;
    }
    position = begin + static_cast<off_t>(line_begin);
  }
  return LogStart{position, 0};
}

Result<LogStart> since_start(const LogPart& part, Time since) {
  if (part.compressed) return LogStart{};
  struct stat status{};
  if (::fstat(part.file.get(), &status) != 0) return os_error("reading the log");
  const TimeFilter filter{LogQuery{{}, since, {}}};
  std::string scratch;
  off_t low = 0;  // the beginning of a line before `since`
  off_t high = status.st_size;
  while (high - low > static_cast<off_t>(kBlock)) {
    const off_t middle = low + (high - low) / 2;
    TRY_ASSIGN(const std::string block, read_block(part.file.get(), middle, kBlock));
    // The first whole line after the middle.
    const auto first = block.find('\n');
    const auto second = first == std::string::npos ? first : block.find('\n', first + 1);
    if (second == std::string::npos) break;
    const auto line = parse_log_line(std::string_view{block}.substr(first + 1, second - first - 1), scratch);
    if (!line) break;
    if (filter.too_early(line->timestamp)) {
      low = middle + static_cast<off_t>(first) + 1;
    } else {
      high = middle;
    }
  }
  return LogStart{low, 0};
}

Result<LogView> select_parts(const std::string& log_path, const LogQuery& query) {
  LogView view;
  TRY_ASSIGN(view.parts, open_log_parts(log_path));
  if (query.since) {
    // A file whose last line was written before that has nothing for us, nor have those before it.
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(query.since->time_since_epoch()).count();
    const auto old =
        std::ranges::find_if(view.parts, [&](const LogPart& part) { return part.modified.tv_sec < seconds; });
    view.parts.erase(old, view.parts.end());
  }
  view.starts.resize(view.parts.size());
  std::size_t wanted = query.tail.value_or(0);
  for (std::size_t i = 0; i < view.parts.size(); ++i) {
    if (query.tail) {
      TRY_ASSIGN(view.starts[i], tail_start(view.parts[i], wanted));
      if (wanted == 0) {
        view.parts.resize(i + 1);
        view.starts.resize(i + 1);
      }
    } else if (query.since && i + 1 == view.parts.size()) {
      TRY_ASSIGN(view.starts[i], since_start(view.parts[i], *query.since));
    }
  }
  return view;
}

struct LogReader::Impl {
  LogView view;
  TimeFilter filter;
  LineReader reader;
  std::string scratch;
  bool ended = false;
};

LogReader::LogReader(std::unique_ptr<Impl> impl) : impl_{std::move(impl)} {}
LogReader::LogReader(LogReader&&) noexcept = default;
LogReader& LogReader::operator=(LogReader&&) noexcept = default;
LogReader::~LogReader() = default;

Result<LogReader> LogReader::open(const std::string& log_path, const LogQuery& query) {
  TRY_ASSIGN(LogView view, select_parts(log_path, query));
  return LogReader{std::make_unique<Impl>(Impl{std::move(view), TimeFilter{query}, {}, {}, false})};
}

Result<bool> LogReader::next(LogLine& line) {
  Impl& s = *impl_;
  std::string_view text;
  while (!s.ended) {
    TRY_ASSIGN(const bool more, s.reader.next(text));
    if (!more) {
      if (s.view.parts.empty()) break;
      s.reader = LineReader{std::move(s.view.parts.back()), s.view.starts.back()};
      s.view.parts.pop_back();
      s.view.starts.pop_back();
      continue;
    }
    const auto parsed = parse_log_line(text, s.scratch);
    if (!parsed || s.filter.too_early(parsed->timestamp)) continue;
    if (s.filter.too_late(parsed->timestamp)) break;
    line = *parsed;
    return true;
  }
  s.ended = true;
  return false;
}

Result<void> read_log(const std::string& log_path, const LogQuery& query,
                      const std::function<bool(const LogLine&)>& sink) {
  TRY_ASSIGN(auto reader, LogReader::open(log_path, query));
  LogLine line;
  for (;;) {
    TRY_ASSIGN(const bool more, reader.next(line));
    if (!more || !sink(line)) return {};
  }
}

}  // namespace compose::state
