#include "build/copy.hpp"

#include <fcntl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>

#include "base/sha256.hpp"
#include "base/strings.hpp"
#include "image/byte_stream.hpp"
#include "image/layer_tar.hpp"

namespace compose::build {

namespace {

using image::FileAttributes;
using image::ViewEntry;

constexpr std::size_t kMaxAccounts = std::size_t{4} << 20;
constexpr std::size_t kBufferSize = std::size_t{256} << 10;

FileAttributes final_attributes(const SourceTree& tree, const CopyOptions& options, const ViewEntry& entry) {
  FileAttributes attributes = image::attributes_of(entry.host, entry.status);
  if (tree.from_host) {
    attributes.uid = 0;
    attributes.gid = 0;
    std::erase_if(attributes.xattrs, [](const auto& item) { return item.first != "security.capability"; });
  }
  if (options.uid) attributes.uid = *options.uid;
  if (options.gid) attributes.gid = *options.gid;
  if (options.mode && !S_ISLNK(entry.status.st_mode))
    attributes.mode = options.mode->apply(attributes.mode, S_ISDIR(entry.status.st_mode));
  return attributes;
}

Result<void> hash_content(Sha256& hash, const ViewEntry& entry, std::vector<char>& buffer) {
  UniqueFd fd{::open(entry.host.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC)};
  if (!fd.valid()) return os_error("open \"{}\"", entry.host);
  while (true) {
    const ssize_t got = retry_eintr([&] { return ::read(fd.get(), buffer.data(), buffer.size()); });
    if (got < 0) return os_error("read \"{}\"", entry.host);
    if (got == 0) return {};
    hash.update(buffer.data(), static_cast<std::size_t>(got));
  }
}

Result<void> write_file(const ViewEntry& entry, const std::string& path, const FileAttributes& attributes,
                        image::LayerWriter& writer) {
  UniqueFd source{::open(entry.host.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC)};
  if (!source.valid()) return os_error("open \"{}\"", entry.host);
  TRY_ASSIGN(image::LayerWriter::File file, writer.file(path));
  std::vector<char> buffer(kBufferSize);
  std::uint64_t done = 0;
  while (true) {
    // In the kernel, and without copying where the file system shares extents.
    ssize_t got = ::copy_file_range(source.get(), nullptr, file.fd.get(), nullptr, std::size_t{1} << 30, 0);
    if (got < 0 && (errno == EXDEV || errno == EINVAL || errno == EOPNOTSUPP || errno == ENOSYS)) {
      got = retry_eintr([&] { return ::read(source.get(), buffer.data(), buffer.size()); });
      std::string_view left{buffer.data(), static_cast<std::size_t>(std::max<ssize_t>(got, 0))};
      while (!left.empty()) {
        const ssize_t count = retry_eintr([&] { return ::write(file.fd.get(), left.data(), left.size()); });
        if (count < 0) return os_error("write \"{}\"", path);
        left.remove_prefix(static_cast<std::size_t>(count));
      }
    }
    if (got < 0) return os_error("copy \"{}\"", entry.host);
    if (got == 0) break;
    done += static_cast<std::uint64_t>(got);
  }
  return writer.close(std::move(file), done, attributes);
}

/// The archive's own owners stay, whatever --chown says (as with BuildKit).
Result<void> unpack_archive(const ViewEntry& entry, const std::string& destination, image::LayerWriter& writer) {
  UniqueFd fd{::open(entry.host.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC)};
  if (!fd.valid()) return os_error("open \"{}\"", entry.host);
  TRY_ASSIGN(const image::ByteReaderPtr plain, image::decompress(image::read_fd(std::move(fd))));
  TRY_ASSIGN(const image::UnpackLimits limits, image::limits_for(writer.tree()));
  return image::unpack_archive_into(*plain, writer, destination, {}, limits);
}

/// A folder that goes where the image has a link to a folder (/lib → usr/lib): its content then goes through the link,
/// a folder in the link's place would hide all that is behind it.
Result<bool> links_to_directory(const image::LayerWriter& writer, const std::string& path, const ViewEntry& entry) {
  if (!S_ISDIR(entry.status.st_mode)) return false;
  TRY_ASSIGN(const std::optional<ViewEntry> existing, writer.view().lookup(path));
  if (!existing || !S_ISLNK(existing->status.st_mode)) return false;
  TRY_ASSIGN(const std::optional<ViewEntry> behind, writer.view().resolve(path));
  return behind && S_ISDIR(behind->status.st_mode);
}

/// Is there something at the target that the item cannot replace?
Result<void> check_target(const image::LayerWriter& writer, const std::string& path, const ViewEntry& entry) {
  TRY_ASSIGN(const std::optional<ViewEntry> existing, writer.view().lookup(path));
  if (!existing) return {};
  const bool was_directory = S_ISDIR(existing->status.st_mode);
  const bool is_directory = S_ISDIR(entry.status.st_mode);
  if (was_directory && !is_directory)
    return make_error(Errc::invalid, "cannot replace the directory \"/{}\" with a file", path);
  if (!was_directory && is_directory) {
    return make_error(Errc::invalid, "cannot replace the file \"/{}\" with a directory", path);
  }
  return {};
}

Result<void> write_item(const CopyItem& item, const std::string& path, const FileAttributes& attributes,
                        image::LayerWriter& writer) {
  const mode_t type = item.entry.status.st_mode & S_IFMT;
  if (type == S_IFREG) return write_file(item.entry, path, attributes, writer);
  Result<std::string> written = std::string{};
  if (type == S_IFDIR) {
    written = writer.directory(path, attributes);
  } else if (type == S_IFLNK) {
    TRY_ASSIGN(const std::string target, image::MergedView{}.read_link(item.entry));
    written = writer.symbolic_link(path, target, attributes);
  } else {
    written = writer.special(path, type, item.entry.status.st_rdev, attributes);
  }
  return written ? Result<void>{} : Result<void>{written.error()};
}

/// The numeric fields of the line whose first field is `name`.
Result<std::vector<std::string>> account(const image::MergedView& view, const std::string& file,
                                         const std::string& name) {
  TRY_ASSIGN(const std::optional<std::string> text, view.read_file(file, kMaxAccounts));
  for (const std::string& line : split(text.value_or(""), '\n')) {
    std::vector<std::string> fields = split(line, ':');
    if (fields.size() >= 3 && fields[0] == name) return fields;
  }
  return make_error(Errc::not_found, "\"{}\" is not in the image's /{}", name, file);
}

Result<std::uint32_t> id_of(const std::string& digits) {
  const std::optional<std::uint64_t> value = parse_unsigned(digits);
  if (!value || *value > 0xfffffffe) return make_error(Errc::invalid, "\"{}\" is no user or group id", digits);
  return static_cast<std::uint32_t>(*value);
}

}  // namespace

Result<Owner> resolve_owner(const image::MergedView& view, const std::string& text) {
  const std::size_t colon = text.find(':');
  const std::string user = text.substr(0, colon);
  const std::string group = colon == std::string::npos ? "" : text.substr(colon + 1);
  if (user.empty() || (colon != std::string::npos && group.empty())) {
    return make_error(Errc::invalid, "\"{}\" is not user or user:group", text);
  }
  Owner owner;
  if (is_digits(user)) {
    TRY_ASSIGN(owner.uid, id_of(user));
    owner.gid = owner.uid;
  } else {
    TRY_ASSIGN(const std::vector<std::string> fields, account(view, "etc/passwd", user));
    TRY_ASSIGN(owner.uid, id_of(fields[2]));
    TRY_ASSIGN(owner.gid, id_of(fields.size() > 3 ? fields[3] : ""));
  }
  if (is_digits(group)) {
    TRY_ASSIGN(owner.gid, id_of(group));
  } else if (!group.empty()) {
    TRY_ASSIGN(const std::vector<std::string> fields, account(view, "etc/group", group));
    TRY_ASSIGN(owner.gid, id_of(fields[2]));
  }
  return owner;
}

Result<std::string> copy_digest(const SourceTree& tree, const CopyOptions& options, const CopyPlan& plan) {
  Sha256 hash;
  const auto add = [&](const std::string& text) {
    const std::string sized = fmt::format("{}:{}", text.size(), text);
    hash.update(sized.data(), sized.size());
  };
  std::vector<char> buffer(kBufferSize);
  if (!tree.identity.empty()) {
    add("tree " + tree.identity);
    for (const std::string& source : options.sources) add(source);
    for (const std::string& pattern : options.exclude) add("exclude " + pattern);
    add(fmt::format("{} {}", options.parents, options.unpack));
    return hash.finish_hex();
  }
  for (const CopyItem& item : plan.items) {
    const FileAttributes attributes = final_attributes(tree, options, item.entry);
    add(item.target);
    add(fmt::format("{:o} {:o} {} {} {}", item.entry.status.st_mode & S_IFMT, attributes.mode, attributes.uid,
                    attributes.gid, item.is_archive));
    for (const auto& [name, value] : attributes.xattrs) {
      add(name);
      add(value);
    }
    if (S_ISLNK(item.entry.status.st_mode)) {
      TRY_ASSIGN(const std::string target, tree.view.read_link(item.entry));
      add(target);
    } else if (S_ISREG(item.entry.status.st_mode)) {
      add(std::to_string(item.entry.status.st_size));
      if (tree.hashes != nullptr) {
        TRY_ASSIGN(const std::string content, tree.hashes->digest(item.entry.host, item.entry.status));
        add(content);
      } else {
        TRY(hash_content(hash, item.entry, buffer));
      }
    }
  }
  return hash.finish_hex();
}

Result<void> ensure_directory(image::LayerWriter& writer, const std::string& path, const FileAttributes& attributes,
                              bool through_links) {
  std::string current;
  for (const std::string& part : image::path_components(path)) {
    current = image::join_path(current, part);
    TRY_ASSIGN(std::optional<ViewEntry> entry, writer.view().lookup(current));
    if (entry && through_links) {
      TRY_ASSIGN(entry, writer.view().resolve(current));
    }
    if (entry && S_ISDIR(entry->status.st_mode)) continue;
    if (entry && through_links) return make_error(Errc::invalid, "\"/{}\" is not a directory", current);
    TRY_ASSIGN(const std::string made, writer.directory(current, attributes));
  }
  return {};
}

namespace {

/// One COPY or ADD being written.
class CopyWriter {
 public:
  CopyWriter(const SourceTree& tree, const CopyOptions& options, image::LayerWriter& writer, timespec time)
      : tree_{tree}, options_{options}, writer_{writer} {
    made_ = {0755, options.uid.value_or(0), options.gid.value_or(0), time, {}};
  }

