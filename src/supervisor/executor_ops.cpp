// The operations of a plan.
#include <algorithm>

#include "base/ids.hpp"
#include "container/prepare.hpp"
#include "container/volume.hpp"
#include "state/left_volumes.hpp"
#include "state/why.hpp"
#include "supervisor/executor.hpp"
#include "sys/file.hpp"

namespace compose::supervisor {

using plan::Op;
using plan::OpKind;
using state::ContainerRecord;

namespace {

/// An entry of volumes_from without ":ro" or ":rw".
std::string without_mode(const std::string& entry) {
  return entry.ends_with(":ro") || entry.ends_with(":rw") ? entry.substr(0, entry.size() - 3) : entry;
}

state::VolumesByTarget anonymous_volumes_of(const ContainerRecord& record) {
  state::VolumesByTarget volumes;
  for (const state::MountRecord& mount : record.mounts) {
    if (mount.anonymous) volumes[mount.target] = mount.name;
  }
  return volumes;
}

/// The anonymous volumes of the container that was removed for this one by a supervisor that died before it made it.
Result<state::VolumesByTarget> inherited_volumes(const state::Paths& paths, const ContainerRecord& record) {
  if (record.one_off) return state::VolumesByTarget{};
  TRY_ASSIGN(auto volumes, state::left_volumes(paths, record.project, record.service, record.number));
  std::erase_if(volumes, [&](const auto& item) { return !sys::exists(paths.volume_meta(item.second)); });
  return volumes;
}

}  // namespace

const Place* Executor::one_off_of(const Op& start) const {
  for (const auto& [number, place] : work_.one_offs) {
    if (work_.plan.ops[static_cast<std::size_t>(number - 1)].name == start.name) return &place;
  }
  return nullptr;
}

/// "SERVICE" or "container:NAME"
const Container* Executor::volume_source(const std::string& source) const {
  if (!source.starts_with("container:")) return containers_.find_replica(source, 1);
  for (const auto& [id, container] : containers_.all()) {
    if (container->record.name == source.substr(10)) return container.get();
  }
  return nullptr;
}

bool Executor::replaced_later(const Op& op) const {
  if (op.container_id.empty()) return false;
  return std::ranges::any_of(work_.plan.ops, [&](const Op& other) {
    return other.kind == OpKind::create_container && other.replaces == op.container_id;
  });
}

void Executor::show(const Op& op, State state) const {
  if (!on_progress_) return;
  // Stopping, removing and making anew is one thing to whoever looks on.
  const bool old = (op.kind == OpKind::stop_container || op.kind == OpKind::remove_container) && replaced_later(op);
  if (old && state != State::failed) {
    const bool first = op.kind == OpKind::stop_container && state == State::running;
    if (first) on_progress_({"Container", op.name, "Recreate", "working"});
    return;
  }
  if (state == State::running) on_progress_(progress_of(op, ProgressStep::begun));
  if (state == State::done) on_progress_(progress_of(op, ProgressStep::ended));
  if (state == State::failed) {
    Progress progress = progress_of(op, ProgressStep::failed);
    if (tolerable(op)) progress.status = "warning";
    on_progress_(progress);
  }
}

/// Where in the files the reader should look.
std::string Executor::position(const Op& op, const Error& error) const {
  if (!work_.application) return "";
  const model::Project& project = work_.application->project;
  const auto at = [&](const std::string& path) { return project.where(path).to_string(); };
  if (op.kind == OpKind::create_network || op.kind == OpKind::remove_network) return at("networks." + op.key);
  if (op.kind == OpKind::create_volume || op.kind == OpKind::remove_volume) return at("volumes." + op.key);
  const std::string service = "services." + op.service;
  const auto known = project.services.find(op.service);
  if (known == project.services.end()) return "";
  const bool health = op.kind == OpKind::wait_healthy || op.kind == OpKind::monitor_container;
  if (health && known->second.healthcheck) return at(service + ".healthcheck");
  if (op.kind != OpKind::start_container) return at(service);
  const Container* container = target(op);
  if (container == nullptr) return at(service);
  if (error.code() == Errc::busy) {
    const int port = addresses_.unpublishable(container->record);
    return port < 0 ? at(service + ".ports") : at(fmt::format("{}.ports[{}]", service, port));
  }
  const int code = container->record.exit_code;
  if (code == 126 || code == 127) {
    if (known->second.entrypoint) return at(service + ".entrypoint");
    return known->second.command ? at(service + ".command") : at(service + ".image");
  }
  return at(service);
}

void Executor::create_network(const Op& op) {
  const auto spec = network_spec(work_.application->project, op.key);
  auto ensured = addresses_.ensure(spec);
  if (ensured) report_.created_networks.insert(spec.name);
  finish(op.number, std::move(ensured).with("network \"{}\"", op.name));
}

void Executor::create_volume(const Op& op) {
  auto made = container::ensure_volume(context_.paths, container::project_volume(work_.application->project, op.key));
  if (!made) return finish(op.number, std::move(made).with("volume \"{}\"", op.name).error());
  report_.created_volumes.insert(made->name);
  finish(op.number, {});
}

/// The records of all containers to be made: their addresses are leased in one go, before the first is made.
Result<void> Executor::make_records() {
  for (const Op& op : work_.plan.ops) {
    if (op.kind == OpKind::create_container) TRY(make_record_of(op));
  }
  return {};
}

Result<void> Executor::make_record_of(const Op& op) {
  Place place;
  const auto special = work_.one_offs.find(op.number);
  if (special != work_.one_offs.end()) place = special->second;
  place.service = op.service;
  place.name = op.name;
  place.number = op.replica;
  if (place.id.empty()) place.id = random_id();
  Step& step = steps_[static_cast<std::size_t>(op.number - 1)];
  records_position_ = work_.application->project.where("services." + op.service).to_string();
  TRY_ASSIGN(step.record, make_record(*work_.application, place).with("service \"{}\"", op.service));
  step.container_id = place.id;
  // In its place it gets its addresses, beside it others.
  if (const Container* old = op.replaces.empty() ? nullptr : containers_.find(op.replaces); old != nullptr) {
    step.record->lease_slot = old->record.lease_slot;
    if (op.incoming) {
      step.record->role = state::Role::incoming;
      step.record->name = short_id(place.id) + "_" + op.name;
      step.record->lease_slot = old->record.lease_slot.empty() ? "b" : "";
    }
  }
  return {};
}

/// Whether nothing has to happen between making a container and starting it.
bool Executor::starts_at_once(const Op& create) const {
  if (!create.replaces.empty()) return false;
  const auto start = std::ranges::find_if(
      work_.plan.ops, [&](const Op& op) { return op.kind == OpKind::start_container && op.name == create.name; });
  if (start == work_.plan.ops.end()) return false;
  return std::ranges::all_of(start->after, [&](const plan::After& after) {
    const OpKind kind = work_.plan.ops[static_cast<std::size_t>(after.op - 1)].kind;
    return kind == OpKind::create_container || kind == OpKind::create_network || kind == OpKind::create_volume;
  });
}

/// All addresses of the plan under one lock, the ports of what starts at once in one transaction. What goes wrong here
/// goes wrong again, alone and with its name, when the container starts.
void Executor::acquire_addresses() {
  if (std::exchange(addresses_acquired_, true)) return;
  std::vector<ContainerRecord*> all;
  std::vector<ContainerRecord*> at_once;
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    if (!steps_[i].record) continue;
    all.push_back(&*steps_[i].record);
    if (starts_at_once(work_.plan.ops[i])) at_once.push_back(all.back());
  }
  if (const auto leased = addresses_.lease(all); !leased) return;
  [[maybe_unused]] const auto published = addresses_.publish(at_once);
}

