#include "case.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "compose/kubernetes/disk_paths.hpp"
#include "compose/load/disk_files.hpp"

namespace compose::kubernetes::test {

namespace fs = std::filesystem;

std::string read_text(const std::string& path) {
  std::ifstream in{path, std::ios::binary};
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

std::vector<std::string> case_names() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(CASES)) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

namespace {

void image_option(std::istringstream& words, Options& options) {
  std::string service;
  words >> service;
  ImageFacts& facts = options.images[service];
  for (std::string word; words >> word;) {
    const std::size_t equals = word.find('=');
    const std::string key = word.substr(0, equals);
    const std::string value = word.substr(equals + 1);
    if (key == "expose") facts.exposed_ports.push_back(value);
    if (key == "volume") facts.volumes.push_back(value);
    if (key == "user") facts.user = value;
    if (key == "pinned") facts.pinned = value;
    if (key == "health") facts.healthcheck.emplace().test = {"CMD", value};
  }
}

void apply_line(Case& one, const std::string& line) {
  std::istringstream words{line};
  std::string key;
  std::string value;
  words >> key;
  if (key == "image") return image_option(words, one.options);
  words >> value;
  if (key == "directory") one.directory = fs::weakly_canonical(fs::path(one.folder) / value).string();
  if (key == "file") one.files.push_back(value);
  if (key == "profile") one.profiles.push_back(value);
  if (key == "fails") one.fails = true;
  if (key == "embed-secrets") one.options.embed_secrets = true;
  if (key == "pin-images") one.options.pin_images = true;
  if (key == "directories")
    one.options.directories = value == "config-map" ? Directories::config_map : Directories::host_path;
  if (key == "shared-volumes")
    one.options.shared_volumes = value == "rwx" ? SharedVolumes::read_write_many : SharedVolumes::same_node;
  if (key == "overlay") one.overlays.emplace_back(value.substr(0, value.find('=')), value.substr(value.find('=') + 1));
  if (key == "profile-overlay") one.profile_overlays.push_back(value);
}

}  // namespace

Case read_case(const std::string& name) {
  Case one;
  one.name = name;
  one.folder = std::string{CASES} + "/" + name;
  one.directory = one.folder;
  std::ifstream in{one.folder + "/options"};
  for (std::string line; std::getline(in, line);)
    if (!line.empty() && line[0] != '#') apply_line(one, line);
  return one;
}

Loaded export_case(const Case& one, const std::string& extra, const std::string& profile, const std::string& name) {
  load::Options options;
  options.working_dir = one.directory;
  for (const std::string& file : one.files) options.files.push_back(file);
  if (!extra.empty()) {
    if (options.files.empty()) options.files.push_back("compose.yaml");
    options.files.push_back(extra);
  }
  options.profiles = one.profiles;
  if (!profile.empty()) options.profiles.push_back(profile);
  options.project_name = name;
  load::DiskFiles files;
  Loaded loaded{load::load(options, files), {}};
  if (!loaded.result.project) return loaded;
  Options wanted = one.options;
  wanted.paths = read_paths(wanted_paths(*loaded.result.project));
  loaded.exported = export_project(*loaded.result.project, wanted);
  return loaded;
}

Folder folder_of_case(const Case& one, const Export& base, const std::string& project) {
  std::vector<Environment> environments;
  for (const auto& [name, file] : one.overlays) {
    const Loaded own = export_case(one, file);
    environments.push_back({name, own.result.project_name == project ? "" : own.result.project_name,
                            export_case(one, file, {}, project).exported});
  }
  for (const std::string& profile : one.profile_overlays)
    environments.push_back({"profile-" + profile, "", export_case(one, {}, profile, project).exported});
  return folder_of(base, environments);
}

}  // namespace compose::kubernetes::test
