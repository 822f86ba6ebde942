#include "runtime/launch/sync.hpp"

#include <sys/socket.h>

#include "runtime/launch/codec.hpp"
#include "sys/message.hpp"

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

std::string encode(const Failure& failure) {
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

Result<void> start_created(const std::string& start_socket, int& exit_code) {
  TRY_ASSIGN(const UniqueFd socket, sys::connect_unix(start_socket, SOCK_SEQPACKET));
  bool about_to_exec = false;
  for (;;) {
    TRY_ASSIGN(const sys::Message message, sys::receive_message(socket.get()));
    if (message.data.empty()) break;
    if (message.data[0] == sync::kExec) about_to_exec = true;
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
