#include "cli/container_view.hpp"

#include <algorithm>
#include <ctime>
#include <nlohmann/json.hpp>

#include "base/ids.hpp"
#include "base/strings.hpp"
#include "base/units.hpp"
#include "cli/terminal.hpp"

namespace compose::cli {
namespace {

using state::ContainerRecord;
using state::PortRecord;
using Strings = std::vector<std::string>;

std::string since(state::Time time, WallTime now) { return human_duration(now - time); }

/// "2026-08-20 10:00:00 +0000 UTC", as Go prints a time.
std::string go_time(state::Time time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02} +0000 UTC", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
}

/// One line of `ps`'s PORTS before neighbours are joined. An empty address: not published.
struct ShownPort {
  std::string address;
  std::uint16_t host = 0;
  std::uint16_t container = 0;
  std::string protocol;
  auto operator<=>(const ShownPort&) const = default;
};

std::vector<ShownPort> shown_ports(const ContainerRecord& container) {
  std::vector<ShownPort> shown;
  if (container.phase != state::Phase::running) return shown;
  for (const PortRecord& port : container.ports) {
    if (port.host_ip.empty()) {
      shown.push_back({"0.0.0.0", port.host_port, port.container_port, port.protocol});
      shown.push_back({"[::]", port.host_port, port.container_port, port.protocol});
    } else {
      const bool v6 = port.host_ip.find(':') != std::string::npos;
      shown.push_back(
          {v6 ? "[" + port.host_ip + "]" : port.host_ip, port.host_port, port.container_port, port.protocol});
    }
  }
  for (const std::string& exposed : container.exposed) {
    const std::size_t slash = exposed.find('/');
    const auto number = parse_unsigned(std::string_view{exposed}.substr(0, slash));
    if (!number || *number > 65535) continue;
    const std::string protocol = slash == std::string::npos ? "tcp" : exposed.substr(slash + 1);
    const bool published = std::any_of(container.ports.begin(), container.ports.end(), [&](const PortRecord& port) {
      return port.container_port == *number && port.protocol == protocol;
    });
    if (!published) shown.push_back({"", 0, static_cast<std::uint16_t>(*number), protocol});
  }
  std::sort(shown.begin(), shown.end(), [](const ShownPort& a, const ShownPort& b) {
    return std::tie(a.protocol, a.address, a.container, a.host) < std::tie(b.protocol, b.address, b.container, b.host);
  });
  return shown;
}

std::string range(unsigned first, unsigned last) {
  return first == last ? fmt::format("{}", first) : fmt::format("{}-{}", first, last);
}

std::string quote(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    if (c == '\n') {
      quoted += "\\n";
    } else if (c == '\t') {
      quoted += "\\t";
    } else {
      quoted += c;
    }
  }
  return quoted + "\"";
}

std::string labels_text(const ContainerRecord& container) {
  Strings parts;
  for (const auto& [key, value] : container.labels) parts.push_back(key + "=" + value);
  return join(parts, ",");
}

}  // namespace

std::string status_text(const ContainerRecord& container, WallTime now) {
  if (container.restarting) {
    const std::string text =
        fmt::format("Restarting ({}) {} ago", container.exit_code, since(container.finished_at, now));
    if (!container.crash_loop) return text;
    return fmt::format("{} (crash loop: {} restarts, next in {})", text, container.restart_count,
                       container.restart_at > now ? since(now, container.restart_at) : "a moment");
  }
  switch (container.phase) {
    case state::Phase::creating:
    case state::Phase::created:
      return "Created";
    case state::Phase::removing:
      return "Removal In Progress";
    case state::Phase::exited:
      return fmt::format("Exited ({}) {} ago", container.exit_code, since(container.finished_at, now));
    case state::Phase::running:
      break;
  }
  std::string text = "Up " + since(container.started_at, now);
  if (container.paused) return text + " (Paused)";
  // A run of 10 s ends a crash loop, whatever the record still says.
  if (container.crash_loop && now - container.started_at < std::chrono::seconds{10})
    text += fmt::format(" (crash loop: {} restarts)", container.restart_count);
  if (container.health.status == "starting") return text + " (health: starting)";
  if (!container.health.status.empty()) text += fmt::format(" ({})", container.health.status);
  return text;
}

