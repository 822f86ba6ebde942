#include "cli/attached.hpp"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "base/strings.hpp"
#include "cli/container_view.hpp"
#include "cli/keys.hpp"
#include "cli/log_printer.hpp"
#include "cli/session.hpp"
#include "cli/watcher.hpp"
#include "compose/plan/reconcile.hpp"
#include "state/log_reader.hpp"

namespace compose::cli {
namespace {

using nlohmann::json;

/// The services whose output is shown.
Strings attached_services(const model::Project& project, const Strings& services, const UpOptions& options) {
  Strings candidates = options.attach;
  if (candidates.empty())
    candidates = options.attach_dependencies || services.empty() ? with_dependencies(project, services) : services;
  std::erase_if(candidates, [&](const std::string& name) {
    if (std::find(options.no_attach.begin(), options.no_attach.end(), name) != options.no_attach.end()) return true;
    return options.attach.empty() && !project.services.at(name).attach.value_or(true);
  });
  return candidates;
}

/// The services whose ends matter: those named, or all.
Strings watched_services(const model::Project& project, const Strings& services, const UpOptions& options) {
  Strings watched = services.empty() || options.attach_dependencies ? with_dependencies(project, services) : services;
  const std::string& chosen = options.exit_code_from;
  if (!chosen.empty() && std::find(watched.begin(), watched.end(), chosen) == watched.end()) watched.push_back(chosen);
  return watched;
}

class Session {
 public:
  Session(Context& context, const model::Project& project, const Strings& services, Strings attached, Strings watched,
          const UpOptions& options, Signals signals, state::LogFollower follower)
      : context_{context},
        project_{project},
        services_{services},
        attached_{std::move(attached)},
        watched_{std::move(watched)},
        options_{options},
        signals_{std::move(signals)},
        follower_{std::move(follower)},
        printer_{{.prefix = !options.no_log_prefix,
                  .colour = !options.no_color && context.colour(STDOUT_FILENO),
                  .timestamps = options.timestamps}} {}

  Result<int> run(const json& request) {
    scale_ = request["options"]["scale"];
    TRY_ASSIGN(events_, open({{"op", "events"}, {"services", json::array()}}));
    context_.progress().begin("up");
    TRY_ASSIGN(apply_, open(request));
    while (true) {
      TRY_ASSIGN(const bool finished, turn());
      if (finished) break;
      TRY(wait());
    }
    begin_output();
    watch_.reset();
    keys_.close();
    TRY(drain());
    printer_.finish();
    if (failure_) return *failure_;
    if (interrupted_) return 128 + SIGINT;
    return exit_code_.value_or(0);
  }

 private:
  Result<supervisor::Client> open(const json& request) {
    TRY_ASSIGN(auto client, supervisor::Client::connect(context_.paths(), project_.name, supervisor::Spawn::if_absent));
    TRY(client.send(request));
    return client;
  }

  std::string shown_name(std::string name) const {
    state::ContainerRecord record;
    record.project = project_.name;
    record.name = std::move(name);
    return name_without_project(record);
  }

  /// Progress ends where output begins: the two never mix on the screen.
  void begin_output() {
    if (!creating_) return;
    creating_ = false;
    context_.progress().end();
    Strings names;
    for (const std::string& name : attached_) {
      const model::Service& service = project_.services.at(name);
      const auto scaled = scale_.find(name);
      const auto count = scaled == scale_.end() ? service.replicas() : scaled->get<std::int64_t>();
      for (int number = 1; number <= count; ++number)
        names.push_back(shown_name(plan::container_name(project_, service, number)));
    }
    for (const std::string& name : names) printer_.announce(name);
    if (!names.empty()) say("Attaching to " + join(names, ", "));
    keys_ = Keys::open(options_.menu.value_or(environment_bool("COMPOSE_MENU", true)));
    keys_.show_menu();
  }