void Executor::create_container(const Op& op) {
  acquire_addresses();
  struct Making {
    ApplicationPtr application;
    ContainerRecord record;
    std::map<std::string, std::string> anonymous_volumes;
    std::map<std::string, std::string> volumes_from;
    std::unique_ptr<container::Created> created;
    std::optional<Error> error;
  };
  Step& step = steps_[static_cast<std::size_t>(op.number - 1)];
  auto making = std::make_shared<Making>(Making{work_.application, *step.record, op.anonymous_volumes, {}, {}, {}});
  if (op.replaces.empty()) {
    auto inherited = inherited_volumes(context_.paths, *step.record);
    if (!inherited) return finish(op.number, std::move(inherited).with("container \"{}\"", op.name).error());
    making->anonymous_volumes = *std::move(inherited);
  }
  for (const std::string& entry : work_.application->project.services.at(op.service).volumes_from) {
    const std::string source = without_mode(entry);
    if (const Container* other = volume_source(source)) making->volumes_from[source] = other->record.id;
  }
  const auto work = [making, paths = context_.paths] {
    ContainerRecord& record = making->record;
    const Application& application = *making->application;
    const model::Service& service = application.project.services.at(record.service);
    const container::CreateInput input{.project = application.project,
                                       .service = service,
                                       .image = application.loaded.at(record.image_id),
                                       .id = record.id,
                                       .name = record.name,
                                       .number = record.number,
                                       .anonymous_volumes = making->anonymous_volumes,
                                       .volumes_from = making->volumes_from,
                                       .images = application.mounted,
                                       .labels = record.labels};
    auto created = container::create_container(paths, input);
    if (created) {
      record.mounts = created->mounts;
      if (!created->spec.linux_.cgroups_path.empty()) {
        record.cgroup = created->spec.linux_.cgroups_path;
      }
      record.phase = state::Phase::created;
      auto saved = state::save_record(paths, record);
      if (saved) saved = container::set_own_volumes(paths, record.project, record.id, {});
      making->created = std::make_unique<container::Created>(*std::move(created));
      if (saved) return;
      making->error = std::move(saved).error();
    } else {
      making->error = std::move(created).error();
    }
    [[maybe_unused]] const auto removed = container::remove_container(paths, record.project, record.id);
  };
  const auto done = [this, alive = alive_, making, number = op.number] {
    if (!*alive) return;
    const Op& created = work_.plan.ops[static_cast<std::size_t>(number - 1)];
    if (making->error) {
      making->error->add_context(fmt::format("cannot create container \"{}\"", created.name));
      return finish(number, *making->error);
    }
    // Ports were noted in the step's record while the files were made.
    ContainerRecord& record = making->record;
    const ContainerRecord& planned = *steps_[static_cast<std::size_t>(number - 1)].record;
    record.networks = planned.networks;
    record.ports = planned.ports;
    report_.created_containers.insert(record.id);
    const bool starts = started_here(created);
    Result<void> taken;
    if (!starts) taken = take_volumes(record);
    Container& container = containers_.add(std::move(record));
    if (starts) container.created = std::move(making->created);
    finish(number, std::move(taken));
  };
  context_.loop.run_blocking(work, done);
}

