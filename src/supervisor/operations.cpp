#include "supervisor/operations.hpp"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "container/volume.hpp"
#include "state/events.hpp"
#include "state/jobs.hpp"
#include "state/left_volumes.hpp"
#include "supervisor/journal.hpp"
#include "supervisor/observer.hpp"
#include "supervisor/operations_request.hpp"
#include "supervisor/operations_update.hpp"
#include "supervisor/planning.hpp"
#include "sys/file.hpp"

namespace compose::supervisor {

using nlohmann::json;
using plan::OpKind;

namespace {
// Whoever waits for the reason of a failure is not to wait for programs that ignore their stop signal.
constexpr std::chrono::seconds kRollbackGrace{1};

/// As a person would call it.
std::string command_of(const std::string& op) { return op == "apply" ? "up" : op; }

/// Anonymous volumes of containers that are gone, as a failed `up` leaves them.
void remove_left_volumes(const Context& context) {
  const auto names = state::all_left_volumes(context.paths, context.project);
  if (!names) return context.log.write("{}", names.error().message());
  for (const std::string& name : *names) {
    const auto removed = container::remove_volume(context.paths, name);
    if (!removed) context.log.write("{}", removed.error().message());
  }
}

/// A container that runs has what the last one at its place left. A supervisor that died when it had started it has not
/// noted that.
void settle_left_volumes(const Context& context, const Containers& containers) {
  if (const auto left = state::all_left_volumes(context.paths, context.project); left && left->empty()) return;
  for (const auto& [id, container] : containers.all()) {
    const state::ContainerRecord& record = container->record;
    if (record.one_off || record.phase != state::Phase::running) continue;
    const auto settled = state::leave_volumes(context.paths, record.project, record.service, record.number, {});
    if (!settled) return context.log.write("{}", settled.error().message());
  }
}

}  // namespace

Operations::Operations(const Context& context, Containers& containers, Addresses& addresses, Names& names,
                       image::Store& images)
    : context_{context}, containers_{containers}, addresses_{addresses}, names_{names}, images_{images} {}
Operations::~Operations() = default;

void Operations::submit(const ConnectionPtr& connection, json request) {
  if (current_ != nullptr) {
    connection->send(
        {{"event", "warning"},
         {"text", fmt::format("waiting for \"{}\" on project \"{}\" to end (process {})", command_of(current_->op()),
                              context_.project, current_->connection->peer())}});
  }
  queue_.push_back(std::make_unique<Request>(Request{connection, std::move(request)}));
  next();
}

void Operations::cancel(const ConnectionPtr& connection) {
  std::erase_if(queue_, [&](const auto& request) {
    if (request->connection != connection) return false;
    connection->send({{"event", "result"}, {"ok", false}, {"exit_code", 130}, {"error", "cancelled"}});
    return true;
  });
  if (current_ && current_->connection == connection && executor_) executor_->cancel("cancelled");
}

void Operations::next() {
  if (current_) return;
  forget_removed();
  if (queue_.empty()) {
    if (on_idle) on_idle();
    return;
  }
  current_ = std::move(queue_.front());
  queue_.pop_front();
  context_.log.write("{} (process {})", current_->op(), current_->connection->peer());
  note_request(context_, current_->op(), current_->services(), current_->connection->peer());
  try {
    begin();
  } catch (const json::exception& e) {
    refuse(Failure{fmt::format("the request does not fit: {}", e.what()), ""});
  }
}

/// A container that another command removed has no end to tell any more: whoever waits for it hears that it was killed.
void Operations::forget_removed() {
  std::erase_if(foreground_, [this](const Foreground& item) {
    if (containers_.find(item.id) != nullptr) return false;
    if (item.connection && item.connection->open()) {
      item.connection->send({{"event", "result"}, {"ok", true}, {"exit_code", 128 + SIGKILL}, {"error", ""}});
    }
    return true;
  });
}

void Operations::begin() {
  const std::string op = current_->op();
  if (op == "apply" || op == "scale") return apply(true);
  if (op == "create") return apply(false);
  if (op == "down") return down();
  if (op == "run") return run_one_off();
  if (op == "restore") return restore_now();
  lifecycle(op);
}

void Operations::submit_own(json request) {
  // Nobody listens: answers go nowhere, failures into the log.
  submit(std::make_shared<Connection>(context_.loop, UniqueFd{}, ::getpid()), std::move(request));
}

void Operations::recover(const std::vector<std::string>& services) {
  submit_own({{"op", "recover"}, {"services", services}});
}

void Operations::restore(std::vector<std::string> ids) {
  if (!ids.empty()) submit_own({{"op", "restore"}, {"ids", std::move(ids)}});
}

/// `start` for what ran before the host was restarted. What a person has stopped stays so, and nobody waits for it.
void Operations::restore_now() {
  auto observed = observe(context_, containers_, addresses_, nullptr);
  if (!observed) return refuse(observed.error());
  const auto ids = current_->body.at("ids").get<std::set<std::string>>();
  plan::Selection selection;
  for (const plan::ObservedContainer& container : observed->containers) {
    if (ids.contains(container.id)) selection.services.push_back(container.service);
  }
  std::erase_if(observed->containers, [&](const plan::ObservedContainer& container) {
    return container.stop_requested && !ids.contains(container.id);
  });
  if (selection.services.empty()) return answer(json::object());
  Work work;
  work.keep_going = true;
  selection.restore = true;
  selection.project = context_.project;
  work.plan = plan::plan_start(*observed, selection);
  if (!take_applied(work)) return;
  execute(std::move(work), false, [this](const Report& report) {
    if (report.failure) return refuse(*report.failure);
    answer(json::object());
  });
}

void Operations::run_job(const std::string& service, Done done) {
  jobs_[service] = std::move(done);
  submit_own({{"op", "job"}, {"services", {service}}});
}

void Operations::hook_line(const Container& container, const std::string& step, const std::string& line) {
  if (!current_) return;
  current_->connection->send({{"event", "hook"}, {"name", container.record.name}, {"step", step}, {"text", line}});
}

void Operations::answer(json result) {
  result["event"] = "result";
  if (!result.contains("ok")) result["ok"] = true;
  if (!result.contains("exit_code")) result["exit_code"] = result["ok"].get<bool>() ? 0 : 1;
  current_->connection->send(result);
  // The executor may stand on the stack: it goes when the stack is empty.
  context_.loop.post([this, executor = std::shared_ptr<Executor>{std::move(executor_)}] {
    current_.reset();
    next();
  });
}

void Operations::refuse(const Failure& failure) {
  context_.log.write("refused: {} {}", failure.position, failure.message);
  answer({{"ok", false}, {"error", failure.message}, {"position", failure.position}});
}

void Operations::refuse(const Error& error) { refuse(Failure{error.message(), ""}); }

void Operations::send_progress(const Progress& progress) {
  current_->connection->send({{"event", "progress"},
                              {"kind", progress.kind},
                              {"name", progress.name},
                              {"text", progress.text},
                              {"status", progress.status}});
}

void Operations::execute(Work work, bool silent, After after) {
  for (const std::string& warning : work.plan.warnings) {
    current_->connection->send({{"event", "warning"}, {"text", warning}});
  }
  Executor::OnProgress on_progress;
  if (!silent) on_progress = [this](const Progress& progress) { send_progress(progress); };
  work.on_hook_line = [this](const std::string& name, const std::string& step, const std::string& line) {
    current_->connection->send({{"event", "hook"}, {"name", name}, {"step", step}, {"text", line}});
  };
  // The last one may still stand on the stack.
  context_.loop.post([last = std::shared_ptr<Executor>{std::move(executor_)}] {});
  executor_ = std::make_unique<Executor>(context_, containers_, addresses_, std::move(work), on_progress);
  executor_->run([this, after = std::move(after)](Report report) {
    for (const std::string& warning : report.warnings) {
      current_->connection->send({{"event", "warning"}, {"text", warning}});
    }
    after(std::move(report));
  });
}

ApplicationPtr Operations::application() {
  Failure failure;
  auto made = make_application(images_, current_->body.at("project").get<std::string>(),
                               current_->body.value("images", std::map<std::string, std::string>{}), failure);
  if (!made) {
    remember_failure(context_, containers_, failure);
    refuse(failure);
    return nullptr;
  }
  for (const auto& [service, definition] : made->project.services) names_.reserve(service);
  return made;
}

bool Operations::answer_dry_run(const plan::Plan& plan) {
  if (!current_->flag("dry_run")) return false;
  for (const plan::Op& op : plan.ops) {
    send_progress(progress_of(op, ProgressStep::begun));
    send_progress(progress_of(op, ProgressStep::ended));
  }
  answer({{"plan", json::parse(plan.to_json())}, {"text", plan.to_text()}});
  return true;
}

void Operations::apply(bool start) {
  const auto wanted = application();
  if (!wanted) return;
  settle_left_volumes(context_, containers_);
  const auto observed = observe(context_, containers_, addresses_, wanted.get());
  if (!observed) return refuse(observed.error());
  const json how = current_->options();
  plan::Options options = apply_options(current_->body, start);
  auto plan = plan::reconcile({wanted->project, wanted->images, wanted->hashes}, *observed, options);
  if (!plan) return refuse(plan.error());
  if (answer_dry_run(*plan)) return;
  show_running(*plan, *observed, *wanted);
  context_.log.write("plan:\n{}", plan->to_text());
  if (options.renew_anon_volumes) state::forget_left_volumes(context_.paths, context_.project);

  Work work;
  work.plan = *std::move(plan);
  work.application = wanted;
  if (const auto limit = how.value("wait_timeout", std::int64_t{0}); limit > 0) {
    work.deadline = std::chrono::seconds{limit};
  }
  const bool fresh = std::ranges::none_of(observed->containers, [](const auto& c) { return !c.one_off; });
  auto previous = load_desired(context_.paths, context_.project);
  if (!previous) return refuse(previous.error());
  // What must be written at the end is written now but for its name: a full disk is found before anything is touched.
  auto desired = stage_desired(context_.paths, context_.project,
                               {current_->body.at("project").get<std::string>(),
                                current_->body.value("images", std::map<std::string, std::string>{})});
  if (!desired) return refuse(desired.error());
  auto update = std::make_shared<Update>();
  update->desired = *std::move(desired);
  update->wanted = wanted;
  update->previous = *std::move(previous);
  update->options = std::move(options);
  execute(std::move(work), false, [this, fresh, update](Report report) {
    auto staged = std::exchange(update->desired, std::nullopt);
    if (report.failure || !report.failed_updates.empty()) staged.reset();
    if (report.failure && !report.cancelled) {
      remember_failure(context_, containers_, *report.failure);
      return remove_extras([this, fresh, report = std::move(report)] { roll_back(report, fresh, *report.failure); });
    }
    if (report.failure) return remove_extras([this, failure = *report.failure] { refuse(failure); });
    if (!report.failed_updates.empty()) {
      update->failed = std::move(report.failed_updates);
      return roll_updates_back(update);
    }
    applied(*std::move(staged), json::object());
  });
}

/// Containers that run and that the plan leaves alone are named, too.
void Operations::show_running(const plan::Plan& plan, const plan::Observed& observed, const Application& application) {
  for (const plan::ObservedContainer& container : observed.containers) {
    const bool ours = application.project.services.contains(container.service) && !container.one_off;
    if (!ours || container.state != plan::State::running) continue;
    const bool touched = std::ranges::any_of(plan.ops, [&](const plan::Op& op) { return op.name == container.name; });
    if (!touched) send_progress({"Container", container.name, "Running", "done"});
  }
}

/// Undoes what a failed `up` made: everything when nothing was there before, else what never ran.
void Operations::roll_back(const Report& report, bool fresh, Failure failure) {
  auto observed = observe(context_, containers_, addresses_, nullptr);
  if (!observed) return refuse(failure);
  const auto keep = [&](const std::string& id) {
    return !report.created_containers.contains(id) || (!fresh && report.started_containers.contains(id));
  };
  std::set<std::string> keep_volumes;  // ids of containers
  std::set<std::string> used_volumes, made_volumes = report.created_volumes;
  for (const auto& [id, container] : containers_.all()) {
    // What a container has written stays, whatever becomes of the container; so does what another one has left for it.
    const state::ContainerRecord& record = container->record;
    const bool stays = keep(id) || report.started_containers.contains(id);
    const auto left = state::left_volumes(context_.paths, record.project, record.service, record.number);
    for (const state::MountRecord& mount : record.mounts) {
      const bool inherited = !left || left->contains(mount.target);
      if (stays || inherited) used_volumes.insert(mount.name);
      if (mount.anonymous) made_volumes.insert(mount.name);
      if (mount.anonymous && (stays || inherited)) keep_volumes.insert(id);
    }
  }
  std::set<std::string> used_networks;
  for (const plan::ObservedContainer& container : observed->containers) {
    if (keep(container.id)) used_networks.insert(container.networks.begin(), container.networks.end());
  }
  std::erase_if(observed->containers, [&](const auto& container) { return keep(container.id); });
  std::erase_if(observed->networks, [&](const auto& network) {
    return !report.created_networks.contains(network.name) || used_networks.contains(network.name);
  });
  std::erase_if(observed->volumes, [&](const auto& volume) {
    return !made_volumes.contains(volume.name) || used_volumes.contains(volume.name);
  });
  Work work;
  plan::DownOptions options;
  options.volumes = true;
  options.timeout = kRollbackGrace;
  work.plan = plan::plan_down(nullptr, *observed, options);
  for (plan::Op& op : work.plan.ops) {
    if (op.kind == OpKind::remove_container && keep_volumes.contains(op.container_id)) op.remove_volumes = false;
  }
  work.plan.warnings.clear();
  work.keep_going = true;
  work.hooks = false;
  work.leave_volumes = true;
  execute(std::move(work), true, [this, failure = std::move(failure)](const Report& undone) {
    if (undone.failure) context_.log.write("rolling back: {}", undone.failure->message);
    if (containers_.all().empty()) forget_project();
    refuse(failure);
  });
}

void Operations::down() {
  std::optional<model::Project> project;
  if (const auto text = current_->body.value("project", std::string{}); !text.empty()) {
    auto parsed = model::project_from_json(text);
    if (!parsed) return refuse(parsed.error());
    project = *std::move(parsed);
  }
  const auto observed = observe(context_, containers_, addresses_, nullptr);
  if (!observed) return refuse(observed.error());
  plan::DownOptions options;
  options.services = current_->services();
  options.volumes = current_->flag("volumes");
  options.remove_orphans = current_->flag("remove_orphans");
  options.timeout = current_->timeout();
  Work work;
  work.plan = plan::plan_down(project ? &*project : nullptr, *observed, options);
  if (answer_dry_run(work.plan)) return;
  ::unlink(context_.paths.failure(context_.project).c_str());
  work.keep_going = true;
  const auto removed = std::ranges::count(work.plan.ops, OpKind::remove_container, &plan::Op::kind);
  work.release_project = static_cast<std::size_t>(removed) == observed->containers.size();
  execute(std::move(work), false, [this, volumes = options.volumes](const Report& report) {
    if (containers_.all().empty()) {
      if (volumes) remove_left_volumes(context_);
      state::forget_left_volumes(context_.paths, context_.project);
      forget_project();
    }
    if (report.failure) return refuse(*report.failure);
    answer(json::object());
  });
}

/// Nothing of the project is left but its volumes; whose they are is known until a `down`.
void Operations::forget_project() {
  if (const auto released = addresses_.release_project(); !released) {
    context_.log.write("{}", released.error().message());
  }
  ::unlink(context_.paths.desired(context_.project).c_str());
  ::unlink(state::jobs_path(context_.paths, context_.project).c_str());
  ::unlink(context_.paths.worked(context_.project).c_str());
  state::remove_events(context_.paths, context_.project);
  ::rmdir(context_.paths.containers(context_.project).c_str());
  ::rmdir(context_.paths.project(context_.project).c_str());
}

void Operations::lifecycle(const std::string& op) {
  const auto observed = observe(context_, containers_, addresses_, nullptr);
  if (!observed) return refuse(observed.error());
  plan::Selection selection{current_->services(), current_->flag("no_deps"), current_->timeout()};
  selection.project = context_.project;
  selection.wait = current_->flag("wait");
  Work work;
  work.keep_going = op != "start" && op != "job" && op != "restart" && op != "recover";
  if (const auto limit = current_->options().value("wait_timeout", std::int64_t{0}); limit > 0) {
    work.deadline = std::chrono::seconds{limit};
  }
  if (op == "stop") {
    work.plan = plan::plan_stop(*observed, selection);
  } else if (op == "start" || op == "job") {
    work.plan = plan::plan_start(*observed, selection);
  } else if (op == "restart" || op == "recover") {
    work.plan = plan::plan_restart(*observed, selection);
  } else if (op == "kill") {
    work.plan = plan::plan_kill(*observed, selection, current_->options().value("signal", "SIGKILL"));
  } else if (op == "pause") {
    work.plan = plan::plan_pause(*observed, selection);
  } else if (op == "unpause") {
    work.plan = plan::plan_unpause(*observed, selection);
  } else if (op == "rm") {
    work.plan = plan::plan_rm(
        *observed, {selection.services, current_->flag("stop"), current_->flag("volumes"), selection.timeout});
  } else {
    return refuse(Failure{fmt::format("unknown operation \"{}\"", op), ""});
  }
  if (answer_dry_run(work.plan)) return;
  if (!take_applied(work)) return;
  const std::string job = op == "job" ? selection.services.front() : "";
  execute(std::move(work), false, [this, job](const Report& report) {
    if (auto asked = jobs_.extract(job); !asked.empty()) {
      const Failure failure = report.failure.value_or(Failure{});
      asked.mapped()(report.failure ? Result<void>{Error{Errc::failed, failure.message}} : Result<void>{});
    }
    if (report.failure) return refuse(*report.failure);
    answer(json::object());
  });
}

/// The project as it was last applied, for a plan that runs pre_start hooks of what exists. False: refused.
bool Operations::take_applied(Work& work) {
  if (std::ranges::none_of(work.plan.ops, [](const plan::Op& op) { return op.kind == OpKind::run_pre_start; })) {
    return true;
  }
  const auto desired = load_desired(context_.paths, context_.project);
  if (!desired) {
    refuse(desired.error());
    return false;
  }
  Failure failure{"what was applied last is not known, so pre_start cannot run: use \"up\"", ""};
  if (*desired) work.application = make_application(images_, (*desired)->project_json, (*desired)->images, failure);
  if (!work.application) refuse(failure);
  return work.application != nullptr;
}

}  // namespace compose::supervisor
