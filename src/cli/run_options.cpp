#include "cli/run_options.hpp"

#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdlib>

#include "base/strings.hpp"
#include "cli/shell_words.hpp"
#include "cli/terminal.hpp"
#include "compose/load/dotenv.hpp"
#include "sys/file.hpp"

namespace compose::cli {
namespace {

/// The host path that `text` names, from the current folder; "~" is the user's.
std::string absolute_path(const std::string& text) {
  if (text.starts_with('/')) return text;
  if (text == "~" || text.starts_with("~/")) {
    const char* home = std::getenv("HOME");
    return std::string{home == nullptr ? "/root" : home} + text.substr(1);
  }
  char directory[PATH_MAX];
  if (::getcwd(directory, sizeof directory) == nullptr) return text;
  std::string rest = text;
  while (rest.starts_with("./")) rest.erase(0, 2);
  return rest == "." ? directory : std::string{directory} + "/" + rest;
}

Result<void> add_volume(model::Project& project, model::Service& service, const std::string& text) {
  const Strings parts = split(text, ':');
  if (parts.empty() || parts.size() > 3 || parts[0].empty())
    return make_error(Errc::invalid, "--volume \"{}\": write [SOURCE:]TARGET[:ro]", text);
  model::Mount mount;
  mount.type = "volume";
  mount.target = parts.size() == 1 ? parts[0] : parts[1];
  if (!mount.target.starts_with('/'))
    return make_error(Errc::invalid, "--volume \"{}\": \"{}\" is no absolute path", text, mount.target);
  if (parts.size() > 1) {
    mount.source = parts[0];
    if (mount.source[0] == '/' || mount.source[0] == '.' || mount.source[0] == '~') {
      mount.type = "bind";
      mount.source = absolute_path(mount.source);
    } else if (!project.volumes.contains(mount.source)) {
      model::Volume volume;
      volume.name = mount.source;
      project.volumes[mount.source] = volume;
    }
  }
  if (parts.size() == 3)
    for (const std::string& option : split(parts[2], ',')) {
      if (option == "ro" || option == "readonly") {
        mount.read_only = true;
      } else if (option == "nocopy") {
        mount.volume.nocopy = true;
      } else if (option == "z" || option == "Z") {
        mount.bind.selinux = option;
      } else if (option != "rw") {
        return make_error(Errc::invalid, "--volume \"{}\": unknown option \"{}\"", text, option);
      }
    }
  std::erase_if(service.volumes, [&](const model::Mount& other) { return other.target == mount.target; });
  service.volumes.push_back(std::move(mount));
  return {};
}

Result<void> add_environment(model::Service& service, const RunOptions& options) {
  for (const std::string& file : options.env_from_file) {
    TRY_ASSIGN(const std::string text, sys::read_file(file).with("--env-from-file"));
    load::Environment variables;
    const auto lookup = [](std::string_view) -> const load::Variable* { return nullptr; };
    if (const auto error = load::parse_dotenv(text, 0, lookup, variables))
      return make_error(Errc::invalid, "{}:{}: {}", file, error->place.line, error->message);
    for (const auto& [name, variable] : variables.all()) service.environment[name] = variable.value;
  }
  for (const std::string& variable : options.env) {
    const std::size_t equals = variable.find('=');
    const std::string name = variable.substr(0, equals);
    if (name.empty()) return make_error(Errc::invalid, "--env \"{}\" has no name", variable);
    if (equals != std::string::npos) {
      service.environment[name] = variable.substr(equals + 1);
    } else if (const char* value = std::getenv(name.c_str()); value != nullptr) {
      service.environment[name] = value;
    }
  }
  return {};
}

void add_capabilities(model::Service& service, const RunOptions& options) {
  for (const std::string& name : options.cap_add) {
    std::erase(service.cap_drop, name);
    service.cap_add.push_back(name);
  }
  for (const std::string& name : options.cap_drop) {
    std::erase(service.cap_add, name);
    service.cap_drop.push_back(name);
  }
}

Result<void> set_command(model::Service& service, const RunOptions& options, const Strings& command) {
  if (options.entrypoint) {
    TRY_ASSIGN(Strings words, shell_words(*options.entrypoint).with("--entrypoint"));
    service.entrypoint = std::move(words);
    service.command = Strings{};
  }
  if (!command.empty()) service.command = command;
  return {};
}

}  // namespace

bool RunOptions::terminal() const {
  if (no_tty) return !*no_tty;
  if (tty) return *tty;
  return !detach && is_terminal(STDIN_FILENO) && is_terminal(STDOUT_FILENO);
}

Result<model::Port> parse_publish(const std::string& text) {
  const auto wrong = [&] {
    return make_error(Errc::invalid, "--publish \"{}\": write [[ADDRESS:]HOST-PORT:]PORT[/udp]", text);
  };
  model::Port port;
  port.protocol = "tcp";
  port.mode = "ingress";
  std::string rest = text;
  if (const std::size_t slash = rest.rfind('/'); slash != std::string::npos) {
    port.protocol = rest.substr(slash + 1);
    rest.resize(slash);
  }
  const std::size_t last = rest.rfind(':');
  const auto target = parse_unsigned(std::string_view{rest}.substr(last == std::string::npos ? 0 : last + 1));
  if (!target || *target == 0 || *target > 65535) return wrong();
  port.target = static_cast<std::uint16_t>(*target);
  if (last == std::string::npos) return port;
  rest.resize(last);
  const std::size_t middle = rest.rfind(':');
  port.published = rest.substr(middle == std::string::npos ? 0 : middle + 1);
  if (!port.published.empty() && !is_digits(split(port.published, '-')[0])) return wrong();
  if (middle == std::string::npos) return port;
  port.host_ip = rest.substr(0, middle);
  if (port.host_ip.starts_with('[') && port.host_ip.ends_with(']'))
    port.host_ip = port.host_ip.substr(1, port.host_ip.size() - 2);
  return port;
}

Result<void> apply_run_options(model::Project& project, model::Service& service, const RunOptions& options,
                               const Strings& command) {
  TRY(set_command(service, options, command));
  TRY(add_environment(service, options));
  add_capabilities(service, options);
  for (const std::string& label : options.labels) {
    const std::size_t equals = label.find('=');
    service.labels[label.substr(0, equals)] = equals == std::string::npos ? "" : label.substr(equals + 1);
  }
  for (const std::string& volume : options.volumes) TRY(add_volume(project, service, volume));
  if (!options.service_ports) service.ports.clear();
  for (const std::string& publish : options.publish) {
    TRY_ASSIGN(model::Port port, parse_publish(publish));
    service.ports.push_back(std::move(port));
  }
  if (!options.user.empty()) service.user = options.user;
  if (!options.workdir.empty()) service.working_dir = options.workdir;
  service.tty = options.terminal();
  service.stdin_open = options.interactive.value_or(!options.detach);
  service.container_name.clear();
  service.restart = "no";
  if (service.deploy) service.deploy->restart_policy.reset();
  service.scale.reset();
  return {};
}

}  // namespace compose::cli
