#include "image/tar_reader.hpp"

#include <algorithm>
#include <cstring>

#include "base/strings.hpp"

namespace compose::image {

namespace {

constexpr std::size_t kBlock = 512;
constexpr std::size_t kBufferSize = std::size_t{256} << 10;
/// Of a pax header or a GNU long name; xattrs and sparse maps make them long, nothing makes them longer.
constexpr std::uint64_t kMaxRecord = std::uint64_t{4} << 20;
constexpr std::size_t kMaxSparseRanges = 1 << 16;
constexpr std::uint64_t kMaxFile = std::uint64_t{1} << 62;
constexpr std::uint64_t kMaxId = 0xfffffffe;
constexpr std::string_view kXattrPrefixes[] = {"SCHILY.xattr.", "LIBARCHIVE.xattr."};

Error bad(const std::string& why) { return make_error(Errc::corrupt, "tar: {}", why); }

std::string_view field(std::string_view block, std::size_t offset, std::size_t size) {
  const std::string_view text = block.substr(offset, size);
  return text.substr(0, std::min(text.find('\0'), text.size()));
}

/// Octal digits, or GNU's base 256 when the first bit is set.
Result<std::int64_t> number(std::string_view text) {
  if (!text.empty() && (static_cast<unsigned char>(text[0]) & 0x80U) != 0) {
    const bool negative = (static_cast<unsigned char>(text[0]) & 0x40U) != 0;
    std::uint64_t value = negative ? ~std::uint64_t{0} : 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
      auto byte = static_cast<unsigned char>(text[i]);
      if (i == 0) byte = static_cast<unsigned char>(negative ? byte | 0x80U : byte & 0x7fU);
      const bool fits = (value >> 55U) == (negative ? 0x1ffU : 0U);
      if (!fits) return bad("a number is too large");
      value = (value << 8U) | byte;
    }
    return static_cast<std::int64_t>(value);
  }
  std::string_view digits = text.substr(0, std::min(text.find('\0'), text.size()));
  digits = trim(digits);
  std::int64_t value = 0;
  for (const char digit : digits) {
    if (digit < '0' || digit > '7') return bad("a number is malformed");
    if (value > (INT64_MAX >> 3)) return bad("a number is too large");
    value = (value << 3) | (digit - '0');
  }
  return value;
}

Result<std::uint64_t> size_number(std::string_view text) {
  TRY_ASSIGN(const std::int64_t value, number(text));
  if (value < 0 || static_cast<std::uint64_t>(value) > kMaxFile) return bad("a size is out of range");
  return static_cast<std::uint64_t>(value);
}

Result<std::uint32_t> id_number(std::string_view text) {
  TRY_ASSIGN(const std::int64_t value, number(text));
  if (value < 0 || static_cast<std::uint64_t>(value) > kMaxId) return bad("an owner is out of range");
  return static_cast<std::uint32_t>(value);
}

bool checksum_fits(std::string_view block) {
  const Result<std::int64_t> stored = number(block.substr(148, 8));
  if (!stored) return false;
  std::int64_t with_unsigned = 0;
  std::int64_t with_signed = 0;
  for (std::size_t i = 0; i < kBlock; ++i) {
    const bool in_sum = i >= 148 && i < 156;
    with_unsigned += in_sum ? ' ' : static_cast<unsigned char>(block[i]);
    with_signed += in_sum ? ' ' : static_cast<signed char>(block[i]);
  }
  return *stored == with_unsigned || *stored == with_signed;
}

/// pax times: decimal seconds with a fraction, possibly negative.
Result<timespec> pax_time(std::string_view text) {
  const std::size_t point = text.find('.');
  const std::optional<std::int64_t> seconds = parse_signed(text.substr(0, point));
  if (!seconds) return bad("a time is malformed");
  long nanoseconds = 0;
  if (point != std::string_view::npos) {
    std::string digits{text.substr(point + 1)};
    if (!digits.empty() && !is_digits(digits)) return bad("a time is malformed");
    digits.resize(9, '0');
    nanoseconds = static_cast<long>(parse_unsigned(digits).value_or(0));
  }
  timespec time{*seconds, nanoseconds};
  if (text.starts_with('-') && nanoseconds > 0) time = {*seconds - 1, 1'000'000'000 - nanoseconds};
  return time;
}

Result<std::uint64_t> pax_number(std::string_view text, std::uint64_t limit) {
  const std::optional<std::uint64_t> value = parse_unsigned(text);
  if (!value || *value > limit) return bad("a number of an extended header is malformed");
  return *value;
}

bool is_zero(std::string_view block) {
  return std::all_of(block.begin(), block.end(), [](char c) { return c == '\0'; });
}

}  // namespace

/// What extended headers say about the entry behind them.
struct TarReader::Overrides {
  std::optional<std::string> path;
  std::optional<std::string> link_target;
  std::optional<std::uint64_t> size;
  std::optional<std::uint64_t> uid;
  std::optional<std::uint64_t> gid;
  std::optional<timespec> mtime;
  std::map<std::string, std::string> xattrs;
  // GNU.sparse
  bool sparse = false;
  bool sparse_map_in_content = false;
  std::optional<std::uint64_t> real_size;
  std::optional<std::string> sparse_name;
  std::vector<SparseRange> ranges;
};

TarReader::TarReader(ByteReader& input, TarObserver* observer)
    : input_{input}, observer_{observer}, buffer_(kBufferSize) {}

/// Makes at least `size` bytes (at most a buffer) available; false at the end of the input.
Result<bool> TarReader::fill(std::size_t size) {
  if (end_ - begin_ >= size) return true;
  std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
  end_ -= begin_;
  begin_ = 0;
  while (end_ < size) {
    TRY_ASSIGN(const std::size_t got, input_.read(buffer_.data() + end_, buffer_.size() - end_));
    if (got == 0) return false;
    end_ += got;
  }
  return true;
}

Result<void> TarReader::consume(std::size_t size, bool payload) {
  if (observer_ && !payload) TRY(observer_->raw({buffer_.data() + begin_, size}));
  begin_ += size;
  consumed_ += size;
  return {};
}

/// The next 512 bytes; nothing at the end of the input.
Result<std::optional<std::string>> TarReader::read_block() {
  TRY_ASSIGN(const bool complete, fill(kBlock));
  if (!complete) {
    if (end_ != begin_) return bad("it ends in the middle of a header");
    return std::optional<std::string>{};
  }
  std::string block{buffer_.data() + begin_, kBlock};
  TRY(consume(kBlock, false));
  return std::optional{std::move(block)};
}

/// The content of an extended header, padding removed.
Result<std::string> TarReader::read_record(std::uint64_t size) {
  if (size > kMaxRecord) return bad("an extended header is too long");
  std::string text;
  const std::uint64_t blocks = (size + kBlock - 1) / kBlock;
  for (std::uint64_t i = 0; i < blocks; ++i) {
    TRY_ASSIGN(std::optional<std::string> block, read_block());
    if (!block) return bad("it ends in the middle of an extended header");
    text += *block;
  }
  text.resize(size);
  return text;
}

Result<void> TarReader::parse_pax(std::string_view text, Overrides& overrides) {
  while (!text.empty()) {
    const std::size_t space = text.find(' ');
    if (space == std::string_view::npos || space > 10) return bad("an extended header is malformed");
    const std::optional<std::uint64_t> length = parse_unsigned(text.substr(0, space));
    if (!length || *length <= space + 1 || *length > text.size() || text[*length - 1] != '\n') {
      return bad("an extended header is malformed");
    }
    const std::string_view record = text.substr(space + 1, *length - space - 2);
    text.remove_prefix(*length);
    const std::size_t equals = record.find('=');
    if (equals == std::string_view::npos || equals == 0) return bad("an extended header is malformed");
    const std::string_view key = record.substr(0, equals);
    const std::string_view value = record.substr(equals + 1);
    if ((key == "path" || key == "linkpath") && value.find('\0') != std::string_view::npos) {
      return bad("a name has a NUL byte");
    }
    for (const std::string_view prefix : kXattrPrefixes) {
      // libarchive encodes its values in base64 and writes SCHILY's beside them, so only those count.
      if (key.starts_with(prefix) && prefix[0] == 'S') overrides.xattrs[std::string{key.substr(prefix.size())}] = value;
    }
    if (key == "path") overrides.path = value;
    if (key == "linkpath") overrides.link_target = value;
    if (key == "GNU.sparse.name") overrides.sparse_name = value;
    if (key == "size") {
      TRY_ASSIGN(overrides.size, pax_number(value, kMaxFile));
    } else if (key == "uid") {
      TRY_ASSIGN(overrides.uid, pax_number(value, kMaxId));
    } else if (key == "gid") {
      TRY_ASSIGN(overrides.gid, pax_number(value, kMaxId));
    } else if (key == "mtime") {
      TRY_ASSIGN(overrides.mtime, pax_time(value));
    } else if (key == "GNU.sparse.major") {
      overrides.sparse = true;
      overrides.sparse_map_in_content = value == "1";
    } else if (key == "GNU.sparse.size" || key == "GNU.sparse.realsize") {
      overrides.sparse = true;
      TRY_ASSIGN(overrides.real_size, pax_number(value, kMaxFile));
    } else if (key == "GNU.sparse.offset") {
      TRY_ASSIGN(const std::uint64_t offset, pax_number(value, kMaxFile));
      overrides.ranges.push_back({offset, 0});
    } else if (key == "GNU.sparse.numbytes") {
      if (overrides.ranges.empty()) return bad("a sparse file's map is malformed");
      TRY_ASSIGN(overrides.ranges.back().size, pax_number(value, kMaxFile));
    } else if (key == "GNU.sparse.map") {
      const std::vector<std::string> numbers = split(value, ',');
      if (numbers.size() % 2 != 0) return bad("a sparse file's map is malformed");
      overrides.ranges.clear();
      for (std::size_t i = 0; i < numbers.size(); i += 2) {
        TRY_ASSIGN(const std::uint64_t offset, pax_number(numbers[i], kMaxFile));
        TRY_ASSIGN(const std::uint64_t size, pax_number(numbers[i + 1], kMaxFile));
        overrides.ranges.push_back({offset, size});
      }
    }
    if (overrides.ranges.size() > kMaxSparseRanges) return bad("a sparse file has too many pieces");
  }
  return {};
}

Result<std::optional<TarEntry>> TarReader::next() {
  TRY(skip_content());
  Overrides overrides;
  while (!ended_) {
    TRY_ASSIGN(std::optional<std::string> block, read_block());
    if (!block) break;
    if (is_zero(*block)) {
      TRY_ASSIGN(block, read_block());
      if (block && !is_zero(*block)) return bad("a header is empty");
      break;
    }
    if (!checksum_fits(*block)) return bad("a header's checksum is wrong");
    const char type = (*block)[156];
    if (type == 'x' || type == 'X' || type == 'g' || type == 'L' || type == 'K') {
      TRY_ASSIGN(const std::uint64_t size, size_number(std::string_view{*block}.substr(124, 12)));
      TRY_ASSIGN(std::string record, read_record(size));
      if (type == 'x' || type == 'X') TRY(parse_pax(record, overrides));
      if (type == 'L') overrides.path = record.c_str();
      if (type == 'K') overrides.link_target = record.c_str();
      continue;  // 'g' is for the whole archive: comments, mostly; nothing in it concerns a layer
    }
    TRY_ASSIGN(std::optional<TarEntry> entry, make_entry(*block, overrides));
    if (entry) return entry;
    TRY(skip_content());
    overrides = Overrides{};
  }
  ended_ = true;
  return std::optional<TarEntry>{};
}

Result<std::optional<TarEntry>> TarReader::make_entry(const std::string& block, Overrides& overrides) {
  const std::string_view view{block};
  TarEntry entry;
  entry.path = field(view, 0, 100);
  if (view.substr(257, 6) == std::string_view{"ustar\0", 6}) {
    const std::string_view prefix = field(view, 345, 155);
    if (!prefix.empty()) entry.path = std::string{prefix} + "/" + entry.path;
  }
  entry.link_target = field(view, 157, 100);
  TRY_ASSIGN(const std::int64_t mode, number(view.substr(100, 8)));
  entry.mode = static_cast<mode_t>(mode) & 07777U;
  TRY_ASSIGN(entry.uid, id_number(view.substr(108, 8)));
  TRY_ASSIGN(entry.gid, id_number(view.substr(116, 8)));
  TRY_ASSIGN(std::uint64_t stored, size_number(view.substr(124, 12)));
  TRY_ASSIGN(entry.mtime.tv_sec, number(view.substr(136, 12)));
  const char type = block[156];
  bool known = true;
  switch (type) {
    case '0':
    case '\0':
    case '7':
    case 'S':
      entry.type = TarEntry::Type::file;
      break;
    case '1':
      entry.type = TarEntry::Type::hard_link;
      break;
    case '2':
      entry.type = TarEntry::Type::symbolic_link;
      break;
    case '3':
      entry.type = TarEntry::Type::character_device;
      break;
    case '4':
      entry.type = TarEntry::Type::block_device;
      break;
    case '5':
      entry.type = TarEntry::Type::directory;
      break;
    case '6':
      entry.type = TarEntry::Type::fifo;
      break;
    case 'V':
      known = false;
      break;  // a label
    default:
      return bad(fmt::format("an entry has the unknown type 0x{:02x}", static_cast<unsigned char>(type)));
  }
  if (type == '3' || type == '4') {
    TRY_ASSIGN(const std::uint64_t major, size_number(view.substr(329, 8)));
    TRY_ASSIGN(const std::uint64_t minor, size_number(view.substr(337, 8)));
    if (major > 0xfff || minor > 0xfffff) return bad("a device number is out of range");
    entry.device_major = static_cast<unsigned>(major);
    entry.device_minor = static_cast<unsigned>(minor);
  }
  ranges_.clear();
  range_ = 0;
  range_done_ = 0;
  offset_ = 0;
  sparse_ = false;
  TRY(apply(overrides, entry, stored));
  if (entry.type == TarEntry::Type::file && entry.path.ends_with('/')) entry.type = TarEntry::Type::directory;
  if (entry.type != TarEntry::Type::file) stored = 0;
  entry.size = stored;
  stored_left_ = stored;
  padding_ = (kBlock - stored % kBlock) % kBlock;
  if (type == 'S') {
    TRY(read_gnu_sparse(block, entry));
  } else if (overrides.sparse && entry.type == TarEntry::Type::file) {
    sparse_ = true;
    entry.size = overrides.real_size.value_or(stored);
    ranges_ = std::move(overrides.ranges);
    if (overrides.sparse_map_in_content) TRY(read_pax_sparse_map(entry));
    TRY(check_sparse(entry));
  }
  entry.sparse = sparse_;
  if (!known) return std::optional<TarEntry>{};
  return std::optional{std::move(entry)};
}

Result<void> TarReader::apply(const Overrides& overrides, TarEntry& entry, std::uint64_t& stored) {
  if (overrides.path) entry.path = *overrides.path;
  if (overrides.sparse_name) entry.path = *overrides.sparse_name;
  if (overrides.link_target) entry.link_target = *overrides.link_target;
  if (overrides.size) stored = *overrides.size;
  if (overrides.uid) entry.uid = static_cast<uid_t>(*overrides.uid);
  if (overrides.gid) entry.gid = static_cast<gid_t>(*overrides.gid);
  if (overrides.mtime) entry.mtime = *overrides.mtime;
  entry.xattrs = overrides.xattrs;
  return {};
}

/// GNU's old format: four ranges in the header, more in blocks behind it.
Result<void> TarReader::read_gnu_sparse(const std::string& block, TarEntry& entry) {
  sparse_ = true;
  TRY_ASSIGN(entry.size, size_number(std::string_view{block}.substr(483, 12)));
  const auto read_ranges = [&](std::string_view text, std::size_t count) -> Result<void> {
    for (std::size_t i = 0; i < count; ++i) {
      const std::string_view pair = text.substr(i * 24, 24);
      if (pair[0] == '\0' && pair[12] == '\0') break;
      TRY_ASSIGN(const std::uint64_t offset, size_number(pair.substr(0, 12)));
      TRY_ASSIGN(const std::uint64_t size, size_number(pair.substr(12, 12)));
      ranges_.push_back({offset, size});
    }
    return {};
  };
  TRY(read_ranges(std::string_view{block}.substr(386), 4));
  bool more = block[482] != '\0';
  while (more) {
    TRY_ASSIGN(const std::optional<std::string> extension, read_block());
    if (!extension) return bad("it ends in the middle of a sparse file's map");
    TRY(read_ranges(*extension, 21));
    more = (*extension)[504] != '\0';
    if (ranges_.size() > kMaxSparseRanges) return bad("a sparse file has too many pieces");
  }
  return check_sparse(entry);
}

/// pax format 1.0: the map is the first part of the content: decimal numbers, one per line, padded to a block.
Result<void> TarReader::read_pax_sparse_map(TarEntry&) {
  std::string text;
  std::size_t at = 0;
  const auto next_number = [&]() -> Result<std::uint64_t> {
    std::size_t line_end = text.find('\n', at);
    while (line_end == std::string::npos) {
      if (stored_left_ < kBlock || text.size() > kMaxRecord) return bad("a sparse file's map is malformed");
      TRY_ASSIGN(const std::optional<std::string> block, read_block());
      if (!block) return bad("it ends in the middle of a sparse file's map");
      stored_left_ -= kBlock;
      text += *block;
      line_end = text.find('\n', at);
    }
    const std::string_view digits = std::string_view{text}.substr(at, line_end - at);
    at = line_end + 1;
    return pax_number(digits, kMaxFile);
  };
  TRY_ASSIGN(const std::uint64_t count, next_number());
  if (count > kMaxSparseRanges) return bad("a sparse file has too many pieces");
  ranges_.clear();
  for (std::uint64_t i = 0; i < count; ++i) {
    TRY_ASSIGN(const std::uint64_t offset, next_number());
    TRY_ASSIGN(const std::uint64_t size, next_number());
    ranges_.push_back({offset, size});
  }
  return {};
}

Result<void> TarReader::check_sparse(const TarEntry& entry) const {
  std::uint64_t end = 0;
  std::uint64_t total = 0;
  for (const SparseRange& range : ranges_) {
    if (range.offset < end || range.size > kMaxFile - range.offset) return bad("a sparse file's map is malformed");
    end = range.offset + range.size;
    total += range.size;
  }
  if (end > entry.size || total > stored_left_) return bad("a sparse file's map does not fit its size");
  return {};
}

Result<std::optional<TarChunk>> TarReader::next_chunk() {
  if (sparse_) {
    while (range_ < ranges_.size() && range_done_ == ranges_[range_].size) {
      ++range_;
      range_done_ = 0;
    }
    if (range_ == ranges_.size()) return std::optional<TarChunk>{};
  } else if (stored_left_ == 0) {
    return std::optional<TarChunk>{};
  }
  TRY_ASSIGN(const bool available, fill(1));
  if (!available) return bad("it ends in the middle of a file");
  std::uint64_t size = std::min<std::uint64_t>(stored_left_, end_ - begin_);
  TarChunk chunk{offset_, {}};
  if (sparse_) {
    size = std::min(size, ranges_[range_].size - range_done_);
    chunk.offset = ranges_[range_].offset + range_done_;
    range_done_ += size;
  }
  chunk.bytes = {buffer_.data() + begin_, static_cast<std::size_t>(size)};
  TRY(consume(static_cast<std::size_t>(size), !sparse_));
  stored_left_ -= size;
  offset_ += size;
  return std::optional{chunk};
}

Result<void> TarReader::skip_content() {
  std::uint64_t left = stored_left_ + padding_;
  stored_left_ = 0;
  padding_ = 0;
  while (left > 0) {
    if (!observer_ && begin_ == end_) {
      TRY_ASSIGN(const std::uint64_t skipped, input_.skip(left));
      consumed_ += skipped;
      left -= skipped;
      if (left == 0) break;
    }
    TRY_ASSIGN(const bool available, fill(1));
    if (!available) return bad("it ends in the middle of a file");
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(left, end_ - begin_));
    TRY(consume(size, false));
    left -= size;
  }
  return {};
}

Result<void> TarReader::drain() {
  TRY(skip_content());
  while (true) {
    TRY_ASSIGN(const bool available, fill(1));
    if (!available) return {};
    TRY(consume(end_ - begin_, false));
  }
}

}  // namespace compose::image
