// What runs before and beside a container: waiting for others (depends_on) and hooks.
#include <algorithm>

#include "base/strings.hpp"
#include "compose/kubernetes/context.hpp"

namespace compose::kubernetes {
namespace {

constexpr int kOptionalSeconds = 60;

Value nobody() {
  return object({{"allowPrivilegeEscalation", flag(false)},
                 {"capabilities", object({{"drop", texts({"ALL"})}})},
                 {"readOnlyRootFilesystem", flag(true)},
                 {"runAsNonRoot", flag(true)},
                 {"runAsUser", number(65534)},
                 {"seccompProfile", object({{"type", text("RuntimeDefault")}})}});
}

// A Service leads to pods that are ready only, so one answer says "healthy" as well as "started".
Value wait_for_answer(Context& context, const Workload& other, const std::string& name, bool required, Place place) {
  const auto tcp =
      std::find_if(other.ports.begin(), other.ports.end(), [](const PodPort& p) { return p.protocol == "TCP"; });
  std::string script;
  Value environment = Value::sequence();
  if (tcp != other.ports.end()) {
    script = fmt::format("until nc -z -w 2 {} {}; do sleep 1; done", other.name, tcp->number);
  } else {
    // A headless name has an address as soon as a pod is ready. nslookup of busybox knows no search list.
    script = fmt::format("until nslookup {}.$NAMESPACE.svc.cluster.local; do sleep 1; done", other.name);
    append(environment,
           object({{"name", text("NAMESPACE")},
                   {"valueFrom", object({{"fieldRef", object({{"fieldPath", text("metadata.namespace")}})}})}}));
  }
  Strings command = {"sh", "-c", script};
  if (!required) command = {"sh", "-c", fmt::format("timeout {} sh -c '{}' || true", kOptionalSeconds, script)};
  return object({{"name", text(name, place)},
                 {"image", text(context.options.wait_image)},
                 {"command", texts(command)},
                 {"env", std::move(environment)},
                 {"securityContext", nobody()}});
}

Value wait_for_job(Context& context, const std::string& job, const std::string& name, Place place) {
  return object({{"name", text(name, place)},
                 {"image", text(context.options.kubectl_image)},
                 {"command", texts({"kubectl", "wait", "--for=condition=complete", "--timeout=24h", "job/" + job})},
                 {"securityContext", nobody()}});
}

std::string condition_word(const model::Dependency& dependency) {
  if (dependency.condition == model::Condition::completed_successfully) return "completed";
  const std::string word = dependency.condition == model::Condition::healthy ? "healthy" : "started";
  return dependency.required ? word : "optional-" + word;
}

// Adds the container that waits for one dependency, unless there is nothing to wait for; then the report says so.
void wait_for(Context& context, const Workload& workload, const std::string& member, const std::string& name,
              const model::Dependency& dependency, std::set<std::string>& waited, Value& containers) {
  const std::string path = fmt::format("services.{}.depends_on.{}", member, name);
  const std::string at = path + ".condition";
  if (dependency.required) context.report.exact(path + ".required", "it is waited for");
  if (!context.leader_of.contains(name)) {
    context.report.dropped(path, fmt::format("\"{}\" is not among the pods", name));
    return;
  }
  const Workload& other = context.workload_of(name);
  if (other.leader == workload.leader) {
    context.report.approximated(path, "containers of one pod are started together");
    return;
  }
  const bool other_ends = other.kind == Kind::job || other.kind == Kind::cron_job;
  const std::string container = wait_name(condition_word(dependency), other.name);
  if (name != other.leader)
    context.report.approximated(path, fmt::format("waits for the pod, which is that of \"{}\"", other.leader));
  if (!waited.insert(container).second) return;
  if (dependency.condition == model::Condition::completed_successfully) {
    if (other.kind != Kind::job) {
      context.report.dropped(path, fmt::format("\"{}\" is a {}, which never completes", name, kind_name(other.kind)));
    } else if (!dependency.required) {
      context.report.dropped(path, "a Job that may fail is not waited for");
    } else {
      append(containers, wait_for_job(context, other.name, container, context.at(path)));
      context.job_waiters.insert(workload.name);
    }
    return;
  }
  if (other_ends || !other.has_service) {
    context.report.dropped(path, fmt::format("\"{}\" is a {} without a name to ask for", name, kind_name(other.kind)));
    return;
  }
  append(containers, wait_for_answer(context, other, container, dependency.required, context.at(path)));
  if (dependency.condition == model::Condition::started)
    context.report.approximated(at, "waits until it answers, not only until it is started");
}

Value hook_container(Context& context, const Workload& workload, const std::string& name, const model::Hook& hook,
                     const std::string& path, const std::string& called) {
  const model::Service& service = context.service(name);
  Value container =
      object({{"name", text(called, context.at(path))},
              {"image", text(hook.image.empty() ? image_of(context, name) : hook.image, context.at(path + ".image"))}});
  if (hook.command) put(container, "command", texts(escape_references(*hook.command), context.at(path + ".command")));
  put_environment(context, name, container);
  Value environment = Value::sequence();
  for (const auto& [key, value] : hook.environment)
    if (value)
      append(environment, object({{"name", text(key, context.at(path + ".environment." + key))},
                                  {"value", text(escape_references({*value})[0])}}));
  put(container, "env", std::move(environment));
  Value security = container_security(context, name);
  if (hook.privileged) {
    put(security, "privileged", flag(true, context.at(path + ".privileged")));
    security.entries().erase("allowPrivilegeEscalation");
  }
  if (!hook.user.empty()) {
    const std::size_t colon = hook.user.find(':');
    const auto uid = parse_signed(hook.user.substr(0, colon));
    if (uid) {
      put(security, "runAsUser", number(*uid, context.at(path + ".user")));
      security.entries().erase("runAsGroup");
      if (colon != std::string::npos)
        if (const auto gid = parse_signed(hook.user.substr(colon + 1))) put(security, "runAsGroup", number(*gid));
    } else if (hook.user == "root") {
      put(security, "runAsUser", number(0, context.at(path + ".user")));
    } else {
      context.report.dropped(path + ".user", fmt::format("\"{}\" is a name: write UID:GID", hook.user));
    }
  }
  put(container, "securityContext", std::move(security));
  put(container, "resources", resources_of(context, name));
  Mounts mounts = mounts_of(context, workload, name);
  put(container, "volumeMounts", std::move(mounts.mounts));
  const std::string& folder = hook.working_dir.empty() ? service.working_dir : hook.working_dir;
  if (!folder.empty()) put(container, "workingDir", text(folder));
  return container;
}

Value handler(Context& context, const std::string& path, const std::vector<model::Hook>& hooks) {
  Strings command;
  for (const model::Hook& hook : hooks)
    if (hook.command) command = *hook.command;
  if (hooks.size() > 1) {
    std::string script;
    for (const model::Hook& hook : hooks) {
      std::string line;
      for (const std::string& word : hook.command.value_or(Strings{}))
        line += (line.empty() ? "" : " ") + shell_quote(word);
      script += (script.empty() ? "" : " && ") + line;
    }
    command = {"/bin/sh", "-c", script};
    context.report.approximated(path, "one hook that runs all commands in a shell");
  }
  return object({{"exec", object({{"command", texts(command, context.at(path))}})}});
}

}  // namespace

std::string pre_start_job(const Workload& workload, std::size_t index) {
  return dns_label(fmt::format("{}-pre-start-{}", workload.name, index));
}

void put_lifecycle(Context& context, const std::string& name, Value& container) {
  const model::Service& service = context.service(name);
  const std::string path = "services." + name;
  Value lifecycle = Value::mapping();
  if (!service.post_start.empty())
    put(lifecycle, "postStart", handler(context, path + ".post_start", service.post_start));
  if (!service.pre_stop.empty()) put(lifecycle, "preStop", handler(context, path + ".pre_stop", service.pre_stop));
  put(container, "lifecycle", std::move(lifecycle));
}

void put_init_containers(Context& context, const Workload& workload, Value& pod) {
  Value containers = Value::sequence();
  std::set<std::string> waited;
  for (const std::string& member : workload.members)
    for (const auto& [name, dependency] : context.service(member).depends_on)
      wait_for(context, workload, member, name, dependency, waited, containers);
  const auto& hooks = context.service(workload.leader).pre_start;
  for (std::size_t i = 0; i < hooks.size(); ++i) {
    const std::string path = fmt::format("services.{}.pre_start[{}]", workload.leader, i);
    if (hooks[i].per_replica) {
      append(containers,
             hook_container(context, workload, workload.leader, hooks[i], path, fmt::format("pre-start-{}", i)));
    } else {
      append(containers,
             wait_for_job(context, pre_start_job(workload, i), fmt::format("wait-pre-start-{}", i), context.at(path)));
      context.job_waiters.insert(workload.name);
    }
  }
  for (const std::string& member : workload.members)
    if (member != workload.leader && !context.service(member).pre_start.empty())
      context.report.dropped("services." + member + ".pre_start",
                             fmt::format("the pod is that of \"{}\": write it there", workload.leader));
  put(pod, "initContainers", std::move(containers));
}

// A hook that runs once before all pods is a Job of its own; the pods wait for it.
void export_hooks(Context& context, const Workload& workload) {
  const auto& hooks = context.service(workload.leader).pre_start;
  for (std::size_t i = 0; i < hooks.size(); ++i) {
    if (hooks[i].per_replica) continue;
    const std::string path = fmt::format("services.{}.pre_start[{}]", workload.leader, i);
    const std::string name = pre_start_job(workload, i);
    Value container = hook_container(context, workload, workload.leader, hooks[i], path, "pre-start");
    Value labels = object({{kManagedByLabel, text("compose")},
                           {kNameLabel, text(name)},
                           {kPartOfLabel, text(dns_label(context.project.name))}});
    for (const auto& [network, unused] : context.service(workload.leader).networks)
      put(labels, network_label(network), text("true"));
    Value volumes = Value::sequence();
    add_volumes(context, path, mounts_of(context, workload, workload.leader).volumes, volumes);
    Value pod = object({{"containers", list({std::move(container)})},
                        {"restartPolicy", text("Never")},
                        {"automountServiceAccountToken", flag(false)},
                        {"enableServiceLinks", flag(false)},
                        {"securityContext", pod_security(context, workload)},
                        {"volumes", std::move(volumes)}});
    Value spec = object(
        {{"backoffLimit", number(0)},
         {"template", object({{"metadata", object({{"labels", std::move(labels)}})}, {"spec", std::move(pod)}})}});
    Value metadata = context.metadata(name, name, context.at(path));
    put(metadata, "annotations", object({{fmt::format("{}pre-start-of", kPrefix), text(workload.leader)}}));
    context.add(workload.name, "batch/v1", "Job", std::move(metadata), object({{"spec", std::move(spec)}}),
                context.at(path));
  }
}

}  // namespace compose::kubernetes
