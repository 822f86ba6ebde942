#include "cli/session.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <set>

#include "supervisor/planning.hpp"
#include "supervisor/progress.hpp"

namespace compose::cli {

Result<Signals> Signals::take(std::initializer_list<int> signals) {
  sigset_t wanted;
  ::sigemptyset(&wanted);
  for (const int one : signals) ::sigaddset(&wanted, one);
  sigset_t previous;
  if (::pthread_sigmask(SIG_BLOCK, &wanted, &previous) != 0) return os_error("blocking signals");
  UniqueFd fd{::signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK)};
  if (!fd.valid()) return os_error("making a signal descriptor");
  return Signals{std::move(fd), previous};
}

Signals::~Signals() {
  if (!fd_.valid()) return;  // moved from
  while (next() != 0) {      // one that came meanwhile has been heard: it must not kill us when it is unblocked
  }
  ::pthread_sigmask(SIG_SETMASK, &previous_, nullptr);
}

int Signals::next() {
  signalfd_siginfo info{};
  return ::read(fd_.get(), &info, sizeof info) == sizeof info ? static_cast<int>(info.ssi_signo) : 0;
}

namespace {

/// A warning of the plan; those of orphans can be switched off.
void warn(Context& context, const std::string& text) {
  if (text.starts_with("Found orphan") && environment_bool("COMPOSE_IGNORE_ORPHANS")) return;
  context.warn(text);
}

ProgressEvent::Status status_of(const std::string& word) {
  if (word == "done") return ProgressEvent::Status::done;
  if (word == "warning") return ProgressEvent::Status::warning;
  if (word == "error") return ProgressEvent::Status::error;
  return ProgressEvent::Status::working;
}

/// `heard` becomes true with the first answer.
Result<supervisor::Outcome> converse(Context& context, supervisor::Client& client, const Request& how, bool& heard) {
  TRY_ASSIGN(Signals signals, Signals::take({SIGINT, SIGTERM}));
  bool cancelled = false;
  while (true) {
    while (true) {
      TRY_ASSIGN(const std::optional<nlohmann::json> event, next_event(client));
      if (!event) break;
      heard = true;
      if (event->value("event", "") == "result") {
        supervisor::Outcome outcome = supervisor::Client::outcome(*event);
        if (cancelled && !outcome.ok) return Error{Errc::cancelled, "canceled"};
        return outcome;
      }
      const bool step = event->value("event", "") == "progress";
      if (step && how.on_step) how.on_step();
      if (!(step && !how.show_progress) && !show_event(context, *event) && how.on_event) how.on_event(*event);
    }
    if (const int signal = signals.next(); signal != 0) {
      if (cancelled) return Error{Errc::cancelled, "canceled"};
      cancelled = true;
      TRY(client.cancel());
      continue;
    }
    TRY(wait_readable(client.fd(), signals.fd()));
  }
}

Result<supervisor::Outcome> attempt_to_ask(Context& context, const std::string& project, const nlohmann::json& request,
                                           const Request& how, bool& heard) {
  auto connected = supervisor::Client::connect(context.paths(), project, supervisor::Spawn::if_absent);
  if (!connected) {
    heard = true;  // it says why
    return std::move(connected).error();
  }
  supervisor::Client client = *std::move(connected);
  TRY(client.send(request));
  return converse(context, client, how, heard);
}

}  // namespace

Result<void> wait_readable(int first, int second) {
  pollfd polled[] = {{first, POLLIN, 0}, {second, POLLIN, 0}};
  if (::poll(polled, 2, -1) < 0 && errno != EINTR) return os_error("waiting for the supervisor");
  return {};
}

Result<std::optional<nlohmann::json>> next_event(supervisor::Client& client) {
  auto event = client.receive();
  // "cancelled" is kept for what the user did.
  if (!event && event.error().code() == Errc::cancelled) return Error{Errc::failed, event.error().message()};
  return event;
}

