#pragma once
// The two sockets of one container. Both hand each query to a Handler and send what comes back.
#include <functional>
#include <list>
#include <memory>
#include <optional>

#include "async/event_loop.hpp"
#include "base/unique_fd.hpp"
#include "net/dns/message.hpp"
#include "net/dns/responder.hpp"

namespace compose::net::dns {

/// Answers at once, or returns nothing and calls `later` from the event loop (with no bytes: no reply).
using Later = std::function<void(Bytes)>;
using Handler = std::function<std::optional<Bytes>(ByteSpan query, Transport transport, Later later)>;

/// Buffers for one batch of datagrams: one set serves all containers, since they take turns on one thread.
struct UdpBatch;
std::shared_ptr<UdpBatch> make_udp_batch();

class UdpService {
 public:
  UdpService(async::EventLoop& loop, UniqueFd socket, Handler handler, std::shared_ptr<UdpBatch> batch);
  std::weak_ptr<const UniqueFd> socket() const { return socket_; }

 private:
  void on_readable();
  std::shared_ptr<UniqueFd> socket_;  ///< late answers hold it weakly
  Handler handler_;
  std::shared_ptr<UdpBatch> batch_;
  async::Watch watch_;
};

class TcpService {
 public:
  TcpService(async::EventLoop& loop, UniqueFd listener, Handler handler);
  ~TcpService();

 private:
  struct Connection;
  void on_connection();
  void on_readable(Connection& connection);
  void on_writable(Connection& connection);
  bool take_query(const std::shared_ptr<Connection>& connection);
  void reply(Connection& connection, const Bytes& bytes);
  void rest(Connection& connection);
  void drop(Connection& connection);

  async::EventLoop& loop_;
  UniqueFd listener_;
  Handler handler_;
  std::list<std::shared_ptr<Connection>> connections_;
  async::Watch watch_;
};

}  // namespace compose::net::dns
