#include "cli/watcher.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/strings.hpp"
#include "cli/container_files.hpp"
#include "cli/tree_watch.hpp"
#include "cli/up_options.hpp"
#include "cli/watch_rules.hpp"
#include "cli/watch_sync.hpp"
#include "image/store.hpp"
#include "runtime/security/user.hpp"
#include "supervisor/client.hpp"
#include "sys/file.hpp"
#include "sys/process.hpp"
#include "sys/program.hpp"

namespace compose::cli {
namespace {

using Clock = std::chrono::steady_clock;
using nlohmann::json;

// A save touches a file several times and a checkout many files: they are one batch when they come this close together,
// but a stream of changes is carried out at least this often.
constexpr auto kQuiet = std::chrono::milliseconds{100};
constexpr auto kLongest = std::chrono::milliseconds{2000};

/// <Dockerfile>.dockerignore goes before .dockerignore, as in a build.
std::string dockerignore_text(const model::Build& build) {
  const std::string name = build.dockerfile.empty() ? "Dockerfile" : build.dockerfile;
  const std::string dockerfile = name.starts_with('/') ? name : build.context + "/" + name;
  for (const std::string& path : {dockerfile + ".dockerignore", build.context + "/.dockerignore"})
    if (auto text = sys::read_file(path)) return *std::move(text);
  return {};
}

/// An account file of the container: a regular file of sane size, or nothing.
std::string account_file(const ContainerRoot& root, const char* path) {
  const auto file = root.open_path(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  struct stat info {};
  if (!file || ::fstat(file->get(), &info) != 0 || !S_ISREG(info.st_mode)) return {};
  return sys::read_all(file->get(), std::size_t{16} << 20).value_or({});
}

/// Who a container's processes are, from its OCI configuration: what is synced belongs to them, as if they had copied
/// it themselves.
Result<CopyOwner> owner_of(const state::Paths& paths, const state::ContainerRecord& container,
                           const ContainerRoot& root) {
  TRY_ASSIGN(const std::string text, sys::read_file(paths.container(container.project, container.id) + "/config.json"));
  const json config = json::parse(text, nullptr, false);
  if (config.is_discarded()) return make_error(Errc::corrupt, "the configuration of container {}", container.name);
  const json user = config.value("process", json::object()).value("user", json::object());
  const std::string name = user.value("username", "");
  if (name.empty()) return CopyOwner{user.value("uid", 0U), user.value("gid", 0U)};
  TRY_ASSIGN(const auto found, runtime::security::resolve_user(name, account_file(root, "/etc/passwd"),
                                                               account_file(root, "/etc/group")));
  return CopyOwner{found.uid, found.gid};
}

std::string quoted(const std::set<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += fmt::format("{}\"{}\"", text.empty() ? "" : " ", name);
  return "[" + text + "]";
}

}  // namespace

struct Watcher::Impl {
  Context& context;
  const model::Project& project;
  WatchSettings settings;
  std::vector<WatchRule> rules;
  TreeWatch tree;
  std::set<std::string> changed{};
  std::set<std::string> interrupted{};  ///< services whose rebuild was ended by newer changes
  Clock::time_point first{};
  Clock::time_point last{};
  bool lost = false;

  void say(const std::string& text) const { settings.say(text); }
  void complain(const std::string& what, const Error& error) const { say(what + ": " + error.message()); }

  void hear() {
    auto changes = tree.read();
    if (!changes) return complain("watching", changes.error());
    lost = lost || changes->lost;
    bool concerns = lost;
    for (const std::string& path : changes->paths)
      if (std::any_of(rules.begin(), rules.end(), [&](const WatchRule& rule) { return rule.matches(path); }))
        concerns = changed.insert(path).second || concerns;
    if (!concerns) return;
    last = Clock::now();
    if (first == Clock::time_point{}) first = last;
  }

  Clock::time_point ripe() const { return std::min(last + kQuiet, first + kLongest); }

  void carry_out() {
    std::set<std::string> paths = std::exchange(changed, {});
    first = {};
    if (std::exchange(lost, false)) {
      say("more changed at once than the kernel tells one by one: everything is compared");
      return catch_up([](const WatchRule&) { return true; }, std::move(paths));
    }
    WatchBatch batch = plan_watch(rules, paths);
    batch.rebuild.merge(interrupted);
    interrupted.clear();
    run(std::move(batch), false);
  }

