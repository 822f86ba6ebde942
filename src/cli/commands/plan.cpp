// compose plan: what `up` with the same flags would do, and why. Nothing is started, built, locked or written.
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "cli/commands/all.hpp"
#include "cli/context.hpp"
#include "cli/session.hpp"
#include "cli/up_options.hpp"
#include "compose/plan/explain.hpp"
#include "supervisor/planning.hpp"

namespace compose::cli {
namespace {

constexpr int kChanges = 2;

std::vector<plan::Change> explain(const supervisor::Preview& preview) {
  plan::ExplainInput input{preview.plan, preview.observed, nullptr, {}, {}, {}, {}};
  for (const auto& record : preview.records) {
    if (!record.made_from.empty()) input.made_from[record.id] = plan::attributes_from_json(record.made_from);
    input.image_ids[record.id] = record.image_id;
  }
  if (preview.application) {
    input.project = &preview.application->project;
    input.wanted = preview.application->attributes;
    input.new_images = preview.application->images;
  }
  return plan::explain(input);
}

Result<int> show_plan(Context& context, const UpOptions& options, const std::string& format, const Strings& services) {
  if (format != "text" && format != "json")
    return make_error(Errc::invalid, "unknown --format \"{}\" (text, json)", format);
  TRY(check_options(options));
  context.pretend();
  TRY_ASSIGN(const model::Project project, context.load_project({.services = services}));
  if (project.services.empty()) return make_error(Errc::invalid, "no service selected");
  TRY_ASSIGN(const nlohmann::json request, apply_request(context, project, services, options, "apply"));
  supervisor::Failure failure;
  const auto preview = supervisor::preview(context.paths(), project.name, request, failure);
  if (!preview) {
    supervisor::Outcome outcome;
    outcome.error = failure.message;
    outcome.position = failure.position;
    return outcome_error(outcome);
  }
  for (const std::string& warning : preview->plan.warnings) context.warn(warning);
  for (const std::string& name : preview->to_build) {
    context.warn(fmt::format("the image of {} is built first; whether that changes it is not known before", name));
  }
  const auto changes = explain(*preview);
  if (format == "json") {
    TRY(print(plan::explain_json(changes, preview->plan)));
  } else {
    TRY(print(plan::explain_text(changes, preview->plan, context.colour(STDOUT_FILENO))));
  }
  return preview->plan.empty() && preview->to_build.empty() ? 0 : kChanges;
}

}  // namespace

Command plan_command() {
  struct Options {
    UpOptions up;
    std::string format = "text";
  };
  auto options = std::make_shared<Options>();
  UpOptions& o = options->up;
  Command command{.name = "plan", .usage = "[OPTIONS] [SERVICE...]", .summary = "Show what up would do, and why"};
  command.details =
      "Takes the flags of \"up\" that decide what happens. Shows each object with its cause, what changed in its "
      "attributes (old → new, with the place in the files), the order, and hazards: downtime, data loss, a newly "
      "exposed "
      "port, a changed secret. Exit code 0: nothing to do; 2: there are changes; 1: an error.";
  command.flags = creation_flags(o);
  const std::vector<Flag> own = {
      {"always-recreate-deps", 0, &o.always_recreate_deps, "Also replace what the services depend on"},
      {"format", 0, &options->format, "text or json", "FORMAT"},
      {"no-deps", 0, &o.no_deps, "Leave services that these depend on alone"},
      {"no-start", 0, &o.no_start, "Create only"},
      {"renew-anon-volumes", 'V', &o.renew_anon_volumes, "New anonymous volumes instead of the old ones"},
      {"timeout", 't', &o.timeout, "Seconds between the stop signal and SIGKILL", "SECONDS"},
      {"wait", 0, &o.wait, "Also wait until the services run, or are healthy"},
  };
  command.flags.insert(command.flags.end(), own.begin(), own.end());
  command.complete = Complete::services;
  command.run = [options](Context& context, const Strings& services) {
    return show_plan(context, options->up, options->format, services);
  };
  return command;
}

}  // namespace compose::cli
