// compose kubernetes apply, diff, status, logs, delete: the project on a cluster, through kubectl.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <set>

#include "base/strings.hpp"
#include "cli/commands/all.hpp"
#include "cli/context.hpp"
#include "cli/kubernetes_export.hpp"
#include "cli/project_loading.hpp"
#include "compose/kubernetes/names.hpp"
#include "compose/kubernetes/tree.hpp"
#include "sys/file.hpp"
#include "sys/process.hpp"

namespace compose::cli {
namespace {

// Kinds that hold no data: they go when the project no longer has them.
constexpr const char* kKinds =
    "deployments.apps,statefulsets.apps,daemonsets.apps,jobs.batch,cronjobs.batch,services,configmaps,"
    "networkpolicies.networking.k8s.io,ingresses.networking.k8s.io,poddisruptionbudgets.policy,serviceaccounts,"
    "roles.rbac.authorization.k8s.io,rolebindings.rbac.authorization.k8s.io";

struct Options {
  ExportFlags flags;
  std::string kube_context;
  std::string name_space;
  std::string kubeconfig;
  bool push = false;
  bool no_prune = false;
  bool replace_jobs = false;
  bool force_conflicts = false;
  bool dry_run = false;
  bool volumes = false;
  bool follow = false;
  bool previous = false;
  bool timestamps = false;
  std::string since;
  std::string tail;
};

Result<std::string> find_kubectl() {
  const char* path = std::getenv("PATH");  // NOLINT(concurrency-mt-unsafe): nothing here sets variables
  for (const std::string& folder : split(path == nullptr ? "" : path, ':')) {
    const std::string program = (folder.empty() ? "." : folder) + "/kubectl";
    if (::access(program.c_str(), X_OK) == 0) return program;
  }
  return make_error(Errc::not_found,
                    "kubectl is not on the path: install it (Debian: kubernetes-client), or write the manifests "
                    "with \"compose export kubernetes\" and apply them elsewhere");
}

class Kubectl {
 public:
  Kubectl(std::string program, const Options& options) : program_{std::move(program)} {
    base_ = {"kubectl"};
    if (!options.kubeconfig.empty()) base_.push_back("--kubeconfig=" + options.kubeconfig);
    if (!options.kube_context.empty()) base_.push_back("--context=" + options.kube_context);
    if (!options.name_space.empty()) base_.push_back("--namespace=" + options.name_space);
  }

  /// Runs kubectl on our terminal, `input` as its standard input; its exit code.
  Result<int> run(const Strings& words, const std::string* input = nullptr) const {
    sys::SpawnOptions options = prepared(words);
    UniqueFd in;
    if (input != nullptr) {
      TRY_ASSIGN(in, file_of(*input));
      options.fds.push_back({in.get(), STDIN_FILENO});
    }
    TRY_ASSIGN(const sys::Child child, sys::spawn(options));
    TRY_ASSIGN(const sys::ExitStatus status, sys::wait_child(child.pid));
    return status.code;
  }

  /// Several calls side by side on our terminal, none waiting for another; the first exit code that is not 0.
  Result<int> run_all(const std::vector<Strings>& calls) const {
    std::vector<pid_t> children;
    Result<void> started;
    for (const Strings& words : calls) {
      const auto child = sys::spawn(prepared(words));
      if (child.ok())
        children.push_back(child->pid);
      else
        started = child.error();
    }
    int code = 0;
    for (const pid_t child : children) {
      TRY_ASSIGN(const sys::ExitStatus status, sys::wait_child(child));
      if (code == 0) code = status.code;
    }
    TRY(std::move(started));
    return code;
  }

  /// What kubectl prints; an error when it fails (it has said why on standard error).
  Result<std::string> output(const Strings& words) const {
    int ends[2] = {-1, -1};
    if (::pipe2(ends, O_CLOEXEC) != 0) return os_error("pipe");
    UniqueFd reading{ends[0]};
    UniqueFd writing{ends[1]};
    sys::SpawnOptions options = prepared(words);
    options.fds.push_back({writing.get(), STDOUT_FILENO});
    TRY_ASSIGN(const sys::Child child, sys::spawn(options));
    writing.reset();
    auto text = sys::read_all(reading.get());
    TRY_ASSIGN(const sys::ExitStatus status, sys::wait_child(child.pid));
    TRY_ASSIGN(const std::string all, std::move(text));
    if (status.code != 0) return make_error(Errc::failed, "kubectl {} failed with {}", words[0], status.code);
    return all;
  }

 private:
  sys::SpawnOptions prepared(const Strings& words) const {
    sys::SpawnOptions options;
    options.program = program_;
    options.arguments = base_;
    options.arguments.insert(options.arguments.end(), words.begin(), words.end());
    return options;
  }

  /// The text as a file without a name: kubectl may take as long as it likes to read it.
  static Result<UniqueFd> file_of(const std::string& text) {
    UniqueFd file{::memfd_create("manifests", MFD_CLOEXEC)};
    if (!file.valid()) return os_error("memfd_create");
    TRY(sys::write_all(file.get(), text));
    if (::lseek(file.get(), 0, SEEK_SET) != 0) return os_error("lseek");
    return file;
  }

