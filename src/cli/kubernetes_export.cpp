#include "cli/kubernetes_export.hpp"

#include <algorithm>

#include "base/strings.hpp"
#include "cli/project_loading.hpp"
#include "cli/service_images.hpp"
#include "compose/kubernetes/disk_paths.hpp"
#include "image/merged_view.hpp"
#include "image/reference.hpp"
#include "image/store.hpp"
#include "runtime/security/user.hpp"

namespace compose::cli {
namespace {

constexpr std::size_t kAccountsLimit = std::size_t{1} << 20;

/// "UID:GID" of a name by the image's own account files; "" when they do not know it.
std::string numbers_of(const image::Image& image, const std::string& user) {
  const image::MergedView view{image.layer_dirs};
  const auto file = [&](const char* path) -> std::string {
    auto text = view.read_file(path, kAccountsLimit);
    return text.ok() && *text ? **text : std::string{};
  };
  const auto resolved = runtime::security::resolve_user(user, file("/etc/passwd"), file("/etc/group"));
  return resolved.ok() ? fmt::format("{}:{}", resolved->uid, resolved->gid) : std::string{};
}

std::optional<model::Healthcheck> check_of(const image::ImageConfig& config) {
  if (!config.healthcheck || config.healthcheck->test.empty()) return std::nullopt;
  const auto given = [](Duration value) { return value > Duration::zero() ? std::optional{value} : std::nullopt; };
  model::Healthcheck check;
  check.test = config.healthcheck->test;
  check.interval = given(config.healthcheck->interval);
  check.timeout = given(config.healthcheck->timeout);
  check.start_period = given(config.healthcheck->start_period);
  check.start_interval = given(config.healthcheck->start_interval);
  if (config.healthcheck->retries > 0) check.retries = static_cast<std::uint64_t>(config.healthcheck->retries);
  return check;
}

/// The digest that a registry gave for the image under the name the service knows it by, not under another one.
std::string pinned_name(const image::Image& image, const std::string& name) {
  const auto wanted = image::parse_reference(name);
  if (!wanted.ok()) return {};
  for (const std::string& digest : image.repo_digests) {
    const auto known = image::parse_reference(digest);
    if (known.ok() && known->domain == wanted->domain && known->path == wanted->path) return digest;
  }
  return {};
}

/// What the images on this host say; a service whose image is not here is left out.
Result<std::map<std::string, kubernetes::ImageFacts>> images_of(Context& context, const model::Project& project) {
  std::map<std::string, kubernetes::ImageFacts> all;
  auto store = image::Store::open(context.paths().root());
  if (!store.ok()) {
    context.trace(fmt::format("images are not looked at: {}", store.error().message()));
    return all;
  }
  for (const auto& [name, service] : project.services) {
    TRY_ASSIGN(const auto image, store->find(image_name(context, project, service)));
    if (!image) {
      context.trace(fmt::format(
          "service \"{}\": the image is not on this host, so its EXPOSE, USER and HEALTHCHECK are not known", name));
      continue;
    }
    kubernetes::ImageFacts& facts = all[name];
    facts.exposed_ports.assign(image->config.exposed_ports.begin(), image->config.exposed_ports.end());
    facts.volumes.assign(image->config.volumes.begin(), image->config.volumes.end());
    facts.healthcheck = check_of(image->config);
    const std::string& user = service.user.empty() ? image->config.user : service.user;
    if (!user.empty()) facts.user = numbers_of(*image, user);
    facts.pinned = pinned_name(*image, image_name(context, project, service));
  }
  return all;
}

Result<kubernetes::Options> options_of(const ExportFlags& flags) {
  kubernetes::Options options;
  options.embed_secrets = flags.embed_secrets;
  options.pin_images = flags.pin_images;
  if (!flags.wait_image.empty()) options.wait_image = flags.wait_image;
  if (!flags.kubectl_image.empty()) options.kubectl_image = flags.kubectl_image;
  if (flags.directories == "config-map")
    options.directories = kubernetes::Directories::config_map;
  else if (flags.directories == "host-path")
    options.directories = kubernetes::Directories::host_path;
  else if (flags.directories != "refuse")
    return make_error(Errc::invalid, "unknown --directories \"{}\" (refuse, config-map, host-path)", flags.directories);
  if (flags.shared_volumes == "rwx")
    options.shared_volumes = kubernetes::SharedVolumes::read_write_many;
  else if (flags.shared_volumes == "same-node")
    options.shared_volumes = kubernetes::SharedVolumes::same_node;
  else if (flags.shared_volumes != "refuse")
    return make_error(Errc::invalid, "unknown --shared-volumes \"{}\" (refuse, rwx, same-node)", flags.shared_volumes);
  return options;
}

}  // namespace

std::vector<Flag> export_flags(ExportFlags& flags) {
  return {
      {"directories", 0, &flags.directories, "Folders of this host that services mount: refuse, config-map, host-path",
       "HOW"},
      {"embed-secrets", 0, &flags.embed_secrets, "Write the secrets' content, not only references"},
      {"kubectl-image", 0, &flags.kubectl_image, "Image with kubectl, which waits for Jobs", "IMAGE"},
      {"pin-images", 0, &flags.pin_images, "Name images by digest"},
      {"shared-volumes", 0, &flags.shared_volumes, "Volumes of several pods: refuse, rwx, same-node", "HOW"},
      {"wait-image", 0, &flags.wait_image, "Image with sh and nc, which waits for services", "IMAGE"},
  };
}

Result<ExportedProject> export_loaded(Context& context, const ExportFlags& flags, const load::Options& options,
                                      std::set<std::string>* said) {
  TRY_ASSIGN(kubernetes::Options wanted, options_of(flags));
  TRY_ASSIGN(const load::LoadResult loaded, load_checked(context, options));
  if (!loaded.project) return Error{Errc::invalid, {}};
  const model::Project& project = *loaded.project;
  TRY_ASSIGN(wanted.images, images_of(context, project));
  wanted.paths = kubernetes::read_paths(kubernetes::wanted_paths(project));
  ExportedProject out{project.name, {}, kubernetes::export_project(project, wanted)};
  for (const auto& [name, service] : project.disabled_services)
    for (const std::string& profile : service.profiles)
      if (std::find(out.profiles.begin(), out.profiles.end(), profile) == out.profiles.end())
        out.profiles.push_back(profile);
  std::sort(out.profiles.begin(), out.profiles.end());
  for (const std::string& warning : out.exported.warnings)
    if (said == nullptr || said->insert(warning).second) context.warn(warning);
  if (out.exported.problems.empty()) return out;
  for (const kubernetes::Problem& problem : out.exported.problems)
    context.progress().failure(problem.pos.known()
                                   ? fmt::format("{}:{}: {}", problem.pos.file, problem.pos.line, problem.message)
                                   : problem.message);
  return Error{Errc::invalid, {}};
}

}  // namespace compose::cli
