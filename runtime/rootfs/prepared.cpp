#include "runtime/rootfs/prepared.hpp"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/strings.hpp"
#include "runtime/launch/sync.hpp"
#include "runtime/rootfs/id_map.hpp"
#include "runtime/rootfs/mount_calls.hpp"
#include "sys/message.hpp"
#include "sys/process.hpp"
#include "sys/user_namespace.hpp"

namespace compose::runtime::rootfs {
namespace {

using launch::RootStep;
using Kind = RootStep::Kind;

bool is_node(const RootStep& step) { return step.kind == Kind::device && step.type != "p"; }

/// Makes what can only be made in place: device nodes and an overlay, in a mount namespace of its own, on a tmpfs that
/// hides the container's root. Every mount of it is sent off as a detached copy.
class Stage {
 public:
  Stage(const launch::LaunchPlan& plan, int sync) : plan_{plan}, sync_{sync} {}

  Result<void> run() {
    if (::mount(nullptr, "/", nullptr, MS_PRIVATE | MS_REC, nullptr) != 0) return os_error("cut off the mounts");
    // Before the stage hides the root, which may be one of the layers.
    if (plan_.overlay) TRY(clone_layers(*plan_.overlay));
    TRY_ASSIGN(NewFilesystem system, NewFilesystem::open("tmpfs"));
    TRY_ASSIGN(const UniqueFd top, system.mount(0));
    const UniqueFd target{::open(plan_.root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)};
    if (!target.valid()) return os_error("root.path {}", plan_.root);
    TRY(attach_mount(top.get(), target.get()));
    if (::fchdir(top.get()) != 0) return os_error("enter {}", plan_.root);
    for (const auto& step : plan_.steps) {
      if (is_node(step)) TRY(node(step).with("create device \"{}\" ({})", step.target, step.where));
    }
    return plan_.overlay ? overlay(*plan_.overlay) : Result<void>{};
  }

 private:
  Result<void> send(const UniqueFd& tree) {
    const std::array<int, 1> fds{tree.get()};
    return sys::send_message(sync_, "+", fds);
  }

  Result<void> node(const RootStep& step) {
    const std::string name = fmt::format("n{}", next_++);
    const auto uid = id_outside(plan_.uid_mappings, step.uid);
    const auto gid = id_outside(plan_.gid_mappings, step.gid);
    if (!uid || !gid) return make_error(Errc::invalid, "the owner {}:{} is not mapped", step.uid, step.gid);
    const mode_t type = step.type == "b" ? S_IFBLK : S_IFCHR;
    if (::mknod(name.c_str(), type | 0600, ::makedev(step.major, step.minor)) != 0) return os_error("mknod");
    if (::chown(name.c_str(), *uid, *gid) != 0) return os_error("set the owner");
    if (::chmod(name.c_str(), step.mode) != 0) return os_error("set the mode");
    TRY_ASSIGN(const UniqueFd tree, clone_mount(AT_FDCWD, name, false));
    TRY(set_mount_attributes(tree.get(), MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, 0, /*recursive=*/false));
    return send(tree);
  }

  /// Copies of the mounts, with the container's ids; the last one holds upper and work.
  Result<void> clone_layers(const launch::Overlay& original) {
    std::vector<std::string> paths = original.lower;
    if (!original.upper.empty()) {
      // Both must be on one mount, so it is their common folder that is mapped.
      const std::string folder = original.upper.substr(0, original.upper.rfind('/'));
      if (original.work.substr(0, original.work.rfind('/')) != folder) {
        return make_error(Errc::unsupported, "overlay: upper and work must be in one folder");
      }
      paths.push_back(folder);
    }
    for (const auto& path : paths) {
      TRY_ASSIGN(UniqueFd tree, clone_mount(AT_FDCWD, path, false).with("layer"));
      TRY(mapper_.map(tree.get(), plan_.uid_mappings, plan_.gid_mappings, false).with("layer {}", path));
      layers_.push_back(std::move(tree));
    }
    return {};
  }

  /// Puts a layer into the folder `name` of the stage.
  Result<void> place_layer(const UniqueFd& tree, const std::string& name) {
    if (::mkdir(name.c_str(), 0755) != 0) return os_error("mkdir {}", name);
    const UniqueFd target{::open(name.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)};
    if (!target.valid()) return os_error("open {}", name);
    return attach_mount(tree.get(), target.get());
  }

  Result<void> overlay(const launch::Overlay& original) {
    // Short names instead of the host's: they fit into the one page of options, and the container reads them.
    launch::Overlay here;
    for (std::size_t i = 0; i < original.lower.size(); ++i) {
      here.lower.push_back(fmt::format("l{}", i));
      TRY(place_layer(layers_[i], here.lower.back()));
    }
    if (!original.upper.empty()) {
      TRY(place_layer(layers_.back(), "w"));
      here.upper = "w" + original.upper.substr(original.upper.rfind('/'));
      here.work = "w" + original.work.substr(original.work.rfind('/'));
    }
    if (::mkdir("root", 0755) != 0) return os_error("mkdir");
    TRY(act_as_root_of_the_container());
    TRY(mount_overlay(here, "root"));
    TRY_ASSIGN(const UniqueFd tree, clone_mount(AT_FDCWD, "root", false));
    return send(tree);
  }

