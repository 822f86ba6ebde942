#include "build/builder.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "base/strings.hpp"
#include "build/cache_transfer.hpp"
#include "build/contexts.hpp"
#include "build/lint.hpp"
#include "build/network.hpp"
#include "build/remote.hpp"
#include "build/session.hpp"
#include "sys/file.hpp"

namespace compose::build {

/// Tells a cancellation which runner to end, as long as it is at work.
class RunnerInUse {
 public:
  RunnerInUse(Cancellation* cancellation, Runner& runner) : cancellation_{cancellation}, runner_{runner} {
    if (cancellation_ == nullptr) return;
    const std::lock_guard lock{cancellation_->mutex_};
    cancellation_->runners_.insert(&runner_);
    if (cancellation_->cancelled_) runner_.cancel();
  }
  ~RunnerInUse() {
    if (cancellation_ == nullptr) return;
    const std::lock_guard lock{cancellation_->mutex_};
    cancellation_->runners_.erase(&runner_);
  }
  RunnerInUse(const RunnerInUse&) = delete;
  RunnerInUse& operator=(const RunnerInUse&) = delete;

 private:
  Cancellation* cancellation_;
  Runner& runner_;
};

namespace {

constexpr std::size_t kMaxDockerfile = std::size_t{1} << 20;

std::string context_of(const BuildRequest& request) {
  return request.context_dir.empty() ? request.build.context : request.context_dir;
}

/// The Dockerfile's path; empty for an inline one.
std::string dockerfile_path(const BuildRequest& request) {
  if (!request.build.dockerfile_inline.empty()) return {};
  const std::string name = request.build.dockerfile.empty() ? "Dockerfile" : request.build.dockerfile;
  return name.starts_with('/') ? name : context_of(request) + "/" + name;
}

/// As people would name it from where they are.
std::string display_name(const std::string& path) {
  std::error_code ignored;
  const std::filesystem::path current = std::filesystem::current_path(ignored);
  const std::string prefix = current.string() + "/";
  return path.starts_with(prefix) ? path.substr(prefix.size()) : path;
}

Result<Dockerfile> read_dockerfile(const BuildRequest& request) {
  const std::string path = dockerfile_path(request);
  if (path.empty()) return parse_dockerfile(request.build.dockerfile_inline, "dockerfile_inline");
  Result<std::string> text = sys::read_file(path, kMaxDockerfile);
  if (!text) {
    if (text.error().code() == Errc::not_found)
      return make_error(Errc::not_found, "there is no Dockerfile \"{}\"", display_name(path));
    return std::move(text).error();
  }
  return parse_dockerfile(*text, display_name(path));
}

Result<StagePlan> read_plan(const BuildRequest& request) {
  TRY_ASSIGN(Dockerfile file, read_dockerfile(request));
  TRY_ASSIGN(StagePlan plan, plan_stages(std::move(file), build_arguments(request), request.build.target));
  plan.contexts = request.build.additional_contexts;
  return plan;
}

Result<SourceTree> open_context(const BuildRequest& request) {
  const std::string context = context_of(request);
  struct stat status {};
  if (::stat(context.c_str(), &status) != 0) return os_error("build context \"{}\"", context);
  if (!S_ISDIR(status.st_mode)) return make_error(Errc::invalid, "the build context \"{}\" is not a folder", context);
  SourceTree tree;
  tree.view = image::MergedView{{context}};
  tree.from_host = true;
  // A file beside the Dockerfile wins over the one of the context.
  for (const std::string& path : {dockerfile_path(request) + ".dockerignore", context + "/.dockerignore"}) {
    const Result<std::string> text = sys::read_file(path, kMaxDockerfile);
    if (!text) continue;
    tree.ignore = IgnoreRules{*text};
    break;
  }
  return tree;
}

/// The checks' findings as warnings; "# check=error=true" makes them the end of the build.
Result<void> report_checks(const BuildRequest& request, const Dockerfile& file) {
  TRY_ASSIGN(const LintReport found, lint(file));
  for (const LintWarning& warning : found.warnings) {
    const std::string text = fmt::format("{}: {} (line {})", warning.rule, warning.text, warning.line);
    if (request.progress) request.progress({BuildEvent::Kind::warning, 0, "", text, false, 0});
  }
  if (!found.is_error || found.warnings.empty()) return {};
  const LintWarning& first = found.warnings.front();
  return file.error_at(first.line, first.line, fmt::format("{}: {}", first.rule, first.text));
}

bool is_platform_here(const std::string& platform) {
  const std::vector<std::string> parts = split(platform, '/');
  if (parts.size() == 1) return parts[0] == "linux" || parts[0] == image::host_architecture();
  return parts[0] == "linux" && parts[1] == image::host_architecture();
}

void warn(const BuildRequest& request, const std::string& text) {
  if (request.progress) request.progress({BuildEvent::Kind::warning, 0, "", text, false, 0});
}

void warn_of_unused(const BuildRequest& request, const char* key, const CacheSpec& spec) {
  for (const std::string& name : spec.unused) warn(request, fmt::format("{}: \"{}\" has no effect here", key, name));
}

/// build.cache_from: what is not there, or cannot be read, is only time lost, as with Docker.
Result<RemoteSteps> import_caches(const BuildRequest& request, image::Store& store) {
  RemoteSteps remote;
  if (request.no_cache || request.build.no_cache) return remote;
  const StepCache cache{store.internal()};
  TRY(cache.make_folders());
  for (const std::string& text : request.build.cache_from) {
    const Result<CacheSpec> spec = parse_cache_spec(text, false);
    if (spec) warn_of_unused(request, "build.cache_from", *spec);
    const Result<void> done = spec ? import_cache(*spec, store, cache, request.registry, remote) : spec.error();
    if (!done) warn(request, "build.cache_from: " + done.error().message());
  }
  return remote;
}

/// GitHub's cache can be reached from its own runners alone; elsewhere Docker leaves it out, too.
bool is_github_cache(const std::string& text) { return split(to_lower(text), ',').front() == "type=gha"; }

Result<std::vector<CacheSpec>> cache_targets(const BuildRequest& request) {
  std::vector<CacheSpec> specs;
  for (const std::string& text : request.build.cache_to) {
    if (is_github_cache(text)) {
      warn(request, fmt::format("build.cache_to: \"{}\" is left out: only GitHub's own builder has that cache", text));
      continue;
    }
    TRY_ASSIGN(CacheSpec spec, parse_cache_spec(text, true).with("build.cache_to"));
    warn_of_unused(request, "build.cache_to", spec);
    specs.push_back(std::move(spec));
  }
  // Docker's other way to say type=inline.
  const auto inlined = request.build.args.find("BUILDKIT_INLINE_CACHE");
  if (inlined != request.build.args.end() && (inlined->second == "1" || inlined->second == "true"))
    specs.push_back({CacheSpec::Type::inline_, "", false, false, {}});
  return specs;
}

/// build.cache_to; returns the image's configuration with what `type=inline` adds.
Result<std::string> export_caches(const BuildRequest& request, const std::vector<CacheSpec>& targets,
                                  image::Store& store, const Session& session, const image::ImageConfig& config) {
  std::string json = image::to_json(config);
  for (const CacheSpec& spec : targets) {
    if (spec.type == CacheSpec::Type::inline_) {
      json = with_records(json, session.records(), config.diff_ids);
      continue;
    }
    std::vector<image::ImageConfig> images{config};
    if (spec.all_stages) images = session.stage_configs();
    const Result<void> done = spec.type == CacheSpec::Type::local
                                  ? export_local(spec, store, images, session.records())
                                  : export_registry(spec, images, session.records(), request.registry);
    if (done) continue;
    if (!spec.ignore_error) return Error{done.error()}.add_context("build.cache_to");
    warn(request, "build.cache_to: " + done.error().message());
  }
  return json;
}

Result<image::Image> build_with(const BuildRequest& request, image::Store& store, const PullImage& pull,
                                Runner& runner) {
  std::vector<image::Reference> names;
  for (const model::Strings* list : {&request.tags, &request.build.tags}) {
    for (const std::string& tag : *list) {
      TRY_ASSIGN(image::Reference name, image::parse_reference(tag));
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(std::move(name));
    }
  }
  TRY_ASSIGN(const image::UseLock use, store.internal().use());
  TRY(sweep(store, request.run_root));
  const RunnerInUse runner_in_use{request.cancellation, runner};
  TRY_ASSIGN(StagePlan plan, read_plan(request));
  TRY(report_checks(request, plan.file));
  TRY_ASSIGN(SourceTree context, open_context(request));
  TRY_ASSIGN(const std::vector<CacheSpec> cache_to, cache_targets(request));
  TRY_ASSIGN(RemoteSteps remote, import_caches(request, store));
  Session session{request, store, pull, std::move(plan), std::move(context), runner};
  session.use(std::move(remote));
  Result<StageState> result = session.run();
  // Left empty unless another build is at work there.
  if (!request.run_root.empty()) ::rmdir((request.run_root + "/build").c_str());
  if (request.cancellation != nullptr && request.cancellation->cancelled())
    return make_error(Errc::cancelled, "canceled");
  if (!result) return std::move(result).error();
  StageState state = std::move(*result);
  for (const auto& [name, value] : request.build.labels) state.config.labels[name] = value;
  state.config.created = state.created;
  TRY_ASSIGN(const std::string json, export_caches(request, cache_to, store, session, state.config));
  return store.internal().add_image(json, names);
}

}  // namespace

void Cancellation::cancel() {
  const std::lock_guard lock{mutex_};
  cancelled_ = true;
  for (Runner* runner : runners_) runner->cancel();
}

bool Cancellation::cancelled() const {
  const std::lock_guard lock{mutex_};
  return cancelled_;
}

class RemoteContext {
 public:
  explicit RemoteContext(FetchedContext fetched) : fetched_{std::move(fetched)} {}
  const FetchedContext& get() const { return fetched_; }