  /// Whether what has changed meanwhile makes building these services now a waste.
  bool outdated(const std::set<std::string>& services) {
    hear();
    const WatchBatch next = plan_watch(rules, changed);
    return std::ranges::any_of(next.rebuild, [&](const std::string& name) { return services.contains(name); });
  }

  /// Compares what there is with the containers, for the rules `which` chooses.
  template <typename Which>
  void catch_up(Which which, std::set<std::string> paths) {
    std::vector<WatchRule> chosen;
    for (const WatchRule& rule : rules)
      if (rule.syncs() && which(rule)) chosen.push_back(rule);
    if (chosen.empty()) return;
    paths.merge(tree.everything());
    WatchBatch batch = plan_watch(chosen, paths);
    batch.restart.clear();
    batch.exec.clear();
    run(std::move(batch), true);
  }

  void run(WatchBatch batch, bool only_different) {
    if (!batch.rebuild.empty()) rebuild(batch.rebuild);
    for (const auto& [service, paths] : batch.sync)
      if (const auto done = sync(service, paths, only_different); !done)
        complain(fmt::format("cannot sync service \"{}\"", service), done.error());
    for (const auto& [service, hooks] : batch.exec)
      for (const model::Hook& hook : hooks)
        if (const auto done = exec(service, hook); !done)
          complain(fmt::format("service \"{}\"", service), done.error());
    if (batch.restart.empty()) return;
    if (const auto done = ask({{"op", "restart"}, {"services", batch.restart}, {"options", json::object()}}); !done) {
      complain(fmt::format("cannot restart {}", quoted(batch.restart)), done.error());
    } else {
      say(fmt::format("service(s) {} restarted", quoted(batch.restart)));
    }
  }

  Result<std::vector<state::ContainerRecord>> running(const std::string& service) const {
    TRY_ASSIGN(auto all, state::list_containers(context.paths(), project.name));
    std::erase_if(all, [&](const state::ContainerRecord& one) {
      return one.service != service || one.one_off || one.phase != state::Phase::running;
    });
    return all;
  }

  Result<void> sync(const std::string& service, const std::vector<SyncPath>& paths, bool only_different) const {
    TRY_ASSIGN(const auto containers, running(service));
    std::size_t count = 0;
    for (const state::ContainerRecord& container : containers) {
      TRY_ASSIGN(const ContainerRoot root, ContainerRoot::open(context, container, ContainerRoot::Access::write));
      TRY_ASSIGN(CopyOwner owner, owner_of(context.paths(), container, root));
      owner.target = root.ids();
      TRY_ASSIGN(const auto acting, ActingAsContainer::begin(root.ids()));
      std::size_t here = 0;
      for (const SyncPath& path : paths) {
        if (only_different && !sync_differs(root.fd(), path.host, path.container)) continue;
        if (here++ == 0 && count == 0 && !only_different)
          say(fmt::format("Syncing service \"{}\" after {} changes were detected", service, paths.size()));
        TRY(sync_path(root.fd(), path.host, path.container, owner).with("{} in {}", path.container, container.name));
      }
      count = std::max(count, here);
    }
    if (only_different && count != 0) say(fmt::format("Syncing service \"{}\": {} files differed", service, count));
    if (containers.empty() && !only_different)
      say(fmt::format("service \"{}\" does not run: its changes wait for \"sync\" until they are made again", service));
    return {};
  }

  Result<void> ask(const json& request) const {
    TRY_ASSIGN(auto client, supervisor::Client::connect(context.paths(), project.name, supervisor::Spawn::if_absent));
    TRY_ASSIGN(const auto outcome, client.request(request, [&](const json& event) {
      if (event.value("event", "") == "warning") say(event.value("text", ""));
    }));
    if (!outcome.ok) return Error{Errc::failed, outcome.error};
    return {};
  }