  /// The overlay works with the rights of who mounts it. Our id does not exist on mapped layers, so what it made there
  /// for itself would have no owner (EOVERFLOW): it acts as the container's root, with the capabilities that we have.
  Result<void> act_as_root_of_the_container() {
    const auto uid = id_outside(plan_.uid_mappings, 0);
    const auto gid = id_outside(plan_.gid_mappings, 0);
    if (!uid || !gid) return make_error(Errc::unsupported, "linux.uidMappings: 0 is not mapped");
    __user_cap_header_struct head{_LINUX_CAPABILITY_VERSION_3, 0};
    std::array<__user_cap_data_struct, 2> held{};
    if (::syscall(SYS_capget, &head, held.data()) != 0) return os_error("capget");
    ::setfsgid(*gid);
    ::setfsuid(*uid);  // takes the capabilities over files away (capabilities(7))
    if (::syscall(SYS_capset, &head, held.data()) != 0) return os_error("capset");
    return {};
  }

  const launch::LaunchPlan& plan_;
  int sync_;
  int next_ = 0;
  IdMapper mapper_;
  std::vector<UniqueFd> layers_;
};

Result<UniqueFd> next_tree(int sync) {
  TRY_ASSIGN(sys::Message message, launch::sync::receive(sync));
  if (message.data == "+" && message.fds.size() == 1) return std::move(message.fds.front());
  if (message.data.starts_with('-')) return make_error(Errc::failed, "{}", message.data.substr(1));
  return make_error(Errc::failed, "the process that prepares mounts has gone");
}

Result<void> run_stage(const launch::LaunchPlan& plan, Prepared& prepared) {
  TRY_ASSIGN(auto pair, sys::seqpacket_pair());
  clone_args arguments{};
  arguments.flags = CLONE_NEWNS;
  arguments.exit_signal = SIGCHLD;
  const long pid = ::syscall(SYS_clone3, &arguments, sizeof arguments);
  if (pid < 0) return os_error("create a mount namespace");
  if (pid == 0) {
    Stage stage{plan, pair.second.get()};
    if (auto done = stage.run(); !done) (void)sys::send_message(pair.second.get(), "-" + done.error().message());
    ::_exit(0);
  }
  pair.second.reset();
  const auto collect = [&]() -> Result<void> {
    for (const auto& step : plan.steps) {
      if (!is_node(step)) continue;
      TRY_ASSIGN(UniqueFd tree, next_tree(pair.first.get()));
      prepared.mounts.push_back({&step, std::move(tree)});
    }
    if (plan.overlay) {
      TRY_ASSIGN(prepared.root, next_tree(pair.first.get()));
    }
    return {};
  };
  auto done = collect();
  pair.first.reset();
  (void)sys::wait_child(static_cast<pid_t>(pid));
  return done;
}

}  // namespace

const PreparedMount* Prepared::find(const RootStep& step) const {
  const auto found = std::ranges::find(mounts, &step, &PreparedMount::step);
  return found == mounts.end() ? nullptr : &*found;
}

bool joins_user_namespace(const launch::LaunchPlan& plan) {
  return std::ranges::any_of(plan.join_namespaces, [](const auto& entry) { return entry.flag == CLONE_NEWUSER; });
}

Result<Prepared> prepare_mounts(const launch::LaunchPlan& plan) {
  Prepared prepared;
  // An ordinary user, or the root of a user namespace, has no more rights here than the container will have.
  const bool joins_user = joins_user_namespace(plan);
  const bool other_user = joins_user || (plan.create_namespaces & CLONE_NEWUSER) != 0;
  const bool for_stranger = other_user && !plan.shared_mounts && ::geteuid() == 0 && sys::in_initial_user_namespace();
  IdMapper mapper;
  for (const auto& step : plan.steps) {
    const bool mapped = !step.uid_mappings.empty() || !step.id_map_of.empty();
    if (step.kind != Kind::bind || (!mapped && !for_stranger)) continue;
    const auto make = [&]() -> Result<UniqueFd> {
      TRY_ASSIGN(UniqueFd tree, clone_mount(AT_FDCWD, step.source, step.recursive, step.no_follow).with("bind source"));
      if (mapped) {
        auto done = step.id_map_of.empty()
                        ? mapper.map(tree.get(), step.uid_mappings, step.gid_mappings, step.recursive_id_map)
                        : IdMapper::map_as(tree.get(), step.id_map_of, step.recursive_id_map);
        TRY(std::move(done).with("{}", step.source));
      }
      return tree;
    };
    auto tree = make();
    // The child may find it: on a mount that is to come before this one.
    if (!tree && !mapped && tree.error().sys_errno() == ENOENT) continue;
    if (!tree) return std::move(tree).with("mount \"{}\" ({})", step.target, step.where).error();
    prepared.mounts.push_back({&step, std::move(*tree)});
  }
  if (!for_stranger) return prepared;
  if (!plan.overlay) {
    TRY_ASSIGN(prepared.root, clone_mount(AT_FDCWD, plan.root, /*recursive=*/true).with("root.path"));
  }
  // The mappings of a user namespace that exists are not in the plan: its nodes are the host's then.
  if (!joins_user) TRY(run_stage(plan, prepared));
  return prepared;
}

}  // namespace compose::runtime::rootfs