  /// As soon as there is something to bring changes into.
  void begin_watch() {
    if (!options_.watch || watch_begun_) return;
    watch_begun_ = true;
    start_watch();
  }

  void start_watch() {
    auto started = BackgroundWatch::start(context_, project_, services_, {.quiet = options_.quiet_build});
    if (!started) {
      tell("watch: " + started.error().message());
      return;
    }
    watch_ = *std::move(started);
    tell("Watch enabled");
  }

  void toggle_watch() {
    if (!watch_) return start_watch();
    watch_.reset();
    tell("Watch disabled");
  }

  void hear_watch() {
    if (!watch_) return;
    for (const std::string& line : watch_->lines()) tell(line);
  }

  /// A line of the watch's.
  void tell(const std::string& text) {
    say(paint("92", "⦿", !options_.no_color && context_.colour(STDOUT_FILENO)) + " " + text);
  }

  bool is_attached(const std::string& service) const {
    return std::find(attached_.begin(), attached_.end(), service) != attached_.end();
  }

  /// Everything that has happened since the last turn; true when there is nothing left to wait for.
  Result<bool> turn() {
    TRY(drain());
    TRY(hear_events());
    TRY(hear_operation(apply_));
    TRY(hear_operation(stop_));
    while (const int signal = signals_.next()) TRY(interrupt(signal));
    hear_watch();
    TRY(press());
    if (detached_) return true;
    if (failure_ && !stop_) return true;
    if (stopping_) {
      if (stop_) return false;
      TRY(find_ends());
      if (!killed_) return true;
      // "kill" returns when the signal is sent: the end is a moment later.
      TRY_ASSIGN(const bool more, anything_running());
      return !more;
    }
    if (apply_ || stop_) return false;  // a restart is under way
    TRY_ASSIGN(const bool more, anything_running());
    if (more) return false;
    if (watch_) {  // the next change may start them again
      TRY(find_ends());
      return false;
    }
    TRY(find_ends());
    return !stopping_;
  }

  Result<void> wait() {
    pollfd polled[] = {{follower_.fd(), POLLIN, 0},
                       {signals_.fd(), POLLIN, 0},
                       {apply_ ? apply_->fd() : -1, POLLIN, 0},
                       {stop_ ? stop_->fd() : -1, POLLIN, 0},
                       {events_ ? events_->fd() : -1, POLLIN, 0},
                       {watch_ ? watch_->fd() : -1, POLLIN, 0},
                       {keys_.fd(), POLLIN, 0}};
    if (::poll(polled, std::size(polled), -1) < 0 && errno != EINTR) return os_error("waiting for containers");
    return {};
  }

  Result<void> drain() {
    if (creating_) return {};
    TRY(follower_.drain([&](const state::FollowedLine& one) {
      if (!is_attached(one.container->service)) return;
      keys_.hide_menu();
      if (filter_.empty() || one.line.text.find(filter_) != std::string::npos)
        printer_.line(*one.container, one.line);
    }));
    if (!printer_.flush() && !stopping_) TRY(stop("stop"));  // nobody reads our output any more
    keys_.show_menu();
    return {};
  }

  Result<void> hear_events() {
    while (events_) {
      auto event = next_event(*events_);
      if (!event) {  // the supervisor ends when nothing runs; when it was killed its successor takes over
        events_.reset();
        if (!follower_.anything_running() && !apply_) return {};
        TRY_ASSIGN(events_, open({{"op", "events"}, {"services", json::array()}}));
        continue;
      }
      if (!event->has_value()) return {};
      if ((*event)->value("event", "") != "container") continue;
      const std::string action = (*event)->value("action", "");
      if (action == "start") ended_.erase((*event)->value("id", ""));
      if (action == "die") TRY(died(**event));
    }
    return {};
  }

  /// Whether a watched container runs or will be started again by its policy.
  Result<bool> anything_running() const {
    TRY_ASSIGN(const auto containers, state::list_containers(context_.paths(), project_.name));
    return std::any_of(containers.begin(), containers.end(), [&](const state::ContainerRecord& container) {
      const bool watched = std::find(watched_.begin(), watched_.end(), container.service) != watched_.end();
      return watched && !container.one_off && (container.phase == state::Phase::running || container.restarting);
    });
  }

