#include "image/store.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <tuple>

#include "image/config_instructions.hpp"
#include "image/store_internal.hpp"

namespace compose::image {

namespace {

Result<UniqueFd> open_input(const std::string& path) {
  UniqueFd fd{path == "-" ? ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : ::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (!fd.valid()) return os_error("open \"{}\"", path);
  ::posix_fadvise(fd.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
  return fd;
}

Result<void> apply_changes(ImageConfig& config, const std::vector<std::string>& changes) {
  InstructionContext context;
  context.lookup = [&](std::string_view name) { return config.env_value(name); };
  for (const std::string& change : changes) {
    const std::size_t end = std::min(change.find_first_of(" \t"), change.size());
    std::string keyword = change.substr(0, end);
    std::transform(keyword.begin(), keyword.end(), keyword.begin(),
                   [](char c) { return static_cast<char>(std::toupper(c)); });
    if (!is_config_instruction(keyword))
      return make_error(Errc::invalid, "\"{}\" is no instruction a change can be", keyword);
    TRY(apply_instruction(config, keyword, std::string_view{change}.substr(end), context)
            .with("change \"{}\"", change));
  }
  return {};
}

}  // namespace

Store::Store(std::unique_ptr<Internal> internal) : internal_{std::move(internal)} {}
Store::Store(Store&&) noexcept = default;
Store& Store::operator=(Store&&) noexcept = default;
Store::~Store() = default;

Result<Store> Store::open(const std::string& root) {
  auto internal = std::make_unique<Internal>(root);
  TRY(internal->make_folders().with("opening the image store in \"{}\"", root));
  return Store{std::move(internal)};
}

const std::string& Store::root() const { return internal_->root; }

Result<std::optional<Image>> Store::find(const std::string& name_or_id) const {
  TRY_ASSIGN(const std::vector<IndexEntry> index, internal_->read_index());
  TRY_ASSIGN(const std::optional<std::string> id, internal_->resolve_id(name_or_id, index));
  if (!id) return std::optional<Image>{};
  TRY_ASSIGN(Image image, internal_->read_image(*id, index).with("image \"{}\"", name_or_id));
  return std::optional{std::move(image)};
}

Result<std::vector<Image>> Store::list() const {
  TRY_ASSIGN(const std::vector<IndexEntry> index, internal_->read_index());
  std::vector<Image> images;
  std::set<std::string> seen;
  for (const IndexEntry& entry : index) {
    if (!seen.insert(entry.image_id).second) continue;
    TRY_ASSIGN(Image image, internal_->read_image(entry.image_id, index).with("image {}", entry.image_id));
    images.push_back(std::move(image));
  }
  std::sort(images.begin(), images.end(), [](const Image& a, const Image& b) {
    return std::tie(a.config.created, a.id) > std::tie(b.config.created, b.id);
  });
  return images;
}

Result<std::vector<Layer>> Store::layers(const Image& image) const { return internal_->layers_of(image.config); }

Result<std::vector<HistoryLine>> Store::history(const Image& image) const {
  TRY_ASSIGN(const std::vector<Layer> all, layers(image));
  std::vector<HistoryLine> lines;
  std::size_t next = 0;
  for (const HistoryEntry& entry : image.config.history) {
    HistoryLine line{entry, 0};
    if (!entry.empty_layer && next < all.size()) line.size = all[next++].size;
    lines.push_back(std::move(line));
  }
  std::reverse(lines.begin(), lines.end());
  return lines;
}

Result<Image> Store::import_rootfs(const std::string& tar_path, const ImportOptions& options) {
  std::vector<Reference> names;
  if (!options.name.empty()) {
    TRY_ASSIGN(Reference name, parse_reference(options.name));
    names.push_back(std::move(name));
  }
  ImageConfig config;
  config.architecture = options.architecture.empty() ? host_architecture() : options.architecture;
  config.os = "linux";
  config.created = now_rfc3339();
  TRY(apply_changes(config, options.changes));
  TRY_ASSIGN(const UseLock use, internal_->use());
  TRY(Workspace::sweep(internal_->tmp));
  TRY_ASSIGN(UniqueFd input, open_input(tar_path));
  TRY_ASSIGN(const Layer layer,
             internal_->unpack_layer(read_fd(std::move(input)), {}, "").with("import \"{}\"", tar_path));
  config.diff_ids = {layer.diff_id};
  const std::string comment = options.message.empty() ? "Imported from " + tar_path : options.message;
  config.history.push_back({config.created, "", "", comment, false});
  return internal_->add_image(to_json(config), names);
}

Result<void> Store::tag(const std::string& name_or_id, const std::string& new_name) {
  TRY_ASSIGN(const Reference name, parse_reference(new_name));
  if (!name.digest.empty()) return make_error(Errc::invalid, "\"{}\": a name to give must not have a digest", new_name);
  TRY_ASSIGN(const UseLock use, internal_->use());
  TRY_ASSIGN(const std::optional<Image> image, find(name_or_id));
  if (!image) return make_error(Errc::not_found, "no such image: \"{}\"", name_or_id);
  TRY_ASSIGN(const std::string config, internal_->read_blob(image->id));
  TRY_ASSIGN(const std::string manifest, internal_->read_blob(image->manifest_digest));
  const Result<Image> tagged = internal_->add_image(config, {name}, manifest);
  return tagged ? Result<void>{} : Result<void>{tagged.error()};
}

}  // namespace compose::image
