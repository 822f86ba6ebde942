#include "image/layer_tar.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "base/strings.hpp"
#include "image/tar_headers.hpp"
#include "sys/file.hpp"

namespace compose::image {

namespace {

constexpr std::size_t kBlock = 512;
constexpr std::size_t kBufferSize = std::size_t{256} << 10;
constexpr std::size_t kNameSize = 100;
constexpr std::size_t kPrefixSize = 155;
constexpr std::uint64_t kMaxOctalId = 07777777;
constexpr std::uint64_t kMaxOctalSize = 077777777777;

/// One header as the canonical tar writes it.
struct Header {
  char type = '0';
  std::string name;
  std::string link;
  FileAttributes attributes;
  std::uint64_t size = 0;
  unsigned device_major = 0;
  unsigned device_minor = 0;
};

void put_octal(char* field, std::size_t size, std::uint64_t value) {
  for (std::size_t i = size - 1; i-- > 0;) {
    field[i] = static_cast<char>('0' + (value & 7U));
    value >>= 3U;
  }
}

void put_text(char* field, std::size_t size, std::string_view text) {
  std::memcpy(field, text.data(), std::min(size, text.size()));
}

/// Where a name can be cut into ustar's prefix and name; npos if it cannot.
std::size_t prefix_cut(const std::string& name) {
  if (name.size() <= kNameSize) return 0;
  for (std::size_t cut = name.find('/'); cut != std::string::npos && cut <= kPrefixSize;
       cut = name.find('/', cut + 1)) {
    if (name.size() - cut - 1 <= kNameSize && cut + 1 < name.size()) return cut;
  }
  return std::string::npos;
}

std::string pax_record(const std::string& key, const std::string& value) {
  const std::size_t body = key.size() + value.size() + 3;  // " ", "=", "\n"
  std::size_t length = body + 1;
  while (body + std::to_string(length).size() != length) ++length;
  return fmt::format("{} {}={}\n", length, key, value);
}

std::string ustar_block(const Header& header) {
  std::string block(kBlock, '\0');
  char* at = block.data();
  const std::size_t cut = prefix_cut(header.name);
  if (cut == std::string::npos) {
    put_text(at, kNameSize, header.name);
  } else if (cut == 0) {
    put_text(at, kNameSize, header.name);
  } else {
    put_text(at + 345, kPrefixSize, std::string_view{header.name}.substr(0, cut));
    put_text(at, kNameSize, std::string_view{header.name}.substr(cut + 1));
  }
  put_octal(at + 100, 8, header.attributes.mode & 07777U);
  put_octal(at + 108, 8, std::min<std::uint64_t>(header.attributes.uid, kMaxOctalId));
  put_octal(at + 116, 8, std::min<std::uint64_t>(header.attributes.gid, kMaxOctalId));
  put_octal(at + 124, 12, std::min(header.size, kMaxOctalSize));
  const std::int64_t seconds = header.attributes.mtime.tv_sec;
  put_octal(at + 136, 12, seconds < 0 ? 0 : std::min(static_cast<std::uint64_t>(seconds), kMaxOctalSize));
  at[156] = header.type;
  put_text(at + 157, kNameSize, header.link);
  std::memcpy(at + 257, "ustar\00000", 8);
  put_octal(at + 329, 8, header.device_major);
  put_octal(at + 337, 8, header.device_minor);
  std::memset(at + 148, ' ', 8);
  unsigned sum = 0;
  for (const char c : block) sum += static_cast<unsigned char>(c);
  put_octal(at + 148, 7, sum);
  at[154] = '\0';
  return block;
}

std::string pad(std::string text) {
  text.resize((text.size() + kBlock - 1) / kBlock * kBlock, '\0');
  return text;
}

/// The header's blocks, with a pax header in front where ustar is too small.
std::string header_blocks(const Header& header) {
  std::map<std::string, std::string> records;
  if (prefix_cut(header.name) == std::string::npos) records["path"] = header.name;
  if (header.link.size() > kNameSize) records["linkpath"] = header.link;
  if (header.size > kMaxOctalSize) records["size"] = std::to_string(header.size);
  if (header.attributes.uid > kMaxOctalId) records["uid"] = std::to_string(header.attributes.uid);
  if (header.attributes.gid > kMaxOctalId) records["gid"] = std::to_string(header.attributes.gid);
  const std::int64_t seconds = header.attributes.mtime.tv_sec;
  if (seconds < 0 || static_cast<std::uint64_t>(seconds) > kMaxOctalSize) records["mtime"] = std::to_string(seconds);
  for (const auto& [name, value] : header.attributes.xattrs) records["SCHILY.xattr." + name] = value;
  std::string blocks;
  if (!records.empty()) {
    std::string text;
    for (const auto& [key, value] : records) text += pax_record(key, value);
    Header extended;
    extended.type = 'x';
    extended.name = "PaxHeaders.0/" + header.name.substr(0, 80);
    extended.size = text.size();
    blocks = ustar_block(extended) + pad(std::move(text));
  }
  return blocks + ustar_block(header);
}

class CanonicalTar {
 public:
  explicit CanonicalTar(const ByteSink& sink) : sink_{sink}, buffer_(kBufferSize) {}

