// Tar entries to operations of a LayerWriter.
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

#include <optional>

#include "base/strings.hpp"
#include "image/layer_tar.hpp"
#include "image/tar_headers.hpp"
#include "image/tar_reader.hpp"

namespace compose::image {

namespace {

constexpr std::string_view kWhiteoutPrefix = ".wh.";
constexpr std::string_view kOpaqueMark = ".wh..wh..opq";
/// What aufs kept in layers of its own: .wh..wh.plnk and others; no part of the tree.
constexpr std::string_view kAufsPrefix = ".wh..wh.";

class HeadersObserver : public TarObserver {
 public:
  explicit HeadersObserver(TarHeadersWriter& headers) : headers_{headers} {}
  Result<void> raw(std::string_view bytes) override { return headers_.raw(bytes); }

 private:
  TarHeadersWriter& headers_;
};

/// How the entries of a plain archive differ from those of a layer.
struct Placement {
  std::string directory;  ///< put in front of every name
  bool layer = true;      ///< names of whiteouts have their meaning
  ArchiveOwner owner;
};

class Unpacker {
 public:
  Unpacker(LayerWriter& writer, TarHeadersWriter* headers, const UnpackLimits& limits, Placement placement = {})
      : writer_{writer}, headers_{headers}, limits_{limits}, placement_{std::move(placement)} {}

  Result<void> run(TarReader& reader) {
    std::uint64_t count = 0;
    while (true) {
      TRY_ASSIGN(std::optional<TarEntry> entry, reader.next());
      if (!entry) break;
      if (!placement_.layer) place(*entry);
      if (++count > limits_.entries) return make_error(Errc::corrupt, "more than {} entries", limits_.entries);
      if (entry->path.size() > limits_.path) return make_error(Errc::corrupt, "a name is too long");
      TRY(add(*entry, reader).with("entry \"{}\"", entry->path));
    }
    TRY(reader.drain());
    return writer_.finish();
  }

 private:
  void place(TarEntry& entry) const {
    entry.path = placement_.directory + "/" + entry.path;
    if (entry.type == TarEntry::Type::hard_link) entry.link_target = placement_.directory + "/" + entry.link_target;
    if (placement_.owner.uid) entry.uid = *placement_.owner.uid;
    if (placement_.owner.gid) entry.gid = *placement_.owner.gid;
  }

  Result<void> add(const TarEntry& entry, TarReader& reader) {
    const std::size_t slash = entry.path.rfind('/');
    const std::string_view name = std::string_view{entry.path}.substr(slash == std::string::npos ? 0 : slash + 1);
    if (name.starts_with(kWhiteoutPrefix)) return add_whiteout(entry, name);
    if (path_components(entry.path).empty() && entry.type != TarEntry::Type::directory) {
      return make_error(Errc::invalid, "the root of a layer must be a directory");
    }
    TRY_ASSIGN(const std::string path, add_plain(entry, reader));
    return note_replaced();
  }

  Result<void> add_whiteout(const TarEntry& entry, std::string_view name) {
    if (!placement_.layer) return make_error(Errc::invalid, "a layer would take this name for a removed file");
    const std::string directory = entry.path.substr(0, entry.path.size() - name.size());
    if (name == kOpaqueMark) return writer_.opaque(directory);
    if (name.starts_with(kAufsPrefix)) return {};
    const std::string_view hidden = name.substr(kWhiteoutPrefix.size());
    if (hidden.empty() || hidden == "." || hidden == "..") return make_error(Errc::invalid, "a malformed whiteout");
    TRY(writer_.whiteout(directory + std::string{hidden}));
    return note_replaced();
  }