/// What a container left for this one is its own now.
Result<void> Executor::take_volumes(const ContainerRecord& record) {
  if (record.one_off) return {};
  return state::leave_volumes(context_.paths, record.project, record.service, record.number, {});
}

bool Executor::started_here(const Op& create) const {
  return std::ranges::any_of(work_.plan.ops, [&](const Op& op) {
    return op.kind == OpKind::start_container && op.service == create.service && op.replica == create.replica;
  });
}

void Executor::start_container(const Op& op) {
  Container* container = target(op);
  if (container == nullptr) {
    return finish(op.number, make_error(Errc::not_found, "container \"{}\" does not exist", op.name));
  }
  if (const auto special = one_off_of(op); special != nullptr) container->wait_attach = special->wait_attach;
  containers_.start(*container, [this, alive = alive_, number = op.number, id = container->record.id](auto result) {
    if (!*alive) return;
    const Op& started = work_.plan.ops[static_cast<std::size_t>(number - 1)];
    if (result) {
      report_.started_containers.insert(id);
      if (const Container* fresh = containers_.find(id)) result = take_volumes(fresh->record);
    }
    finish(number, std::move(result).with("cannot start service \"{}\"", started.service));
  });
}

/// A container that this plan makes has, or will have, the addresses of `old`.
bool Executor::addresses_wanted(const ContainerRecord& old) const {
  return std::ranges::any_of(steps_, [&](const Step& step) {
    return step.record && !step.record->one_off && !old.one_off && step.record->service == old.service &&
           step.record->number == old.number && step.record->lease_slot == old.lease_slot;
  });
}

