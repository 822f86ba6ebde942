#pragma once
// The supervisor's end of protocol.hpp: accepts commands, reads their requests, never blocks on a slow reader.
#include <sys/types.h>

#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>

#include "async/event_loop.hpp"
#include "base/error.hpp"
#include "base/unique_fd.hpp"
#include "supervisor/json_lines.hpp"

namespace compose::supervisor {

/// One command that is connected. Shared: a request may outlive its connection, then send() does nothing.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(async::EventLoop& loop, UniqueFd socket, pid_t peer);
  /// Queues an event. A reader that lets megabytes pile up is dropped.
  void send(const nlohmann::json& event);
  bool open() const { return socket_.valid(); }
  /// The process at the other end.
  pid_t peer() const { return peer_; }

 private:
  friend class ControlServer;
  using OnLine = std::function<void(const std::string&)>;
  void start(OnLine on_line, std::function<void()> on_close);
  void read();
  void flush();
  void close();

  async::EventLoop& loop_;
  UniqueFd socket_;
  async::Watch reader_;  // after the socket: it ends first
  async::Watch writer_;
  pid_t peer_;
  JsonLines lines_;
  std::string output_;
  OnLine on_line_;
  std::function<void()> on_close_;
};

using ConnectionPtr = std::shared_ptr<Connection>;

class ControlServer {
 public:
  using OnRequest = std::function<void(const ConnectionPtr&, nlohmann::json request)>;
  /// A connection was closed by its command (or dropped).
  using OnClosed = std::function<void(const ConnectionPtr&)>;

  /// The socket appears at `path` by rename(2), so whoever sees it can connect.
  static Result<std::unique_ptr<ControlServer>> listen(async::EventLoop& loop, const std::string& path,
                                                       OnRequest on_request, OnClosed on_closed);
  ~ControlServer();

  bool idle() const { return connections_.empty(); }
  /// Takes the socket away unless a command is connected or about to be: true when nobody can come any more.
  Result<bool> close_if_idle();

 private:
  ControlServer(async::EventLoop& loop, std::string path, OnRequest on_request, OnClosed on_closed);
  Result<void> open();
  bool accept_all();

  async::EventLoop& loop_;
  std::string path_;
  OnRequest on_request_;
  OnClosed on_closed_;
  UniqueFd listener_;
  async::Watch watch_;
  std::set<ConnectionPtr> connections_;
};

}  // namespace compose::supervisor
