#include "supervisor/planning.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "container/volume.hpp"
#include "net/networks.hpp"
#include "sys/process.hpp"

namespace compose::supervisor {

using nlohmann::json;

namespace {

// What stands in a request for an image that a build would make (src/cli/builds.cpp).
constexpr std::string_view kNoImage = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

plan::Health health_of(const std::string& status) {
  if (status == "starting") return plan::Health::starting;
  if (status == "healthy") return plan::Health::healthy;
  return status == "unhealthy" ? plan::Health::unhealthy : plan::Health::none;
}

plan::State state_of(const state::ContainerRecord& record) {
  if (record.phase == state::Phase::running) return record.paused ? plan::State::paused : plan::State::running;
  if (record.restarting) return plan::State::restarting;
  return record.phase == state::Phase::exited ? plan::State::exited : plan::State::created;
}

json options_of(const json& request) { return request.value("options", json::object()); }

std::vector<std::string> services_of(const json& request) {
  const json options = options_of(request);
  const json& owner = options.contains("services") ? options : request;
  return owner.value("services", std::vector<std::string>{});
}

bool flag(const json& request, const char* name) { return options_of(request).value(name, false); }

std::optional<std::chrono::seconds> timeout_of(const json& request) {
  const json options = options_of(request);
  const auto found = options.find("timeout");
  if (found == options.end() || !found->is_number_integer() || found->get<std::int64_t>() < 0) return std::nullopt;
  return std::chrono::seconds{found->get<std::int64_t>()};
}

bool external_network(const Application* application, const std::string& name) {
  return application != nullptr && std::ranges::any_of(application->project.networks, [&](const auto& item) {
           return item.second.external && item.second.name == name;
         });
}

bool external_volume(const Application* application, const std::string& name) {
  return application != nullptr && std::ranges::any_of(application->project.volumes, [&](const auto& item) {
           return item.second.external && item.second.name == name;
         });
}

Result<void> observe_files(const state::Paths& paths, const std::string& project, Preview& preview) {
  const Application* application = preview.application.get();
  TRY_ASSIGN(preview.records, state::list_containers(paths, project));
  for (const auto& record : preview.records) {
    preview.observed.containers.push_back(observe_record(record, state_of(record), application));
  }
  std::ranges::sort(preview.observed.containers, {}, &plan::ObservedContainer::id);  // as the supervisor has them
  net::Networks networks{paths.root(), paths.run_root()};
  TRY_ASSIGN(const auto existing, networks.list());
  for (const net::Network& network : existing) {
    const bool owned = network.spec.project == project;
    if (!owned && !external_network(application, network.spec.name)) continue;
    const auto hash = network.spec.labels.find(kHashLabel);
    preview.observed.networks.push_back(
        {network.spec.name, network.spec.key, owned, hash == network.spec.labels.end() ? std::string{} : hash->second});
  }
  TRY_ASSIGN(const auto volumes, container::list_volumes(paths));
  for (const container::VolumeInfo& volume : volumes) {
    const bool owned = volume.project == project;
    if (!owned && !external_volume(application, volume.name)) continue;
    preview.observed.volumes.push_back({volume.name, volume.key, owned, volume.anonymous, volume.hash});
  }
  return {};
}

/// `run`: what it depends on, then a container of its own.
Result<plan::Plan> plan_run(const json& request, const Preview& preview) {
  const std::string service = request.at("service").get<std::string>();
  const model::Project& project = preview.application->project;
  const auto known = project.services.find(service);
  if (known == project.services.end()) return make_error(Errc::not_found, "no such service: {}", service);
  plan::Plan plan;
  plan::Options options;
  options.recreate = plan::Recreate::never;
  for (const auto& [name, dependency] : known->second.depends_on) {
    if (project.services.contains(name)) options.services.push_back(name);
  }
  if (!flag(request, "no_deps") && !options.services.empty()) {
    TRY_ASSIGN(plan, plan::reconcile({project, preview.application->images, preview.application->hashes},
                                     preview.observed, options));
  }
  for (const auto kind : {plan::OpKind::create_container, plan::OpKind::start_container}) {
    plan::Op op;
    op.number = static_cast<int>(plan.ops.size()) + 1;
    op.kind = kind;
    op.name = options_of(request).value("name", std::string{});
    if (op.name.empty()) op.name = fmt::format("{}-{}-run", project.name, service);
    op.service = service;
    op.replica = 1;
    op.cause = "run";
    for (int i = 1; i < op.number; ++i) op.after.push_back({i, true});
    plan.ops.push_back(std::move(op));
  }
  return plan;
}

Result<plan::Plan> plan_existing(const std::string& op, const std::string& project, const json& request,
                                 const Preview& preview) {
  const plan::Observed& observed = preview.observed;
  plan::Selection selection{services_of(request), flag(request, "no_deps"), timeout_of(request)};
  selection.project = project;
  selection.wait = flag(request, "wait");
  if (op == "stop") return plan::plan_stop(observed, selection);
  if (op == "start") return plan::plan_start(observed, selection);
  if (op == "restart") return plan::plan_restart(observed, selection);
  if (op == "kill") return plan::plan_kill(observed, selection, options_of(request).value("signal", "SIGKILL"));
  if (op == "pause") return plan::plan_pause(observed, selection);
  if (op == "unpause") return plan::plan_unpause(observed, selection);
  if (op == "rm") {
    return plan::plan_rm(observed,
                         {selection.services, flag(request, "stop"), flag(request, "volumes"), selection.timeout});
  }
  if (op == "down") {
    plan::DownOptions options;
    options.services = services_of(request);
    options.volumes = flag(request, "volumes");
    options.remove_orphans = flag(request, "remove_orphans");
    options.timeout = timeout_of(request);
    const model::Project* wanted = preview.application ? &preview.application->project : nullptr;
    return plan::plan_down(wanted, observed, options);
  }
  return make_error(Errc::unsupported, "\"{}\" has no --dry-run", op);
}

Result<plan::Plan> plan_of(const std::string& op, const std::string& project, const json& request,
                           const Preview& preview) {
  if (op == "run") return plan_run(request, preview);
  if (op != "apply" && op != "scale" && op != "create") return plan_existing(op, project, request, preview);
  const Application& wanted = *preview.application;
  return plan::reconcile({wanted.project, wanted.images, wanted.hashes}, preview.observed,
                         apply_options(request, op != "create"));
}

/// The request's project. For "down" it is only looked at; the others need its images.
ApplicationPtr application_of(const state::Paths& paths, const std::string& op, const json& request, Preview& preview,
                              Failure& failure) {
  const std::string text = request.value("project", std::string{});
  if (op == "down") {
    auto application = std::make_shared<Application>();
    auto project = model::project_from_json(text);
    if (!project) {
      failure = {project.error().message(), ""};
      return nullptr;
    }
    application->project = *std::move(project);
    return application;
  }
  auto images = request.value("images", std::map<std::string, std::string>{});
  for (const auto& [service, image] : images) {
    if (image == kNoImage) preview.to_build.push_back(service);
  }
  std::erase_if(images, [](const auto& item) { return item.second == kNoImage; });
  auto store = image::Store::open(paths.root());
  if (!store) {
    failure = {store.error().message(), ""};
    return nullptr;
  }
  return make_application(*store, text, images, failure);
}

}  // namespace

plan::Options apply_options(const json& request, bool start) {
  plan::Options options;
  options.services = services_of(request);
  if (flag(request, "force_recreate")) options.recreate = plan::Recreate::always;
  if (flag(request, "no_recreate")) options.recreate = plan::Recreate::never;
  options.always_recreate_deps = flag(request, "always_recreate_deps");
  options.no_deps = flag(request, "no_deps");
  options.renew_anon_volumes = flag(request, "renew_anon_volumes");
  options.remove_orphans = flag(request, "remove_orphans");
  options.no_start = !start || flag(request, "no_start");
  options.wait = flag(request, "wait");
  options.run_ended_again = flag(request, "run_ended_again");
  options.timeout = timeout_of(request);
  const json how = options_of(request);
  const json scale = how.contains("scale") ? how["scale"] : request.value("scale", json::object());
  if (scale.is_object()) options.scale = scale.get<std::map<std::string, std::int64_t>>();
  return options;
}

plan::ObservedContainer observe_record(const state::ContainerRecord& record, plan::State state,
                                       const Application* application) {
  plan::ObservedContainer seen;
  seen.id = record.id;
  seen.name = record.name;
  seen.service = record.service;
  seen.number = record.number;
  seen.config_hash = record.config_hash;
  seen.image_id = record.image_id;
  seen.state = state;
  seen.exit_code = record.exit_code;
  seen.health = health_of(record.health.status);
  seen.one_off = record.one_off;
  seen.extra = record.role != state::Role::plain;
  seen.stop_requested = record.stopped_by_user;
  seen.started_before = record.started_at != state::Time{};
  seen.ended_this_boot = record.phase == state::Phase::exited && record.boot_id == sys::boot_id();
  for (const state::MountRecord& mount : record.mounts) {
    if (mount.anonymous) seen.anonymous_volumes[mount.target] = mount.name;
  }
  for (const state::NetworkRecord& network : record.networks) seen.networks.push_back(network.name);
  seen.depends_on = record.depends_on;
  seen.shares_with = record.shares_with;
  seen.pre_start = record.pre_start;
  seen.scheduled = !record.schedule.cron.empty();
  if (application != nullptr) {
    const auto service = application->project.services.find(record.service);
    if (service != application->project.services.end()) seen.depends_on = service->second.depends_on;
  }
  return seen;
}

std::unique_ptr<Preview> preview(const state::Paths& paths, const std::string& project, const json& request,
                                 Failure& failure) {
  auto result = std::make_unique<Preview>();
  const std::string op = request.value("op", "");
  try {
    if (!request.value("project", std::string{}).empty()) {
      result->application = application_of(paths, op, request, *result, failure);
      if (!result->application) return nullptr;
    }
    if (auto observed = observe_files(paths, project, *result); !observed) {
      failure = {observed.error().message(), ""};
      return nullptr;
    }
    auto plan = plan_of(op, project, request, *result);
    if (!plan) {
      failure = {plan.error().message(), ""};
      return nullptr;
    }
    result->plan = *std::move(plan);
  } catch (const json::exception& e) {
    failure = {fmt::format("the request does not fit: {}", e.what()), ""};
    return nullptr;
  }
  return result;
}

}  // namespace compose::supervisor
