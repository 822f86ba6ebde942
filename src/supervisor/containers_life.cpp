// What monitors say, and what follows from it: exits, restarts, health.
#include <algorithm>
#include <csignal>

#include "supervisor/containers.hpp"
#include "supervisor/leftovers.hpp"
#include "sys/process.hpp"

namespace compose::supervisor {

using runtime::monitor::Event;
using state::ContainerRecord;
using state::Phase;

namespace {

constexpr int kKilled = 128 + SIGKILL;
// So long before the end of its delay a container is set up, so that then only its program has to be run.
constexpr Duration kAhead = std::chrono::seconds{5};

}  // namespace

policy::RestartSpec restart_spec_of(const state::RestartRecord& record) {
  using Condition = policy::RestartSpec::Condition;
  policy::RestartSpec spec;
  if (record.condition == "always") spec.condition = Condition::always;
  if (record.condition == "on-failure") spec.condition = Condition::on_failure;
  if (record.condition == "unless-stopped") spec.condition = Condition::unless_stopped;
  if (record.max_attempts != 0) spec.max_attempts = record.max_attempts;
  spec.delay = record.delay;
  spec.window = record.window;
  spec.on_unhealthy = record.on_unhealthy;
  return spec;
}

void Containers::watch(Container& container) {
  container.monitor_watch =
      context_.loop.watch_readable(container.monitor->fd(), [this, id = container.record.id] { hear(id); });
}

void Containers::hear(const std::string& id) {
  for (;;) {
    // Whoever hears of an event may end the container: look it up again each time.
    Container* container = find(id);
    if (container == nullptr || !container->monitor) return;
    const auto event = container->monitor->receive();
    if (!event) {
      context_.log.write("monitor of {}: {}", container->record.name, event.error().message());
      return on_lost(*container);
    }
    if (!*event) return;
    handle(*container, **event);
  }
}

void Containers::handle(Container& container, const Event& event) {
  switch (event.kind) {
    case Event::Kind::created:
      // Whoever asked for it must attach before it goes on.
      if (container.wait_attach) {
        if (const Done done = std::exchange(container.on_started, nullptr)) done({});
      }
      return;
    case Event::Kind::stream_closed:
      return;
    case Event::Kind::started:
      return on_started(container, event);
    case Event::Kind::failed: {
      Error error{errc_from_errno(event.sys_errno), event.message, event.sys_errno};
      return fail_start(container, std::move(error), event.exit_code_hint);
    }
    case Event::Kind::exited:
      return on_exited(container, event);
    case Event::Kind::lost:
      return on_lost(container);
  }
}

void Containers::on_started(Container& container, const Event& event) {
  ContainerRecord& record = container.record;
  const bool known = record.phase == Phase::running && record.pid == event.pid && record.start_time == event.start_time;
  container.activity = Container::Activity::running;
  container.held = false;
  container.restart_timer.reset();
  if (!known) {
    record.phase = Phase::running;
    record.pid = event.pid;
    record.start_time = event.start_time;
    record.boot_id = sys::boot_id();
    record.started_at = event.at == state::Time{} ? std::chrono::system_clock::now() : event.at;
    record.finished_at = {};
    record.exit_code = 0;
    record.oom_killed = false;
    record.paused = false;
    record.restarting = false;
    record.hooks_pending = !record.post_start.empty();
    record.health = {};
    if (!record.healthcheck.test.empty()) record.health.status = "starting";
    save(container);
  }
  if (auto sockets = container.monitor->take_resolver_sockets()) names_.serve(record, *std::move(sockets));
  update_names(container);
  begin_health(container);
  if (!known) on_event_(container, "start");
  if (record.hooks_pending) {
    run_post_start(container);
  } else if (const Done done = std::exchange(container.on_started, nullptr)) {
    done({});
  }
  if (container.up()) changed(container);
  // Somebody wanted it stopped before it ran.
  if (container.up() && container.stop_requested && !container.kill_timer) {
    signal_stop(container, record.stop_grace);
  }
}

/// Also when it was started by its policy or is adopted in the middle of it: a container counts as started only then.
void Containers::run_post_start(Container& container) {
  container.post_start =
      Hooks::run(context_, container.record, "post_start", hook_line(container.record.id),
                 [this, id = container.record.id](const Result<void>& result) { post_start_ended(id, result); });
}

void Containers::post_start_ended(const std::string& id, const Result<void>& result) {
  Container* container = find(id);
  if (container == nullptr) return;
  context_.loop.post([run = std::shared_ptr<Hooks>{std::move(container->post_start)}] {});
  if (!container->up()) return;
  container->record.hooks_pending = false;
  if (result) {
    save(*container);
    if (const Done done = std::exchange(container->on_started, nullptr)) done({});
    if (container = find(id); container != nullptr && container->up()) changed(*container);
    return;
  }
  // "If any command fails, the container stops" (Compose Specification, post_start).
  container->record.error = result.error().message();
  context_.log.write("{}", container->record.error);
  container->hook_failed = true;
  if (container->on_started) {
    container->start_error = result.error();
    container->stop_requested = true;
  }
  signal_stop(*container, container->record.stop_grace);
}

void Containers::on_exited(Container& container, const Event& event) {
  ContainerRecord& record = container.record;
  container.post_start.reset();
  if (container.on_started && !container.start_error) {
    container.start_error = Error{Errc::failed, fmt::format("container \"{}\" exited with code {} before post_start "
                                                            "had ended{}",
                                                            record.name, event.exit_code, last_output(container))};
  }
  container.activity = Container::Activity::ending;
  container.kill_timer.reset();
  container.health.reset();
  container.pre_stop.reset();
  record.hooks_pending = false;
  record.phase = Phase::exited;
  record.paused = false;
  record.exit_code = event.exit_code;
  record.oom_killed = event.oom_killed;
  record.finished_at = event.at == state::Time{} ? std::chrono::system_clock::now() : event.at;
  names_.remove(record);
  if (event.oom_killed) on_event_(container, "oom");
  policy::Ended end;
  end.exit_code = event.exit_code;
  end.stop_requested = container.stop_requested;
  end.unhealthy = container.unhealthy;
  end.start_failed = container.hook_failed;
  end.ran_for = record.finished_at - record.started_at;
  decide_restart(container, end);
}

void Containers::on_lost(Container& container) {
  container.monitor_watch.reset();
  container.monitor.reset();
  if (container.activity == Container::Activity::ending) return end(container);
  const bool started = container.activity == Container::Activity::running;
  container.activity = Container::Activity::ending;
  // What is left of it takes a moment to die; others are not to wait for that.
  const auto host = facts();
  const auto kill = [path = container.record.cgroup,
                     layout = host ? std::optional{(*host)->cgroups} : std::nullopt]() -> Result<void> {
    return layout ? end_group(*layout, path) : Result<void>{};
  };
  const auto result = std::make_shared<Result<void>>();
  context_.loop.run_blocking([result, kill] { *result = kill(); },
                             [this, result, started, id = container.record.id] {
                               if (!*result) context_.log.write("{}", result->error().message());
                               if (Container* lost = find(id)) end_lost(*lost, started);
                             });
}

void Containers::end_lost(Container& container, bool started) {
  ContainerRecord& record = container.record;
  remove_half_written(context_.paths, record.project, record.id);  // it may have been writing down the end
  if (!started) return fail_start(container, Error{Errc::failed, "its monitor ended before it ran"}, kKilled);
  // Its output and its exit code are lost with the monitor; a container nobody keeps is ended, not guessed about.
  context_.log.write("the monitor of {} was lost", record.name);
  Event exit;
  exit.kind = Event::Kind::exited;
  exit.exit_code = kKilled;
  exit.at = std::chrono::system_clock::now();
  record.error = "its monitor was lost";
  on_exited(container, exit);
  end(container);
}

/// Container and monitor are gone: who waited for that goes on, or the next run begins.
void Containers::end(Container& container) {
  ContainerRecord& record = container.record;
  container.monitor_watch.reset();
  container.monitor.reset();
  container.kill_timer.reset();
  container.activity = Container::Activity::idle;
  const std::string id = record.id;
  if (container.start_error) {
    const Error error = *std::exchange(container.start_error, std::nullopt);
    addresses_.unpublish(record);
    names_.remove(record);
    if (const Done done = std::exchange(container.on_started, nullptr)) {
      save(container);
      done(error);
    } else {
      // It was the policy that wanted it.
      policy::Ended end;
      end.exit_code = record.exit_code;
      end.start_failed = true;
      end.stop_requested = container.stop_requested;
      decide_restart(container, end);
    }
  }
  // Any callback may remove the container.
  if (find(id) != nullptr) {
    for (const Done& done : std::exchange(container.on_ended, {})) done({});
  }
  if (find(id) == nullptr) return;
  changed(container);
  if (find(id) == nullptr || container.activity != Container::Activity::idle) return;
  if (container.restart_due) return restart(container);
  if (std::exchange(container.set_up_due, false)) set_up_ahead(container);
}

void Containers::decide_restart(Container& container, policy::Ended end) {
  ContainerRecord& record = container.record;
  // What is replaced is not wanted any more.
  end.stop_requested = end.stop_requested || record.role == state::Role::retiring;
  const auto decision = policy::next(restart_spec_of(record.restart), container.restarts, end);
  container.restarts = decision.next;
  record.restarting = decision.kind == policy::Decision::Kind::restart;
  record.crash_loop = decision.crash_loop;
  record.restart_at = record.restarting ? record.finished_at + decision.delay : state::Time{};
  if (!decision.reason.empty()) context_.log.write("container {}: {}", record.name, decision.reason);
  if (record.restarting) {
    // The delay counts from the end, and no jump of the wall clock makes it longer.
    restart_after(container, std::min<Duration>(record.restart_at - std::chrono::system_clock::now(), decision.delay));
  } else {
    addresses_.unpublish(record);
    context_.loop.post([this] {
      if (const auto flushed = addresses_.flush(); !flushed) context_.log.write("{}", flushed.error().message());
    });
  }
  save(container);
  if (!end.start_failed || container.hook_failed) on_event_(container, "die");
}

void Containers::restart_after(Container& container, Duration delay) {
  const auto start = std::chrono::steady_clock::now() + std::max(delay, Duration::zero());
  const auto due = [this, id = container.record.id] {
    Container* waiting = find(id);
    if (waiting == nullptr) return;
    waiting->restart_timer.reset();
    waiting->restart_due = true;
    if (waiting->held || waiting->activity == Container::Activity::idle) restart(*waiting);
  };
  const auto set_up = [this, id = container.record.id, start, due] {
    Container* waiting = find(id);
    if (waiting == nullptr) return;
    waiting->restart_timer = context_.loop.call_after(
        std::max(Duration::zero(), std::chrono::duration_cast<Duration>(start - std::chrono::steady_clock::now())),
        due);
    set_up_ahead(*waiting);
  };
  container.restart_timer = context_.loop.call_after(std::max(Duration::zero(), delay - kAhead), set_up);
}

/// Namespaces, interfaces, mounts and the monitor of the next run are made while its delay lasts. What takes namespaces
/// from others, or waits for them, finds out at the end of the delay what is there then.
void Containers::set_up_ahead(Container& container) {
  if (container.held || !container.record.joins.empty() || !awaited(container).empty()) return;
  if (container.activity == Container::Activity::idle) return launch(container, /*hold=*/true);
  container.set_up_due = true;
}

policy::Member member_of(const Container& container) {
  const ContainerRecord& record = container.record;
  return {.id = record.id,
          .service = record.service,
          .depends_on = record.depends_on,
          .shares_with = record.shares_with,
          .up = container.up(),
          .busy = container.busy(),
          .stop_requested = container.stop_requested,
          .restarting = record.restarting,
          .hooks_pending = record.hooks_pending,
          .probed = !record.healthcheck.test.empty(),
          .healthy = record.health.status == "healthy"};
}

std::vector<policy::Member> Containers::members() const {
  std::vector<policy::Member> members;
  for (const auto& [id, container] : containers_) {
    if (!container->record.one_off) members.push_back(member_of(*container));
  }
  return members;
}

std::string Containers::awaited(const Container& container) const {
  if (container.record.depends_on.empty() && container.record.shares_with.empty()) return "";
  return policy::awaited(member_of(container), members());
}

void Containers::look_at_gates() {
  if (looking_at_gates_ || gated_.empty()) return;
  looking_at_gates_ = true;
  context_.loop.post([this] {
    looking_at_gates_ = false;
    for (const std::string& id : std::exchange(gated_, {})) {
      Container* container = find(id);
      if (container == nullptr || !container->gated) continue;
      gated_.insert(id);
      if (container->held || container->activity == Container::Activity::idle) restart(*container);
    }
  });
}

void Containers::restart(Container& container) {
  const std::string id = container.record.id;
  if (const std::string service = awaited(container); !service.empty()) {
    gated_.insert(id);
    if (!std::exchange(container.gated, true)) {
      context_.log.write("container {}: its restart waits for service {}", container.record.name, service);
    }
    return;
  }
  ++container.record.restart_count;
  if (container.held) {
    run_held(container);
  } else {
    launch(container);
  }
  if (find(id) != nullptr) on_event_(container, "restart");
}

void Containers::cancel_restart(Container& container) {
  container.restart_timer.reset();
  container.set_up_due = false;
  container.restart_due = false;
  container.gated = false;
  if (!container.record.restarting) return;
  container.record.restarting = false;
  container.record.stopped_by_user = true;
  addresses_.unpublish(container.record);
  save(container);
}

void Containers::begin_health(Container& container) {
  container.health.reset();
  if (container.record.healthcheck.test.empty()) return;
  container.health =
      std::make_unique<HealthCheck>(context_, container.record, [this, id = container.record.id](bool has_changed) {
        if (Container* probed = find(id)) on_probe(*probed, has_changed);
      });
}

void Containers::on_probe(Container& container, bool has_changed) {
  state::HealthRecord health = container.health->record();
  // After an adoption the machine begins anew; what is known to be healthy stays so until it says otherwise.
  if (!has_changed && health.status == "starting") health.status = container.record.health.status;
  const bool differs = health.status != container.record.health.status;
  container.record.health = std::move(health);
  save(container);
  const bool failed = has_changed && container.record.health.status == "unhealthy";
  if (differs) {
    update_names(container);
    on_event_(container, "health_status");
  }
  if (failed && container.record.restart.on_unhealthy && container.up() && !container.stop_requested) {
    context_.log.write("container {} is unhealthy and stopped for it", container.record.name);
    container.unhealthy = true;
    signal_stop(container, container.record.stop_grace);
  }
  if (differs) changed(container);
}

void Containers::update_names(const Container& container) {
  const ContainerRecord& record = container.record;
  if (record.role == state::Role::retiring) return names_.leave(record);
  const bool healthy = record.health.status.empty() || record.health.status == "healthy";
  names_.put(record, healthy && !container.stop_requested && record.role == state::Role::plain);
}

}  // namespace compose::supervisor
