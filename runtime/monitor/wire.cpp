#include "runtime/monitor/wire.hpp"

#include <algorithm>

#include "runtime/launch/plan_fields.hpp"

namespace compose::runtime::monitor {

template <typename A, IsMaybeConst<LogFileSettings> T>
void fields(A& a, T& v) {
  a("path", v.path);
  a("max_size", v.max_size);
  a("max_files", v.max_files);
  a("compress", v.compress);
  a("format", v.format);
  a("attributes", v.attributes);
}

template <typename A, IsMaybeConst<RemoteLogSettings> T>
void fields(A& a, T& v) {
  a("kind", v.kind);
  a("address", v.address);
  a("fields", v.fields);
  a("tag", v.tag);
  a("hostname", v.hostname);
  a("facility", v.facility);
  a("buffer", v.buffer);
}

namespace {

inline constexpr std::uint64_t kRequestVersion = 4;

template <typename A, typename T>
void event_fields(A& a, T& v, std::int64_t& nanoseconds) {
  a("kind", v.kind);
  a("pid", v.pid);
  a("start_time", v.start_time);
  a("exit_code", v.exit_code);
  a("signal", v.signal);
  a("oom_killed", v.oom_killed);
  a("message", v.message);
  a("sys_errno", v.sys_errno);
  a("exit_code_hint", v.exit_code_hint);
  a("at", nanoseconds);
}

template <typename A, typename T>
void request_fields(A& a, T& v) {
  a("container_id", v.container_id);
  a("project", v.project);
  a("run_dir", v.run_dir);
  a("state_dir", v.state_dir);
  a("log", v.log);
  a("remote_log", v.remote_log);
  a("tty", v.tty);
  a("open_stdin", v.open_stdin);
  a("wait_attach", v.wait_attach);
  a("hold", v.hold);
  a("respawn_argv", v.respawn_argv);
  a("project_lock_path", v.project_lock_path);
}

}  // namespace

std::string serialize(const Request& request) {
  codec::PackedEncoder encoder;
  encoder("version", kRequestVersion);
  request_fields(encoder, request);
  return std::move(encoder).take() + launch::serialize(request.plan);
}

Result<Request> deserialize(std::string_view bytes, std::string_view* plan) {
  Request request;
  codec::PackedDecoder decoder{bytes};
  std::uint64_t version = 0;
  decoder("version", version);
  if (version != kRequestVersion) {
    return make_error(Errc::corrupt, "monitor request: version {} instead of {}", version, kRequestVersion);
  }
  request_fields(decoder, request);
  if (!decoder.ok()) return make_error(Errc::corrupt, "monitor request: broken at \"{}\"", decoder.culprit());
  TRY_ASSIGN(request.plan, launch::deserialize(decoder.rest()));
  if (plan != nullptr) *plan = decoder.rest();
  return request;
}

namespace wire {

std::string encode(const Event& original) {
  Event event = original;
  event.message.resize(std::min<std::size_t>(event.message.size(), 8192));
  codec::Encoder encoder;
  std::int64_t at = std::chrono::duration_cast<std::chrono::nanoseconds>(event.at.time_since_epoch()).count();
  event_fields(encoder, event, at);
  return kEvent + std::move(encoder).take();
}

Result<Event> decode_event(std::string_view message) {
  if (message.empty() || message[0] != kEvent) return make_error(Errc::corrupt, "monitor: not an event");
  Event event;
  std::int64_t at = 0;
  codec::Decoder decoder{message.substr(1)};
  event_fields(decoder, event, at);
  if (!decoder.complete()) return make_error(Errc::corrupt, "monitor: event broken at \"{}\"", decoder.culprit());
  event.at = std::chrono::system_clock::time_point{
      std::chrono::duration_cast<std::chrono::system_clock::duration>(std::chrono::nanoseconds{at})};
  return event;
}

std::string encode_numbers(char letter, std::uint64_t first, std::uint64_t second) {
  codec::Encoder encoder;
  encoder("first", first);
  encoder("second", second);
  return letter + std::move(encoder).take();
}

std::optional<Numbers> decode_numbers(std::string_view message) {
  if (message.empty()) return std::nullopt;
  Numbers numbers;
  codec::Decoder decoder{message.substr(1)};
  decoder("first", numbers.first);
  decoder("second", numbers.second);
  if (!decoder.complete()) return std::nullopt;
  return numbers;
}

}  // namespace wire
}  // namespace compose::runtime::monitor