  /// Ends that the records tell before the events do.
  Result<void> find_ends() {
    TRY_ASSIGN(const auto containers, state::list_containers(context_.paths(), project_.name));
    for (const auto& container : containers) {
      if (container.one_off || container.restarting || container.phase != state::Phase::exited) continue;
      if (container.finished_at < begun_) continue;
      TRY(died({{"id", container.id},
                {"name", container.name},
                {"service", container.service},
                {"exit_code", container.exit_code}}));
    }
    return {};
  }

  Result<void> died(const json& event) {
    const std::string service = event.value("service", "");
    const int code = event.value("exit_code", 0);
    const bool restarting = event.value("restarting", false);
    if (!restarting && !ended_.insert(event.value("id", "")).second) return {};
    if (starting_) begin_output();  // its output comes before its end, even while others are still being started
    TRY(drain());
    if (is_attached(service)) {
      say(fmt::format("{} exited with code {}{}", shown_name(event.value("name", "")), code,
                      restarting ? " (restarting)" : ""));
    }
    if (restarting) return {};
    const bool chosen = service == options_.exit_code_from;
    if (chosen && !exit_code_) exit_code_ = code;
    if (std::find(watched_.begin(), watched_.end(), service) == watched_.end()) return {};
    const bool aborts = options_.abort_on_container_exit || (options_.abort_on_container_failure && code != 0);
    if (!aborts || stopping_) return {};
    if (options_.exit_code_from.empty()) exit_code_ = code;
    say("Aborting on container exit...");
    return stop("stop");
  }

  /// Reads an operation's connection; its result ends it.
  Result<void> hear_operation(std::optional<supervisor::Client>& operation) {
    while (operation) {
      auto event = next_event(*operation);
      if (!event) {
        operation.reset();
        if (&operation == &stop_) return {};  // it ended with the last container
        return std::move(event).error();
      }
      if (!event->has_value()) return {};
      const json& one = **event;
      const std::string kind = one.value("event", "");
      if (kind == "result") {
        const supervisor::Outcome outcome = supervisor::Client::outcome(one);
        operation.reset();
        begin_output();
        if (!outcome.ok && !interrupted_ && !failure_) {
          failure_ = outcome_error(outcome);
          if (outcome.exit_code != 0) context_.set_failure_code(outcome.exit_code);
        }
        if (outcome.ok && !stopping_) begin_watch();
        return {};
      }
      show(one, &operation == &stop_);
    }
    return {};
  }

  /// While output streams nothing is redrawn: only warnings, errors and what stopping has done are shown.
  void show(const json& event, bool stopping) {
    if (creating_) {
      const std::string text = event.value("text", "");
      const std::string name = event.value("name", "");
      if (text == "Creating" || text == "Recreate") being_made_.insert(name);
      if (text == "Created" || text == "Recreated") being_made_.erase(name);
      const bool starting = text == "Starting" || text == "Started" || text == "Waiting" || text == "Restarting";
      starting_ = starting_ || starting;
      if (!starting) show_event(context_, event);
      if (starting_ && being_made_.empty()) begin_output();
      return;
    }
    const std::string status = event.value("status", "");
    const bool warning = event.value("event", "") == "warning";
    if (!warning && status != "error" && !(stopping && status == "done")) return;
    keys_.hide_menu();
    if (warning) {
      show_event(context_, event);
    } else {
      context_.progress().line(
          fmt::format(" {} {} {}", event.value("kind", ""), event.value("name", ""), event.value("text", "")));
    }
    keys_.show_menu();
  }

