#include "build/run.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>

#include "base/strings.hpp"
#include "build/network.hpp"
#include "image/layer_writer.hpp"
#include "image/merged_view.hpp"
#include "image/store_internal.hpp"
#include "runtime/cgroup/cgroup.hpp"
#include "runtime/container/container.hpp"
#include "sys/file.hpp"
#include "sys/lock.hpp"
#include "sys/process.hpp"
#include "sys/program.hpp"

namespace compose::build {

namespace {

constexpr std::size_t kMaxLine = std::size_t{64} << 10;
constexpr int kGroupWait = 5000;  // milliseconds
constexpr const char* kHostname = "buildkitsandbox";
constexpr std::array<const char*, 5> kDefaultMountPoints = {"proc", "sys", "dev", "etc/resolv.conf", "etc/hosts"};

/// Cuts a stream into lines; a progress bar's carriage return ends one too.
class LineSplitter {
 public:
  LineSplitter(const OutputLine& output, bool standard_error) : output_{output}, standard_error_{standard_error} {}
  void add(std::string_view bytes) {
    for (const char c : bytes) {
      if (c == '\n') {
        if (!after_return_ || !line_.empty()) flush();
      } else if (c == '\r') {
        if (!line_.empty()) flush();
        after_return_ = true;
        continue;
      } else {
        line_ += c;
        if (line_.size() >= kMaxLine) flush();
      }
      after_return_ = false;
    }
  }
  void end() {
    if (!line_.empty()) flush();
  }

 private:
  void flush() {
    if (output_) output_(line_, standard_error_);
    line_.clear();
  }
  const OutputLine& output_;
  bool standard_error_;
  bool after_return_ = false;
  std::string line_;
};

struct Pipe {
  UniqueFd read;
  UniqueFd write;
};

Result<Pipe> make_pipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return os_error("pipe");
  return Pipe{UniqueFd{fds[0]}, UniqueFd{fds[1]}};
}

/// Reads both pipes until the container has closed them, or `stop` can be read: false then.
Result<bool> drain(UniqueFd out, UniqueFd err, int stop, const OutputLine& output) {
  LineSplitter splitters[2] = {{output, false}, {output, true}};
  UniqueFd ends[2] = {std::move(out), std::move(err)};
  std::vector<char> buffer(kMaxLine);
  while (ends[0].valid() || ends[1].valid()) {
    pollfd polls[3] = {{ends[0].get(), POLLIN, 0}, {ends[1].get(), POLLIN, 0}, {stop, POLLIN, 0}};
    if (::poll(polls, 3, -1) < 0) {
      if (errno == EINTR) continue;
      return os_error("poll");
    }
    if (polls[2].revents != 0) return false;
    for (std::size_t i = 0; i < 2; ++i) {
      if (polls[i].revents == 0) continue;
      const ssize_t got = retry_eintr([&] { return ::read(ends[i].get(), buffer.data(), buffer.size()); });
      if (got < 0) return os_error("read the step's output");
      if (got == 0) {
        ends[i].reset();
      } else {
        splitters[i].add({buffer.data(), static_cast<std::size_t>(got)});
      }
    }
  }
  for (LineSplitter& splitter : splitters) splitter.end();
  return true;
}

/// When `stop` can be read the runtime is killed at whatever it does; what it has made is left to the caller.
Result<sys::ExitStatus> run_child(const sys::SpawnOptions& options, Pipe out, Pipe err, int stop,
                                  const OutputLine& output) {
  TRY_ASSIGN(const sys::Child child, sys::spawn(options));
  out.write.reset();
  err.write.reset();
  const Result<bool> drained = drain(std::move(out.read), std::move(err.read), stop, output);
  if (!drained || !*drained) (void)sys::send_signal(child.pidfd.get(), SIGKILL).ok();
  TRY_ASSIGN(const sys::ExitStatus status, sys::wait_child(child.pid));
  if (!drained) return drained.error();
  if (!*drained) return make_error(Errc::cancelled, "the build has ended");
  return status;
}

/// Ends a step whose runtime is gone, however far it had come: its processes and its control group go.
void end_step(const std::string& root, const std::string& id) {
  const auto container = runtime::container::Container::load(root, id);
  if (container) (void)container->remove().ok();  // with its processes
  // One that was killed while it was being made has a control group and no state yet.
  const auto layout = runtime::cgroup::detect_layout();
  if (!layout) return;
  const auto group = runtime::cgroup::Group::open(*layout, kGroups + id);
  if (!group.exists()) return;
  (void)group.kill_all().ok();
  (void)group.wait_empty(kGroupWait);
  (void)group.remove().ok();
}

std::string hosts_text(const RunRequest& request) {
  std::string text = fmt::format(
      "127.0.0.1\tlocalhost {}\n::1\tlocalhost ip6-localhost "
      "ip6-loopback\nfe00::0\tip6-localnet\nff00::0\tip6-mcastprefix\n"
      "ff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n",
      kHostname);
  for (const auto& [host, addresses] : request.extra_hosts) {
    for (const std::string& address : addresses) {
      // In the host's network namespace the host is at its own loopback.
      const std::string gateway = request.gateway.empty() ? "127.0.0.1" : request.gateway;
      text += fmt::format("{}\t{}\n", address == "host-gateway" ? gateway : address, host);
    }
  }
  return text;
}

Result<void> write_bundle(const RunRequest& request, const std::string& bundle) {
  TRY(sys::make_directories(bundle + "/rootfs", 0700));
  TRY(sys::make_directories(request.workspace + "/work", 0700));
  TRY(sys::make_directories(request.workspace + "/empty", 0755));
  const Result<std::string> host = sys::read_file("/etc/resolv.conf");
  std::string resolver = host ? *host : "";
  if (request.network == RunRequest::Network::own) {
    const Result<std::string> resolved = sys::read_file("/run/systemd/resolve/resolv.conf");
    resolver = step_resolv_conf(resolver, resolved ? *resolved : "");
  }
  TRY(sys::write_file_atomic(request.workspace + "/resolv.conf", resolver, 0644));
  TRY(sys::write_file_atomic(request.workspace + "/hosts", hosts_text(request), 0644));
  TRY_ASSIGN(const std::string config, bundle_config(request, bundle + "/rootfs"));
  return sys::write_file_atomic(bundle + "/config.json", config, 0600);
}

bool empty_directory(const std::string& path) {
  const Result<std::vector<std::string>> names = sys::list_directory(path);
  return names && names->empty();
}

/// A directory of the upper tree that only repeats the one below.
bool repeats_below(const std::string& upper, const struct stat& status, const image::ViewEntry& below) {
  return S_ISDIR(below.status.st_mode) && status.st_mode == below.status.st_mode &&
         status.st_uid == below.status.st_uid && status.st_gid == below.status.st_gid && empty_directory(upper) &&
         !image::is_opaque(upper);
}

/// Removes the entry at a physical path if it is an empty stub that is not below; true if the parent may go next.
Result<bool> remove_stub(const std::string& upper, const image::MergedView& below, const std::string& path) {
  const std::string host = upper + "/" + path;
  struct stat status {};
  if (::lstat(host.c_str(), &status) != 0) return false;
  TRY_ASSIGN(const std::optional<image::ViewEntry> original, below.lookup(path));
  if (original) {
    if (!S_ISDIR(status.st_mode) || !repeats_below(host, status, *original)) return false;
    return ::rmdir(host.c_str()) == 0;
  }
  if (S_ISDIR(status.st_mode)) return ::rmdir(host.c_str()) == 0;
  if (S_ISREG(status.st_mode) && status.st_size == 0) return ::unlink(host.c_str()) == 0;
  return false;
}

}  // namespace