  std::string program_;
  Strings base_;
};

Result<Kubectl> kubectl(const Options& options) {
  TRY_ASSIGN(std::string program, find_kubectl());
  return Kubectl{std::move(program), options};
}

std::string selector(const std::string& project) {
  return fmt::format("{}={},{}=compose", kubernetes::kPartOfLabel, kubernetes::dns_label(project),
                     kubernetes::kManagedByLabel);
}

/// "deployment.apps/web", as kubectl -o name calls an object.
std::string name_of(const kubernetes::Value& object) {
  const std::string api = kubernetes::text_at(object, {"apiVersion"});
  const std::size_t slash = api.find('/');
  const std::string group = slash == std::string::npos ? "" : "." + api.substr(0, slash);
  return to_lower(kubernetes::text_at(object, {"kind"})) + group + "/" +
         kubernetes::text_at(object, {"metadata", "name"});
}

/// Deletes objects of ours that the project has no more; never claims and secrets, which hold data.
Result<int> prune(const Kubectl& program, const ExportedProject& project) {
  TRY_ASSIGN(const std::string listed,
             program.output({"get", kKinds, "--selector=" + selector(project.name), "--output=name"}));
  std::set<std::string> kept;
  for (const kubernetes::Manifest& manifest : project.exported.manifests) kept.insert(name_of(manifest.object));
  Strings words = {"delete"};
  for (const std::string& name : split(listed, '\n'))
    if (!name.empty() && !kept.contains(name)) words.push_back(name);
  if (words.size() == 1) return 0;
  return program.run(words);
}

Result<int> replace_jobs(const Kubectl& program, const ExportedProject& project) {
  return program.run({"delete", "jobs.batch", "--selector=" + selector(project.name), "--ignore-not-found"});
}

Result<int> apply(Context& context, Options& options) {
  TRY_ASSIGN(const Kubectl program, kubectl(options));
  if (options.push) {
    TRY_ASSIGN(const int pushed, push_command().run(context, {}));
    if (pushed != 0) return pushed;
  }
  TRY_ASSIGN(const ExportedProject project, export_loaded(context, options.flags, load_options(context)));
  const std::string stream = kubernetes::stream_of(project.exported);
  if (options.replace_jobs && !options.dry_run) {
    TRY_ASSIGN(const int code, replace_jobs(program, project));
    if (code != 0) return code;
  }
  Strings words = {"apply", "--server-side", "--field-manager=compose"};
  if (options.force_conflicts) words.push_back("--force-conflicts");
  if (options.dry_run) words.push_back("--dry-run=server");
  words.insert(words.end(), {"--filename", "-"});
  TRY_ASSIGN(const int code, program.run(words, &stream));
  if (code != 0 || options.no_prune || options.dry_run) return code;
  return prune(program, project);
}

Result<int> diff(Context& context, Options& options) {
  TRY_ASSIGN(const Kubectl program, kubectl(options));
  TRY_ASSIGN(const ExportedProject project, export_loaded(context, options.flags, load_options(context)));
  const std::string stream = kubernetes::stream_of(project.exported);
  return program.run({"diff", "--server-side", "--field-manager=compose", "--filename", "-"}, &stream);
}

Result<int> status(Context& context, Options& options) {
  TRY_ASSIGN(const Kubectl program, kubectl(options));
  TRY_ASSIGN(const ProjectScope scope, context.scope({.name_is_enough = true}));
  return program.run(
      {"get", "deployments,statefulsets,daemonsets,jobs,cronjobs,pods,services,ingresses,persistentvolumeclaims",
       "--selector=" + selector(scope.name), "--output=wide"});
}

/// What the name label of a service's pods may say; `container` is set when other services share them.
Result<Strings> pod_names(const ProjectScope& scope, const std::string& service, std::string& container) {
  const bool unknown = !scope.project || scope.project->disabled_services.contains(service);
  if (unknown) return Strings{kubernetes::dns_label(service)};
  if (!scope.project->services.contains(service)) return make_error(Errc::not_found, "no such service: {}", service);
  kubernetes::PodOf pod = kubernetes::pod_of(*scope.project, service);
  if (pod.shared) container = kubernetes::dns_label(service);
  return std::move(pod.names);
}

/// The calls of kubectl logs: one for all services that have pods of their own (or for the whole project), one for each
/// container of a pod that several services share.
Result<std::vector<Strings>> selections(const ProjectScope& scope, const Strings& services) {
  const std::string all = "--selector=" + selector(scope.name);
  if (services.empty()) return std::vector<Strings>{{all, "--all-containers"}};
  const auto of_pods = [&](const Strings& names) {
    return fmt::format("{},{} in ({})", all, kubernetes::kNameLabel, join(names, ","));
  };
  Strings alone;
  std::vector<Strings> calls;
  for (const std::string& service : services) {
    std::string container;
    TRY_ASSIGN(const Strings names, pod_names(scope, service, container));
    if (container.empty())
      alone.insert(alone.end(), names.begin(), names.end());
    else
      calls.push_back({of_pods(names), "--container=" + container});
  }
  if (!alone.empty()) calls.push_back({of_pods(alone), "--all-containers"});
  return calls;
}

Result<int> logs(Context& context, Options& options, const Strings& services) {
  TRY_ASSIGN(const Kubectl program, kubectl(options));
  TRY_ASSIGN(const ProjectScope scope, context.scope({.services = services, .name_is_enough = true}));
  TRY_ASSIGN(std::vector<Strings> calls, selections(scope, services));
  Strings how = {"--prefix", "--max-log-requests=50"};
  if (options.follow) how.push_back("--follow");
  if (options.previous) how.push_back("--previous");
  if (options.timestamps) how.push_back("--timestamps");
  if (!options.since.empty()) how.push_back("--since=" + options.since);
  how.push_back("--tail=" + (options.tail.empty() || options.tail == "all" ? std::string{"-1"} : options.tail));
  for (Strings& call : calls) {
    call.insert(call.begin(), "logs");
    call.insert(call.end(), how.begin(), how.end());
  }
  return program.run_all(calls);
}

Result<int> remove(Context& context, Options& options) {
  TRY_ASSIGN(const Kubectl program, kubectl(options));
  TRY_ASSIGN(const ProjectScope scope, context.scope({.name_is_enough = true}));
  std::string kinds = kKinds;
  if (options.volumes) kinds += ",persistentvolumeclaims,secrets";
  return program.run({"delete", kinds, "--selector=" + selector(scope.name), "--ignore-not-found"});
}

using Run = Result<int> (*)(Context&, Options&);

Command make_command(std::string_view name, std::string_view summary, std::shared_ptr<Options> options, bool exports) {
  Command command{.name = name, .usage = "[OPTIONS]", .summary = summary};
  if (exports) command.flags = export_flags(options->flags);
  command.flags.push_back({"context", 0, &options->kube_context, "Context of the kubeconfig", "NAME"});
  command.flags.push_back({"kubeconfig", 0, &options->kubeconfig, "File that says where the cluster is", "FILE"});
  command.flags.push_back({"namespace", 'n', &options->name_space, "Namespace in the cluster", "NAME"});
  command.max_args = 0;
  return command;
}

Command finished(Command command, std::shared_ptr<Options> options, Run run) {
  command.run = [options, run](Context& context, const Strings&) { return run(context, *options); };
  return command;
}

}  // namespace

Command kubernetes_apply_command() {
  auto options = std::make_shared<Options>();
  Command command = make_command("kubernetes apply", "Bring the project to a cluster", options, true);
  command.details =
      "kubectl apply --server-side; then objects of the project that it no longer has are deleted, but claims and "
      "secrets. A Job cannot be "
      "changed, only replaced: --replace-jobs deletes the project's Jobs first, so that they run again.";
  command.flags.push_back({"dry-run", 0, &options->dry_run, "Let the cluster check, change nothing"});
  command.flags.push_back({"force-conflicts", 0, &options->force_conflicts, "Take over fields that others have set"});
  command.flags.push_back({"no-prune", 0, &options->no_prune, "Keep objects that the project no longer has"});
  command.flags.push_back({"push", 0, &options->push, "Push the images first"});
  command.flags.push_back(
      {"replace-jobs", 0, &options->replace_jobs, "Delete the project's Jobs first: they run again"});
  return finished(std::move(command), options, apply);
}

Command kubernetes_diff_command() {
  auto options = std::make_shared<Options>();
  Command command = make_command("kubernetes diff", "Show what apply would change", options, true);
  command.details = "Exit code 1: there are differences.";
  return finished(std::move(command), options, diff);
}

Command kubernetes_status_command() {
  auto options = std::make_shared<Options>();
  return finished(make_command("kubernetes status", "List what the project has in a cluster", options, false), options,
                  status);
}

Command kubernetes_logs_command() {
  auto options = std::make_shared<Options>();
  Command command = make_command("kubernetes logs", "Show what pods wrote", options, false);
  command.usage = "[OPTIONS] [SERVICE...]";
  command.max_args = SIZE_MAX;
  command.complete = Complete::services;
  command.flags.push_back({"follow", 'f', &options->follow, "Go on as more comes"});
  command.flags.push_back({"previous", 0, &options->previous, "Of the containers before the last restart"});
  command.flags.push_back({"since", 0, &options->since, "Only what is newer than this, such as 5m", "DURATION"});
  command.flags.push_back({"tail", 0, &options->tail, "Only the last N lines of each container", "N"});
  command.flags.push_back({"timestamps", 't', &options->timestamps, "With the time of each line"});
  command.run = [options](Context& context, const Strings& services) { return logs(context, *options, services); };
  return command;
}

Command kubernetes_delete_command() {
  auto options = std::make_shared<Options>();
  Command command = make_command("kubernetes delete", "Take the project from a cluster", options, false);
  command.flags.push_back({"volumes", 'v', &options->volumes, "Also its claims and secrets, with their data"});
  return finished(std::move(command), options, remove);
}

}  // namespace compose::cli
