// `run`: one container beside the service's own.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/ids.hpp"
#include "container/prepare.hpp"
#include "supervisor/observer.hpp"
#include "supervisor/operations.hpp"
#include "supervisor/operations_request.hpp"

namespace compose::supervisor {

using nlohmann::json;
using plan::Op;
using plan::OpKind;

namespace {

/// Adds an operation and returns its number.
int add(plan::Plan& plan, Op op) {
  op.number = static_cast<int>(plan.ops.size()) + 1;
  plan.ops.push_back(std::move(op));
  return plan.ops.back().number;
}

/// The service's networks that are neither there nor made by the plan so far.
void add_networks(plan::Plan& plan, const Application& application, const plan::Observed& observed,
                  const model::Service& service, std::vector<plan::After>& after) {
  if (!service.network_mode.empty()) return;
  for (const auto& [key, network] : service.networks) {
    const net::NetworkSpec spec = network_spec(application.project, key);
    const bool there = std::ranges::any_of(observed.networks, [&](const auto& n) { return n.name == spec.name; });
    if (there) continue;
    const auto made = std::ranges::find_if(
        plan.ops, [&](const Op& op) { return op.kind == OpKind::create_network && op.name == spec.name; });
    if (made != plan.ops.end()) {
      after.push_back({made->number, true});
      continue;
    }
    Op op;
    op.kind = OpKind::create_network;
    op.name = spec.name;
    op.key = key;
    op.cause = "missing";
    after.push_back({add(plan, std::move(op)), true});
  }
}

/// Waits for the conditions under which the service may start.
void add_waits(plan::Plan& plan, const plan::Observed& observed, const model::Service& service,
               std::vector<plan::After>& after) {
  for (const auto& [name, dependency] : service.depends_on) {
    std::vector<Op> waits;
    for (const Op& op : plan.ops) {
      if (op.kind != OpKind::start_container || op.service != name) continue;
      Op wait = op;
      wait.after = {{op.number, true}};
      waits.push_back(std::move(wait));
    }
    for (const plan::ObservedContainer& container : observed.containers) {
      const bool planned = std::ranges::any_of(waits, [&](const Op& op) { return op.name == container.name; });
      if (container.service != name || container.one_off || planned) continue;
      Op wait;
      wait.name = container.name;
      wait.service = name;
      wait.replica = container.number;
      wait.container_id = container.id;
      waits.push_back(std::move(wait));
    }
    for (Op& wait : waits) {
      const bool completes = dependency.condition == model::Condition::completed_successfully;
      if (dependency.condition == model::Condition::started) {
        std::ranges::copy(wait.after, std::back_inserter(after));
        continue;
      }
      wait.kind = completes ? OpKind::wait_completed : OpKind::wait_healthy;
      wait.cause = "needed";
      after.push_back({add(plan, std::move(wait)), dependency.required});
    }
  }
}

}  // namespace

Result<Work> Operations::plan_one_off(const ApplicationPtr& wanted, Place& place) {
  const model::Service& service = wanted->project.services.at(place.service);
  TRY_ASSIGN(const auto observed, observe(context_, containers_, addresses_, wanted.get()));
  Work work;
  work.application = wanted;
  if (!current_->flag("no_deps")) {
    plan::Options options;
    options.recreate = plan::Recreate::never;
    for (const auto& [name, dependency] : service.depends_on) {
      if (wanted->project.services.contains(name)) options.services.push_back(name);
    }
    if (!options.services.empty()) {
      TRY_ASSIGN(work.plan, plan::reconcile({wanted->project, wanted->images, wanted->hashes}, observed, options));
    }
  }
  Op create;
  create.kind = OpKind::create_container;
  create.name = place.name;
  create.service = place.service;
  create.replica = place.number;
  create.cause = "run";
  add_networks(work.plan, *wanted, observed, service, create.after);
  if (!current_->flag("no_deps")) add_waits(work.plan, observed, service, create.after);
  Op start = create;
  start.kind = OpKind::start_container;
  const int number = add(work.plan, std::move(create));
  start.after = {{number, true}};
  add(work.plan, std::move(start));
  work.one_offs[number] = place;
  return work;
}

void Operations::run_one_off() {
  const auto wanted = application();
  if (!wanted) return;
  const json options = current_->options();
  Place place;
  place.service = current_->body.at("service").get<std::string>();
  if (!wanted->project.services.contains(place.service)) {
    return refuse(Failure{fmt::format("no such service: {}", place.service), ""});
  }
  place.id = random_id();
  place.one_off = true;
  place.name = options.value("name", std::string{});
  if (place.name.empty()) {
    place.name = fmt::format("{}-{}-run-{}", context_.project, place.service, short_id(place.id));
  }
  for (const auto& [id, container] : containers_.all()) {
    if (!container->record.one_off || container->record.service != place.service) continue;
    place.number = std::max(place.number, container->record.number + 1);
  }
  place.auto_remove = options.value("auto_remove", false);
  place.service_ports = options.value("service_ports", false);
  place.use_aliases = options.value("use_aliases", false);
  const bool detach = options.value("detach", false);
  place.wait_attach = !detach;
  auto work = plan_one_off(wanted, place);
  if (!work) return refuse(work.error());
  if (answer_dry_run(work->plan)) return;
  execute(*std::move(work), false, [this, place, detach](Report report) {
    if (report.failure && !report.cancelled) {
      // Its dependencies run on, as with every other failed command on a running project.
      return roll_back(report, false, *report.failure);
    }
    if (report.failure) return refuse(*report.failure);
    const ConnectionPtr connection = current_->connection;
    connection->send({{"event", "started"}, {"id", place.id}, {"name", place.name}});
    if (detach) return answer({{"id", place.id}, {"name", place.name}});
    foreground_.push_back({connection, place.id});
    // The answer is the container's; the next command need not wait for it.
    context_.loop.post([this, connection, id = place.id] {
      if (!connection->open()) closed(connection);
      executor_.reset();
      current_.reset();
      if (const Container* container = containers_.find(id)) changed(*container);
      next();
    });
  });
}

void Operations::changed(const Container& container) {
  const state::ContainerRecord& record = container.record;
  if (container.busy() || record.phase != state::Phase::exited) return;
  const auto waits = std::ranges::find(foreground_, record.id, &Foreground::id);
  if (waits == foreground_.end() && !record.auto_remove) return;
  ConnectionPtr connection;
  if (waits != foreground_.end()) connection = waits->connection;
  // Not from inside the container's own callback. Until then the entry stays, so that the supervisor does, too.
  context_.loop.post([this, connection, id = record.id] { end_one_off(id, connection); });
}

void Operations::end_one_off(const std::string& id, const ConnectionPtr& connection) {
  Container* container = containers_.find(id);
  if (container == nullptr || container->busy()) return;
  const auto answer = [this, id, connection, code = container->record.exit_code,
                       error = container->record.error](const Result<void>& removed) {
    if (!removed) context_.log.write("{}", removed.error().message());
    std::erase_if(foreground_, [&](const Foreground& item) { return item.id == id; });
    if (connection) {
      connection->send({{"event", "result"}, {"ok", error.empty()}, {"exit_code", code}, {"error", error}});
    }
    if (on_idle) on_idle();
  };
  if (!container->record.auto_remove) return answer({});
  const state::ContainerRecord& record = container->record;
  std::vector<std::string> volumes;
  for (const state::MountRecord& mount : record.mounts) {
    if (mount.anonymous) volumes.push_back(mount.name);
  }
  if (auto noted = container::set_own_volumes(context_.paths, record.project, record.id, volumes); !noted) {
    return answer(noted);
  }
  containers_.remove(*container, false, answer);
}

void Operations::closed(const ConnectionPtr& connection) {
  for (const Foreground& foreground : std::vector{foreground_}) {
    if (foreground.connection != connection) continue;
    if (Container* container = containers_.find(foreground.id)) containers_.stop(*container, std::nullopt, [](auto) {});
  }
}

}  // namespace compose::supervisor
