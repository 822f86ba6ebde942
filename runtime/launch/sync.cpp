#include "runtime/launch/sync.hpp"

#include <sys/socket.h>

#include <array>

#include "runtime/launch/codec.hpp"
#include "runtime/launch/hooks.hpp"

namespace compose::runtime::launch {
namespace {
template <typename A, typename T>
void failure_fields(A& a, T& v) {
  a("message", v.message);
  a("errno", v.sys_errno);
  a("exit_code", v.exit_code);
}
}  // namespace

namespace sync {

Result<sys::Message> receive(int socket, std::size_t limit) {
  auto message = sys::receive_message(socket, limit);
  if (!message && message.error().sys_errno() == ECONNRESET) return sys::receive_message(socket, limit);
  return message;
}

Result<void> send_listener(const ProcessPlan& process, int listener, pid_t pid, const std::string& state) {
  TRY_ASSIGN(const UniqueFd socket, sys::connect_unix(process.seccomp_listener, SOCK_STREAM)
                                        .with("linux.seccomp.listenerPath: failed to connect with seccomp agent"));
  const std::string text =
      fmt::format(R"({{"ociVersion":"1.3.0","fds":["seccompFd"],"pid":{},"metadata":{},"state":{}}})", pid,
                  json_string(process.seccomp_metadata), state);
  const std::array<int, 1> fds{listener};
  return sys::send_message(socket.get(), text, fds);
}

std::string encode(const Failure& original) {
  Failure failure = original;
  if (failure.message.size() > 8192) failure.message.resize(8192);
  codec::Encoder encoder;
  failure_fields(encoder, failure);
  return kFailed + std::move(encoder).take();
}

Failure decode_failure(std::string_view message) {
  Failure failure;
  codec::Decoder decoder{message.substr(1)};
  failure_fields(decoder, failure);
  if (!decoder.complete()) failure.message = "the container's process sent a broken message";
  return failure;
}

}  // namespace sync

Result<void> start_created(const LaunchPlan& plan, pid_t pid, const std::string& start_socket, int& exit_code) {
  TRY_ASSIGN(const UniqueFd socket, sys::connect_unix(start_socket, SOCK_SEQPACKET));
  bool about_to_exec = false;
  for (;;) {
    TRY_ASSIGN(const sys::Message message, sync::receive(socket.get()));
    if (message.data.empty()) break;
    if (message.data[0] == sync::kExec) about_to_exec = true;
    if (message.data[0] == sync::kListener && message.fds.size() == 1) {
      TRY(sync::send_listener(plan.process, message.fds[0].get(), pid, state_json(plan, "created", pid)));
    }
    if (message.data[0] == sync::kFailed) {
      const Failure failure = sync::decode_failure(message.data);
      exit_code = failure.exit_code;
      return Error{errc_from_errno(failure.sys_errno), failure.message, failure.sys_errno};
    }
  }
  if (!about_to_exec) return make_error(Errc::failed, "the container's process ended before it ran its program");
  return {};
}

}  // namespace compose::runtime::launch
