#include "cli/builds.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

#include "base/strings.hpp"
#include "build/builder.hpp"
#include "cli/pulls.hpp"
#include "cli/service_images.hpp"
#include "cli/session.hpp"
#include "container/seccomp_profile.hpp"
#include "container/spec.hpp"
#include "image/registry/manifest.hpp"
#include "image/store.hpp"
#include "runtime/spec/spec.hpp"

namespace compose::cli {
namespace {

struct Job {
  std::string service;
  std::string image;
  build::BuildRequest request;
  std::shared_ptr<build::RemoteContext> remote;  ///< keeps a fetched context
  std::set<std::size_t> waits_for;               ///< jobs whose images this one is built from
  bool started = false;
  bool done = false;
  std::string image_id;
  std::optional<Error> error;
};

Result<void> apply_build_args(build::BuildRequest& request, const Strings& arguments) {
  for (const std::string& argument : arguments) {
    const std::size_t equals = argument.find('=');
    const std::string name = argument.substr(0, equals);
    if (name.empty()) return make_error(Errc::invalid, "--build-arg \"{}\" has no name", argument);
    if (equals != std::string::npos) {
      request.build.args[name] = argument.substr(equals + 1);
    } else if (const char* value = std::getenv(name.c_str()); value != nullptr) {
      request.build.args[name] = value;
    }
  }
  return {};
}

void add_secrets(build::BuildRequest& request, const model::Project& project) {
  for (const model::FileReference& reference : request.build.secrets) {
    const auto found = project.secrets.find(reference.source);
    if (found == project.secrets.end()) continue;
    build::BuildSecret secret;
    secret.file = found->second.file;
    if (secret.file.empty()) secret.content = found->second.content;
    request.secrets[reference.source] = std::move(secret);
  }
}

std::map<std::string, std::string> proxy_arguments() {
  std::map<std::string, std::string> arguments;
  for (const char* name : {"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"})
    if (const char* value = std::getenv(name); value != nullptr) arguments[name] = value;
  return arguments;
}

/// An error at the place of the service's `build:`.
Error at_build(const model::Project& project, const std::string& service, const Error& error) {
  const auto position = project.where("services." + service + ".build");
  const std::string where = position.known() ? position.to_string() + ": " : std::string{};
  return Error{error.code(), fmt::format("{}service \"{}\": {}", where, service, error.message())};
}

/// Ctrl-C and its like end the builds while this lives, and so does `stop`.
class InterruptGuard {
 public:
  static Result<std::unique_ptr<InterruptGuard>> create(const BuildStop& stop) {
    TRY_ASSIGN(Signals signals, Signals::take({SIGINT, SIGTERM, SIGHUP}));
    UniqueFd done{::eventfd(0, EFD_CLOEXEC)};
    if (!done.valid()) return os_error("eventfd");
    return std::unique_ptr<InterruptGuard>{new InterruptGuard{std::move(signals), std::move(done), stop}};
  }
  ~InterruptGuard() {
    const std::uint64_t one = 1;
    (void)!::write(done_.get(), &one, sizeof one);
    thread_.join();
  }
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;
  build::Cancellation& cancellation() { return cancellation_; }