  void rebuild(const std::set<std::string>& services) {
    say(fmt::format("Rebuilding service(s) {} after changes were detected...", quoted(services)));
    std::map<std::string, std::string> before;
    for (const std::string& service : services)
      if (const auto containers = running(service); containers && !containers->empty())
        before[service] = containers->front().image_id;
    UpOptions options;
    options.build = true;
    options.no_deps = true;
    options.quiet_build = settings.quiet;
    bool newer = false;  // than what is being built
    options.stop = {tree.fd(), [&] { return newer = outdated(services); }};
    const Strings names{services.begin(), services.end()};
    const auto request = apply_request(context, project, names, options, "apply");
    if (newer) {
      say(fmt::format("service(s) {} changed again: the build is begun anew", quoted(services)));
      interrupted = services;
      return;
    }
    // Ctrl-C: the build has taken the signal from whoever waits for it.
    if (!request && request.error().code() == Errc::cancelled) return static_cast<void>(::kill(::getpid(), SIGINT));
    if (!request) return complain("cannot rebuild", request.error());
    say(fmt::format("service(s) {} successfully built", quoted(services)));
    if (const auto done = ask(*request); !done)
      return complain(fmt::format("cannot recreate {}", quoted(services)), done.error());
    if (!settings.prune) return;
    for (const auto& [service, image] : before)
      if ((*request)["images"].value(service, image) != image) remove_image(image);
  }

  /// The image a rebuild has replaced, when nothing names or uses it.
  void remove_image(const std::string& id) const {
    auto store = image::Store::open(context.paths().root());
    if (!store) return;
    const auto image = store->find(id);
    if (!image || !*image || !(*image)->names.empty()) return;
    Strings in_use;
    const auto projects = state::list_projects(context.paths());
    if (!projects) return;
    for (const auto& one : *projects) {
      const auto containers = state::list_containers(context.paths(), one.name);
      if (!containers) return;
      for (const auto& container : *containers) in_use.push_back(container.image_id);
    }
    if (const auto removed = store->remove(id, false, in_use); !removed && removed.error().code() != Errc::busy)
      complain("removing the replaced image", removed.error());
  }

  Result<void> exec(const std::string& service, const model::Hook& hook) const {
    TRY_ASSIGN(const auto containers, running(service));
    TRY_ASSIGN(const std::string program, sys::program_path("compose-runtime"));
    for (const state::ContainerRecord& container : containers) {
      Strings arguments = {program, "--root", context.paths().run_containers(), "exec"};
      const auto add = [&](const Strings& words) { arguments.insert(arguments.end(), words.begin(), words.end()); };
      if (hook.privileged) add({"--privileged"});
      if (!hook.user.empty()) add({"--user", hook.user});
      if (!hook.working_dir.empty()) add({"--cwd", hook.working_dir});
      for (const auto& [name, value] : hook.environment)
        if (value) add({"--env", name + "=" + *value});
      add({container.id});
      add(*hook.command);
      TRY_ASSIGN(const int code, run_with_output(program, arguments, container.name));
      if (code != 0)
        return make_error(Errc::failed, "\"{}\" ended with code {} in {}", join(*hook.command, " "), code,
                          container.name);
    }
    return {};
  }

