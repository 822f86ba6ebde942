// When a CronJob runs: x-schedule, or the label kubernetes.schedule, in the words of Kubernetes.
#include "compose/kubernetes/schedule.hpp"

#include <algorithm>

#include "base/strings.hpp"
#include "base/units.hpp"
#include "compose/kubernetes/context.hpp"

namespace compose::kubernetes {
namespace {

using Minutes = std::chrono::minutes;

// A time that was missed by more than this is not made up for. Below 10 s the controller would miss its own times
// (kubernetes.io/docs/concepts/workloads/controllers/cron-jobs).
constexpr std::int64_t kLatest = 60;

Strings words_of(std::string_view text) {
  Strings words;
  for (const std::string& word : split(text, ' '))
    if (!word.empty()) words.push_back(word);
  return words;
}

/// The times of the clock that are so far apart, where an hour or a day holds a whole number of them.
std::string clock_times(Minutes apart) {
  constexpr std::int64_t kHour = 60;
  constexpr std::int64_t kDay = 24 * kHour;
  const std::int64_t count = apart.count();
  if (count == 1) return "* * * * *";
  if (count < kHour && kHour % count == 0) return fmt::format("*/{} * * * *", count);
  if (count == kHour) return "0 * * * *";
  if (count < kDay && count % kHour == 0 && kDay % count == 0) return fmt::format("0 */{} * * *", count / kHour);
  return count == kDay ? "0 0 * * *" : "";
}

CronWords every(Duration apart) {
  CronWords out;
  if (apart % Minutes{1} == Duration::zero()) out.schedule = clock_times(std::chrono::duration_cast<Minutes>(apart));
  if (!out.schedule.empty()) {
    out.how = fmt::format("\"{}\": at fixed times, not counted from the run before", out.schedule);
  } else {
    out.schedule = fmt::format("@every {}s", seconds(apart));
    out.how = fmt::format(
        "\"{}\": it has no form in cron's five fields. CronJobs know it, though their documentation does not say so; "
        "it "
        "is counted from when the CronJob was made",
        out.schedule);
  }
  return out;
}

// Sunday is 0 there, never 7: "5-7" is "5,6,0".
std::string weekday(const std::string& entry) {
  const std::size_t slash = entry.find('/');
  const std::string range = entry.substr(0, slash);
  const std::size_t dash = range.find('-');
  if (range.substr(dash == std::string::npos ? 0 : dash + 1) != "7") return entry;
  if (dash == std::string::npos) return "0";
  const auto first = parse_unsigned(range.substr(0, dash));
  const auto step =
      slash == std::string::npos ? std::optional<std::uint64_t>{1} : parse_unsigned(entry.substr(slash + 1));
  if (!first || *first > 7 || !step || *step == 0) return entry;
  std::string days;
  for (std::uint64_t day = *first; day <= 7; day += *step)
    days += fmt::format("{}{}", days.empty() ? "" : ",", day % 7);
  return days;
}

bool fits(const std::string& field) {
  return std::all_of(field.begin(), field.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           std::string_view{"*,-/"}.find(c) != std::string_view::npos;
  });
}

std::string label_of(const model::Service& service) { return instruction(service.labels, "schedule"); }

std::string words_or_problem(Context& context, const std::string& path, const std::string& text, std::string* how) {
  const auto words = cron_words(text);
  if (!words) {
    context.problem(path, fmt::format("\"{}\" is not a schedule: write five fields (minute, hour, day of month, month, "
                                      "day of week), @hourly, @daily, @weekly, @monthly, @yearly or @every DURATION",
                                      text));
    return "* * * * *";
  }
  if (how != nullptr) *how = words->how;
  return words->schedule;
}

// Forbid alone is a queue for one run: what fell into the run before starts after it, unless its deadline is over.
void put_overlap_and_missed(Context& context, const std::string& path, const model::Schedule& schedule, Value& spec) {
  const bool queue = schedule.overlap == "queue";
  const bool run = schedule.missed == "run";
  const bool replace = schedule.overlap == "replace";
  put(spec, "concurrencyPolicy", text(replace ? "Replace" : "Forbid", context.at(path + ".overlap")));
  if (!run && !queue) put(spec, "startingDeadlineSeconds", number(kLatest, context.at(path + ".missed")));
  if (queue && !run)
    context.report.approximated(path, "the last time that was missed is made up for: a run that waits has no deadline");
  if (run && !queue && !replace)
    context.report.approximated(path,
                                "a run that falls into the one before comes after it: missed: run has no deadline");
}

}  // namespace

std::optional<CronWords> cron_words(std::string_view text) {
  const std::string expression{trim(text)};
  if (expression.starts_with("@every ")) {
    const auto apart = parse_duration(trim(std::string_view{expression}.substr(7)));
    if (!apart.ok() || *apart < std::chrono::seconds{1}) return std::nullopt;
    return every(*apart);
  }
  for (const char* name : {"@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually"})
    if (to_lower(expression) == name) return CronWords{name, {}};
  Strings words = words_of(expression);
  if (words.size() != 5 || !std::all_of(words.begin(), words.end(), fits)) return std::nullopt;
  Strings days;
  for (const std::string& entry : split(words[4], ',')) days.push_back(weekday(entry));
  CronWords out{{}, {}};
  if (const std::string changed = join(days, ","); changed != words[4]) {
    words[4] = changed;
    out.how = fmt::format("day of week {}: Sunday is 0 there", changed);
  }
  out.schedule = join(words, " ");
  return out;
}

bool is_scheduled(const model::Service& service) { return service.schedule || !label_of(service).empty(); }

void note_schedule(Context& context, const Workload& workload) {
  for (const std::string& member : workload.members) {
    const std::string path = "services." + member + ".x-schedule";
    if (!context.service(member).schedule) continue;
    if (member != workload.leader)
      context.report.dropped(path, fmt::format("the pod is that of \"{}\": write it there", workload.leader));
    else if (workload.kind != Kind::cron_job)
      context.report.dropped(path,
                             fmt::format("label kubernetes.controller makes a {} of it", kind_name(workload.kind)));
    else if (!label_of(context.service(member)).empty())
      context.report.approximated(path, "the label kubernetes.schedule counts");
  }
}

Value cron_job_spec(Context& context, const Workload& workload, Value job) {
  const model::Service& service = context.service(workload.leader);
  const std::string path = "services." + workload.leader;
  Value spec = Value::mapping();
  if (const std::string label = label_of(service); !label.empty()) {
    const std::string at = path + ".labels.kubernetes.schedule";
    put(spec, "schedule", text(words_or_problem(context, path + ".labels", label, nullptr), context.at(at)));
    put(spec, "concurrencyPolicy", text("Forbid"));
  } else if (service.schedule) {
    const std::string at = path + ".x-schedule";
    std::string how;
    put(spec, "schedule", text(words_or_problem(context, at, service.schedule->cron, &how), context.at(at + ".cron")));
    if (!how.empty()) context.report.approximated(at + ".cron", how);
    const std::string& zone = service.schedule->timezone;
    if (zone != "local") put(spec, "timeZone", text(zone.empty() ? "Etc/UTC" : zone, context.at(at + ".timezone")));
    if (zone == "local") context.report.approximated(at + ".timezone", "that of the cluster's controller manager");
    put_overlap_and_missed(context, at, *service.schedule, spec);
  }
  put(spec, "jobTemplate", object({{"spec", std::move(job)}}));
  return spec;
}

}  // namespace compose::kubernetes
