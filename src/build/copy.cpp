#include "build/copy.hpp"

#include <fcntl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>

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

std::string base_name(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

/// Lists and walks a tree; children of a directory of the host need no lookup through the layers.
class Walker {
 public:
  Walker(const SourceTree& tree, const CopyOptions& options) : tree_{tree}, exclude_{options.exclude} {}

  bool ignored(const std::string& path) const { return tree_.ignore.ignored(path); }

  Result<std::vector<ViewEntry>> children(const ViewEntry& directory) const {
    TRY_ASSIGN(const std::vector<std::string> names, tree_.view.list(directory.path));
    std::vector<ViewEntry> result;
    for (const std::string& name : names) {
      const std::string path = image::join_path(directory.path, name);
      if (tree_.view.layers().size() == 1) {
        ViewEntry entry{path, directory.host + "/" + name, {}};
        if (::lstat(entry.host.c_str(), &entry.status) != 0) return os_error("stat \"{}\"", entry.host);
        result.push_back(std::move(entry));
        continue;
      }
      TRY_ASSIGN(std::optional<ViewEntry> entry, tree_.view.lookup(path));
      if (entry) result.push_back(std::move(*entry));
    }
    return result;
  }

  /// Everything below a directory, parents first. `relative` is the directory's own place in the copy.
  Result<void> collect(const ViewEntry& directory, const std::string& relative, const std::string& target,
                       std::vector<CopyItem>& items) const {
    TRY_ASSIGN(const std::vector<ViewEntry> entries, children(directory));
    for (const ViewEntry& entry : entries) {
      const std::string name = base_name(entry.path);
      const std::string place = image::join_path(relative, name);
      const bool is_directory = S_ISDIR(entry.status.st_mode);
      const bool skip = ignored(entry.path) || exclude_.ignored(place);
      const bool look_inside =
          is_directory && (tree_.ignore.may_contain_exceptions(entry.path) || exclude_.may_contain_exceptions(place));
      if (skip && !look_inside) continue;
      if (S_ISSOCK(entry.status.st_mode)) continue;
      if (!skip) items.push_back({image::join_path(target, name), entry, false});
      if (is_directory) TRY(collect(entry, place, image::join_path(target, name), items));
    }
    return {};
  }

  /// Entries a pattern names, sorted, links of the last component not followed.
  Result<std::vector<ViewEntry>> matches(const std::string& pattern) const {
    const std::string clean = image::lexical_path(pattern);
    std::vector<ViewEntry> current;
    TRY_ASSIGN(const std::optional<ViewEntry> root, tree_.view.lookup(""));
    if (root) current.push_back(*root);
    for (const std::string& part : image::path_components(clean)) {
      std::vector<ViewEntry> next;
      for (const ViewEntry& entry : current) TRY(step(entry, part, next));
      current = std::move(next);
    }
    return current;
  }

 private:
  Result<void> step(const ViewEntry& from, const std::string& part, std::vector<ViewEntry>& next) const {
    TRY_ASSIGN(const std::optional<ViewEntry> directory, tree_.view.resolve(from.path));
    if (!directory || !S_ISDIR(directory->status.st_mode)) return {};
    if (!has_wildcard(part)) {
      std::string name;
      for (std::size_t i = 0; i < part.size(); ++i) {
        if (part[i] == '\\' && i + 1 < part.size()) ++i;
        name += part[i];
      }
      TRY_ASSIGN(std::optional<ViewEntry> entry, tree_.view.lookup(image::join_path(directory->path, name)));
      if (entry) next.push_back(std::move(*entry));
      return {};
    }
    TRY_ASSIGN(const std::vector<ViewEntry> entries, children(*directory));
    for (const ViewEntry& entry : entries) {
      if (path_matches(part, base_name(entry.path))) next.push_back(entry);
    }
    return {};
  }

  const SourceTree& tree_;
  IgnoreRules exclude_;
};

bool is_tar(const std::string& host) {
  UniqueFd fd{::open(host.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC)};
  if (!fd.valid()) return false;
  Result<image::ByteReaderPtr> plain = image::decompress(image::read_fd(std::move(fd)));
  if (!plain) return false;
  std::array<char, 512> block{};
  std::size_t size = 0;
  while (size < block.size()) {
    const Result<std::size_t> got = (*plain)->read(block.data() + size, block.size() - size);
    if (!got || *got == 0) return false;
    size += *got;
  }
  return std::string_view{block.data() + 257, 5} == "ustar";
}

FileAttributes final_attributes(const SourceTree& tree, const CopyOptions& options, const ViewEntry& entry) {
  FileAttributes attributes = image::attributes_of(entry.host, entry.status);
  if (tree.from_host) {
    attributes.uid = 0;
    attributes.gid = 0;
    std::erase_if(attributes.xattrs, [](const auto& item) { return item.first != "security.capability"; });
  }
  if (options.uid) attributes.uid = *options.uid;
  if (options.gid) attributes.gid = *options.gid;
  if (options.mode && !S_ISLNK(entry.status.st_mode)) attributes.mode = *options.mode;
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

Result<void> unpack_archive(const ViewEntry& entry, const std::string& destination, const CopyOptions& options,
                            image::LayerWriter& writer) {
  UniqueFd fd{::open(entry.host.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC)};
  if (!fd.valid()) return os_error("open \"{}\"", entry.host);
  TRY_ASSIGN(const image::ByteReaderPtr plain, image::decompress(image::read_fd(std::move(fd))));
  TRY_ASSIGN(const image::UnpackLimits limits, image::limits_for(writer.tree()));
  return image::unpack_archive_into(*plain, writer, destination, {options.uid, options.gid}, limits);
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

Result<CopyPlan> plan_copy(const SourceTree& tree, const CopyOptions& options) {
  const Walker walker{tree, options};
  const bool slash = options.destination.ends_with('/');
  if (options.sources.size() > 1 && !slash) {
    return make_error(Errc::invalid, "with several sources the destination must end with \"/\"");
  }
  CopyPlan plan;
  plan.into_directory = slash || options.parents;
  const IgnoreRules exclude{options.exclude};
  for (const std::string& source : options.sources) {
    TRY_ASSIGN(const std::vector<ViewEntry> matches, walker.matches(source));
    bool any = false;
    for (const ViewEntry& match : matches) {
      if (!match.path.empty() && walker.ignored(match.path) && !tree.ignore.may_contain_exceptions(match.path))
        continue;
      TRY_ASSIGN(const std::optional<ViewEntry> entry, tree.view.resolve(match.path));
      if (!entry) continue;
      any = true;
      std::string target = options.parents ? match.path : "";
      if (S_ISDIR(entry->status.st_mode)) {
        plan.into_directory = true;
        plan.single_directory = matches.size() == 1 && options.sources.size() == 1;
        plan.items.push_back({target, *entry, false});
        TRY(walker.collect(*entry, "", target, plan.items));
        continue;
      }
      const std::string name = base_name(match.path);
      if (exclude.ignored(name)) continue;
      if (!options.parents) target = name;
      plan.items.push_back({target, *entry, options.unpack && is_tar(entry->host)});
    }
    if (matches.size() > 1) plan.into_directory = true;
    if (!any)
      return make_error(Errc::not_found, "\"{}\" is not there{}", source,
                        matches.empty() ? "" : " (.dockerignore leaves it out)");
  }
  return plan;
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
      TRY(hash_content(hash, item.entry, buffer));
    }
  }
  return hash.finish_hex();
}

Result<void> ensure_directory(image::LayerWriter& writer, const std::string& path, const FileAttributes& attributes) {
  const std::vector<std::string> components = image::path_components(path);
  std::string current;
  for (const std::string& part : components) {
    current = image::join_path(current, part);
    TRY_ASSIGN(const std::optional<ViewEntry> entry, writer.view().resolve(current));
    if (entry && S_ISDIR(entry->status.st_mode)) continue;
    if (entry) return make_error(Errc::invalid, "\"/{}\" is not a directory", current);
    TRY_ASSIGN(const std::string made, writer.directory(current, attributes));
  }
  return {};
}

Result<void> write_copy(const SourceTree& tree, const CopyOptions& options, const CopyPlan& plan,
                        image::LayerWriter& writer, timespec time) {
  const FileAttributes made{0755, options.uid.value_or(0), options.gid.value_or(0), time, {}};
  TRY_ASSIGN(std::string destination, writer.view().real_path(options.destination));
  TRY_ASSIGN(const std::optional<ViewEntry> existing, writer.view().lookup(destination));
  const bool into = plan.into_directory || (existing && S_ISDIR(existing->status.st_mode));
  const std::size_t slash = destination.rfind('/');
  const std::string parent = slash == std::string::npos ? "" : destination.substr(0, slash);
  TRY(ensure_directory(writer, into ? destination : parent, made));
  for (const CopyItem& item : plan.items) {
    const std::string path = into ? image::join_path(destination, item.target) : destination;
    if (item.is_archive) {
      const std::string archive_target = into ? destination : parent;
      TRY(unpack_archive(item.entry, archive_target, options, writer).with("\"{}\"", item.entry.path));
      continue;
    }
    // The destination itself, or a folder of --parents, keeps what it has if it exists.
    const std::string place = into && item.target.empty() ? destination : path;
    if (S_ISDIR(item.entry.status.st_mode) && item.target.empty()) {
      const bool fresh = !existing;
      if (fresh) {
        TRY_ASSIGN(const std::string written, writer.directory(place, final_attributes(tree, options, item.entry)));
      }
      continue;
    }
    const std::size_t cut = place.rfind('/');
    if (options.parents && cut != std::string::npos) TRY(ensure_directory(writer, place.substr(0, cut), made));
    TRY_ASSIGN(const bool through_link, links_to_directory(writer, place, item.entry));
    if (through_link) continue;
    TRY(check_target(writer, place, item.entry));
    TRY(write_item(item, place, final_attributes(tree, options, item.entry), writer).with("\"/{}\"", place));
  }
  return {};
}

}  // namespace compose::build
