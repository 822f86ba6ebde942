#include "build/builder.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "build/contexts.hpp"
#include "build/session.hpp"
#include "sys/file.hpp"

namespace compose::build {

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
  if (context.find("://") != std::string::npos) {
    return make_error(Errc::unsupported, "the build context \"{}\" is a URL: only folders can be built from", context);
  }
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
  TRY(image::Workspace::sweep(store.internal().tmp));
  if (!request.run_root.empty()) TRY(image::Workspace::sweep(request.run_root + "/build"));
  TRY_ASSIGN(StagePlan plan, read_plan(request));
  TRY_ASSIGN(SourceTree context, open_context(request));
  Session session{request, store, pull, std::move(plan), std::move(context), runner};
  Result<StageState> result = session.run();
  // Left empty unless another build is at work there.
  if (!request.run_root.empty()) ::rmdir((request.run_root + "/build").c_str());
  if (!result) return std::move(result).error();
  StageState state = std::move(*result);
  for (const auto& [name, value] : request.build.labels) state.config.labels[name] = value;
  state.config.created = state.created;
  return store.internal().add_image(image::to_json(state.config), names);
}

}  // namespace

Result<image::Image> build(const BuildRequest& request, image::Store& store, const PullImage& pull) {
  RuntimeRunner runner;
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
