// compose logs: what containers wrote, from the files their monitors keep; needs no supervisor.
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/strings.hpp"
#include "cli/commands/all.hpp"
#include "cli/container_view.hpp"
#include "cli/context.hpp"
#include "cli/human.hpp"
#include "cli/log_printer.hpp"
#include "cli/session.hpp"
#include "state/log_reader.hpp"
#include "supervisor/client.hpp"

namespace compose::cli {
namespace {

struct Options {
  bool follow = false;
  int index = 0;
  bool no_color = false;
  bool no_log_prefix = false;
  std::string since;
  std::string tail = "all";
  bool timestamps = false;
  std::string until;
};

Result<state::LogQuery> query_of(const Options& options) {
  state::LogQuery query;
  if (options.tail != "all") {
    const auto count = parse_signed(options.tail);
    if (!count) return make_error(Errc::invalid, "--tail \"{}\" is neither a number nor \"all\"", options.tail);
    if (*count >= 0) query.tail = static_cast<std::size_t>(*count);
  }
  const WallTime now = std::chrono::system_clock::now();
  if (!options.since.empty()) {
    TRY_ASSIGN(query.since, parse_when(options.since, now).with("--since"));
  }
  if (!options.until.empty()) {
    TRY_ASSIGN(query.until, parse_when(options.until, now).with("--until"));
  }
  return query;
}

/// One container's log, one line ahead.
struct Ahead {
  const state::ContainerRecord* container;
  state::LogReader reader;
  state::LogLine line;
};

/// Several containers: their lines in the order of time.
Result<void> print_all(const Context& context, const std::vector<state::ContainerRecord>& containers,
                       const state::LogQuery& query, LogPrinter& printer) {
  std::vector<Ahead> logs;
  for (const auto& container : containers) {
    const std::string log = context.paths().log(container.project, container.id);
    TRY_ASSIGN(auto reader, state::LogReader::open(log, query).with("reading the log of {}", container.name));
    Ahead one{&container, std::move(reader), {}};
    TRY_ASSIGN(const bool more, one.reader.next(one.line).with("reading the log of {}", container.name));
    if (more) logs.push_back(std::move(one));
  }
  while (!logs.empty()) {
    // Times are written alike, so that they compare as texts.
    const auto first = std::ranges::min_element(logs, {}, [](const Ahead& one) { return one.line.timestamp; });
    do {
      if (!printer.line(*first->container, first->line)) return {};
      TRY_ASSIGN(const bool more,
                 first->reader.next(first->line).with("reading the log of {}", first->container->name));
      if (!more) {
        logs.erase(first);
        break;
      }
    } while (logs.size() == 1);
  }
  printer.flush();
  return {};
}

/// With nothing running, more may still come: a "restart" is between its stop and its start, or a run is scheduled. The
/// supervisor says when that is over.
class Rest {
 public:
  /// Asks, unless it has been asked already.
  void ask(const state::Paths& paths, const std::string& project) {
    if (asked_) return;
    asked_ = true;
    auto client = supervisor::Client::connect(paths, project, supervisor::Spawn::never);
    if (client && client->send({{"op", "rest"}})) supervisor_ = *std::move(client);
  }
  /// Without a supervisor nothing will run.
  bool over() {
    while (supervisor_) {
      const auto event = supervisor_->receive();
      if (event && !*event) return false;
      if (!event || (*event)->value("event", "") == "result") supervisor_.reset();
    }
    return asked_;
  }
  int fd() const { return supervisor_ ? supervisor_->fd() : -1; }
  void forget() { *this = {}; }

 private:
  bool asked_ = false;
  std::optional<supervisor::Client> supervisor_;
};

Result<int> follow(const Context& context, const std::string& project, const state::LogFollower::Filter& filter,
                   const state::LogQuery& query, LogPrinter& printer) {
  TRY_ASSIGN(auto follower, state::LogFollower::open(context.paths(), project, filter, query));
  TRY_ASSIGN(Signals signals, Signals::take({SIGINT, SIGTERM}));
  const auto print_new = [&] {
    return follower.drain([&](const state::FollowedLine& one) { printer.line(*one.container, one.line); });
  };
  Rest rest;
  while (true) {
    const bool over = rest.over();  // asked before the last look at the containers and their last lines
    TRY(print_new());
    if (!printer.flush()) return 0;
    if (follower.anything_running()) {
      rest.forget();
    } else if (over) {
      return 0;
    } else {
      rest.ask(context.paths(), project);
      if (rest.fd() < 0) continue;
    }
    if (signals.next() != 0) return 128 + SIGINT;
    pollfd polled[] = {{follower.fd(), POLLIN, 0}, {signals.fd(), POLLIN, 0}, {rest.fd(), POLLIN, 0}};
    if (::poll(polled, 3, -1) < 0 && errno != EINTR) return os_error("waiting for log lines");
  }
}

Result<int> logs(Context& context, const Options& options, const Strings& services) {
  TRY_ASSIGN(const state::LogQuery query, query_of(options));
  TRY_ASSIGN(const ProjectScope scope, context.scope({.services = services, .name_is_enough = true}));
  TRY_ASSIGN(auto containers, context.containers(scope, {.services = services}));
  if (options.index != 0) {
    std::erase_if(containers, [&](const auto& container) { return container.number != options.index; });
    if (containers.empty()) return make_error(Errc::not_found, "no container with --index {}", options.index);
  }
  LogPrinter printer{{.prefix = !options.no_log_prefix,
                      .colour = !options.no_color && context.colour(STDOUT_FILENO),
                      .timestamps = options.timestamps}};
  for (const auto& container : containers) printer.announce(name_without_project(container));
  if (!options.follow) {
    TRY(print_all(context, containers, query, printer));
    return 0;
  }
  state::LogFollower::Filter filter;
  filter.services = services;
  if (options.index != 0)
    for (const auto& container : containers) filter.containers.push_back(container.name);
  return follow(context, scope.name, filter, query, printer);
}

}  // namespace

Command logs_command() {
  auto options = std::make_shared<Options>();
  Command command{.name = "logs", .usage = "[OPTIONS] [SERVICE...]", .summary = "Show what containers wrote"};
  command.flags = {{"follow", 'f', &options->follow, "Go on with new lines, also of containers that are restarted"},
                   {"index", 0, &options->index, "Only container number N of the service"},
                   {"no-color", 0, &options->no_color, "Prefixes without colours"},
                   {"no-log-prefix", 0, &options->no_log_prefix, "Lines without a prefix"},
                   {"since", 0, &options->since, "Only lines after a time or a duration back (42m)", "TIME"},
                   {"tail", 'n', &options->tail, "Only the last so many lines of each container", "N"},
                   {"timestamps", 't', &options->timestamps, "Show when each line was written"},
                   {"until", 0, &options->until, "Only lines before a time or a duration back", "TIME"}};
  command.complete = Complete::services;
  command.run = [options](Context& context, const Strings& services) { return logs(context, *options, services); };
  return command;
}

}  // namespace compose::cli