Result<int> RuntimeRunner::run(const RunRequest& request, const OutputLine& output) {
  if (request.network != RunRequest::Network::own) return run_in(request, output);
  TRY_ASSIGN(const StepNetwork step, network_.attach(request.id));
  RunRequest with_network = request;
  with_network.network_namespace = step.path();
  with_network.gateway = step.gateway();
  return run_in(with_network, output);
}

Result<int> RuntimeRunner::run_in(const RunRequest& request, const OutputLine& output) {
  const std::string bundle = fmt::format("{}/{}", request.workspace, image::Workspace::kStepMark);
  TRY(write_bundle(request, bundle));
  TRY_ASSIGN(const std::string program, sys::program_path("compose-runtime"));
  TRY_ASSIGN(Pipe out, make_pipe());
  TRY_ASSIGN(Pipe err, make_pipe());
  const UniqueFd null{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
  sys::SpawnOptions options;
  options.program = program;
  options.arguments = {"compose-runtime", "--root", request.workspace + "/run", "run", "--bundle", bundle, request.id};
  // Ctrl-C is answered by cancel(): the command in the container would not hear it.
  options.new_group = true;
  options.fds = {{null.get(), 0}, {out.write.get(), 1}, {err.write.get(), 2}};
  if (!cancelled_.valid()) return make_error(Errc::failed, "eventfd: too many open files");
  const Result<sys::ExitStatus> status = run_child(options, std::move(out), std::move(err), cancelled_.get(), output);
  if (!status) {
    end_step(request.workspace + "/run", request.id);
    return status.error();
  }
  return status->code;
}

RuntimeRunner::RuntimeRunner(BuildNetwork& network) : network_{network}, cancelled_{::eventfd(0, EFD_CLOEXEC)} {}

void RuntimeRunner::cancel() {
  const std::uint64_t one = 1;  // never read: it stays so for every step, those that have not begun included
  (void)!::write(cancelled_.get(), &one, sizeof one);
}

std::string step_container_id(const std::string& workspace) {
  return "build-" + workspace.substr(workspace.rfind('/') + 1);
}

Result<void> sweep_steps(const std::string& folder) {
  TRY_ASSIGN(const std::vector<std::string> names, sys::list_directory(folder));
  for (const std::string& name : names) {
    const std::string root = folder + "/" + name + "/run";
    const std::string mark = fmt::format("{}/{}/{}", folder, name, image::Workspace::kStepMark);
    if (!sys::exists(mark)) continue;
    const auto lock = sys::FileLock::try_acquire(folder + "/" + name + ".lock");
    if (!lock || !*lock) continue;
    end_step(root, step_container_id(name));
    TRY(sys::remove_tree(mark));
  }
  return {};
}

Result<void> remove_mount_points(const RunRequest& request) {
  const image::MergedView below{request.lower};
  std::vector<std::string> targets{kDefaultMountPoints.begin(), kDefaultMountPoints.end()};
  // The last mounted is the innermost.
  for (const RunMount& mount : request.mounts) targets.insert(targets.begin(), mount.target);
  for (const std::string& target : targets) {
    std::string path = image::lexical_path(target);
    if (!request.lower.empty()) {
      TRY_ASSIGN(path, below.real_path(target));
    }
    while (!path.empty()) {
      TRY_ASSIGN(const bool removed, remove_stub(request.upper, below, path));
      if (!removed) break;
      path.resize(path.find('/') == std::string::npos ? 0 : path.rfind('/'));
    }
  }
  return {};
}

}  // namespace compose::build
