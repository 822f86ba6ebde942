#include "state/jobs.hpp"

#include <nlohmann/json.hpp>

#include "base/schema.hpp"
#include "sys/file.hpp"

namespace compose::state {

using nlohmann::json;

namespace {

constexpr int kSchema = 1;

Time time_at(const json& object, const char* key) {
  return parse_time(object.value(key, std::string{})).value_or(Time{});
}

}  // namespace

std::string jobs_path(const Paths& paths, const std::string& project) { return paths.project(project) + "/jobs.json"; }

Result<Jobs> load_jobs(const Paths& paths, const std::string& project) {
  const std::string path = jobs_path(paths, project);
  auto text = sys::read_file(path);
  if (!text) {
    if (text.error().code() == Errc::not_found) return Jobs{};
    return std::move(text).error();
  }
  try {
    const json object = json::parse(*text);
    TRY(check_schema(object.value("schema", 0), kSchema).with("reading {}", path));
    Jobs jobs;
    for (const auto& [service, item] : object.at("services").items()) {
      JobRecord& job = jobs[service];
      item.at("schedule").get_to(job.schedule);
      job.due = time_at(item, "due");
      job.suspended = item.value("suspended", false);
      for (const json& run : item.at("history")) {
        job.history.push_back({time_at(run, "scheduled"), time_at(run, "started"), time_at(run, "finished"),
                               run.value("exit_code", 0), run.value("note", std::string{})});
      }
    }
    return jobs;
  } catch (const json::exception& e) {
    return make_error(Errc::corrupt, "reading {}: {}", path, e.what());
  }
}

Result<void> save_jobs(const Paths& paths, const std::string& project, const Jobs& jobs) {
  json services = json::object();
  for (const auto& [service, job] : jobs) {
    json history = json::array();
    for (const JobRun& run : job.history) {
      history.push_back({{"scheduled", format_time(run.scheduled)},
                         {"started", format_time(run.started)},
                         {"finished", format_time(run.finished)},
                         {"exit_code", run.exit_code},
                         {"note", run.note}});
    }
    services[service] = {{"schedule", job.schedule},
                         {"due", format_time(job.due)},
                         {"suspended", job.suspended},
                         {"history", std::move(history)}};
  }
  const json object = {{"schema", kSchema}, {"services", std::move(services)}};
  return sys::write_file_atomic(jobs_path(paths, project), object.dump(-1, ' ', false, json::error_handler_t::replace),
                                0600);
}

}  // namespace compose::state
