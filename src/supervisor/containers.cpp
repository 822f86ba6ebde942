#include "supervisor/containers.hpp"

#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "base/strings.hpp"
#include "container/prepare.hpp"
#include "runtime/cgroup/cgroup.hpp"
#include "state/log_reader.hpp"
#include "supervisor/journal.hpp"
#include "supervisor/run_lock.hpp"
#include "sys/host_address.hpp"
#include "sys/program.hpp"

namespace compose::supervisor {

namespace monitor = runtime::monitor;
namespace launch_ns = runtime::launch;
using state::ContainerRecord;
using state::Phase;

namespace {

constexpr int kCannotStart = 125;
constexpr std::size_t kLinesShown = 10;
// No event tells that a disk has room again.
constexpr Duration kSaveAtLeastEvery = std::chrono::seconds{30};

std::string without_prefix(const std::string& cidr) { return cidr.substr(0, cidr.find('/')); }

}  // namespace

/// What goes to the pool thread that starts a monitor, and what comes back. Values and nothing else.
struct Containers::Launch {
  state::Paths paths{"", ""};
  container::StartInput start;
  std::unique_ptr<container::Created> created;
  std::vector<net::endpoint::Attachment> attachments;
  bool resolver = false;
  launch_ns::HostFacts facts;
  monitor::Request request;
  std::optional<monitor::Client> client;
  std::optional<Error> error;

