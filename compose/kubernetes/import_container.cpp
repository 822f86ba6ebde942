// What a container says of its service.
#include <algorithm>

#include "compose/kubernetes/import_parts.hpp"

namespace compose::kubernetes {
namespace {

void import_environment(const Cluster& cluster, const Value& container, Value& service) {
  Value environment = Value::mapping();
  if (const Value* from = container.get("envFrom"))
    for (const Value& one : from->items()) {
      const Value* map = cluster.find("ConfigMap", text_at(one, {"configMapRef", "name"}));
      if (map != nullptr && map->get("data") != nullptr)
        for (const yaml::Entry& entry : map->get("data")->entries()) put_always(environment, entry.key, entry.value);
      const Value* secret = cluster.find("Secret", text_at(one, {"secretRef", "name"}));
      if (secret != nullptr && secret->get("data") != nullptr)
        for (const yaml::Entry& entry : secret->get("data")->entries())
          put_always(environment, entry.key, text(from_base64(entry.value.as_string())));
    }
  put(service, "environment", std::move(environment));
}

void import_security(const Value& container, Value& service) {
  const Value* security = container.get("securityContext");
  if (security == nullptr) return;
  for (const char* key : {"add", "drop"})
    put(service, std::string{"cap_"} + key, texts(strings_of(dig(*security, {"capabilities", key}))));
  const auto set = [&](const char* key) {
    const Value* value = security->get(key);
    return value != nullptr && value->is_bool() && value->as_bool();
  };
  if (set("privileged")) put(service, "privileged", flag(true));
  if (set("readOnlyRootFilesystem")) put(service, "read_only", flag(true));
  if (const Value* uid = security->get("runAsUser")) {
    std::string user = std::to_string(uid->as_integer());
    if (const Value* gid = security->get("runAsGroup")) user += ":" + std::to_string(gid->as_integer());
    put(service, "user", text(user));
  }
  Strings options;
  const Value* escalation = security->get("allowPrivilegeEscalation");
  if (escalation != nullptr) options.push_back(fmt::format("no-new-privileges:{}", !escalation->as_bool()));
  if (text_at(*security, {"seccompProfile", "type"}) == "Unconfined") options.push_back("seccomp=unconfined");
  const std::string apparmor = text_at(*security, {"appArmorProfile", "type"});
  if (apparmor == "Unconfined") options.push_back("apparmor=unconfined");
  if (apparmor == "Localhost")
    options.push_back("apparmor=" + text_at(*security, {"appArmorProfile", "localhostProfile"}));
  if (const Value* labels = security->get("seLinuxOptions")) {
    for (const yaml::Entry& entry : labels->entries())
      options.push_back(entry.key == "type" && entry.value.as_string() == "spc_t"
                            ? "label=disable"
                            : fmt::format("label={}:{}", entry.key, entry.value.as_string()));
  }
  put(service, "security_opt", texts(options));
}

void import_resources(const Value& container, Value& service) {
  const auto amounts = [&](const char* section) {
    Value out = Value::mapping();
    if (const std::string cpu = text_at(container, {"resources", section, "cpu"}); !cpu.empty())
      put(out, "cpus", Value::real(parse_cpu_quantity(cpu)));
    if (const std::string memory = text_at(container, {"resources", section, "memory"}); !memory.empty())
      put(out, "memory", text(std::to_string(parse_bytes_quantity(memory))));
    return out;
  };
  Value resources = object({{"limits", amounts("limits")}, {"reservations", amounts("requests")}});
  if (resources.entries().empty()) return;
  Value deploy = service.get("deploy") != nullptr ? *service.get("deploy") : Value::mapping();
  put(deploy, "resources", std::move(resources));
  put(service, "deploy", std::move(deploy));
}

std::int64_t number_at(const Value& value, std::string_view key) {
  const Value* found = value.get(key);
  return found != nullptr && found->is_integer() ? found->as_integer() : 0;
}

// Docker's own numbers are left out.
void import_health(const Value& workload, const Value& container, Value& service) {
  const Value* probe = container.get("readinessProbe");
  if (probe == nullptr) return;
  const std::string of_image = annotation(workload, "health-of-image");
  const Strings of_images = split(of_image, ',');
  if (std::find(of_images.begin(), of_images.end(), text_at(container, {"name"})) != of_images.end()) return;
  Strings test = strings_of(dig(*probe, {"exec", "command"}));
  if (test.size() == 3 && test[0] == "/bin/sh" && test[1] == "-c")
    test = {"CMD-SHELL", test[2]};
  else
    test.insert(test.begin(), "CMD");
  Value check = object({{"test", texts(test)}});
  const auto span = [&](const char* key, std::int64_t seconds, std::int64_t standard) {
    if (seconds != standard) put(check, key, text(fmt::format("{}s", seconds)));
  };
  span("interval", number_at(*probe, "periodSeconds"), 30);
  span("timeout", number_at(*probe, "timeoutSeconds"), 30);
  if (number_at(*probe, "failureThreshold") != 3) put(check, "retries", number(number_at(*probe, "failureThreshold")));
  // deploy.restart_policy asks for it, too.
  if (container.get("livenessProbe") != nullptr && !annotation(workload, "restart").starts_with("policy:"))
    put(service, "x-restart-on-unhealthy", flag(true));
  if (const Value* startup = container.get("startupProbe")) {
    const std::int64_t period = number_at(*startup, "periodSeconds");
    put(check, "start_period", text(fmt::format("{}s", period * number_at(*startup, "failureThreshold"))));
    span("start_interval", period, 5);
  }
  put(service, "healthcheck", std::move(check));
}

void import_lifecycle(const Value& container, Value& service) {
  for (const auto& [theirs, ours] : {std::pair{"postStart", "post_start"}, std::pair{"preStop", "pre_stop"}}) {
    const Strings command = strings_of(dig(container, {"lifecycle", theirs, "exec", "command"}));
    if (!command.empty()) put(service, ours, list({object({{"command", texts(command)}})}));
  }
}

}  // namespace

void import_container(const Cluster& cluster, const Value& workload, const Value& container, Value& service) {
  put(service, "image", text(text_at(container, {"image"})));
  const std::string policy = text_at(container, {"imagePullPolicy"});
  if (policy == "Always") put(service, "pull_policy", text("always"));
  if (policy == "Never") put(service, "pull_policy", text("never"));
  if (policy == "IfNotPresent") put(service, "pull_policy", text("missing"));
  put(service, "entrypoint", texts(unescape_references(strings_of(container.get("command")))));
  put(service, "command", texts(unescape_references(strings_of(container.get("args")))));
  if (const std::string folder = text_at(container, {"workingDir"}); !folder.empty())
    put(service, "working_dir", text(folder));
  if (container.get("tty") != nullptr) put(service, "tty", flag(true));
  if (container.get("stdin") != nullptr) put(service, "stdin_open", flag(true));
  import_environment(cluster, container, service);
  import_security(container, service);
  import_resources(container, service);
  import_health(workload, container, service);
  import_lifecycle(container, service);
}

}  // namespace compose::kubernetes