  Result<void> interrupt(int) {
    interrupted_ = true;
    begin_output();
    if (!stopping_) {
      keys_.hide_menu();
      context_.progress().line("Gracefully Stopping... press Ctrl+C again to force");
      if (apply_) TRY(apply_->cancel());
      return stop("stop");
    }
    if (killed_) return {};
    killed_ = true;
    return stop("kill");
  }

  Result<void> stop(std::string_view operation) {
    stopping_ = true;
    json request{{"op", operation}, {"services", json::array()}, {"options", json::object()}};
    if (options_.timeout && operation == "stop") request["options"]["timeout"] = *options_.timeout;
    TRY_ASSIGN(stop_, open(request));
    return {};
  }

  Result<void> press() {
    while (const char key = keys_.next()) {
      keys_.hide_menu();
      if (keys_.asking()) {
        if (const auto answer = keys_.type(key)) {
          filter_ = *answer;
          say(filter_.empty() ? "All lines are shown" : fmt::format("Only lines with \"{}\" are shown", filter_));
        }
      } else {
        TRY(command(key));
      }
      keys_.show_menu();
    }
    return {};
  }

  Result<void> command(char key) {
    if (key == 'd') detached_ = true;
    if (key == '\r' || key == '\n') say("");
    if (key == 's') TRY(interrupt(SIGINT));
    if (key == 'w' && !stopping_) toggle_watch();
    if (key == 'l') keys_.ask("show only lines with: ");
    if (key == 'r' && !stop_ && !stopping_) {
      TRY_ASSIGN(stop_, open({{"op", "restart"}, {"services", attached_}, {"options", json::object()}}));
    }
    if (key == '?')
      say("d: leave, all goes on   w: watch on or off   r: restart the services   l: show only some lines   s: stop   "
          "Enter: empty line   Ctrl-C: stop");
    return {};
  }

  void say(const std::string& text) {
    keys_.hide_menu();
    printer_.status(text);
    printer_.flush();
    keys_.show_menu();
  }

  Context& context_;
  const model::Project& project_;
  const Strings& services_;  ///< those the command names
  Strings attached_;
  Strings watched_;
  const UpOptions& options_;
  Signals signals_;
  state::LogFollower follower_;
  LogPrinter printer_;
  Keys keys_;
  std::optional<supervisor::Client> apply_;
  std::optional<supervisor::Client> stop_;
  std::optional<supervisor::Client> events_;
  std::optional<Error> failure_;
  std::optional<int> exit_code_;
  nlohmann::json scale_;
  bool creating_ = true;  ///< progress is on the screen, not output
  bool starting_ = false;
  std::set<std::string> being_made_;
  std::set<std::string> ended_;  ///< ids of containers whose end was told
  state::Time begun_ = std::chrono::system_clock::now();
  bool interrupted_ = false;
  bool stopping_ = false;
  bool killed_ = false;
  bool detached_ = false;
  std::string filter_;  ///< only lines that contain it are shown
  bool watch_begun_ = false;
  std::unique_ptr<BackgroundWatch> watch_;
};

}  // namespace

Result<int> up_attached(Context& context, const model::Project& project, const Strings& services,
                        const UpOptions& options, const json& request) {
  const Strings attached = attached_services(project, services, options);
  TRY_ASSIGN(Signals signals, Signals::take({SIGINT, SIGTERM, SIGWINCH}));
  state::LogFollower::Filter filter;
  const Strings watched = watched_services(project, services, options);
  filter.services = watched;
  for (const std::string& name : attached)
    if (std::find(watched.begin(), watched.end(), name) == watched.end()) filter.services.push_back(name);
  state::LogQuery none;  // of what is there already
  none.tail = 0;
  TRY_ASSIGN(auto follower, state::LogFollower::open(context.paths(), project.name, filter, none));
  // The end of each log is found now: what is written from here on is shown, also what comes before the first output.
  TRY(follower.drain([](const state::FollowedLine&) {}));
  Session session{context, project, services, attached, watched, options, std::move(signals), std::move(follower)};
  return session.run(request);
}

}  // namespace compose::cli
