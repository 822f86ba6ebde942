#include "supervisor/journal.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/strings.hpp"
#include "state/events.hpp"
#include "state/why.hpp"
#include "sys/file.hpp"

namespace compose::supervisor {

namespace {

std::string command_line(pid_t pid) {
  std::string text = sys::read_file(fmt::format("/proc/{}/cmdline", pid)).value_or("");
  while (!text.empty() && text.back() == '\0') text.pop_back();
  std::ranges::replace(text, '\0', ' ');
  // The program by its name: where it is installed tells nobody anything.
  const auto end = text.find(' ');
  const auto slash = text.rfind('/', end);
  return slash == std::string::npos || slash > end ? text : text.substr(slash + 1);
}

}  // namespace

void note_request(const Context& context, const std::string& op, const std::vector<std::string>& services, pid_t peer) {
  state::ContainerEvent event;
  event.at = std::chrono::system_clock::now();
  event.action = "request";
  event.attributes = {{"op", op}, {"services", join(services, ",")}, {"pid", std::to_string(peer)}};
  struct stat status{};
  if (::stat(fmt::format("/proc/{}", peer).c_str(), &status) == 0) {
    event.attributes["uid"] = std::to_string(status.st_uid);
    event.attributes["command"] = command_line(peer);
  }
  if (const auto written = state::append_event(context.paths, context.project, event); !written) {
    context.log.write("{}", written.error().message());
  }
}

void remember_failure(const Context& context, const Containers& containers, const Failure& failure) {
  state::FailureRecord record;
  record.at = std::chrono::system_clock::now();
  record.message = failure.message;
  record.position = failure.position;
  for (const auto& [id, container] : containers.all()) {
    if (container->record.one_off) continue;
    record.containers.push_back({container->record, state::last_lines(context.paths, container->record)});
  }
  if (const auto saved = state::save_failure(context.paths, context.project, record); !saved) {
    context.log.write("{}", saved.error().message());
  }
}

void remember_what_worked(const Context& context, const state::ContainerRecord& record) {
  if (record.one_off || !state::has_worked(record)) return;
  if (const auto saved = state::save_worked(context.paths, record); !saved) {
    context.log.write("{}", saved.error().message());
  }
}

}  // namespace compose::supervisor
