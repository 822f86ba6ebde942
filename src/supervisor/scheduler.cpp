#include "supervisor/scheduler.hpp"

#include <unistd.h>

#include <algorithm>

namespace compose::supervisor {

using state::JobRecord;
using state::JobRun;
using std::chrono::system_clock;

namespace {

// The wall clock may be set meanwhile: then a run is late by no more than this.
constexpr Duration kLookAgain = std::chrono::hours{1};

policy::Seconds seconds_of(state::Time time) { return std::chrono::floor<std::chrono::seconds>(time); }

state::Time next_of(const policy::Cron& cron, const policy::TimeZone& zone, state::Time after) {
  const auto next = cron.next(seconds_of(after), zone);
  return next ? state::Time{*next} : state::Time{};
}

std::string text_of(const model::Schedule& schedule) { return schedule.cron + " " + schedule.timezone; }

}  // namespace

std::string schedule_problem(const model::Schedule& schedule) {
  if (const auto cron = policy::Cron::parse(schedule.cron); !cron) return cron.error().message();
  if (const auto zone = policy::TimeZone::load(schedule.timezone); !zone) return zone.error().message();
  const auto one_of = [](const std::string& text, std::initializer_list<const char*> words) {
    return text.empty() || std::ranges::any_of(words, [&](const char* word) { return text == word; });
  };
  if (!one_of(schedule.overlap, {"skip", "queue", "replace"})) {
    return fmt::format("overlap: \"{}\" is none of skip, queue, replace", schedule.overlap);
  }
  if (!one_of(schedule.missed, {"skip", "run"})) {
    return fmt::format("missed: \"{}\" is none of skip, run", schedule.missed);
  }
  return "";
}

std::vector<Container*> Scheduler::scheduled() const {
  std::vector<Container*> found;
  for (const auto& [id, container] : containers_.all()) {
    const state::ContainerRecord& record = container->record;
    const bool counts = !record.one_off && record.number == 1 && record.role == state::Role::plain &&
                        container->activity != Container::Activity::removing;
    if (counts && !record.schedule.cron.empty()) found.push_back(container.get());
  }
  return found;
}

bool Scheduler::active() const {
  return std::ranges::any_of(scheduled(), [&](const Container* container) {
    const auto job = jobs_.find(container->record.service);
    return job == jobs_.end() || !job->second.suspended;
  });
}

Result<void> Scheduler::start() {
  TRY_ASSIGN(jobs_, state::load_jobs(context_.paths, context_.project));
  started_ = true;
  for (const Container* container : scheduled()) {
    take_up(*container);
    const std::string& service = container->record.service;
    const auto plan = plans_.find(service);
    JobRecord& job = jobs_[service];
    const state::Time now = system_clock::now();
    if (plan == plans_.end() || job.suspended || job.due == state::Time{} || job.due > now) continue;
    if (container->record.schedule.missed == "run") continue;  // due: arm() does the rest
    note(job, {job.due, {}, {}, 0, "missed: nobody was there to start it"});
    job.due = next_of(plan->second.cron, plan->second.zone, now);
  }
  arm();
  return {};
}

/// Reads the schedule, again when it has changed.
void Scheduler::take_up(const Container& container) {
  const model::Schedule& schedule = container.record.schedule;
  const std::string& service = container.record.service;
  const std::string text = text_of(schedule);
  auto& plan = plans_[service];
  if (plan.text != text) {
    const auto cron = policy::Cron::parse(schedule.cron);
    const auto zone = policy::TimeZone::load(schedule.timezone);
    if (!cron || !zone) {  // it was checked when it was made: the time zone has gone
      context_.log.write("service {}: {}", service, cron ? zone.error().message() : cron.error().message());
      plans_.erase(service);
      return;
    }
    plan = {text, *cron, *zone, false};
  }
  JobRecord& job = jobs_[service];
  if (job.schedule == text && job.due != state::Time{}) return;
  job.schedule = text;
  job.due = next_of(plan.cron, plan.zone, system_clock::now());
}

void Scheduler::arm() {
  if (!started_ || std::exchange(arming_, true)) return;
  context_.loop.post([this] {
    arming_ = false;
    timer_.reset();
    state::Time first{};
    for (const Container* container : scheduled()) {
      take_up(*container);
      const JobRecord& job = jobs_[container->record.service];
      if (job.suspended || job.due == state::Time{}) continue;
      if (first == state::Time{} || job.due < first) first = job.due;
    }
    save();
    if (first == state::Time{}) return;
    const auto wait = std::chrono::duration_cast<Duration>(first - system_clock::now());
    timer_ = context_.loop.call_after(std::clamp(wait, Duration::zero(), kLookAgain), [this] { fire_due(); });
  });
}

void Scheduler::fire_due() {
  const state::Time now = system_clock::now();
  for (Container* container : scheduled()) {
    JobRecord& job = jobs_[container->record.service];
    const auto plan = plans_.find(container->record.service);
    if (plan == plans_.end() || job.suspended || job.due == state::Time{} || job.due > now) continue;
    fire(*container, job, plan->second);
  }
  arm();
}

void Scheduler::fire(Container& container, JobRecord& job, Plan& plan) {
  const state::Time due = job.due;
  job.due = next_of(plan.cron, plan.zone, system_clock::now());
  const std::string service = container.record.service;
  if (!container.busy()) return begin(service, due);
  const std::string& overlap = container.record.schedule.overlap;
  if (overlap != "queue" && overlap != "replace") {
    return note(job, {due, {}, {}, 0, "skipped: the run before was still going on"});
  }
  plan.waiting = true;
  if (overlap == "replace") containers_.stop(container, std::nullopt, [](const auto&) {});
}

void Scheduler::begin(const std::string& service, state::Time due) {
  note(jobs_[service], {due, {}, {}, 0, ""});
  save();
  run_(service, [this, service, due](const Result<void>& result) {
    if (result) return;
    for (JobRun& run : jobs_[service].history) {
      if (run.scheduled == due && run.started == state::Time{}) run.note = result.error().message();
    }
    save();
  });
}

void Scheduler::note(JobRecord& job, JobRun run) {
  job.history.push_back(std::move(run));
  if (job.history.size() > state::kKeptRuns) job.history.erase(job.history.begin());
}

void Scheduler::changed(const Container& container) {
  const state::ContainerRecord& record = container.record;
  if (!started_ || record.one_off || record.schedule.cron.empty()) return;
  JobRecord& job = jobs_[record.service];
  const bool ran = record.started_at != state::Time{};
  const auto known = std::ranges::find(job.history, record.started_at, &JobRun::started);
  if (ran && known == job.history.end()) {
    const bool open =
        !job.history.empty() && job.history.back().started == state::Time{} && job.history.back().note.empty();
    if (!open) note(job, {});
    job.history.back().started = record.started_at;
  }
  const bool ended = record.phase == state::Phase::exited && !container.busy();
  if (ended && ran) {
    const auto run = std::ranges::find(job.history, record.started_at, &JobRun::started);
    if (run != job.history.end() && run->finished == state::Time{}) {
      run->finished = record.finished_at;
      run->exit_code = record.exit_code;
    }
    const auto plan = plans_.find(record.service);
    if (plan != plans_.end() && std::exchange(plan->second.waiting, false) && !job.suspended) {
      begin(record.service, system_clock::now());
    }
  }
  arm();
}

void Scheduler::suspend(const std::vector<std::string>& services, bool suspended) {
  for (auto& [service, job] : jobs_) {
    if (!services.empty() && std::ranges::find(services, service) == services.end()) continue;
    if (job.suspended && !suspended) job.due = {};  // what came while it was suspended is not made up for
    job.suspended = suspended;
  }
  arm();
}

void Scheduler::save() {
  // A service that is just being made anew keeps its history; it goes with the project.
  if (containers_.all().empty()) jobs_.clear();
  if (jobs_.empty()) {
    ::unlink(state::jobs_path(context_.paths, context_.project).c_str());
    return;
  }
  if (const auto saved = state::save_jobs(context_.paths, context_.project, jobs_); !saved) {
    context_.log.write("{}", saved.error().message());
  }
}

}  // namespace compose::supervisor
