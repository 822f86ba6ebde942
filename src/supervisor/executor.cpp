#include "supervisor/executor.hpp"

#include <algorithm>

#include "base/ids.hpp"
#include "base/strings.hpp"

namespace compose::supervisor {

using plan::After;
using plan::Op;
using plan::OpKind;

namespace {

/// A message may name a more precise place than its operation ("compose.yaml:7:9: bind source …"): that one counts, and
/// is not said twice.
void take_inner_position(const model::Project& project, Failure& failure) {
  for (const std::string& file : project.files) {
    for (const std::string& name : {file, file.substr(file.rfind('/') + 1)}) {
      const auto begin = failure.message.find(name + ":");
      if (begin == std::string::npos) continue;
      const auto end = failure.message.find(": ", begin);
      if (end == std::string::npos) continue;
      const std::string place = failure.message.substr(begin, end - begin);
      const auto parts = split(place, ':');
      if (parts.size() != 3 || !is_digits(parts[1]) || !is_digits(parts[2])) continue;
      failure.position = place;
      failure.message.erase(begin, end + 2 - begin);
      return;
    }
  }
}

}  // namespace

Executor::Executor(const Context& context, Containers& containers, Addresses& addresses, Work work,
                   OnProgress on_progress)
    : context_{context},
      containers_{containers},
      addresses_{addresses},
      work_{std::move(work)},
      on_progress_{std::move(on_progress)},
      steps_(work_.plan.ops.size()) {}

Executor::~Executor() {
  *alive_ = false;
  containers_.unsubscribe(subscription_);
}

void Executor::run(OnEnd on_end) {
  on_end_ = std::move(on_end);
  subscription_ = containers_.subscribe([this](Container& container) { look_at_waits(container); });
  if (work_.deadline) {
    deadline_ = context_.loop.call_after(*work_.deadline, [this] { cancel("timed out waiting"); });
  }
  if (auto made = make_records(); !made) {
    stopping_ = true;
    report_.failure = Failure{made.error().message(), records_position_};
  } else if (auto failure = check_ports()) {
    stopping_ = true;
    report_.failure = std::move(failure);
  }
  advance();
}

/// A port that somebody else has is an error before anything is stopped or started.
std::optional<Failure> Executor::check_ports() {
  std::vector<const state::ContainerRecord*> records;
  std::vector<const Op*> starts;
  for (const Op& op : work_.plan.ops) {
    if (op.kind != OpKind::start_container) continue;
    const state::ContainerRecord* record = nullptr;
    for (std::size_t i = 0; i < steps_.size(); ++i)
      if (steps_[i].record && work_.plan.ops[i].name == op.name) record = &*steps_[i].record;
    if (const Container* existing = record == nullptr ? target(op) : nullptr) record = &existing->record;
    if (record == nullptr) continue;
    records.push_back(record);
    starts.push_back(&op);
  }
  std::size_t index = 0;
  const auto free = addresses_.check(records, index);
  if (free || free.error().code() != Errc::busy) return std::nullopt;  // the rest is told where it happens
  const Op& op = *starts[index];
  std::string where;
  if (work_.application) {
    const int port = addresses_.unpublishable(*records[index]);
    const std::string path = fmt::format("services.{}.ports", op.service);
    where = work_.application->project.where(port < 0 ? path : fmt::format("{}[{}]", path, port)).to_string();
  }
  return Failure{fmt::format("cannot start service \"{}\": {}", op.service, free.error().message()), where};
}

void Executor::cancel(const std::string& reason) {
  if (stopping_) return;
  stopping_ = true;
  report_.cancelled = true;
  report_.failure = Failure{reason, ""};
  // What only waits has nothing to bring to an end.
  skip_waits([](const Op&) { return true; });
  advance();
}

/// Begins what can begin. Operations that end at once come back here: they only ask for another round.
void Executor::advance() {
  again_ = true;
  if (advancing_) return;
  advancing_ = true;
  const auto alive = alive_;
  while (again_) {
    again_ = false;
    for (std::size_t i = 0; i < steps_.size(); ++i) {
      const Op& op = work_.plan.ops[i];
      if (steps_[i].state != State::waiting) continue;
      if (stopping_ || hopeless(op) || given_up(op)) {
        steps_[i].state = State::skipped;
      } else if (ready(op)) {
        begin(op);
      }
    }
  }
  advancing_ = false;
  if (*alive) end_if_done();
}

bool Executor::ready(const Op& op) const {
  return std::ranges::all_of(op.after, [&](const After& after) {
    const State state = steps_[static_cast<std::size_t>(after.op - 1)].state;
    return state == State::done || (!after.required && (state == State::failed || state == State::skipped));
  });
}

/// Something it needs has failed for good.
bool Executor::hopeless(const Op& op) const {
  return std::ranges::any_of(op.after, [&](const After& after) {
    const State state = steps_[static_cast<std::size_t>(after.op - 1)].state;
    return after.required && (state == State::failed || state == State::skipped);
  });
}

/// Everything that needs it can do without it (depends_on with required: false).
bool Executor::tolerable(const Op& op) const {
  bool anybody = false;
  for (const Op& later : work_.plan.ops) {
    for (const After& after : later.after) {
      if (after.op != op.number) continue;
      anybody = true;
      if (after.required && !tolerable(later)) return false;
    }
  }
  return anybody;
}

void Executor::begin(const Op& op) {
  Step& step = steps_[static_cast<std::size_t>(op.number - 1)];
  step.state = State::running;
  if (op.delay <= Duration::zero()) return dispatch(op);
  step.timer = context_.loop.call_after(op.delay, [this, number = op.number] {
    Step& delayed = steps_[static_cast<std::size_t>(number - 1)];
    const Op& late = work_.plan.ops[static_cast<std::size_t>(number - 1)];
    delayed.timer.reset();
    if (!stopping_ && !given_up(late)) return dispatch(late);
    delayed.state = State::skipped;
    advance();
  });
}

void Executor::dispatch(const Op& op) {
  show(op, State::running);
  const auto done = [this, alive = alive_, number = op.number](Result<void> result) {
    if (*alive) finish(number, std::move(result));
  };
  Container* container = target(op);
  switch (op.kind) {
    case OpKind::create_network:
      return create_network(op);
    case OpKind::create_volume:
      return create_volume(op);
    case OpKind::create_container:
      return create_container(op);
    case OpKind::start_container:
      return start_container(op);
    case OpKind::stop_container:
      if (container == nullptr) return done({});
      return containers_.stop(*container, op.timeout ? std::optional<Duration>{*op.timeout} : std::nullopt, done,
                              work_.hooks);
    case OpKind::kill_container: {
      const auto signal = parse_signal(op.signal.empty() ? "SIGKILL" : op.signal);
      if (!signal) return done(signal.error());
      return container == nullptr ? done({}) : done(containers_.kill(*container, *signal));
    }
    case OpKind::pause_container:
    case OpKind::unpause_container:
      if (container == nullptr) return done({});
      return containers_.pause(*container, op.kind == OpKind::pause_container, done);
    case OpKind::remove_container:
      return remove_container(op);
    case OpKind::remove_network:
      return remove_network(op);
    case OpKind::remove_volume:
      return remove_volume(op);
    case OpKind::wait_healthy:
    case OpKind::wait_completed:
      return wait(op);
    case OpKind::hand_over:
      return hand_over(op);
    case OpKind::drain_container:
      return container == nullptr ? done({}) : containers_.drain(*container, op.duration, done);
    case OpKind::monitor_container:
      return monitor(op);
    case OpKind::run_pre_start:
      return run_pre_start(op);
  }
}

void Executor::finish(int number, Result<void> result) {
  Step& step = steps_[static_cast<std::size_t>(number - 1)];
  if (step.state != State::running) return;  // a wait that was cancelled
  const Op& op = work_.plan.ops[static_cast<std::size_t>(number - 1)];
  step.state = result ? State::done : State::failed;
  show(op, step.state);
  if (!result) fail(op, result.error());
  advance();
}

/// What only waits, or is delayed, has nothing to bring to an end.
void Executor::skip_waits(const std::function<bool(const Op&)>& which) {
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    const Op& op = work_.plan.ops[i];
    const bool waits =
        op.kind == OpKind::wait_healthy || op.kind == OpKind::wait_completed || op.kind == OpKind::monitor_container;
    const bool delayed = op.delay > Duration::zero() && static_cast<bool>(steps_[i].timer);
    if (steps_[i].state != State::running || !(waits || delayed) || !which(op)) continue;
    steps_[i].timer.reset();
    steps_[i].state = State::skipped;
  }
}

