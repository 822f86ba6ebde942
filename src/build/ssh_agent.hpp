#pragma once
// RUN --mount=type=ssh: an agent's socket inside the step.
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/error.hpp"
#include "base/unique_fd.hpp"

namespace compose::build {

/// Leads what connects to a socket of its own to an agent's. So the socket can have the owner and mode that the step
/// needs, and an agent that serves nobody but its own user is asked by that user.
class AgentSocket {
 public:
  /// Listens at `path`, which must not exist; ends with the object.
  static Result<std::unique_ptr<AgentSocket>> create(const std::string& path, const std::string& agent);
  ~AgentSocket();
  AgentSocket(const AgentSocket&) = delete;
  AgentSocket& operator=(const AgentSocket&) = delete;

 private:
  AgentSocket(UniqueFd listener, UniqueFd stop, std::string agent);
  void serve() const;

  UniqueFd listener_;
  UniqueFd stop_;  ///< an eventfd
  std::string agent_;
  std::thread thread_;
};

/// The host's ssh-agent with private keys in it, for build.ssh that names files. Ends with the object, and when this
/// process is killed.
class KeyAgent {
 public:
  /// `folder` is for its socket. Errors: not_found without an ssh-agent program; failed for a file that is no key, or
  /// has a passphrase, with what ssh-add said.
  static Result<std::unique_ptr<KeyAgent>> start(const std::vector<std::string>& keys, const std::string& folder);
  ~KeyAgent();
  KeyAgent(const KeyAgent&) = delete;
  KeyAgent& operator=(const KeyAgent&) = delete;
  const std::string& socket() const { return socket_; }

 private:
  KeyAgent(std::string socket, UniqueFd input, pid_t child, UniqueFd agent);
  std::string socket_;
  UniqueFd input_;  ///< of the command the agent serves: it ends when this is closed
  pid_t child_;
  UniqueFd agent_;  ///< a pidfd
};

}  // namespace compose::build