  Result<void> run(const CopyPlan& plan) {
    // With --link nothing below is looked at: links in the way become directories.
    destination_ = image::lexical_path(options_.destination);
    if (!options_.link) {
      TRY_ASSIGN(destination_, writer_.view().real_path(options_.destination));
    }
    TRY_ASSIGN(const std::optional<ViewEntry> existing, writer_.view().lookup(destination_));
    into_ = plan.into_directory || (existing && S_ISDIR(existing->status.st_mode));
    const bool unpacks = std::any_of(plan.items.begin(), plan.items.end(), [](const auto& i) { return i.is_archive; });
    TRY(ensure(into_ || unpacks ? destination_ : parent_of(destination_)));
    for (const CopyItem& item : plan.items) TRY(write(item));
    return {};
  }

 private:
  static std::string parent_of(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    return slash == std::string::npos ? "" : path.substr(0, slash);
  }
  Result<void> ensure(const std::string& path) { return ensure_directory(writer_, path, made_, !options_.link); }

  Result<void> write(const CopyItem& item) {
    if (item.is_archive) {
      return unpack_archive(item.entry, destination_, writer_).with("\"{}\"", item.entry.path);
    }
    // The destination itself was made, or keeps what it has.
    if (S_ISDIR(item.entry.status.st_mode) && item.target.empty()) return {};
    const std::string place = into_ ? image::join_path(destination_, item.target) : destination_;
    if (options_.parents) TRY(ensure(parent_of(place)));
    TRY_ASSIGN(const bool through_link, links_to_directory(writer_, place, item.entry));
    if (through_link && !options_.link) return {};
    TRY(check_target(writer_, place, item.entry));
    const FileAttributes attributes = final_attributes(tree_, options_, item.entry);
    return write_item(item, place, attributes, writer_).with("\"/{}\"", place);
  }

  const SourceTree& tree_;
  const CopyOptions& options_;
  image::LayerWriter& writer_;
  FileAttributes made_;
  std::string destination_;
  bool into_ = false;
};

}  // namespace

Result<void> write_copy(const SourceTree& tree, const CopyOptions& options, const CopyPlan& plan,
                        image::LayerWriter& writer, timespec time) {
  if (plan.items.empty()) return {};
  return CopyWriter{tree, options, writer, time}.run(plan);
}

}  // namespace compose::build
