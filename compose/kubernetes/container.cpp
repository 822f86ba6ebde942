// One container: what runs.
#include "base/strings.hpp"
#include "compose/kubernetes/context.hpp"

namespace compose::kubernetes {

// Kubernetes replaces $(NAME) in command and args by variables; "$$(" is its way to write "$(".
Strings escape_references(const Strings& words) {
  Strings escaped;
  for (const std::string& word : words) {
    std::string out;
    for (std::size_t i = 0; i < word.size(); ++i) {
      if (word[i] == '$' && i + 1 < word.size() && (word[i + 1] == '(' || word[i + 1] == '$')) out += '$';
      out += word[i];
    }
    escaped.push_back(std::move(out));
  }
  return escaped;
}

std::string image_of(Context& context, const std::string& name) {
  const model::Service& service = context.service(name);
  const std::string path = "services." + name;
  if (context.options.pin_images) {
    const std::string& pinned = context.image(name).pinned;
    if (!pinned.empty()) {
      if (pinned != service.image) context.report.approximated(path + ".image", fmt::format("pinned: {}", pinned));
      return pinned;
    }
    if (service.image.find('@') == std::string::npos)
      context.problem(path + (service.image.empty() ? ".build" : ".image"),
                      fmt::format("the digest of the image of \"{}\" is not known: push it (compose push), or export "
                                  "without --pin-images",
                                  name));
  }
  if (!service.image.empty()) return service.image;
  context.problem(
      path + ".build",
      fmt::format("service \"{}\" has build: but no image:, so the cluster cannot know where to get it: give it "
                  "the name it is pushed to, such as image: registry.example/{}",
                  name, name));
  return name;
}

namespace {

void put_command(Context& context, const std::string& name, Value& container) {
  const model::Service& service = context.service(name);
  const std::string path = "services." + name;
  const auto& entrypoint = service.entrypoint;
  const auto& command = service.command;
  if (entrypoint && !entrypoint->empty())
    put(container, "command", texts(escape_references(*entrypoint), context.at(path + ".entrypoint")));
  if (command && !command->empty()) {
    // An empty entrypoint clears the image's; a command of Kubernetes does too.
    const bool cleared = entrypoint && entrypoint->empty();
    put(container, cleared ? "command" : "args", texts(escape_references(*command), context.at(path + ".command")));
    if (cleared) {
      context.report.approximated(path + ".entrypoint", "cleared: the command stands in its place");
      context.report.approximated(path + ".command", "stands in the entrypoint's place");
    }
  } else if (command && command->empty()) {
    context.report.approximated(path + ".command", "the image's arguments are used unless there is an entrypoint");
  }
  if (entrypoint && entrypoint->empty() && (!command || command->empty()))
    context.report.dropped(path + ".entrypoint", "an empty command means the image's: write the command out");
}

std::string pull_policy(Context& context, const std::string& name) {
  const std::string& policy = context.service(name).pull_policy;
  const std::string path = "services." + name + ".pull_policy";
  if (policy.empty()) return {};
  if (policy == "always") return "Always";
  if (policy == "never") return "Never";
  if (policy == "missing" || policy == "if_not_present") return "IfNotPresent";
  if (policy == "build") {
    context.report.approximated(path, "IfNotPresent: Kubernetes does not build");
    return "IfNotPresent";
  }
  context.report.approximated(path, "Always: Kubernetes has no interval");
  return "Always";
}

void put_ports(Context& context, const Workload& workload, const std::string& name, Value& container) {
  Value ports = Value::sequence();
  std::set<std::pair<std::uint16_t, std::string>> seen;
  for (const PodPort& port : workload.ports) {
    if (!port.path.starts_with("services." + name + ".") || !seen.emplace(port.number, port.protocol).second) continue;
    Value item =
        object({{"containerPort", number(port.number, context.at(port.path))}, {"protocol", text(port.protocol)}});
    for (const model::Port& published : context.service(name).ports) {
      if (published.mode != "host" || published.target != port.number || to_lower(port.protocol) != published.protocol)
        continue;
      if (const auto host = parse_unsigned(published.published); host && *host > 0 && *host < 65536) {
        put(item, "hostPort", number(static_cast<std::int64_t>(*host), context.at(port.path)));
        if (!published.host_ip.empty()) put(item, "hostIP", text(published.host_ip));
      }
    }
    append(ports, std::move(item));
  }
  put(container, "ports", std::move(ports));
}

}  // namespace

Value container_of(Context& context, const Workload& workload, const std::string& name) {
  const model::Service& service = context.service(name);
  const std::string path = "services." + name;
  Value container = object({{"name", text(context.name_of("services", name), context.at(path))},
                            {"image", text(image_of(context, name), context.at(path + ".image"))}});
  if (service.build)
    context.report.approximated(
        path + ".build",
        "Kubernetes does not build: \"compose build\" and \"compose push\" make the image that is named here");
  if (service.stop_signal == "SIGTERM")
    context.report.approximated(path + ".stop_signal",
                                "what pods are stopped with anyway, unless the image says otherwise");
  if (const std::string policy = pull_policy(context, name); !policy.empty())
    put(container, "imagePullPolicy", text(policy, context.at(path + ".pull_policy")));
  put_command(context, name, container);
  put_environment(context, name, container);
  put_ports(context, workload, name, container);
  put_probes(context, workload, name, container);
  put_lifecycle(context, name, container);
  put(container, "resources", resources_of(context, name));
  put(container, "securityContext", container_security(context, name));
  if (!service.working_dir.empty())
    put(container, "workingDir", text(service.working_dir, context.at(path + ".working_dir")));
  if (service.tty) put(container, "tty", flag(true, context.at(path + ".tty")));
  if (service.stdin_open) put(container, "stdin", flag(true, context.at(path + ".stdin_open")));
  return container;
}

}  // namespace compose::kubernetes