  Result<monitor::Client> run() {
    TRY_ASSIGN(auto prepared, container::prepare_start(paths, start, std::move(created)));
    launch_ns::CompileRequest compile;
    compile.spec = std::move(prepared.spec);
    compile.container_id = start.id;
    compile.bundle = paths.container(start.project, start.id);
    compile.overlay = std::move(prepared.overlay);
    compile.attachments = std::move(attachments);
    compile.resolver = resolver;
    compile.seccomp_cache_dir = paths.seccomp_cache();
    TRY_ASSIGN(request.plan, launch_ns::compile(compile, facts));
    // The monitor is static and cannot ask for the addresses of names.
    TRY_ASSIGN(request.remote_log.address, sys::resolve_place(request.remote_log.address).with("logging.options"));
    return monitor::Client::spawn(request);
  }
};

Containers::Containers(const Context& context, Addresses& addresses, Names& names, OnEvent on_event)
    : context_{context}, addresses_{addresses}, names_{names}, on_event_{std::move(on_event)} {}
Containers::~Containers() = default;

Container* Containers::find(const std::string& id) {
  const auto it = containers_.find(id);
  return it == containers_.end() ? nullptr : it->second.get();
}

Container* Containers::find_replica(const std::string& service, int number) {
  for (const auto& [id, container] : containers_) {
    const ContainerRecord& record = container->record;
    if (!record.one_off && record.service == service && record.number == number && record.role == state::Role::plain &&
        container->activity != Container::Activity::removing) {
      return container.get();
    }
  }
  return nullptr;
}

Container& Containers::add(ContainerRecord record) {
  auto container = std::make_unique<Container>();
  container->record = std::move(record);
  return *(containers_[container->record.id] = std::move(container));
}

void Containers::start(Container& container, Done done) {
  if (container.up()) return done({});
  if (container.held && !container.stop_requested) {
    container.restart_timer.reset();
    container.record.restarting = false;
    container.restarts = {};
    container.record.restart_count = 0;
    container.on_started = std::move(done);
    return run_held(container);
  }
  if (container.activity != Container::Activity::idle) {
    return done(make_error(Errc::busy, "container \"{}\" is still starting or ending", container.record.name));
  }
  cancel_restart(container);
  container.restarts = {};
  container.record.restart_count = 0;
  container.on_started = std::move(done);
  launch(container);
}

/// With `hold` all is made ready, and its program waits for run_held().
void Containers::launch(Container& container, bool hold) {
  container.activity = Container::Activity::starting;
  container.held = hold;
  container.set_up_due = false;
  container.restart_due = false;
  container.gated = false;
  container.stop_requested = false;
  container.unhealthy = false;
  container.hook_failed = false;
  container.start_error.reset();
  container.record.stopped_by_user = false;
  if (!hold) container.record.error.clear();  // until it runs, the last run's end is what there is to tell
  auto prepared = prepare_launch(container);
  if (!prepared) return fail_start(container, std::move(prepared).error(), kCannotStart);
  const auto work = *prepared;
  context_.loop.run_blocking(
      [work] {
        auto client = work->run();
        if (client) {
          work->client = *std::move(client);
        } else {
          work->error = std::move(client).error();
        }
      },
      [this, work, id = container.record.id] { launched(id, *work); });
}

void Containers::run_held(Container& container) {
  container.held = false;
  container.restart_due = false;
  container.gated = false;
  container.record.error.clear();
  if (!container.monitor) return;  // launched() sees that it is not held any more
  [[maybe_unused]] const auto told = container.monitor->run();
}

/// A run that is not wanted any more is ended before its program has begun.
void Containers::call_off(Container& container) {
  if (!container.monitor) return;  // launched() comes back here
  [[maybe_unused]] const auto killed = container.monitor->kill_all();
}

/// From the record's words to the monitor's settings.
void Containers::set_log(const ContainerRecord& record, monitor::Request& request) const {
  const state::LogRecord& log = record.log;
  if (log.max_files > 0) {
    request.log = {context_.paths.log(record.project, record.id),
                   log.max_size,
                   log.max_files,
                   log.compress,
                   log.format == "json" ? monitor::LogFormat::json : monitor::LogFormat::text,
                   log.attributes};
  }
  using Kind = monitor::RemoteLogSettings::Kind;
  constexpr std::pair<const char*, Kind> kKinds[] = {{"journald", Kind::journald},
                                                     {"syslog", Kind::syslog_local},
                                                     {"rfc3164", Kind::rfc3164},
                                                     {"rfc5424", Kind::rfc5424},
                                                     {"rfc5424micro", Kind::rfc5424_micro}};
  const auto* kind = std::ranges::find(kKinds, log.remote, [](const auto& one) { return one.first; });
  if (kind == std::end(kKinds)) return;
  request.remote_log = {kind->second, log.address, log.fields, log.tag, sys::host_name(), log.facility, log.buffer};
}

Result<std::shared_ptr<Containers::Launch>> Containers::prepare_launch(Container& container) {
  ContainerRecord& record = container.record;
  auto work = std::make_shared<Launch>();
  TRY_ASSIGN(const auto* host, facts());
  work->facts = *host;
  ContainerRecord* const records[] = {&record};
  TRY(addresses_.lease(records));
  // One that is to replace another has its ports from the moment it does.
  if (record.role == state::Role::plain) TRY(addresses_.publish(records));
  TRY_ASSIGN(work->attachments, addresses_.attachments(record));
  work->resolver = !record.networks.empty();
  work->paths = context_.paths;
  work->created = std::move(container.created);

  work->start.project = record.project;
  work->start.id = record.id;
  for (const state::NetworkRecord& network : record.networks) {
    for (const std::string& cidr : {network.ipv4, network.ipv6}) {
      if (!cidr.empty()) work->start.addresses.push_back(without_prefix(cidr));
    }
  }
  work->start.resolver = work->resolver;
  work->start.host_gateway = addresses_.gateway(record);
  TRY(join_namespaces(record, *work));

  monitor::Request& request = work->request;
  request.container_id = record.id;
  request.project = record.project;
  request.run_dir = context_.paths.run_container(record.id);
  request.state_dir = context_.paths.container(record.project, record.id);
  set_log(record, request);
  request.tty = record.tty;
  request.wait_attach = container.wait_attach;
  request.hold = container.held;
  request.open_stdin = record.open_stdin;
  TRY_ASSIGN(const std::string program, sys::own_program());
  request.respawn_argv = supervise_arguments(program, context_.paths, context_.project);
  request.respawn_argv.emplace_back("--adopt");
  request.project_lock_path = context_.paths.lock(context_.project);
  return work;
}

Result<void> Containers::join_namespaces(const ContainerRecord& record, Launch& launch) {
  for (const auto& [type, target] : record.joins) {
    TRY_ASSIGN(const ContainerRecord other, running_container(target).with("joining its {} namespace", type));
    launch.start.namespaces[type] = fmt::format("/proc/{}/ns/{}", other.pid, type == "network" ? "net" : type);
    if (type == "network") launch.start.network_container = other.id;
    if (type == "ipc") launch.start.ipc_container = other.id;
  }
  return {};
}

/// "service:NAME" in this project, or "container:NAME" anywhere.
Result<ContainerRecord> Containers::running_container(const std::string& target) const {
  const bool by_service = target.starts_with("service:");
  const std::string name = target.substr(target.find(':') + 1);
  for (const auto& [id, container] : containers_) {
    const ContainerRecord& record = container->record;
    const bool fits = by_service ? record.service == name && !record.one_off : record.name == name || record.id == name;
    if (fits && container->up()) return record;
  }
  if (by_service) return make_error(Errc::not_found, "service \"{}\" does not run", name);
  TRY_ASSIGN(const auto projects, state::list_projects(context_.paths));
  for (const state::ProjectSummary& project : projects) {
    TRY_ASSIGN(const auto records, state::list_containers(context_.paths, project.name));
    for (const ContainerRecord& record : records) {
      if ((record.name == name || record.id == name) && record.phase == Phase::running) return record;
    }
  }
  return make_error(Errc::not_found, "container \"{}\" does not run", name);
}

Result<const launch_ns::HostFacts*> Containers::facts() {
  if (!facts_) {
    TRY_ASSIGN(auto probed, launch_ns::probe_host().with("looking at this machine"));
    facts_ = std::move(probed);
  }
  return &*facts_;
}

void Containers::launched(const std::string& id, Launch& work) {
  Container* container = find(id);
  if (container == nullptr) return;
  if (work.error) return fail_start(*container, *std::move(work.error), kCannotStart);
  container->monitor = *std::move(work.client);
  watch(*container);
  if (container->stop_requested && (container->held || container->wait_attach)) return call_off(*container);
  if (work.request.hold && !container->held) run_held(*container);
}

/// The container does not run and nothing of the attempt is left but, for a moment, its monitor.
void Containers::fail_start(Container& container, Error error, int exit_code) {
  ContainerRecord& record = container.record;
  container.activity = Container::Activity::ending;
  if (std::exchange(container.held, false)) {
    // Called off, or broken before its time: the delay goes on, and the start at its end tells what is wrong.
    context_.log.write("container {} is not set up ahead of its restart: {}", record.name, error.message());
    if (!container.monitor) end(container);
    return;
  }
  record.error = error.message();
  record.exit_code = exit_code;
  record.finished_at = std::chrono::system_clock::now();
  if (record.phase == Phase::running || record.one_off) record.phase = Phase::exited;
  container.start_error = std::move(error);
  context_.log.write("container {} could not start: {}", record.name, record.error);
  if (!container.monitor) end(container);
}

void Containers::stop(Container& container, std::optional<Duration> grace, Done done, bool hooks) {
  cancel_restart(container);
  if (container.activity == Container::Activity::idle) return done({});
  container.on_ended.push_back(std::move(done));
  container.stop_requested = true;
  container.record.stopped_by_user = true;
  if (container.up()) {
    const Duration limit = grace.value_or(container.record.stop_grace);
    if (!hooks || container.record.pre_stop.empty() || container.record.paused) return quit(container, limit);
    if (container.pre_stop) return;
    // Nobody new is to come while it is made ready for its end.
    update_names(container);
    return run_pre_stop(container, limit);
  }
  // One that is held would wait for ever. Any other that is just starting is stopped when its monitor speaks, and one
  // that is ending needs no signal.
  if (container.activity != Container::Activity::starting) return;
  if (container.held || container.wait_attach) call_off(container);
}

Hooks::OnLine Containers::hook_line(const std::string& id) {
  return [this, id](const std::string& step, const std::string& line) {
    const Container* container = find(id);
    if (container == nullptr) return;
    context_.log.write("container {}: {}: {}", container->record.name, step, line);
    if (on_hook_line) on_hook_line(*container, step, line);
  };
}

void Containers::run_pre_stop(Container& container, Duration grace) {
  container.post_start.reset();
  const auto done = [this, grace, id = container.record.id](const Result<void>& result) {
    Container* stopping = find(id);
    if (stopping == nullptr) return;
    context_.loop.post([run = std::shared_ptr<Hooks>{std::move(stopping->pre_stop)}] {});
    if (!stopping->up()) return;  // it has ended meanwhile; end() tells who waits
    if (result) return quit(*stopping, grace);
    // "If any command fails, the container stop is aborted" (Compose Specification, pre_stop).
    stopping->stop_requested = false;
    stopping->record.stopped_by_user = false;
    save(*stopping);
    update_names(*stopping);
    Error error = result.error();
    error.add_context(
        fmt::format("container \"{}\" is not stopped (\"kill\" ends it without its hooks)", stopping->record.name));
    for (const Done& waiting : std::exchange(stopping->on_ended, {})) waiting(error);
  };
  container.pre_stop = Hooks::run(context_, container.record, "pre_stop", hook_line(container.record.id), done);
}

void Containers::signal_stop(Container& container, Duration grace) {
  // Written before the signal: an adopting supervisor must not take the end for a crash.
  save(container);
  update_names(container);
  if (container.record.paused) pause(container, false, [](const auto&) {});
  const auto signal = parse_signal(container.record.stop_signal);
  const int number = signal && !container.record.stop_signal.empty() ? *signal : SIGTERM;
  if (grace <= Duration::zero()) {
    [[maybe_unused]] const auto killed = container.monitor->kill_all();
    return;
  }
  [[maybe_unused]] const auto sent = container.monitor->signal(number);
  container.kill_timer = context_.loop.call_after(grace, [this, id = container.record.id] {
    Container* late = find(id);
    if (late == nullptr || !late->monitor) return;
    context_.log.write("container {} did not stop in time and is killed", late->record.name);
    [[maybe_unused]] const auto killed = late->monitor->kill_all();
  });
}

Result<void> Containers::kill(Container& container, int signal) {
  if (!container.up()) return make_error(Errc::not_found, "container \"{}\" does not run", container.record.name);
  const auto stop_signal = parse_signal(container.record.stop_signal);
  if (signal == SIGKILL || signal == SIGTERM || (stop_signal && *stop_signal == signal)) {
    container.stop_requested = true;
    container.record.stopped_by_user = true;
    save(container);
  }
  if (signal == SIGKILL) return container.monitor->kill_all();
  return container.monitor->signal(signal);
}

void Containers::pause(Container& container, bool freeze, Done done) {
  if (!container.up()) return done(make_error(Errc::not_found, "container \"{}\" does not run", container.record.name));
  const auto host = facts();
  if (!host) return done(host.error());
  struct Work {
    runtime::cgroup::Group group;
    Result<void> result;
  };
  auto work = std::make_shared<Work>(Work{runtime::cgroup::Group::open((*host)->cgroups, container.record.cgroup), {}});
  context_.loop.run_blocking([work, freeze] { work->result = freeze ? work->group.freeze() : work->group.thaw(); },
                             [this, work, freeze, done = std::move(done), id = container.record.id] {
                               Container* paused = find(id);
                               if (paused != nullptr && work->result && paused->up()) {
                                 paused->record.paused = freeze;
                                 save(*paused);
                                 on_event_(*paused, freeze ? "pause" : "unpause");
                                 changed(*paused);
                               }
                               done(std::move(work->result));
                             });
}

void Containers::remove(Container& container, bool keep_lease, Done done) {
  // It has ended and its monitor is about to: whoever looked at it meanwhile found nothing to stop.
  if (container.activity == Container::Activity::ending) {
    container.on_ended.push_back([this, keep_lease, done = std::move(done), id = container.record.id](const auto&) {
      Container* ended = find(id);
      if (ended == nullptr) return done({});
      remove(*ended, keep_lease, done);
    });
    return;
  }
  if (container.activity != Container::Activity::idle) {
    return done(make_error(Errc::busy, "container \"{}\" runs: stop it before it is removed", container.record.name));
  }
  cancel_restart(container);
  remember_what_worked(context_, container.record);
  container.activity = Container::Activity::removing;
  unsaved_.erase(container.record.id);
  addresses_.unpublish(container.record);
  names_.remove(container.record);
  auto result = std::make_shared<Result<void>>();
  const auto host = facts();
  context_.loop.run_blocking(
      [result, paths = context_.paths, project = container.record.project, id = container.record.id,
       group = container.record.cgroup, layout = host ? std::optional{(*host)->cgroups} : std::nullopt] {
        // Without its record a container is a leftover: a crash from here on ends in its removal, too.
        ::unlink(paths.record(project, id).c_str());
        // Its monitor removes the group, but one that was killed while it was starting has not.
        if (layout) *result = end_group(*layout, group);
        const auto removed = container::remove_container(paths, project, id);
        if (*result) *result = removed;
      },
      [this, result, keep_lease, done = std::move(done), id = container.record.id] {
        Container* removed = find(id);
        if (*result && removed != nullptr) {
          if (!keep_lease) {
            if (auto released = addresses_.release(removed->record); !released) *result = std::move(released);
          }
          on_event_(*removed, "destroy");
          const auto last = std::move(containers_[id]);
          containers_.erase(id);
          changed(*last);
        }
        done(std::move(*result));
      });
}

int Containers::subscribe(std::function<void(Container&)> on_change) {
  subscribers_[++next_subscriber_] = std::move(on_change);
  return next_subscriber_;
}

void Containers::unsubscribe(int id) { subscribers_.erase(id); }

void Containers::changed(Container& container) {
  look_at_gates();
  // A subscriber may unsubscribe itself or others.
  const auto subscribers = subscribers_;
  for (const auto& [id, on_change] : subscribers) {
    if (subscribers_.contains(id)) on_change(container);
  }
}

/// A full disk ends no container and stops no command, but what is known of the container must not stay in memory.
void Containers::save(const Container& container) {
  if (container.activity == Container::Activity::removing) return;
  const auto saved = state::save_record(context_.paths, container.record);
  if (saved) {
    unsaved_.erase(container.record.id);
    return;
  }
  if (unsaved_.insert(container.record.id).second) {
    context_.log.write("{}; it is tried again until that succeeds", saved.error().message());
  }
  if (!save_timer_) save_timer_ = context_.loop.call_after(save_delay_, [this] { save_again(); });
}

void Containers::save_again() {
  save_timer_.reset();
  // A folder that somebody removed stays away, and a disk may be full for days.
  save_delay_ = std::min(2 * save_delay_, kSaveAtLeastEvery);
  for (const std::string& id : std::exchange(unsaved_, {})) {
    Container* container = find(id);
    if (container == nullptr) continue;
    save(*container);
    if (unsaved_.contains(id)) continue;
    context_.log.write("the record of {} is written", container->record.name);
    changed(*container);
  }
  if (unsaved_.empty()) save_delay_ = kFirstSaveAgain;
}

bool Containers::busy() const {
  if (!unsaved_.empty()) return true;
  for (const auto& [id, container] : containers_) {
    if (container->busy()) return true;
  }
  return false;
}

void Containers::say_goodbye() {
  for (const auto& [id, container] : containers_) {
    if (!container->monitor) continue;
    [[maybe_unused]] const auto said = container->monitor->goodbye();
  }
}

std::string Containers::last_output(const Container& container) const {
  const ContainerRecord& record = container.record;
  std::string text;
  if (!record.health.log.empty()) {
    const state::ProbeRecord& probe = record.health.log.back();
    text += fmt::format("\n  last probe, exit code {}: {}", probe.exit_code, trim(probe.output));
  }
  std::string lines;
  state::LogQuery query;
  query.tail = kLinesShown;
  [[maybe_unused]] const auto read =
      state::read_log(context_.paths.log(record.project, record.id), query, [&](const state::LogLine& line) {
        lines += fmt::format("\n  {} | {}", record.name, line.text);
        return true;
      });
  return text + lines;
}

}  // namespace compose::supervisor
