// How a new supervisor takes over what the last one left.
#include <poll.h>

#include <csignal>
#include <map>

#include "base/ids.hpp"
#include "base/strings.hpp"
#include "container/prepare.hpp"
#include "runtime/cgroup/cgroup.hpp"
#include "supervisor/containers.hpp"
#include "sys/file.hpp"
#include "sys/process.hpp"

namespace compose::supervisor {

using runtime::cgroup::Group;
using state::ContainerRecord;
using state::Phase;

namespace {

constexpr int kDeathLimit = 2000;  // milliseconds for a killed process to go

/// Monitors of the project by the first twelve digits of their container's id, from their command lines.
std::map<std::string, pid_t> running_monitors(const std::string& project) {
  std::map<std::string, pid_t> found;
  const auto names = sys::list_directory("/proc");
  if (!names) return found;
  const std::string_view program{"compose-monitor", sizeof "compose-monitor"};  // with the zero between arguments
  const std::string beginning = std::string{program} + project + '\0';
  for (const std::string& name : *names) {
    const auto pid = parse_unsigned(name);
    if (!pid) continue;
    const auto line = sys::read_file("/proc/" + name + "/cmdline");
    if (!line || !line->starts_with(beginning)) continue;
    const std::string id = line->substr(beginning.size());
    found[id.substr(0, id.find('\0'))] = static_cast<pid_t>(*pid);
  }
  return found;
}

}  // namespace

Result<void> Containers::adopt() {
  TRY_ASSIGN(const auto ids, sys::list_directory(context_.paths.containers(context_.project)));
  std::map<std::string, pid_t> monitors;
  if (!ids.empty()) monitors = running_monitors(context_.project);
  std::vector<std::string> half_made;
  for (const std::string& id : ids) {
    auto record = state::load_record(context_.paths, context_.project, id);
    if (!record && record.error().code() != Errc::not_found) return std::move(record).error();
    if (!record || record->phase == Phase::creating || record->phase == Phase::removing) {
      half_made.push_back(id);
      continue;
    }
    const auto monitor = monitors.find(short_id(id));
    adopt_one(*std::move(record), monitor == monitors.end() ? 0 : monitor->second);
  }
  for (const std::string& id : half_made) remove_leftovers(id);
  std::vector<std::string> live;           // those that may have ports and interfaces
  std::vector<std::string> without_ports;  // a crash in the middle of hand_over() may say otherwise
  std::vector<const ContainerRecord*> running;
  for (const auto& [id, container] : containers_) {
    ContainerRecord& record = container->record;
    const bool runs = record.phase == Phase::running || container->monitor;
    const bool plain = record.role == state::Role::plain;
    const bool is_live = runs || record.restarting || !plain;
    if (is_live) live.push_back(id);
    if (!plain) without_ports.push_back(id);
    // What the sweep takes from a container, its record does not name any longer: its next start opens it again.
    if (!plain || !is_live) {
      for (state::PortRecord& port : record.ports) port.host_port = 0;
    }
    if (plain && container->monitor) addresses_.recall(record);
    if (runs) running.push_back(&record);
  }
  // Also when no container is left: the last one may have gone by a crash before its ports were given back. And before
  // those that run claim theirs again.
  if (const auto swept = addresses_.sweep(live); !swept) context_.log.write("{}", swept.error().message());
  if (!without_ports.empty()) {
    if (const auto disowned = addresses_.disown(without_ports); !disowned) {
      context_.log.write("{}", disowned.error().message());
    }
  }
  if (const auto opened = addresses_.publish_again(running); !opened) {
    context_.log.write("{}", opened.error().message());
  }
  return {};
}

void Containers::adopt_one(ContainerRecord record, pid_t monitor) {
  Container& container = add(std::move(record));
  const ContainerRecord& known = container.record;
  names_.reserve(known.service);
  // It was made, or its removal has not begun: its volumes are nobody's to remove.
  if (!known.one_off) {
    const auto freed = container::set_own_volumes(context_.paths, known.project, known.id, {});
    if (!freed) context_.log.write("{}", freed.error().message());
  }
  container.stop_requested = known.stopped_by_user;
  container.restarts.attempts = static_cast<std::uint64_t>(known.restart_count);
  const std::string socket = context_.paths.monitor_socket(known.id);
  // Also for a container that is only "created": the last supervisor may have died while it was starting.
  if (sys::exists(socket)) {
    auto client = runtime::monitor::Client::connect(socket);
    if (client) {
      container.monitor = *std::move(client);
      container.activity = Container::Activity::starting;
      if (known.restarting && known.phase != Phase::running) {
        // Set up ahead of its restart. If it runs already it says so, and if it has ended, too.
        container.held = true;
        restart_after(container, known.restart_at - std::chrono::system_clock::now());
      }
      watch(container);
      return;
    }
    context_.log.write("monitor of {}: {}", known.name, client.error().message());
  }
  if (monitor != 0) end_monitor(container, monitor);
  adopt_ended(container);
}

/// A monitor that cannot be reached yet: the last supervisor died while it was starting its container. That start is
/// called off, so that two monitors never work on one container.
void Containers::end_monitor(const Container& container, pid_t monitor) {
  context_.log.write("calling off the start of {}", container.record.name);
  const auto pidfd = sys::open_pidfd(monitor);
  if (!pidfd) return;
  [[maybe_unused]] const auto killed = sys::send_signal(pidfd->get(), SIGKILL);
  pollfd poller{pidfd->get(), POLLIN, 0};
  ::poll(&poller, 1, kDeathLimit);
  kill_group(container.record.cgroup);
}

/// No monitor answers: the container has ended, or must.
void Containers::adopt_ended(Container& container) {
  ContainerRecord& record = container.record;
  if (!record.boot_id.empty() && record.boot_id != sys::boot_id()) return adopt_from_before_boot(container);
  if (record.phase != Phase::running) {
    if (record.restarting) restart_after(container, record.restart_at - std::chrono::system_clock::now());
    return;
  }
  kill_group(record.cgroup);
  record = state::observe(context_.paths, record);
  if (record.phase == Phase::running) {
    // The kill above is still at work, or the exit record has not been seen: it cannot run on without a monitor.
    record.phase = Phase::exited;
    record.exit_code = 137;
    record.error = "its monitor was lost";
  }
  if (record.finished_at < record.started_at) record.finished_at = std::chrono::system_clock::now();
  policy::Ended end;
  end.exit_code = record.exit_code;
  end.stop_requested = container.stop_requested;
  end.ran_for = record.finished_at - record.started_at;
  decide_restart(container, end);
}

/// The host was restarted. What its policy wants to run again is started by a plan, in the order of the dependencies.
void Containers::adopt_from_before_boot(Container& container) {
  ContainerRecord& record = container.record;
  const bool was_restarting = record.restarting;
  kill_group(record.cgroup);  // no group outlives a boot, but the boot's id may have changed under a running machine
  if (record.phase == Phase::running) {
    record = state::observe(context_.paths, record);
    if (record.phase == Phase::running) record.phase = Phase::exited;
  }
  if (record.finished_at < record.started_at) record.finished_at = record.started_at;
  for (state::PortRecord& port : record.ports) port.host_port = 0;
  record.restarting = record.crash_loop = record.paused = record.hooks_pending = false;
  const bool wanted = !record.one_off && record.role != state::Role::retiring &&
                      (was_restarting || policy::restart_at_boot(restart_spec_of(record.restart),
                                                                 record.stopped_by_user, record.exit_code));
  if (wanted) to_restore_.push_back(record.id);
  save(container);
}

/// A container without a usable record: a crash while it was made or removed.
void Containers::remove_leftovers(const std::string& id) {
  context_.log.write("removing what is left of container {}", id);
  kill_group(state::Paths::cgroup(context_.project, id));
  if (const auto removed = container::remove_container(context_.paths, context_.project, id); !removed) {
    context_.log.write("{}", removed.error().message());
  }
}

void Containers::kill_group(const std::string& path) {
  const auto host = facts();
  if (!host || path.empty()) return;
  // This waits on the loop: only while projects are taken over, when nobody is served yet.
  if (const auto ended = end_group((*host)->cgroups, path); !ended) context_.log.write("{}", ended.error().message());
}

Result<void> end_group(const runtime::cgroup::Layout& layout, const std::string& path) {
  const Group group = Group::open(layout, path);
  if (path.empty() || !group.exists()) return {};
  auto killed = group.kill_all();
  // A group can be removed only when its processes are really gone.
  [[maybe_unused]] const auto emptied = group.wait_empty(kDeathLimit);
  auto removed = group.remove();
  return killed ? std::move(removed) : std::move(killed);
}

}  // namespace compose::supervisor