bool show_event(Context& context, const nlohmann::json& event) {
  const std::string kind = event.value("event", "");
  if (kind == "warning") {
    warn(context, event.value("text", ""));
    return true;
  }
  if (kind == "hook") {
    context.progress().line(
        fmt::format("{} {} | {}", event.value("name", ""), event.value("step", ""), event.value("text", "")));
    return true;
  }
  if (kind != "progress") return false;
  ProgressEvent shown;
  shown.kind = event.value("kind", "");
  shown.name = event.value("name", "");
  shown.text = event.value("text", "");
  shown.status = status_of(event.value("status", ""));
  shown.details = event.value("details", "");
  context.progress().event(shown);
  return true;
}

Error outcome_error(const supervisor::Outcome& outcome) {
  std::string message = outcome.position.empty() ? outcome.error : outcome.position + ": " + outcome.error;
  return Error{Errc::failed, std::move(message)};
}

Result<void> remove_orphans(Context& context, const model::Project& project) {
  TRY_ASSIGN(const auto containers, state::list_containers(context.paths(), project.name));
  std::set<std::string> orphans;
  for (const auto& container : containers)
    if (!project.services.contains(container.service) && !project.disabled_services.contains(container.service))
      orphans.insert(container.service);
  if (orphans.empty()) return {};
  nlohmann::json request{{"op", "rm"}, {"services", orphans}, {"options", {{"stop", true}}}};
  if (context.options().dry_run) request["options"]["dry_run"] = true;
  TRY(ask(context, project.name, request, {.operation = "rm"}));
  return {};
}

/// --dry-run: what would be done, from files alone.
static Result<supervisor::Outcome> pretend(Context& context, const std::string& project, const nlohmann::json& request,
                                           const Request& how) {
  supervisor::Failure failure;
  const auto preview = supervisor::preview(context.paths(), project, request, failure);
  supervisor::Outcome outcome;
  outcome.error = failure.message;
  outcome.position = failure.position;
  if (!preview) return outcome_error(outcome);
  if (how.show_progress) context.progress().begin(how.operation);
  for (const std::string& warning : preview->plan.warnings) warn(context, warning);
  for (const auto& op : preview->plan.ops) {
    for (const auto step : {supervisor::ProgressStep::begun, supervisor::ProgressStep::ended}) {
      const supervisor::Progress shown = supervisor::progress_of(op, step);
      if (how.show_progress) context.progress().event({shown.kind, shown.name, shown.text, status_of(shown.status)});
    }
  }
  if (how.show_progress) context.progress().end();
  outcome.ok = true;
  return outcome;
}

Result<supervisor::Outcome> ask(Context& context, const std::string& project, const nlohmann::json& request,
                                const Request& how) {
  if (context.options().dry_run) return pretend(context, project, request, how);
  context.trace(fmt::format("asking the supervisor of \"{}\": {}", project, request.value("op", "")));
  // One that is just being killed may still take a connection: it has said nothing, so another one is asked. What it
  // may have begun, the next one finds and finishes; only a container of `run` must not be made twice.
  constexpr int kAttempts = 3;
  const int attempts = request.value("op", "") == "run" ? 1 : kAttempts;
  Result<supervisor::Outcome> outcome = Error{Errc::failed, "the supervisor did not answer"};
  if (how.show_progress) context.progress().begin(how.operation);
  for (int attempt = 0; attempt < attempts; ++attempt) {
    bool heard = false;
    outcome = attempt_to_ask(context, project, request, how, heard);
    if (outcome || heard || outcome.error().code() == Errc::cancelled) break;
  }
  if (how.show_progress) context.progress().end();
  if (outcome && !outcome->ok) {
    if (outcome->exit_code != 0) context.set_failure_code(outcome->exit_code);
    return outcome_error(*outcome);
  }
  return outcome;
}

}  // namespace compose::cli