  Result<std::string> add_plain(const TarEntry& entry, TarReader& reader) {
    const FileAttributes attributes{entry.mode, entry.uid, entry.gid, entry.mtime, entry.xattrs};
    switch (entry.type) {
      case TarEntry::Type::file:
        return add_file(entry, reader, attributes);
      case TarEntry::Type::directory:
        return writer_.directory(entry.path, attributes);
      case TarEntry::Type::symbolic_link:
        return writer_.symbolic_link(entry.path, entry.link_target, attributes);
      case TarEntry::Type::hard_link:
        return writer_.hard_link(entry.path, entry.link_target);
      case TarEntry::Type::fifo:
        return writer_.special(entry.path, S_IFIFO, 0, attributes);
      case TarEntry::Type::character_device:
      case TarEntry::Type::block_device: {
        const mode_t type = entry.type == TarEntry::Type::block_device ? S_IFBLK : S_IFCHR;
        return writer_.special(entry.path, type, makedev(entry.device_major, entry.device_minor), attributes);
      }
    }
    return make_error(Errc::failed, "an unknown type");
  }

  Result<std::string> add_file(const TarEntry& entry, TarReader& reader, const FileAttributes& attributes) {
    TRY_ASSIGN(LayerWriter::File file, writer_.file(entry.path));
    TRY(note_replaced());
    if (headers_ && !entry.sparse && entry.size > 0) TRY(headers_->file(file.path, entry.size));
    while (true) {
      TRY_ASSIGN(const std::optional<TarChunk> chunk, reader.next_chunk());
      if (!chunk) break;
      written_ += chunk->bytes.size();
      if (written_ > limits_.bytes) return make_error(Errc::corrupt, "the archive does not fit on this disk");
      TRY(write_at(file.fd.get(), *chunk));
    }
    if (entry.sparse && ::ftruncate(file.fd.get(), static_cast<off_t>(entry.size)) != 0)
      return os_error("set the size");
    std::string path = file.path;
    TRY(writer_.close(std::move(file), entry.size, attributes));
    return path;
  }

  static Result<void> write_at(int fd, const TarChunk& chunk) {
    std::string_view left = chunk.bytes;
    auto offset = static_cast<off_t>(chunk.offset);
    while (!left.empty()) {
      const ssize_t count = retry_eintr([&] { return ::pwrite(fd, left.data(), left.size(), offset); });
      if (count < 0) return os_error("write");
      left.remove_prefix(static_cast<std::size_t>(count));
      offset += count;
    }
    return {};
  }

  Result<void> note_replaced() {
    for (; headers_ && noted_ < writer_.replaced().size(); ++noted_) {
      const ReplacedPath& replaced = writer_.replaced()[noted_];
      TRY(headers_->kept(replaced.path, replaced.kept));
    }
    return {};
  }

  LayerWriter& writer_;
  TarHeadersWriter* headers_;
  const UnpackLimits& limits_;
  Placement placement_;
  std::uint64_t written_ = 0;
  std::size_t noted_ = 0;
};

}  // namespace

Result<UnpackLimits> limits_for(const std::string& directory) {
  struct statvfs status{};
  if (::statvfs(directory.c_str(), &status) != 0) return os_error("statvfs \"{}\"", directory);
  UnpackLimits limits;
  limits.bytes = std::uint64_t{status.f_bavail} * status.f_frsize / 10 * 9;
  return limits;
}

Result<void> unpack_tar(ByteReader& tar, LayerWriter& writer, const std::string& headers_path,
                        const UnpackLimits& limits) {
  std::optional<TarHeadersWriter> headers;
  std::optional<HeadersObserver> observer;
  if (!headers_path.empty()) {
    TRY_ASSIGN(headers, TarHeadersWriter::create(headers_path));
    observer.emplace(*headers);
  }
  TarReader reader{tar, observer ? &*observer : nullptr};
  TRY(Unpacker(writer, headers ? &*headers : nullptr, limits).run(reader));
  return headers ? headers->finish() : Result<void>{};
}

Result<void> unpack_archive_into(ByteReader& tar, LayerWriter& writer, const std::string& directory,
                                 const ArchiveOwner& owner, const UnpackLimits& limits) {
  TarReader reader{tar};
  return Unpacker(writer, nullptr, limits, Placement{directory, false, owner}).run(reader);
}

}  // namespace compose::image
