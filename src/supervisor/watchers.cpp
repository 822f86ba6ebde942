#include "supervisor/watchers.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "state/events.hpp"

namespace compose::supervisor {

using nlohmann::json;

namespace {

bool ended(const Container& container) { return container.record.phase == state::Phase::exited && !container.busy(); }

json exit_of(const Container& container) {
  return {{"event", "result"},
          {"ok", true},
          {"exit_code", container.record.exit_code},
          {"name", container.record.name},
          {"service", container.record.service}};
}

}  // namespace

bool Watchers::handle(const ConnectionPtr& connection, const json& request) {
  const std::string op = request.value("op", "");
  if (op == "status") {
    connection->send(status());
    return true;
  }
  if (op != "events" && op != "wait") return false;
  Watcher watcher{connection, request.value("services", std::vector<std::string>{}), op == "wait"};
  if (watcher.waits) {
    bool any_up = false;
    const Container* last = nullptr;
    for (const auto& [id, container] : containers_.all()) {
      if (!concerns(watcher, *container)) continue;
      any_up = any_up || !ended(*container);
      if (ended(*container)) last = container.get();
    }
    // Nothing left to wait for: the code is known already.
    if (last != nullptr && !any_up) {
      connection->send(exit_of(*last));
      return true;
    }
  }
  watchers_.push_back(std::move(watcher));
  return true;
}

void Watchers::closed(const ConnectionPtr& connection) {
  std::erase_if(watchers_, [&](const Watcher& watcher) { return watcher.connection == connection; });
}

bool Watchers::concerns(const Watcher& watcher, const Container& container) const {
  const auto& services = watcher.services;
  return services.empty() || std::ranges::find(services, container.record.service) != services.end();
}

void Watchers::event(const Container& container, const std::string& action) {
  const state::ContainerRecord& record = container.record;
  const auto now = std::chrono::system_clock::now();
  state::ContainerEvent kept{now, action, record.id, record.name, record.service, {{"image", record.image_ref}}};
  json event = {{"event", "container"},
                {"action", action},
                {"id", record.id},
                {"name", record.name},
                {"service", record.service},
                {"time", state::format_time(now)},
                {"attributes", {{"image", record.image_ref}, {"name", record.name}}}};
  if (record.one_off) event["one_off"] = true;
  if (action == "die") {
    event["exit_code"] = record.exit_code;
    event["restarting"] = record.restarting;
    kept.attributes["exitCode"] = std::to_string(record.exit_code);
    if (record.restarting) kept.attributes["restarting"] = "true";
  }
  if (action == "health_status") {
    event["health"] = record.health.status;
    kept.attributes["health"] = record.health.status;
  }
  if (const auto written = state::append_event(context_.paths, context_.project, kept); !written) {
    context_.log.write("{}", written.error().message());
  }
  for (const Watcher& watcher : std::vector{watchers_}) {
    if (!watcher.waits && concerns(watcher, container)) watcher.connection->send(event);
  }
}

void Watchers::changed(const Container& container) {
  if (!ended(container)) return;
  std::vector<Watcher> answered;
  std::erase_if(watchers_, [&](const Watcher& watcher) {
    if (!watcher.waits || !concerns(watcher, container)) return false;
    answered.push_back(watcher);
    return true;
  });
  for (const Watcher& watcher : answered) watcher.connection->send(exit_of(container));
}

json Watchers::status() const {
  json list = json::array();
  for (const auto& [id, container] : containers_.all()) {
    const state::ContainerRecord& record = container->record;
    list.push_back({{"id", id},
                    {"name", record.name},
                    {"service", record.service},
                    {"number", record.number},
                    {"status", record.status()},
                    {"health", record.health.status},
                    {"exit_code", record.exit_code}});
  }
  return {{"event", "result"}, {"ok", true}, {"exit_code", 0}, {"containers", std::move(list)}};
}

}  // namespace compose::supervisor
