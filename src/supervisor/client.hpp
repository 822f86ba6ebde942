#pragma once
// How a command talks to a project's supervisor (protocol.hpp has the words).
#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "base/error.hpp"
#include "state/paths.hpp"

namespace compose::supervisor {

enum class Spawn : std::uint8_t { never, if_absent };

struct Outcome {
  bool ok = false;
  int exit_code = 0;
  std::string error;     ///< complete message, without the position
  std::string position;  ///< "file:line:col", or ""
  std::string json;      ///< the whole result event
};

class Client {
 public:
  /// Connects to the supervisor of `project`, starting one when there is none and `spawn` allows it. Errc::not_found
  /// when none runs and none may be started. Two commands at once meet the same supervisor.
  static Result<Client> connect(const state::Paths& paths, const std::string& project, Spawn spawn);
  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;
  ~Client();

  /// Sends one request and gives every event to `on_event` (which may be empty) until the result comes. The error of
  /// the Result is a lost connection; a refused request is an Outcome with ok == false.
  Result<Outcome> request(const nlohmann::json& request, const std::function<void(const nlohmann::json&)>& on_event);

  // The same in pieces, for a command that has more to wait for (Ctrl-C, keys, logs).
  Result<void> send(const nlohmann::json& request);
  /// The connection: readable when receive() may have something.
  int fd() const;
  /// The next event if one is complete, without waiting. Errc::cancelled when the supervisor has closed.
  Result<std::optional<nlohmann::json>> receive();
  /// Ends the running operation at its next safe point; what was started stays.
  Result<void> cancel();

  static Outcome outcome(const nlohmann::json& result_event);

 private:
  struct Impl;
  explicit Client(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace compose::supervisor
