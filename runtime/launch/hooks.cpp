#include "runtime/launch/hooks.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>

#include "base/strings.hpp"
#include "sys/file.hpp"
#include "sys/process.hpp"

namespace compose::runtime::launch {

std::string json_string(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      result += '\\';
      result += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      result += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      result += c;
    }
  }
  return result + "\"";
}

std::string state_json(const LaunchPlan& plan, const std::string& status, pid_t pid) {
  std::string notes;
  for (const auto& [name, value] : plan.annotations) {
    notes += (notes.empty() ? "" : ",") + json_string(name) + ":" + json_string(value);
  }
  std::string json =
      fmt::format(R"({{"ociVersion":"1.3.0","id":{},"status":{})", json_string(plan.container_id), json_string(status));
  if (pid != 0) json += fmt::format(R"(,"pid":{})", pid);
  json += fmt::format(R"(,"bundle":{})", json_string(plan.bundle));
  if (!notes.empty()) json += R"(,"annotations":{)" + notes + "}";
  return json + "}";
}

namespace {

/// What a hook has said on its standard error, cut to what fits in a message.
std::string words_of(const UniqueFd& output) {
  constexpr std::size_t kMost = 1024;
  if (::lseek(output.get(), 0, SEEK_SET) != 0) return {};
  std::string text = sys::read_all(output.get(), std::size_t{1} << 20).value_or({});
  if (text.size() > kMost) text.erase(0, text.size() - kMost);
  const std::string trimmed{trim(text)};
  return trimmed.empty() ? "" : ": " + trimmed;
}

Result<void> run_hook(const HookPlan& hook, const std::string& state) {
  TRY_ASSIGN(const UniqueFd input, sys::memfd_from("state", state));
  const UniqueFd output{::memfd_create("hook", MFD_CLOEXEC)};
  if (!output.valid()) return os_error("memfd_create");
  sys::SpawnOptions options;
  options.program = hook.path;
  options.arguments = hook.args.empty() ? std::vector<std::string>{hook.path} : hook.args;
  // Without one of its own a hook has ours, as with runc and crun.
  if (!hook.env.empty()) options.environment = hook.env;
  options.fds = {{input.get(), 0}, {1, 1}, {output.get(), 2}};
  TRY_ASSIGN(const sys::Child child, sys::spawn(options));
  if (hook.timeout > 0) {
    pollfd poll{child.pidfd.get(), POLLIN, 0};
    if (retry_eintr([&] { return ::poll(&poll, 1, hook.timeout * 1000); }) == 0) {
      (void)sys::send_signal(child.pidfd.get(), SIGKILL);
      (void)sys::wait_child(child.pid);
      return make_error(Errc::timeout, "{} did not end within {} s", hook.path, hook.timeout);
    }
  }
  TRY_ASSIGN(const sys::ExitStatus status, sys::wait_child(child.pid));
  if (status.code != 0) {
    return make_error(Errc::failed, "{} ended with exit status {}{}", hook.path, status.code, words_of(output));
  }
  if (const std::string words = words_of(output); !words.empty())
    std::fprintf(stderr, "%s%s\n", hook.path.c_str(), words.c_str());
  return {};
}

}  // namespace

Result<void> run_hooks(const std::vector<HookPlan>& hooks, const std::string& state, const char* name) {
  for (std::size_t i = 0; i < hooks.size(); ++i)
    TRY(run_hook(hooks[i], state).with("error running {} hook #{}", name, i));
  return {};
}

void run_all_hooks(const std::vector<HookPlan>& hooks, const std::string& state, const char* name) {
  for (std::size_t i = 0; i < hooks.size(); ++i) {
    if (auto done = run_hook(hooks[i], state); !done) {
      std::fprintf(stderr, "warning: error running %s hook #%zu: %s\n", name, i, done.error().message().c_str());
    }
  }
}

}  // namespace compose::runtime::launch
