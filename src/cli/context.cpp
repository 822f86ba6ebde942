#include "cli/context.hpp"

#include <unistd.h>

#include <algorithm>

#include "base/strings.hpp"
#include "sys/file.hpp"

namespace compose::cli {

Context::Context(GlobalOptions options, std::string program)
    : options_{std::move(options)}, program_{std::move(program)}, paths_{options_.root, options_.run_root} {}

Context::~Context() = default;

Progress& Context::progress() {
  if (!progress_) {
    const int fd = environment_bool("COMPOSE_STATUS_STDOUT") ? STDOUT_FILENO : STDERR_FILENO;
    ProgressSettings settings{options_.progress_mode, options_.ansi_mode, fd, options_.dry_run};
    auto made = make_progress(settings);  // the combination of flags was checked before the command ran
    if (!made) made = make_progress({ProgressMode::plain, Ansi::automatic, fd, options_.dry_run});
    progress_ = std::move(made).value();
  }
  return *progress_;
}

void Context::warn(std::string_view text) {
  const bool json = options_.progress_mode == ProgressMode::json;
  progress().line(json ? std::string{text} : paint("33", "warning:", colour(STDERR_FILENO)) + " " + std::string{text});
}

void Context::trace(std::string_view text) {
  if (options_.verbose) progress().line(fmt::format("[verbose] {}", text));
}

Result<std::vector<state::ContainerRecord>> Context::containers(const ProjectScope& scope, const Select& select) {
  TRY_ASSIGN(std::vector<state::ContainerRecord> all, state::list_containers(paths_, scope.name));
  for (const std::string& service : select.services) {
    const bool known = scope.project && (scope.project->services.contains(service) ||
                                         scope.project->disabled_services.contains(service));
    const bool present = std::any_of(all.begin(), all.end(), [&](const auto& one) { return one.service == service; });
    if (!known && !present) return make_error(Errc::not_found, "no such service: {}", service);
  }
  std::erase_if(all, [&](const state::ContainerRecord& container) {
    if (container.one_off && !select.one_off) return true;
    if (!select.stopped && container.phase != state::Phase::running) return true;
    return !select.services.empty() &&
           std::find(select.services.begin(), select.services.end(), container.service) == select.services.end();
  });
  return all;
}

Result<state::ContainerRecord> Context::container(const ProjectScope& scope, const std::string& service, int index,
                                                  bool stopped) {
  Select select;
  select.services = {service};
  TRY_ASSIGN(const auto all, containers(scope, select));
  const state::ContainerRecord* ended = nullptr;
  for (const auto& one : all) {
    if (index != 0 && one.number != index) continue;
    if (one.phase == state::Phase::running || stopped) return one;
    ended = &one;
  }
  if (ended != nullptr)
    return make_error(Errc::not_found,
                      "service \"{}\" is not running: container {} is {} (start it with \"{} start {}\")", service,
                      ended->name, ended->status(), program_, service);
  if (index != 0) return make_error(Errc::not_found, "service \"{}\" has no container #{}", service, index);
  return make_error(Errc::not_found, "service \"{}\" is not running (start it with \"{} up -d {}\")", service, program_,
                    service);
}

Result<void> print(std::string_view text) {
  auto written = sys::write_all(STDOUT_FILENO, text);
  if (!written && written.error().sys_errno() == EPIPE) return {};
  return std::move(written).with("writing to standard output");
}

}  // namespace compose::cli