std::string ports_text(const ContainerRecord& container) {
  const std::vector<ShownPort> ports = shown_ports(container);
  Strings parts;
  for (std::size_t i = 0; i < ports.size();) {
    std::size_t last = i;
    while (last + 1 < ports.size() && ports[last + 1].address == ports[i].address &&
           ports[last + 1].protocol == ports[i].protocol && ports[last + 1].container == ports[last].container + 1 &&
           (ports[i].address.empty() || ports[last + 1].host == ports[last].host + 1))
      ++last;
    const std::string inside = range(ports[i].container, ports[last].container);
    parts.push_back(ports[i].address.empty()
                        ? fmt::format("{}/{}", inside, ports[i].protocol)
                        : fmt::format("{}:{}->{}/{}", ports[i].address, range(ports[i].host, ports[last].host), inside,
                                      ports[i].protocol));
    i = last + 1;
  }
  return join(parts, ", ");
}

std::string command_text(const ContainerRecord& container, bool full) {
  // As the Engine says it: arguments with blanks stand between single quotes, the program never.
  std::string text;
  for (const std::string& word : container.command) {
    const bool quoted = !text.empty() && word.find(' ') != std::string::npos;
    text += fmt::format("{}{}", text.empty() ? "" : " ", quoted ? "'" + word + "'" : word);
  }
  constexpr std::size_t kWidth = 20;
  if (!full && display_width(text) > kWidth) text = std::string{clip_width(text, kWidth - 1)} + "…";
  return quote(text);
}

std::string name_without_project(const ContainerRecord& container) {
  const std::string& name = container.name;
  if (name.size() > container.project.size() + 1 && name.starts_with(container.project) &&
      (name[container.project.size()] == '-' || name[container.project.size()] == '_'))
    return name.substr(container.project.size() + 1);
  return name;
}

nlohmann::ordered_json container_row(const ContainerRecord& container, WallTime now, bool full) {
  Strings networks;
  for (const auto& network : container.networks) networks.push_back(network.name);
  Strings mounts;
  std::size_t local_volumes = 0;
  for (const auto& mount : container.mounts) {
    mounts.push_back(mount.type == "volume" ? mount.name : mount.source);
    if (mount.type == "volume") ++local_volumes;
  }
  nlohmann::ordered_json publishers = nlohmann::ordered_json::array();
  for (const ShownPort& port : shown_ports(container)) {
    const std::string url = port.address == "[::]" ? "::" : port.address;
    publishers.push_back(
        {{"URL", url}, {"TargetPort", port.container}, {"PublishedPort", port.host}, {"Protocol", port.protocol}});
  }
  return {{"Command", command_text(container, full)},
          {"CreatedAt", go_time(container.created_at)},
          {"ExitCode", container.phase == state::Phase::running ? 0 : container.exit_code},
          {"Health", container.health.status},
          {"ID", full ? container.id : short_id(container.id)},
          {"Image", container.image_ref},
          {"Labels", labels_text(container)},
          {"LocalVolumes", fmt::format("{}", local_volumes)},
          {"Mounts", join(mounts, ",")},
          {"Name", container.name},
          {"Names", container.name},
          {"Networks", join(networks, ",")},
          {"Ports", ports_text(container)},
          {"Project", container.project},
          {"Publishers", std::move(publishers)},
          {"RunningFor", since(container.created_at, now) + " ago"},
          {"Service", container.service},
          {"Size", "0B"},
          {"State", container.status()},
          {"Status", status_text(container, now)}};
}

}  // namespace compose::cli