  Result<int> run_with_output(const std::string& program, const Strings& arguments, const std::string& name) const {
    int pipe[2];
    if (::pipe2(pipe, O_CLOEXEC) != 0) return os_error("making a pipe");
    const UniqueFd reader{pipe[0]};
    UniqueFd writer{pipe[1]};
    const UniqueFd null{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
    sys::SpawnOptions spawn;
    spawn.program = program;
    spawn.arguments = arguments;
    spawn.fds = {{null.get(), 0}, {writer.get(), 1}, {writer.get(), 2}};
    TRY_ASSIGN(const sys::Child child, sys::spawn(spawn));
    writer = UniqueFd{};
    std::string open_line;
    char buffer[4096];
    while (true) {
      const ssize_t size = ::read(reader.get(), buffer, sizeof buffer);
      if (size < 0 && errno == EINTR) continue;
      if (size <= 0) break;
      open_line.append(buffer, static_cast<std::size_t>(size));
      for (std::size_t end; (end = open_line.find('\n')) != std::string::npos; open_line.erase(0, end + 1))
        say(fmt::format("{}: {}", name, open_line.substr(0, end)));
    }
    if (!open_line.empty()) say(fmt::format("{}: {}", name, open_line));
    TRY_ASSIGN(const sys::ExitStatus status, sys::wait_child(child.pid));
    return status.code;
  }
};

Watcher::Watcher(std::unique_ptr<Impl> impl) : impl_{std::move(impl)} {}
Watcher::Watcher(Watcher&&) noexcept = default;
Watcher::~Watcher() = default;

Result<Watcher> Watcher::open(Context& context, const model::Project& project, const Strings& services,
                              const WatchSettings& settings) {
  TRY_ASSIGN(WatchRules found, watch_rules(project, services, dockerignore_text));
  for (const std::string& warning : found.warnings) settings.say(warning);
  std::set<std::string> paths;
  for (const WatchRule& rule : found.rules) paths.insert(rule.trigger.path);
  const auto prune = [rules = found.rules](const std::string& folder) {
    return std::all_of(rules.begin(), rules.end(), [&](const WatchRule& rule) { return rule.prunes(folder); });
  };
  TRY_ASSIGN(TreeWatch tree, TreeWatch::open({paths.begin(), paths.end()}, prune));
  return Watcher{std::make_unique<Impl>(context, project, settings, std::move(found.rules), std::move(tree))};
}

Result<void> Watcher::check(const model::Project& project, const Strings& services) {
  TRY(watch_rules(project, services, [](const model::Build&) { return std::string{}; }));
  return {};
}

void Watcher::begin() {
  impl_->catch_up([](const WatchRule& rule) { return rule.trigger.initial_sync; }, {});
}

int Watcher::fd() const { return impl_->tree.fd(); }

int Watcher::timeout() const {
  if (impl_->first == Clock::time_point{}) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(impl_->ripe() - Clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, 10'000));
}

void Watcher::turn() {
  impl_->hear();
  if (impl_->first != Clock::time_point{} && Clock::now() >= impl_->ripe()) impl_->carry_out();
}

// ---- beside an attached up

struct BackgroundWatch::Impl {
  // A context of its own: progress is not shared between threads.
  std::unique_ptr<Context> context;
  model::Project project;
  UniqueFd stop;
  UniqueFd ready;
  std::mutex mutex;
  Strings said;
  std::optional<Watcher> watcher;
  std::thread thread;

  void say(const std::string& text) {
    const std::lock_guard lock{mutex};
    said.push_back(text);
    const std::uint64_t one = 1;
    static_cast<void>(::write(ready.get(), &one, sizeof one) == sizeof one);
  }

  void follow() {
    watcher->begin();
    while (true) {
      pollfd polled[] = {{watcher->fd(), POLLIN, 0}, {stop.get(), POLLIN, 0}};
      if (::poll(polled, 2, watcher->timeout()) < 0 && errno != EINTR) return;
      if (polled[1].revents != 0) return;
      watcher->turn();
    }
  }
};

BackgroundWatch::BackgroundWatch(std::unique_ptr<Impl> impl) : impl_{std::move(impl)} {}

Result<std::unique_ptr<BackgroundWatch>> BackgroundWatch::start(const Context& context, const model::Project& project,
                                                                const Strings& services,
                                                                const WatchSettings& settings) {
  auto impl = std::make_unique<Impl>();
  GlobalOptions quiet = context.options();
  quiet.progress_mode = ProgressMode::quiet;
  impl->context = std::make_unique<Context>(std::move(quiet), context.program());
  impl->project = project;
  impl->stop = UniqueFd{::eventfd(0, EFD_CLOEXEC)};
  impl->ready = UniqueFd{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  if (!impl->stop.valid() || !impl->ready.valid()) return os_error("making an event descriptor");
  WatchSettings own = settings;
  own.say = [raw = impl.get()](const std::string& text) { raw->say(text); };
  TRY_ASSIGN(Watcher watcher, Watcher::open(*impl->context, impl->project, services, own));
  impl->watcher.emplace(std::move(watcher));
  impl->thread = std::thread{[raw = impl.get()] { raw->follow(); }};
  return std::unique_ptr<BackgroundWatch>{new BackgroundWatch{std::move(impl)}};
}

BackgroundWatch::~BackgroundWatch() {
  const std::uint64_t one = 1;
  static_cast<void>(::write(impl_->stop.get(), &one, sizeof one) == sizeof one);
  impl_->thread.join();
}

int BackgroundWatch::fd() const { return impl_->ready.get(); }

Strings BackgroundWatch::lines() {
  std::uint64_t count = 0;
  static_cast<void>(::read(impl_->ready.get(), &count, sizeof count) == sizeof count);
  const std::lock_guard lock{impl_->mutex};
  return std::exchange(impl_->said, {});
}

}  // namespace compose::cli