 private:
  FetchedContext fetched_;
};

Result<std::shared_ptr<RemoteContext>> fetch_remote_context(BuildRequest& request, image::Store& store) {
  if (!request.context_dir.empty() || !is_remote(request.build.context)) return std::shared_ptr<RemoteContext>{};
  http::Client client;
  TRY_ASSIGN(image::Workspace space, store.internal().workspace());
  TRY_ASSIGN(FetchedContext fetched,
             fetch_context(client, request.build.context, std::move(space)).with("the build context"));
  request.context_dir = fetched.folder;
  if (!fetched.dockerfile.empty() && request.build.dockerfile_inline.empty())
    request.build.dockerfile_inline = fetched.dockerfile;
  return std::make_shared<RemoteContext>(std::move(fetched));
}

Result<CheckReport> check_dockerfile(const BuildRequest& request) {
  TRY_ASSIGN(const Dockerfile file, read_dockerfile(request));
  TRY_ASSIGN(const StagePlan plan, plan_stages(file, build_arguments(request), request.build.target));
  TRY_ASSIGN(const LintReport found, lint(file));
  CheckReport report;
  report.warnings = found.warnings.size();
  for (const LintWarning& warning : found.warnings) report.text += to_text(warning, file) + "\n";
  return report;
}

Result<void> check_build_keys(const model::Build& build) {
  for (const std::string& platform : build.platforms)
    if (!is_platform_here(platform))
      return make_error(Errc::unsupported, "build.platforms: images are built for linux/{} here, not for \"{}\"",
                        image::host_architecture(), platform);
  if (!build.isolation.empty() && build.isolation != "default")
    return make_error(Errc::unsupported, "build.isolation: \"{}\" is a kind of Windows; Linux has \"default\"",
                      build.isolation);
  for (const std::string& name : build.entitlements)
    if (name != "network.host" && name != "security.insecure")
      return make_error(Errc::invalid, "build.entitlements: \"{}\" is neither network.host nor security.insecure",
                        name);
  for (const auto& [key, value] : {std::pair{"provenance", build.provenance}, std::pair{"sbom", build.sbom}})
    if (!value.empty() && to_lower(value) != "false" && value != "0")
      return make_error(Errc::unsupported, "build.{}: attestations are not made; say \"{}: false\" or leave it out",
                        key, key);
  return {};
}

Result<void> sweep(image::Store& store, const std::string& run_root) {
  TRY(sweep_steps(store.internal().tmp));
  StepCache{store.internal()}.sweep_locks();
  TRY(image::Workspace::sweep(store.internal().tmp));
  if (run_root.empty()) return {};
  if (sys::exists(run_root + "/build")) TRY(image::Workspace::sweep(run_root + "/build"));
  return BuildNetwork{store.root(), run_root}.sweep();
}

Result<void> drop_cache(image::Store& store) {
  TRY_ASSIGN(const std::optional<image::UseLock> lock, store.internal().collect());
  if (!lock) return make_error(Errc::busy, "a build, load or pull is going on: the build cache stays, try again later");
  const std::string folder = store.root() + "/build";
  // Moved first, so that a cache is never seen half removed.
  TRY_ASSIGN(const image::Workspace space, store.internal().workspace());
  if (::rename(folder.c_str(), (space.path() + "/build").c_str()) != 0 && errno != ENOENT)
    return os_error("remove \"{}\"", folder);
  return {};
}

Result<image::Image> build(const BuildRequest& request, image::Store& store, const PullImage& pull) {
  TRY(check_build_keys(request.build));
  const std::string run_root = request.run_root.empty() ? store.root() + "/run" : request.run_root;
  BuildNetwork network{store.root(), run_root};
  RuntimeRunner runner{network};
  return build_with(request, store, pull, runner);
}

Result<image::Image> build_for_test(const BuildRequest& request, image::Store& store, Runner& runner) {
  return build_with(request, store, {}, runner);
}

Result<std::vector<std::string>> base_images(const BuildRequest& request) {
  TRY_ASSIGN(const StagePlan plan, read_plan(request));
  std::vector<std::string> result;
  const auto add = [&](const std::string& name, std::size_t index, bool numbers) {
    std::string image = name;
    if (const auto named = find_context(request.build.additional_contexts, name)) {
      if (named->kind != NamedContext::Kind::image) return;
      image = named->location;
    } else if (name == "scratch" || plan.find_stage(name, index, numbers)) {
      return;
    }
    if (std::find(result.begin(), result.end(), image) == result.end()) result.push_back(image);
  };
  for (const std::size_t index : plan.needed()) {
    add(plan.stages[index].base, index, false);
    for (const std::string& source : StagePlan::sources_of(plan.stages[index])) add(source, index, true);
  }
  return result;
}

}  // namespace compose::build