 private:
  InterruptGuard(Signals signals, UniqueFd done, const BuildStop& stop)
      : signals_{std::move(signals)}, done_{std::move(done)}, stop_{stop} {
    thread_ = std::thread{[this] {
      if (asked()) cancellation_.cancel();
    }};
  }
  /// Waits until somebody wants the builds to end, or this ends.
  bool asked() {
    while (true) {
      pollfd polled[] = {{signals_.fd(), POLLIN, 0}, {stop_.fd, POLLIN, 0}, {done_.get(), POLLIN, 0}};
      if (::poll(polled, std::size(polled), -1) < 0 && errno != EINTR) return false;
      if (signals_.next() != 0) return true;
      if (polled[2].revents != 0) return false;
      if (polled[1].revents != 0 && stop_.asked()) return true;
    }
  }
  Signals signals_;
  UniqueFd done_;
  BuildStop stop_;
  build::Cancellation cancellation_;
  std::thread thread_;
};

/// RUN steps get Docker's default seccomp profile for the capabilities they have.
std::function<Result<void>(runtime::spec::Spec&)> seccomp_setter(const container::HostInfo& host) {
  return [host](runtime::spec::Spec& spec) -> Result<void> {
    container::SeccompConditions conditions{{}, host.architecture, host.kernel_major, host.kernel_minor};
    if (spec.process && spec.process->capabilities) conditions.capabilities = spec.process->capabilities->bounding;
    TRY_ASSIGN(spec.linux_.seccomp, container::resolve_default_seccomp(conditions));
    return {};
  };
}

/// Of several platforms the service's, or this machine's; a list without that stays, and is refused later.
void choose_platform(model::Build& build, const std::string& wanted) {
  const auto platform = image::registry::parse_platform(wanted);
  const auto fits = [&](const std::string& text) {
    const auto one = image::registry::parse_platform(text);
    return one && platform && one->os == platform->os && one->architecture == platform->architecture;
  };
  const auto found = std::find_if(build.platforms.begin(), build.platforms.end(), fits);
  if (found != build.platforms.end()) build.platforms = {*found};
}

/// What the flags of `build` and the service add to its `build:`.
Result<void> add_settings(build::BuildRequest& request, const model::Service& service, const BuildSettings& settings) {
  model::Build& build = request.build;
  std::string platform = service.platform;
  const char* usual = std::getenv("DOCKER_DEFAULT_PLATFORM");
  if (platform.empty() && usual != nullptr) platform = usual;
  if (build.platforms.empty() && !platform.empty()) build.platforms = {platform};
  if (settings.one_platform && build.platforms.size() > 1) choose_platform(build, platform);
  if (!settings.provenance.empty()) build.provenance = settings.provenance;
  if (!settings.sbom.empty()) build.sbom = settings.sbom;
  for (const std::string& agent : settings.ssh) {
    const std::size_t equals = agent.find('=');
    build.ssh[agent.substr(0, equals)] = equals == std::string::npos ? "" : agent.substr(equals + 1);
  }
  TRY(apply_build_args(request, settings.build_args));
  // As buildx does: builds are reproducible when the caller's environment asks for it.
  const char* epoch = std::getenv("SOURCE_DATE_EPOCH");
  if (epoch != nullptr && !build.args.contains("SOURCE_DATE_EPOCH")) build.args["SOURCE_DATE_EPOCH"] = epoch;
  return build::check_build_keys(build);
}

Result<std::vector<Job>> make_jobs(Context& context, image::Store& store, const model::Project& project,
                                   const Strings& services, const BuildSettings& settings) {
  std::vector<Job> jobs;
  TRY_ASSIGN(const container::HostInfo host, container::probe_host(false));
  for (const std::string& name : services) {
    const model::Service& service = service_of(project, name);
    if (!service.build) continue;
    Job job;
    job.service = name;
    job.image = image_name(context, project, service);
    job.request.build = *service.build;
    job.request.tags = {job.image};
    job.request.no_cache = settings.no_cache;
    job.request.pull = settings.pull || service.build->pull;
    job.request.finish_spec = seccomp_setter(host);
    job.request.proxy_args = proxy_arguments();
    job.request.run_root = context.paths().run_root();
    for (const auto& [other, described] : project.services)
      job.request.named_images["service:" + other] = image_name(context, project, described);
    add_secrets(job.request, project);
    const Result<void> added = add_settings(job.request, service, settings);
    if (!added) return at_build(project, name, added.error());
    Result<std::shared_ptr<build::RemoteContext>> remote = build::fetch_remote_context(job.request, store);
    if (!remote) return at_build(project, name, remote.error());
    job.remote = std::move(*remote);
    jobs.push_back(std::move(job));
  }
  return jobs;
}

/// The services, and those whose images are contexts of their builds ("service:NAME"): Docker builds these along, too.
Strings with_contexts(const model::Project& project, const Strings& services) {
  Strings all = services;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const model::Service& service = service_of(project, all[i]);
    if (!service.build) continue;
    for (const auto& [name, source] : service.build->additional_contexts) {
      const std::string other = source.starts_with("service:") ? source.substr(8) : "";
      if (project.services.contains(other) && std::find(all.begin(), all.end(), other) == all.end())
        all.push_back(other);
    }
  }
  return all;
}

/// A job waits for those that make an image its Dockerfile names.
Result<void> order_jobs(const model::Project& project, std::vector<Job>& jobs) {
  std::map<std::string, std::size_t> makers;
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    makers[familiar(jobs[i].image)] = i;
    for (const std::string& tag : jobs[i].request.build.tags) makers.try_emplace(familiar(tag), i);
  }
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    auto bases = build::base_images(jobs[i].request);
    if (!bases) {
      const auto position = project.where("services." + jobs[i].service + ".build");
      return std::move(bases).error().add_context(
          fmt::format("{}: service \"{}\"", position.to_string(), jobs[i].service));
    }
    for (const auto& [name, source] : jobs[i].request.build.additional_contexts)
      if (source.starts_with("service:") && jobs[i].request.named_images.contains(source))
        bases->push_back(jobs[i].request.named_images[source]);
    for (const std::string& base : *bases)
      if (const auto maker = makers.find(familiar(base)); maker != makers.end() && maker->second != i)
        jobs[i].waits_for.insert(maker->second);
  }
  return {};
}

/// Runs the jobs on threads; each job's steps are shown as it goes.
class BuildRun {
 public:
  BuildRun(Context& context, image::Store& store, std::vector<Job>& jobs, bool quiet)
      : progress_{context.progress()}, store_{store}, registries_{context}, jobs_{jobs}, quiet_{quiet} {
    const int limit = context.options().parallel.value_or(-1);
    const unsigned processors = std::max(2U, std::thread::hardware_concurrency());
    workers_ = std::min<std::size_t>(jobs.size(), limit > 0 ? static_cast<std::size_t>(limit) : processors);
  }

  void run() {
    std::vector<std::thread> threads;
    for (std::size_t i = 1; i < workers_; ++i) threads.emplace_back([this] { work(); });
    work();
    for (std::thread& thread : threads) thread.join();
  }

