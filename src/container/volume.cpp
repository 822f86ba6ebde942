#include "container/volume.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/schema.hpp"
#include "compose/plan/reconcile.hpp"
#include "container/volume_content.hpp"
#include "sys/file.hpp"
#include "sys/lock.hpp"

namespace compose::container {
namespace {

using nlohmann::json;

constexpr int kSchema = 1;

bool valid_name(const std::string& name) {
  const auto letter = [](unsigned char c) { return std::isalnum(c) != 0; };
  return name.size() >= 2 && name.size() <= 255 && letter(static_cast<unsigned char>(name.front())) &&
         std::ranges::all_of(
             name, [&](char c) { return letter(static_cast<unsigned char>(c)) || c == '_' || c == '.' || c == '-'; });
}

std::string to_text(const VolumeInfo& volume) {
  const json meta = {{"schema", kSchema},       {"name", volume.name},
                     {"driver", volume.driver}, {"driver_opts", volume.driver_opts},
                     {"labels", volume.labels}, {"project", volume.project},
                     {"key", volume.key},       {"anonymous", volume.anonymous},
                     {"hash", volume.hash},     {"created_at", state::format_time(volume.created_at)}};
  return meta.dump(2) + "\n";
}

Result<VolumeInfo> from_text(const std::string& text, const std::string& path) {
  try {
    const json meta = json::parse(text);
    TRY(check_schema(meta.value("schema", 0), kSchema).with("reading {}", path));
    VolumeInfo volume;
    meta.at("name").get_to(volume.name);
    meta.at("driver").get_to(volume.driver);
    meta.at("driver_opts").get_to(volume.driver_opts);
    meta.at("labels").get_to(volume.labels);
    meta.at("project").get_to(volume.project);
    meta.at("key").get_to(volume.key);
    meta.at("anonymous").get_to(volume.anonymous);
    meta.at("hash").get_to(volume.hash);
    TRY_ASSIGN(volume.created_at, state::parse_time(meta.at("created_at").get<std::string>()));
    return volume;
  } catch (const json::exception& problem) {
    return make_error(Errc::corrupt, "{}: {}", path, problem.what());
  }
}

std::string copy_marker(const state::Paths& paths, const std::string& name) { return paths.volume(name) + "/filling"; }

Result<UniqueFd> open_directory(const std::string& path) {
  UniqueFd fd{::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
  if (!fd.valid()) return os_error("open \"{}\"", path);
  return fd;
}

Result<void> empty_directory(const std::string& path) {
  TRY_ASSIGN(const auto names, sys::list_directory(path));
  for (const auto& name : names) TRY(sys::remove_tree(path + "/" + name));
  return {};
}

}  // namespace

Result<std::optional<VolumeInfo>> find_volume(const state::Paths& paths, const std::string& name) {
  if (!valid_name(name)) return std::optional<VolumeInfo>{};
  const std::string path = paths.volume_meta(name);
  auto text = sys::read_file(path);
  if (!text.ok()) {
    if (text.error().sys_errno() == ENOENT) return std::optional<VolumeInfo>{};
    return std::move(text).error();
  }
  TRY_ASSIGN(VolumeInfo volume, from_text(*text, path));
  return std::optional{std::move(volume)};
}

Result<VolumeInfo> ensure_volume(const state::Paths& paths, const VolumeInfo& wanted) {
  if (!valid_name(wanted.name)) {
    return make_error(Errc::invalid, "\"{}\" is no volume name: letters, digits, '_', '.' and '-' only", wanted.name);
  }
  if (!wanted.driver.empty() && wanted.driver != "local") {
    return make_error(Errc::unsupported, "volume \"{}\": driver \"{}\" is not available, only \"local\"", wanted.name,
                      wanted.driver);
  }
  TRY_ASSIGN(auto existing, find_volume(paths, wanted.name));
  if (existing) return *std::move(existing);

  // A folder without lock and description may be taken for one that a crash has left, and removed: then once more.
  std::optional<sys::FileLock> lock;
  for (int attempt = 0; !lock; ++attempt) {
    TRY(sys::make_directories(paths.volumes(), 0711).with("volume \"{}\"", wanted.name));
    TRY(sys::make_directories(paths.volume(wanted.name), 0711).with("volume \"{}\"", wanted.name));
    auto acquired = sys::FileLock::acquire(paths.volume(wanted.name) + "/lock");
    if (acquired) lock = *std::move(acquired);
    if (!acquired && (acquired.error().sys_errno() != ENOENT || attempt == 3)) return std::move(acquired).error();
  }
  TRY_ASSIGN(existing, find_volume(paths, wanted.name));  // somebody else may have been first
  if (existing) return *std::move(existing);
  TRY(sys::make_directories(paths.volume_data(wanted.name), 0755).with("volume \"{}\"", wanted.name));
  VolumeInfo volume = wanted;
  volume.driver = "local";
  volume.created_at = std::chrono::system_clock::now();
  // The description comes last: a volume without it is not there yet.
  TRY(sys::write_file_atomic(paths.volume_meta(wanted.name), to_text(volume), 0600));
  return volume;
}

Result<std::vector<VolumeInfo>> list_volumes(const state::Paths& paths) {
  TRY_ASSIGN(const auto names, sys::list_directory(paths.volumes()));
  std::vector<VolumeInfo> volumes;
  for (const auto& name : names) {
    TRY_ASSIGN(auto volume, find_volume(paths, name));
    if (volume) volumes.push_back(std::move(*volume));
  }
  return volumes;
}

Result<void> remove_volume(const state::Paths& paths, const std::string& name) {
  if (!valid_name(name)) return make_error(Errc::invalid, "\"{}\" is no volume name", name);
  const std::string path = paths.volume(name);
  if (!sys::exists(path)) return {};
  // Without its description it is no volume any more, whatever interrupts the rest.
  if (::unlink(paths.volume_meta(name).c_str()) != 0 && errno != ENOENT) return os_error("remove volume \"{}\"", name);
  return sys::remove_tree(path).with("remove volume \"{}\"", name);
}

VolumeInfo project_volume(const model::Project& project, const std::string& key) {
  const model::Volume& volume = project.volumes.at(key);
  VolumeInfo info;
  info.name = volume.name;
  if (!volume.driver.empty()) info.driver = volume.driver;
  info.driver_opts = volume.driver_opts;
  info.labels = volume.labels;
  info.labels["com.docker.compose.project"] = project.name;
  info.labels["com.docker.compose.volume"] = key;
  info.project = project.name;
  info.key = key;
  info.hash = plan::volume_hash(volume);
  return info;
}

Result<void> fill_volume(const state::Paths& paths, const std::string& name, const LayeredTree& image,
                         const std::string& path) {
  const std::string data = paths.volume_data(name);
  const std::string marker = copy_marker(paths, name);
  TRY_ASSIGN(const auto lock, sys::FileLock::acquire(paths.volume(name) + "/lock"));
  if (sys::exists(marker)) {
    TRY(empty_directory(data));  // an earlier copy was interrupted: nobody has used the volume yet
  } else {
    TRY_ASSIGN(const auto present, sys::list_directory(data));
    if (!present.empty()) return {};
  }
  TRY_ASSIGN(const auto source, image.directory(path));
  if (!source) return {};
  TRY(sys::write_file_atomic(marker, ""));
  TRY_ASSIGN(const UniqueFd target, open_directory(data));
  TRY(copy_tree(*source, target.get()).with("fill volume \"{}\" from the image's {}", name, path));
  if (::unlink(marker.c_str()) != 0) return os_error("fill volume \"{}\"", name);
  return {};
}

}  // namespace compose::container