  Result<TarSummary> write(const std::string& diff) {
    UniqueFd root{::open(diff.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (!root.valid()) return os_error("open directory \"{}\"", diff);
    TRY(add_children(diff, ""));
    TRY(emit(std::string(2 * kBlock, '\0')));
    TRY(flush());
    return summary_;
  }

 private:
  /// Small pieces are joined: a call of the sink per header would cost more than the hash.
  Result<void> emit(std::string_view bytes) {
    summary_.tar_size += bytes.size();
    pending_ += bytes;
    return pending_.size() < kBufferSize ? Result<void>{} : flush();
  }
  Result<void> flush() {
    if (pending_.empty()) return {};
    TRY(sink_(pending_));
    pending_.clear();
    return {};
  }

  Result<void> add_children(const std::string& host, const std::string& path) {
    TRY_ASSIGN(const std::vector<std::string> names, sys::list_directory(host));
    for (const std::string& name : names) TRY(add(host + "/" + name, join_path(path, name)));
    return {};
  }

  Result<void> add(const std::string& host, const std::string& path) {
    struct stat status{};
    if (::lstat(host.c_str(), &status) != 0) return os_error("stat \"{}\"", host);
    if (S_ISSOCK(status.st_mode)) return {};
    if (is_whiteout(status)) return add_mark(path, status);
    Header header;
    header.name = path;
    header.attributes = attributes_of(host, status);
    if (S_ISDIR(status.st_mode)) {
      header.type = '5';
      header.name += '/';
      TRY(emit(header_blocks(header)));
      if (is_opaque(host)) TRY(add_mark(path + "/.wh..opq", status));
      return add_children(host, path);
    }
    if (status.st_nlink > 1) {
      const auto [it, first] = links_.try_emplace({status.st_dev, status.st_ino}, path);
      if (!first) {
        header.type = '1';
        header.link = it->second;
        header.attributes.xattrs.clear();
        return emit(header_blocks(header));
      }
    }
    return add_leaf(host, status, std::move(header));
  }

  Result<void> add_leaf(const std::string& host, const struct stat& status, Header header) {
    switch (status.st_mode & S_IFMT) {
      case S_IFLNK: {
        header.type = '2';
        TRY_ASSIGN(header.link, MergedView{}.read_link({header.name, host, status}));
        return emit(header_blocks(header));
      }
      case S_IFIFO:
        header.type = '6';
        return emit(header_blocks(header));
      case S_IFCHR:
      case S_IFBLK:
        header.type = S_ISCHR(status.st_mode) ? '3' : '4';
        header.device_major = major(status.st_rdev);
        header.device_minor = minor(status.st_rdev);
        return emit(header_blocks(header));
      default:
        break;
    }
    header.size = static_cast<std::uint64_t>(status.st_size);
    TRY(emit(header_blocks(header)));
    return add_content(host, header.size);
  }

  Result<void> add_content(const std::string& host, std::uint64_t size) {
    summary_.content_size += size;
    if (size == 0) return {};
    UniqueFd fd{::open(host.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC)};
    if (!fd.valid()) return os_error("open \"{}\"", host);
    for (std::uint64_t left = size; left > 0;) {
      const std::size_t wanted = static_cast<std::size_t>(std::min<std::uint64_t>(left, buffer_.size()));
      const ssize_t got = retry_eintr([&] { return ::read(fd.get(), buffer_.data(), wanted); });
      if (got < 0) return os_error("read \"{}\"", host);
      if (got == 0) return make_error(Errc::corrupt, "\"{}\" became shorter while it was read", host);
      TRY(emit({buffer_.data(), static_cast<std::size_t>(got)}));
      left -= static_cast<std::uint64_t>(got);
    }
    return emit(std::string((kBlock - size % kBlock) % kBlock, '\0'));
  }

  /// A whiteout, or with the name ".wh..opq" the mark of an opaque directory (".wh..wh..opq").
  Result<void> add_mark(const std::string& path, const struct stat& status) {
    const std::size_t slash = path.rfind('/');
    Header header;
    header.name =
        slash == std::string::npos ? ".wh." + path : path.substr(0, slash + 1) + ".wh." + path.substr(slash + 1);
    header.attributes.mode = 0600;
    header.attributes.mtime = status.st_mtim;
    return emit(header_blocks(header));
  }

  const ByteSink& sink_;
  std::vector<char> buffer_;
  std::string pending_;
  TarSummary summary_;
  std::map<std::pair<dev_t, ino_t>, std::string> links_;
};

/// Entries that were moved away while the layer was unpacked.
struct Move {
  std::uint64_t at;  ///< number of 'F' records before it
  std::string path;
  std::string kept;
};

Result<std::vector<Move>> read_moves(const std::string& headers_path) {
  TRY_ASSIGN(TarHeadersReader reader, TarHeadersReader::open(headers_path));
  std::vector<Move> moves;
  std::uint64_t files = 0;
  while (true) {
    TRY_ASSIGN(std::optional<TarHeadersRecord> record, reader.next());
    if (!record) return moves;
    if (record->kind == 'F') ++files;
    if (record->kind == 'K') moves.push_back({files, std::move(record->text), std::move(record->kept)});
  }
}

std::string where_now(const std::string& path, std::uint64_t index, const std::vector<Move>& moves) {
  for (const Move& move : moves) {
    if (move.at <= index) continue;
    if (path == move.path) return move.kept;
    if (path.starts_with(move.path + "/")) return move.kept + path.substr(move.path.size());
  }
  return "diff/" + path;
}

Result<void> send_file(const std::string& host, std::uint64_t size, std::vector<char>& buffer, const ByteSink& sink) {
  UniqueFd fd{::open(host.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC)};
  if (!fd.valid()) return os_error("open \"{}\"", host);
  while (size > 0) {
    const std::size_t wanted = static_cast<std::size_t>(std::min<std::uint64_t>(size, buffer.size()));
    const ssize_t got = retry_eintr([&] { return ::read(fd.get(), buffer.data(), wanted); });
    if (got < 0) return os_error("read \"{}\"", host);
    if (got == 0) return make_error(Errc::corrupt, "\"{}\" is shorter than its layer says", host);
    TRY(sink({buffer.data(), static_cast<std::size_t>(got)}));
    size -= static_cast<std::uint64_t>(got);
  }
  return {};
}

}  // namespace

std::string archive_member(const std::string& name, std::uint64_t size) {
  Header header;
  header.name = name;
  header.attributes.mode = 0444;
  header.size = size;
  return header_blocks(header);
}

Result<TarSummary> write_canonical_tar(const std::string& diff, const ByteSink& sink) {
  return CanonicalTar{sink}.write(diff);
}

Result<void> replay_tar(const std::string& folder, const std::string& headers_path, const ByteSink& sink) {
  TRY_ASSIGN(const std::vector<Move> moves, read_moves(headers_path));
  TRY_ASSIGN(TarHeadersReader reader, TarHeadersReader::open(headers_path));
  std::vector<char> buffer(kBufferSize);
  std::uint64_t files = 0;
  while (true) {
    TRY_ASSIGN(const std::optional<TarHeadersRecord> record, reader.next());
    if (!record) return {};
    if (record->kind == 'R') TRY(sink(record->text));
    if (record->kind == 'F') {
      TRY(send_file(folder + "/" + where_now(record->text, files, moves), record->size, buffer, sink));
      ++files;
    }
  }
}

}  // namespace compose::image
