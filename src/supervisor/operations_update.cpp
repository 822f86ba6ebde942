// What follows a rolling update that failed: what it left behind is removed, the previous version comes back where
// failure_action wants it, and the answer says so by exit code 4.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/strings.hpp"
#include "supervisor/observer.hpp"
#include "supervisor/operations.hpp"
#include "supervisor/operations_request.hpp"
#include "supervisor/operations_update.hpp"

namespace compose::supervisor {

using nlohmann::json;
using plan::OpKind;
using Action = plan::RolloutPolicy::Action;

namespace {

/// The wanted project with the services whose update failed as they were, and what those use.
DesiredText with_previous(const Application& wanted, const Application& previous,
                          const std::map<std::string, FailedUpdate>& failed) {
  model::Project project = wanted.project;
  auto images = wanted.images;
  for (const auto& [service, update] : failed) {
    const auto old = previous.project.services.find(service);
    if (old == previous.project.services.end()) continue;
    project.services[service] = old->second;
    if (const auto image = previous.images.find(service); image != previous.images.end()) {
      images[service] = image->second;
    }
  }
  const auto keep = [](auto& into, const auto& from) { into.insert(from.begin(), from.end()); };
  keep(project.networks, previous.project.networks);
  keep(project.volumes, previous.project.volumes);
  keep(project.secrets, previous.project.secrets);
  keep(project.configs, previous.project.configs);
  return {model::project_to_json(project), std::move(images)};
}

}  // namespace

void Operations::applied(Result<sys::StagedFile> desired, json result) {
  ::unlink(context_.paths.failure(context_.project).c_str());
  if (!desired) return refuse(desired.error());
  if (const auto saved = desired->commit(); !saved) return refuse(saved.error());
  answer(std::move(result));
}

/// Containers that an update left beside the ones that count.
void Operations::remove_extras(std::function<void()> then) {
  Work work;
  work.keep_going = true;
  for (const auto& [id, container] : containers_.all()) {
    const state::ContainerRecord& record = container->record;
    if (record.role == state::Role::plain || container->activity == Container::Activity::removing) continue;
    plan::Op stop;
    stop.number = static_cast<int>(work.plan.ops.size()) + 1;
    stop.kind = OpKind::stop_container;
    stop.name = record.name;
    stop.service = record.service;
    stop.replica = record.number;
    stop.container_id = id;
    plan::Op remove = stop;
    remove.number = stop.number + 1;
    remove.kind = OpKind::remove_container;
    remove.after = {{stop.number, true}};
    work.plan.ops.push_back(std::move(stop));
    work.plan.ops.push_back(std::move(remove));
  }
  if (work.plan.ops.empty()) return then();
  execute(std::move(work), true, [this, then = std::move(then)](const Report& report) {
    if (report.failure) context_.log.write("tidying up after an update: {}", report.failure->message);
    then();
  });
}

void Operations::roll_updates_back(const std::shared_ptr<Update>& update) {
  std::vector<std::string> services;
  for (const auto& [service, failed] : update->failed) {
    if (failed.action == Action::rollback) services.push_back(service);
  }
  Failure failure{"what ran before is not known", ""};
  if (update->previous) {
    update->before = make_application(images_, update->previous->project_json, update->previous->images, failure);
  }
  if (services.empty()) return remove_extras([this, update] { end_updates(update); });
  update->rollback_failure = failure;
  if (!update->before) return remove_extras([this, update] { end_updates(update); });
  const auto observed = observe(context_, containers_, addresses_, update->before.get());
  if (!observed) return refuse(observed.error());
  plan::Options options = update->options;
  options.services = services;
  options.recreate = plan::Recreate::changed;
  options.no_deps = options.rollback = true;
  options.remove_orphans = options.always_recreate_deps = options.renew_anon_volumes = false;
  std::erase_if(options.scale,
                [&](const auto& entry) { return std::ranges::find(services, entry.first) == services.end(); });
  auto plan =
      plan::reconcile({update->before->project, update->before->images, update->before->hashes}, *observed, options);
  if (!plan) {
    update->rollback_failure = Failure{plan.error().message(), ""};
    return remove_extras([this, update] { end_updates(update); });
  }
  plan->warnings = {fmt::format("rolling back {}", join(services, ", "))};
  Work work;
  work.plan = *std::move(plan);
  work.application = update->before;
  execute(std::move(work), false, [this, update](Report report) {
    update->rollback_failure = std::move(report.failure);
    if (!update->rollback_failure && !report.failed_updates.empty()) {
      update->rollback_failure = report.failed_updates.begin()->second.failure;
    }
    remove_extras([this, update] { end_updates(update); });
  });
}

void Operations::end_updates(const std::shared_ptr<Update>& update) {
  constexpr int kRolledBack = 4;  // documented: "help exit-codes"
  std::vector<std::string> messages;
  bool all_back = true;
  for (const auto& [service, failed] : update->failed) {
    std::string outcome = "the update goes no further; what was not updated runs as before";
    if (failed.action == Action::go_on) outcome = "the update went on";
    if (failed.action == Action::rollback) {
      outcome = update->rollback_failure ? "rolling back failed: " + update->rollback_failure->message : "rolled back";
    }
    all_back = all_back && failed.action == Action::rollback && !update->rollback_failure;
    messages.push_back(
        fmt::format("service \"{}\": the update failed and {}: {}", service, outcome, failed.failure.message));
  }
  const Failure failure{join(messages, "\n"), update->failed.begin()->second.failure.position};
  context_.log.write("{}", failure.message);
  const json result = {{"ok", false},
                       {"exit_code", all_back ? kRolledBack : 1},
                       {"error", failure.message},
                       {"position", failure.position}};
  if (!update->before) return answer(result);
  const DesiredText desired = with_previous(*update->wanted, *update->before, update->failed);
  applied(stage_desired(context_.paths, context_.project, desired), result);
}

}  // namespace compose::supervisor
