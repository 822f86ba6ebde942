#include "runtime/container/exec.hpp"

#include <linux/capability.h>
#include <unistd.h>

#include <algorithm>

#include "base/strings.hpp"
#include "runtime/cli/commands.hpp"
#include "runtime/cli/foreground.hpp"
#include "runtime/rootfs/id_map.hpp"
#include "runtime/security/capabilities.hpp"
#include "sys/file.hpp"

namespace compose::runtime::cli {
namespace {

constexpr OptionSpec kOptions[] = {{"process", 'p', true},
                                   {"console-socket", 0, true},
                                   {"cwd", 0, true},
                                   {"env", 'e', true},
                                   {"tty", 't', false},
                                   {"user", 'u', true},
                                   {"additional-gids", 'g', true},
                                   {"detach", 'd', false},
                                   {"pid-file", 0, true},
                                   {"process-label", 0, true},
                                   {"apparmor", 0, true},
                                   {"no-new-privs", 0, false},
                                   {"privileged", 0, false},
                                   {"cap", 'c', true},
                                   {"preserve-fds", 0, true},
                                   {"cgroup", 0, true},
                                   {"ignore-paused", 0, false},
                                   {"pidfd-socket", 0, true},
                                   {"no-subreaper", 0, false}};

void set_variable(std::vector<std::string>& env, const std::string& entry) {
  const std::string prefix = entry.substr(0, entry.find('=') + 1);
  std::erase_if(env, [&](const auto& old) { return !prefix.empty() && old.starts_with(prefix); });
  env.push_back(entry);
}

/// The container's own process with what the options change.
Result<launch::ProcessPlan> from_options(const Arguments& arguments, launch::ProcessPlan process) {
  const auto& words = arguments.words();
  process.args.assign(words.begin() + 1, words.end());
  if (process.args.empty()) return make_error(Errc::invalid, "process args cannot be empty");
  for (const auto& entry : arguments.all("env")) set_variable(process.env, entry);
  if (arguments.has("cwd")) process.cwd = arguments.get("cwd");
  if (arguments.has("user")) {
    process.user = arguments.get("user");
    // An empty string would mean "as the container", which nobody who writes it can mean (CVE-2026-30892).
    if (process.user.empty()) return make_error(Errc::invalid, "--user needs a user");
    process.groups.clear();
  }
  for (const auto& gid : arguments.all("additional-gids")) {
    const auto number = parse_unsigned(gid);
    if (!number || *number >= 0xFFFFFFFF) return make_error(Errc::invalid, "--additional-gids {}: not a gid", gid);
    process.groups.push_back(static_cast<std::uint32_t>(*number));
  }
  process.terminal = arguments.flag("tty");
  process.no_new_privileges = process.no_new_privileges || arguments.flag("no-new-privs");
  if (arguments.has("apparmor")) process.apparmor_profile = arguments.get("apparmor");
  if (arguments.has("process-label")) process.selinux_label = arguments.get("process-label");
  if (arguments.flag("privileged")) {
    const std::uint64_t all = security::own_bounding();
    process.capabilities = {all, all, 0, all, 0};
  }
  for (const auto& name : arguments.all("cap")) {
    const auto number = security::capability_number(name);
    if (!number) return make_error(Errc::invalid, "unknown capability \"{}\"", name);
    const std::uint64_t bit = std::uint64_t{1} << *number;
    // Never inheritable (CVE-2022-29162); ambient only what the container itself lets its programs inherit.
    process.capabilities.bounding |= bit;
    process.capabilities.effective |= bit;
    process.capabilities.permitted |= bit;
    if ((process.capabilities.inheritable & bit) != 0) process.capabilities.ambient |= bit;
  }
  return process;
}

/// "[CONTROLLER[,CONTROLLER…]:]PATH", once or more.
Result<std::vector<std::pair<std::vector<std::string>, std::string>>> parse_cgroups(
    const std::vector<std::string>& words) {
  std::vector<std::pair<std::vector<std::string>, std::string>> groups;
  for (const std::string& word : words) {
    const auto colon = word.find(':');
    const bool named = colon != std::string::npos;
    const std::string path = named ? word.substr(colon + 1) : word;
    if (("/" + path + "/").find("/../") != std::string::npos) {
      return make_error(Errc::invalid, "--cgroup {}: bad sub cgroup path: `..` components are not allowed", word);
    }
    groups.emplace_back(named ? split(word.substr(0, colon), ',') : std::vector<std::string>{}, path);
  }
  return groups;
}

Result<launch::ProcessPlan> from_file(const Arguments& arguments, const launch::ProcessPlan& base) {
  TRY_ASSIGN(const std::string text, sys::read_file(arguments.get("process")));
  TRY_ASSIGN(spec::Process wanted, spec::parse_process(text).with("{}", arguments.get("process")));
  if (arguments.flag("tty")) wanted.terminal = true;
  TRY_ASSIGN(const launch::HostFacts facts, launch::probe_host());
  TRY_ASSIGN(launch::ProcessPlan process, launch::compile_process(wanted, facts).with("{}", arguments.get("process")));
  warn(launch::capability_warnings(wanted, facts));
  process.seccomp_program = base.seccomp_program;
  process.seccomp_flags = base.seccomp_flags;
  process.personality = base.personality;
  process.set_personality = base.set_personality;
  process.memory_policy = base.memory_policy;
  if (!process.scheduler) process.scheduler = base.scheduler;
  if (!process.io_priority) process.io_priority = base.io_priority;
  if (process.exec_cpus_initial.empty()) process.exec_cpus_initial = base.exec_cpus_initial;
  if (process.exec_cpus_final.empty()) process.exec_cpus_final = base.exec_cpus_final;
  if (!wanted.capabilities) {
    process.capabilities = base.capabilities;
    process.set_capabilities = base.set_capabilities;
  }
  return process;
}

/// `exit_code` gets the code for an error of the program.
Result<int> run_process(const Globals& globals, Words words, int& exit_code) {
  TRY_ASSIGN(const Arguments arguments, Arguments::parse(words, kOptions, false));
  if (arguments.words().empty()) return make_error(Errc::invalid, "the id of a container is missing");
  TRY_ASSIGN(const auto container, container::Container::load(globals.root, arguments.words().front()));
  const auto status = container.status();
  if (status == container::Container::Status::stopped) {
    return make_error(Errc::invalid, "cannot exec in a stopped container");
  }
  if (status == container::Container::Status::paused && !arguments.flag("ignore-paused")) {
    return make_error(Errc::invalid, "cannot exec in a paused container (use --ignore-paused to override)");
  }
  TRY_ASSIGN(launch::LaunchPlan plan, container.plan());
  // Our init is for the container's first process only.
  auto made = arguments.has("process") ? from_file(arguments, plan.process) : from_options(arguments, plan.process);
  if (!made) return std::move(made).error();
  launch::ProcessPlan process = std::move(*made);
  const bool detach = arguments.flag("detach");
  if (process.terminal && detach && !arguments.has("console-socket")) {
    return make_error(Errc::invalid, "cannot allocate tty if runc will detach without setting console socket");
  }
  container::ExecOptions options;
  options.die_with_us = !detach;
  TRY_ASSIGN(options.cgroups, parse_cgroups(arguments.all("cgroup")));
  options.shared_mounts = plan.shared_mounts;
  const auto uid = rootfs::id_outside(plan.uid_mappings, 0);
  const auto gid = rootfs::id_outside(plan.gid_mappings, 0);
  if (uid && gid) options.owner.emplace(*uid, *gid);
  options.preserve_fds = static_cast<int>(parse_unsigned(arguments.get("preserve-fds", "0")).value_or(0));
  if (process.rows == 0) own_terminal_size(process.rows, process.columns);
  options.relayed_terminal = !detach && !arguments.has("console-socket");
  if (!detach) block_signals();
  TRY_ASSIGN(container::ExecProcess running, container::exec_in(container, process, options));
  TRY_ASSIGN(container::ExecProcess::Outcome outcome, running.wait_started(plan));
  if (outcome.failure) {
    exit_code = outcome.failure->exit_code;
    return make_error(Errc::failed, "{}", outcome.failure->message);
  }
  if (arguments.has("pid-file")) TRY(sys::write_file_atomic(arguments.get("pid-file"), std::to_string(running.pid)));
  if (arguments.has("pidfd-socket")) TRY(send_pidfd(arguments.get("pidfd-socket"), running.pidfd.get()));
  if (arguments.has("console-socket")) {
    TRY(send_to_console_socket(arguments.get("console-socket"), outcome.terminal));
    outcome.terminal.reset();
  }
  if (detach) return 0;
  return wait_in_foreground(running.pid, running.pidfd.get(), std::move(outcome.terminal));
}

}  // namespace

Result<int> exec(const Globals& globals, Words words) {
  int exit_code = 255;  // as with runc: no code that a program of the container is likely to end with
  auto status = run_process(globals, words, exit_code);
  return status ? status : fail_with(exit_code, status.error().message());
}

}  // namespace compose::runtime::cli
