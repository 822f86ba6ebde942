// pre_start: each step in a container of its own, removed when it has ended.
#include "base/ids.hpp"
#include "container/prepare.hpp"
#include "state/log_reader.hpp"
#include "supervisor/executor.hpp"

namespace compose::supervisor {

using plan::Op;
using state::ContainerRecord;

namespace {

std::string step_path(const Op& op) { return fmt::format("services.{}.pre_start[{}]", op.service, op.step); }

/// The service as a step of its pre_start sees it: its volumes, networks and limits with the hook's program. It is not
/// the service: it publishes nothing, has no health, no policy and no hooks.
model::Service step_service(const model::Service& service, const model::Hook& hook) {
  model::Service step = service;
  step.command = hook.command;
  step.entrypoint = model::Strings{};
  if (!hook.image.empty()) step.image = hook.image;
  if (!hook.user.empty()) step.user = hook.user;
  if (!hook.working_dir.empty()) step.working_dir = hook.working_dir;
  step.privileged = service.privileged || hook.privileged;
  for (const auto& [name, value] : hook.environment) step.environment[name] = value;
  step.healthcheck.emplace().disable = true;
  step.container_name.clear();
  step.restart.clear();
  if (step.deploy) step.deploy->restart_policy.reset();
  step.ports.clear();
  step.tty = step.stdin_open = false;
  step.post_start.clear();
  step.pre_stop.clear();
  step.pre_start.clear();
  return step;
}

/// The project with the step in the place of its service.
ApplicationPtr step_application(const Application& application, const Op& op) {
  auto made = std::make_shared<Application>(application);
  model::Service& service = made->project.services.at(op.service);
  const model::Hook hook = service.pre_start.at(static_cast<std::size_t>(op.step));
  const bool own_image = !hook.image.empty() && hook.image != service.image;
  service = step_service(service, hook);
  // The command line has looked the image up under the name of the step.
  const auto image = application.images.find(fmt::format("{}.pre_start[{}]", op.service, op.step));
  if (own_image && image != application.images.end()) made->images[op.service] = image->second;
  if (own_image && image == application.images.end()) made->images.erase(op.service);
  return made;
}

}  // namespace

void Executor::run_pre_start(const Op& op) {
  const std::string where = work_.application->project.where(step_path(op)).to_string();
  // One that a crash has left behind.
  for (const auto& [id, container] : containers_.all()) {
    if (!container->record.one_off || container->record.name != op.name) continue;
    if (container->activity == Container::Activity::removing) continue;
    const auto removed = [this, alive = alive_, number = op.number, left = id](const Result<void>& stopped) {
      Container* old = *alive ? containers_.find(left) : nullptr;
      if (!*alive) return;
      if (!stopped) return finish(number, stopped);
      const auto again = [this, alive, number](const Result<void>& gone) {
        if (!*alive) return;
        if (!gone) return finish(number, gone);
        run_pre_start(work_.plan.ops[static_cast<std::size_t>(number - 1)]);
      };
      if (old == nullptr) return again({});
      containers_.remove(*old, false, again);
    };
    return containers_.stop(*container, Duration::zero(), removed, false);
  }
  struct Making {
    ApplicationPtr application;
    ContainerRecord record;
    Result<void> result;
  };
  Place place{.service = op.service, .id = random_id(), .name = op.name, .number = op.step + 1};
  place.one_off = true;
  place.service_ports = place.use_aliases = false;
  auto application = step_application(*work_.application, op);
  auto record = make_record(*application, place);
  if (!record) return finish(op.number, std::move(record).with("{}: {}", where, op.cause).error());
  record->labels["com.docker.compose.hook"] = "pre_start";
  auto making = std::make_shared<Making>(Making{std::move(application), *std::move(record), {}});
  const auto make = [making, paths = context_.paths] {
    state::ContainerRecord& made = making->record;
    const Application& all = *making->application;
    const container::CreateInput input{.project = all.project,
                                       .service = all.project.services.at(made.service),
                                       .image = all.loaded.at(made.image_id),
                                       .id = made.id,
                                       .name = made.name,
                                       .number = made.number,
                                       .images = all.mounted,
                                       .labels = made.labels};
    auto created = container::create_container(paths, input);
    if (created) {
      made.mounts = created->mounts;
      if (!created->spec.linux_.cgroups_path.empty()) made.cgroup = created->spec.linux_.cgroups_path;
      made.phase = state::Phase::created;
      making->result = state::save_record(paths, made);
      if (making->result) return;
    } else {
      making->result = std::move(created).error();
    }
    [[maybe_unused]] const auto removed = container::remove_container(paths, made.project, made.id);
  };
  context_.loop.run_blocking(make, [this, alive = alive_, making, where, number = op.number] {
    if (!*alive) return;
    if (!making->result) return finish(number, std::move(making->result).with("{}", where));
    steps_[static_cast<std::size_t>(number - 1)].container_id = making->record.id;
    Container& container = containers_.add(std::move(making->record));
    containers_.start(container, [this, alive, number, id = container.record.id](const Result<void>& started) {
      if (!*alive || started) return;  // its end is heard of by look_at_waits
      context_.loop.post([this, alive, number, id] {
        if (*alive) end_pre_start(number, id);
      });
    });
  });
}

void Executor::end_pre_start(int number, const std::string& id) {
  Step& step = steps_[static_cast<std::size_t>(number - 1)];
  Container* container = containers_.find(id);
  if (step.state != State::running || step.container_id != id || container == nullptr || container->busy()) return;
  step.container_id.clear();
  const Op& op = work_.plan.ops[static_cast<std::size_t>(number - 1)];
  const ContainerRecord& record = container->record;
  Result<void> result;
  state::LogQuery everything;
  [[maybe_unused]] const auto read =
      state::read_log(context_.paths.log(record.project, record.id), everything, [&](const state::LogLine& line) {
        if (work_.on_hook_line) work_.on_hook_line(record.name, op.cause, std::string{line.text});
        return true;
      });
  if (record.exit_code != 0 || !record.error.empty()) {
    const std::string where = work_.application->project.where(step_path(op)).to_string();
    const std::string why = record.error.empty() ? "" : ": " + record.error;
    result = make_error(Errc::failed, "{}: {} of service \"{}\" failed with exit code {}{}{}", where, op.cause,
                        op.service, record.exit_code, why, containers_.last_output(*container));
  }
  containers_.remove(*container, false, [this, alive = alive_, number, result](const Result<void>& removed) {
    if (!*alive) return;
    finish(number, result ? removed : result);
  });
}

}  // namespace compose::supervisor
