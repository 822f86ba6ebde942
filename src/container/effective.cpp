#include "container/effective.hpp"

#include <algorithm>
#include <set>

#include "base/ids.hpp"
#include "base/strings.hpp"

namespace compose::container {
namespace {

constexpr const char* kDefaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

std::string_view variable_name(std::string_view assignment) { return assignment.substr(0, assignment.find('=')); }

void set_variable(std::vector<std::string>& environment, const std::string& assignment) {
  const auto same = [&](const std::string& other) { return variable_name(other) == variable_name(assignment); };
  if (const auto found = std::ranges::find_if(environment, same); found != environment.end()) {
    *found = assignment;
  } else {
    environment.push_back(assignment);
  }
}

// "8000-8010/udp" -> every port of the range with its protocol; anything else is left out (the loader refused it).
void add_ports(std::set<std::string>& ports, const std::string& text) {
  const auto slash = text.find('/');
  const std::string protocol = slash == std::string::npos ? "tcp" : to_lower(text.substr(slash + 1));
  const auto bounds = split(text.substr(0, slash), '-');
  const auto first = parse_unsigned(bounds.front());
  const auto last = parse_unsigned(bounds.back());
  if (!first || !last || *last > 65535) return;
  for (auto port = *first; port <= *last; ++port) ports.insert(fmt::format("{}/{}", port, protocol));
}

std::optional<Duration> given(Duration duration) {
  return duration > Duration::zero() ? std::optional{duration} : std::nullopt;
}

model::Healthcheck from_image(const image::Healthcheck& healthcheck) {
  model::Healthcheck result;
  result.test = healthcheck.test;
  result.interval = given(healthcheck.interval);
  result.timeout = given(healthcheck.timeout);
  result.start_period = given(healthcheck.start_period);
  result.start_interval = given(healthcheck.start_interval);
  if (healthcheck.retries > 0) result.retries = static_cast<std::uint64_t>(healthcheck.retries);
  return result;
}

}  // namespace

std::vector<std::string> effective_command(const model::Service& service, const image::ImageConfig& image) {
  using Words = std::vector<std::string>;
  const Words entrypoint = service.entrypoint ? *service.entrypoint : image.entrypoint.value_or(Words{});
  Words command = service.command.value_or(Words{});
  // Docker keeps the image's command for an entrypoint that was only cleared: there would be nothing to run.
  const bool replaces_entrypoint = service.entrypoint && !service.entrypoint->empty();
  if (!service.command && !replaces_entrypoint) command = image.cmd.value_or(Words{});
  Words result = entrypoint;
  result.insert(result.end(), command.begin(), command.end());
  return result;
}

std::vector<std::string> effective_environment(const model::Service& service, const image::ImageConfig& image,
                                               const std::string& hostname) {
  std::vector<std::string> environment{kDefaultPath, "HOSTNAME=" + hostname};
  if (service.tty) environment.emplace_back("TERM=xterm");
  for (const auto& assignment : image.env) set_variable(environment, assignment);
  for (const auto& [name, value] : service.environment) {
    if (value) {
      set_variable(environment, name + "=" + *value);
    } else {
      std::erase_if(environment, [&](const std::string& other) { return variable_name(other) == name; });
    }
  }
  return environment;
}

std::string effective_user(const model::Service& service, const image::ImageConfig& image) {
  return service.user.empty() ? image.user : service.user;
}

std::string effective_working_dir(const model::Service& service, const image::ImageConfig& image) {
  const std::string& directory = service.working_dir.empty() ? image.working_dir : service.working_dir;
  return directory.starts_with('/') ? directory : "/" + directory;
}

std::string effective_stop_signal(const model::Service& service, const image::ImageConfig& image) {
  return service.stop_signal.empty() ? image.stop_signal : service.stop_signal;
}

std::optional<model::Healthcheck> effective_healthcheck(const model::Service& service,
                                                        const image::ImageConfig& image) {
  std::optional<model::Healthcheck> inherited;
  if (image.healthcheck) inherited = from_image(*image.healthcheck);
  std::optional<model::Healthcheck> result = service.healthcheck ? service.healthcheck : inherited;
  if (!result || result->disable) return std::nullopt;
  if (inherited) {
    if (result->test.empty()) result->test = inherited->test;
    if (!result->interval) result->interval = inherited->interval;
    if (!result->timeout) result->timeout = inherited->timeout;
    if (!result->start_period) result->start_period = inherited->start_period;
    if (!result->start_interval) result->start_interval = inherited->start_interval;
    if (!result->retries) result->retries = inherited->retries;
  }
  if (result->test.empty() || result->test.front() == "NONE") return std::nullopt;
  return result;
}

std::vector<std::string> effective_exposed_ports(const model::Service& service, const image::ImageConfig& image) {
  std::set<std::string> ports;
  for (const auto& port : image.exposed_ports) add_ports(ports, port);
  for (const auto& port : service.expose) add_ports(ports, port);
  for (const auto& port : service.ports) {
    ports.insert(fmt::format("{}/{}", port.target, port.protocol.empty() ? "tcp" : port.protocol));
  }
  return {ports.begin(), ports.end()};
}

std::string effective_hostname(const model::Service& service, const std::string& container_id) {
  return service.hostname.empty() ? short_id(container_id) : service.hostname;
}

std::map<std::string, std::string> effective_labels(const model::Service& service, const image::ImageConfig& image) {
  std::map<std::string, std::string> labels = service.labels;
  labels.insert(image.labels.begin(), image.labels.end());
  return labels;
}

}  // namespace compose::container