bool Executor::given_up(const Op& op) const {
  const auto failed = report_.failed_updates.find(op.rollout);
  return failed != report_.failed_updates.end() && failed->second.action != plan::RolloutPolicy::Action::go_on;
}

/// True when the failure is the rolling update's own affair.
bool Executor::fail_update(const Op& op, const Error& error) {
  const auto policy = work_.plan.rollouts.find(op.rollout);
  if (op.rollout.empty() || policy == work_.plan.rollouts.end()) return false;
  auto& failed = failed_replicas_[op.rollout];
  failed.insert(op.replica);
  const double ratio = static_cast<double>(failed.size()) / std::max(policy->second.replicas, 1);
  report_.warnings.push_back(fmt::format("updating container \"{}\" failed: {}", op.name, error.message()));
  if (ratio <= policy->second.max_failure_ratio || report_.failed_updates.contains(op.rollout)) return true;
  FailedUpdate update{{error.message(), position(op, error)}, policy->second.action};
  if (work_.application) take_inner_position(work_.application->project, update.failure);
  report_.failed_updates.emplace(op.rollout, std::move(update));
  if (given_up(op)) skip_waits([&](const Op& other) { return other.rollout == op.rollout; });
  return true;
}

void Executor::fail(const Op& op, const Error& error) {
  if (fail_update(op, error)) return;
  if (tolerable(op)) {
    report_.warnings.push_back(error.message());
    return;
  }
  if (!report_.failure) {
    report_.failure = Failure{error.message(), position(op, error)};
    if (work_.application) take_inner_position(work_.application->project, *report_.failure);
  }
  if (work_.keep_going || stopping_) return;
  stopping_ = true;
  skip_waits([](const Op&) { return true; });
}