void Executor::remove_container(const Op& op) {
  Container* container = target(op);
  if (container == nullptr) return finish(op.number, {});
  const ContainerRecord& record = container->record;
  const bool replaced = addresses_wanted(record);
  if (const auto volumes = anonymous_volumes_of(record); !volumes.empty()) {
    std::vector<std::string> names;
    for (const auto& [target, name] : volumes) names.push_back(name);
    Result<void> noted;
    if (op.remove_volumes) {
      noted = container::set_own_volumes(context_.paths, record.project, record.id, names);
    } else if (replaced || (work_.leave_volumes && !record.one_off)) {
      noted = state::leave_volumes(context_.paths, record.project, record.service, record.number, volumes);
    }
    if (!noted) return finish(op.number, std::move(noted));
  }
  const bool keep_lease = work_.release_project || replaced;
  containers_.remove(*container, keep_lease, [this, alive = alive_, number = op.number](auto result) {
    if (*alive) finish(number, std::move(result));
  });
}

void Executor::remove_network(const Op& op) {
  if (work_.release_project && !std::exchange(project_released_, true)) {
    if (auto released = addresses_.release_project(); !released) return finish(op.number, std::move(released));
  }
  if (auto flushed = addresses_.flush(); !flushed) return finish(op.number, std::move(flushed));
  // All networks that can go go together; the others of the batch are begun here and not by advance().
  std::vector<std::string> names;
  std::vector<int> numbers;
  for (const Op& other : work_.plan.ops) {
    Step& step = steps_[static_cast<std::size_t>(other.number - 1)];
    const bool begun = other.number == op.number;
    if (other.kind != OpKind::remove_network || (!begun && (step.state != State::waiting || !ready(other)))) continue;
    if (!begun) {
      step.state = State::running;
      show(other, State::running);
    }
    names.push_back(other.name);
    numbers.push_back(other.number);
  }
  const auto removed = addresses_.remove(names);
  for (const int number : numbers) finish(number, removed);
}

void Executor::remove_volume(const Op& op) {
  auto result = std::make_shared<Result<void>>();
  context_.loop.run_blocking(
      [result, paths = context_.paths, name = op.name] { *result = container::remove_volume(paths, name); },
      [this, alive = alive_, result, number = op.number] {
        if (*alive) finish(number, std::move(*result));
      });
}

void Executor::wait(const Op& op) {
  const Container* container = target(op);
  if (container == nullptr) {
    return finish(op.number, make_error(Errc::not_found, "container \"{}\" does not exist", op.name));
  }
  Step& step = steps_[static_cast<std::size_t>(op.number - 1)];
  step.container_id = container->record.id;
  if (auto result = waited(op, *container)) finish(op.number, *std::move(result));
}

void Executor::hand_over(const Op& op) {
  Container* incoming = target(op);
  if (incoming == nullptr) {
    return finish(op.number, make_error(Errc::not_found, "container \"{}\" does not exist", op.name));
  }
  finish(op.number, containers_.hand_over(*incoming, containers_.find(op.replaces)));
}

void Executor::monitor(const Op& op) {
  Step& step = steps_[static_cast<std::size_t>(op.number - 1)];
  step.timer = context_.loop.call_after(op.duration, [this, number = op.number] {
    steps_[static_cast<std::size_t>(number - 1)].timer.reset();
    finish(number, {});
  });
  wait(op);
}

/// Whether what `op` waits for has come true, or never will; nothing while that is open.
std::optional<Result<void>> Executor::waited(const Op& op, const Container& container) const {
  const ContainerRecord& record = container.record;
  const bool ended = record.phase != state::Phase::running && !container.busy();
  if (op.kind == OpKind::wait_completed) {
    if (!ended) return std::nullopt;
    if (record.phase == state::Phase::exited && record.exit_code == 0) return Result<void>{};
    return make_error(Errc::failed, "service \"{}\" didn't complete successfully: container {} {}{}", op.service,
                      record.name, state::describe_end(record), containers_.last_output(container));
  }
  // One that its policy has to start again has failed as a part of an update.
  const bool restarted = !op.rollout.empty() && (record.restarting || record.restart_count > 0);
  if (ended || restarted) {
    return make_error(Errc::failed, "service \"{}\" is not running: container {} {}{}", op.service, record.name,
                      state::describe_end(record), containers_.last_output(container));
  }
  if (!container.up()) return std::nullopt;
  if (op.kind == OpKind::monitor_container && record.health.status != "unhealthy") return std::nullopt;
  if (record.healthcheck.test.empty() || record.health.status == "healthy") return Result<void>{};
  if (record.health.status != "unhealthy") return std::nullopt;
  return make_error(Errc::failed, "service \"{}\" is unhealthy: container {}{}", op.service, record.name,
                    containers_.last_output(container));
}

}  // namespace compose::supervisor