 private:
  void work() {
    std::unique_lock lock{mutex_};
    while (true) {
      Job* job = nullptr;
      wake_.wait(lock, [&] { return (job = take()) != nullptr || finished(); });
      if (job == nullptr) return;
      lock.unlock();
      build_one(*job);
      lock.lock();
      job->done = true;
      wake_.notify_all();
    }
  }

  bool finished() const {
    return failed_ || std::all_of(jobs_.begin(), jobs_.end(), [](const Job& job) { return job.started; });
  }

  /// A job that can start now; a circle among jobs (an old image serves as the base) is cut at its first member.
  Job* take() {
    if (failed_) return nullptr;
    bool running = false;
    Job* any = nullptr;
    for (Job& job : jobs_) {
      running = running || (job.started && !job.done);
      if (job.started) continue;
      if (any == nullptr) any = &job;
      const bool ready =
          std::all_of(job.waits_for.begin(), job.waits_for.end(), [&](std::size_t other) { return jobs_[other].done; });
      if (!ready) continue;
      job.started = true;
      return &job;
    }
    if (any == nullptr || running) return nullptr;
    any->started = true;
    return any;
  }

  void build_one(Job& job) {
    show(job, "Building", ProgressEvent::Status::working, {});
    std::deque<std::string> last;
    job.request.progress = [this, &job, &last](const build::BuildEvent& event) { step(job, event, last); };
    job.request.registry = [this] { return registries_.client(); };
    auto image = build::build(job.request, store_, [this](const std::string& name, const std::string& platform) {
      return registries_.pull_one(name, platform);
    });
    if (image) {
      job.image_id = image->id;
      show(job, "Built", ProgressEvent::Status::done, {});
      return;
    }
    show(job, "Error", ProgressEvent::Status::error, {});
    if (progress_.redraws() || quiet_)
      for (const std::string& line : last) progress_.line(line);
    job.error = std::move(image).error();
    const std::lock_guard lock{mutex_};
    failed_ = true;
  }

  void show(const Job& job, std::string text, ProgressEvent::Status status, std::string details) {
    progress_.event(
        {.kind = "Image", .name = job.image, .text = std::move(text), .status = status, .details = std::move(details)});
  }

  void step(const Job& job, const build::BuildEvent& event, std::deque<std::string>& last) {
    using Kind = build::BuildEvent::Kind;
    constexpr std::size_t kKept = 20;
    if (event.kind == Kind::output || event.kind == Kind::started) {
      last.push_back(event.kind == Kind::started ? "> " + event.name : event.text);
      if (last.size() > kKept) last.pop_front();
    }
    if (quiet_) return;
    if (event.kind == Kind::warning) progress_.line(fmt::format("{}: warning: {}", job.service, event.text));
    if (progress_.redraws()) {
      if (event.kind == Kind::started) show(job, "Building", ProgressEvent::Status::working, event.name);
      return;
    }
    const std::string head =
        jobs_.size() > 1 ? fmt::format("{} #{} ", job.service, event.step) : fmt::format("#{} ", event.step);
    if (event.kind == Kind::started) progress_.line(head + event.name);
    if (event.kind == Kind::cached) progress_.line(head + event.name + "\n" + head + "CACHED");
    if (event.kind == Kind::output) progress_.line(head + event.text);
    if (event.kind == Kind::done) progress_.line(head + fmt::format("DONE {:.1f}s", event.seconds));
    if (event.kind == Kind::failed) progress_.line(head + fmt::format("ERROR {}", event.text));
  }

  Progress& progress_;
  image::Store& store_;
  Registries registries_;
  std::vector<Job>& jobs_;
  bool quiet_;
  std::size_t workers_ = 1;
  bool failed_ = false;
  std::mutex mutex_;
  std::condition_variable wake_;
};

}  // namespace

Result<std::map<std::string, std::string>> build_services(Context& context, const model::Project& project,
                                                          const Strings& services, const BuildSettings& settings) {
  std::map<std::string, std::string> images;
  TRY_ASSIGN(image::Store store, image::Store::open(context.paths().root()));
  TRY_ASSIGN(std::vector<Job> jobs, make_jobs(context, store, project, with_contexts(project, services), settings));
  if (jobs.empty()) return images;
  TRY(order_jobs(project, jobs));
  TRY_ASSIGN(const std::unique_ptr<InterruptGuard> guard, InterruptGuard::create(settings.stop));
  for (Job& job : jobs) job.request.cancellation = &guard->cancellation();
  context.progress().begin("build");
  BuildRun{context, store, jobs, settings.quiet}.run();
  context.progress().end();
  if (guard->cancellation().cancelled()) return Error{Errc::cancelled, "canceled"};
  for (Job& job : jobs) {
    if (!job.error) continue;
    const auto position = project.where("services." + job.service + ".build");
    const std::string where = position.known() ? position.to_string() + ": " : std::string{};
    return Error{job.error->code(),
                 fmt::format("{}failed to build service \"{}\": {}", where, job.service, job.error->message())};
  }
  for (const Job& job : jobs) images[job.service] = job.image_id;
  return images;
}

}  // namespace compose::cli