void Executor::end_if_done() {
  const bool open = std::ranges::any_of(
      steps_, [](const Step& step) { return step.state == State::waiting || step.state == State::running; });
  if (open || !on_end_) return;
  deadline_.reset();
  containers_.unsubscribe(subscription_);
  // A container that was planned but never made holds addresses and ports all the same.
  for (Step& step : steps_) {
    if (!step.record || containers_.find(step.record->id) != nullptr) continue;
    if (report_.created_containers.contains(step.record->id)) continue;
    addresses_.unpublish(*step.record);
    if (const auto released = addresses_.release(*step.record); !released) {
      context_.log.write("{}", released.error().message());
    }
  }
  if (const auto flushed = addresses_.flush(); !flushed) context_.log.write("{}", flushed.error().message());
  const OnEnd on_end = std::exchange(on_end_, nullptr);
  on_end(std::move(report_));
}

Container* Executor::target(const Op& op) const {
  if (!op.container_id.empty()) return containers_.find(op.container_id);
  // It was made by this plan.
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    const Op& create = work_.plan.ops[i];
    if (create.kind == OpKind::create_container && create.service == op.service && create.replica == op.replica &&
        create.name == op.name) {
      return containers_.find(steps_[i].container_id);
    }
  }
  return containers_.find_replica(op.service, op.replica);
}

void Executor::look_at_waits(Container& container) {
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    if (steps_[i].state != State::running || steps_[i].container_id != container.record.id) continue;
    const Op& op = work_.plan.ops[i];
    if (op.kind == OpKind::run_pre_start && container.record.phase == state::Phase::exited && !container.busy()) {
      // Not from inside the container's own callback.
      context_.loop.post([this, alive = alive_, number = op.number, id = container.record.id] {
        if (*alive) end_pre_start(number, id);
      });
      continue;
    }
    const bool waits =
        op.kind == OpKind::wait_healthy || op.kind == OpKind::wait_completed || op.kind == OpKind::monitor_container;
    if (!waits) continue;
    auto result = waited(op, container);
    if (!result) continue;
    // finish() may end everything: nothing of this executor is touched after it.
    return finish(op.number, *std::move(result));
  }
}

}  // namespace compose::supervisor
