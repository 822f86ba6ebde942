#include "supervisor/control_server.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "sys/message.hpp"

namespace compose::supervisor {

using nlohmann::json;

namespace {
constexpr std::size_t kMostUnread = std::size_t{64} << 20;
}

Connection::Connection(async::EventLoop& loop, UniqueFd socket, pid_t peer)
    : loop_{loop}, socket_{std::move(socket)}, peer_{peer} {}

void Connection::start(OnLine on_line, std::function<void()> on_close) {
  on_line_ = std::move(on_line);
  on_close_ = std::move(on_close);
  reader_ = loop_.watch_readable(socket_.get(), [this] { read(); });
}

void Connection::read() {
  const auto self = shared_from_this();
  const auto state = lines_.fill(socket_.get(), MSG_DONTWAIT);
  if (!state || *state == JsonLines::State::closed) return close();
  while (const auto line = lines_.next()) {
    on_line_(*line);
    if (!open()) return;
  }
}

void Connection::send(const json& event) {
  if (!open()) return;
  const bool waiting = !output_.empty();
  output_ += event.dump(-1, ' ', false, json::error_handler_t::replace);
  output_ += '\n';
  if (output_.size() > kMostUnread) return close();
  if (!waiting) flush();
}

void Connection::flush() {
  const auto self = shared_from_this();
  while (!output_.empty()) {
    const ssize_t count =
        retry_eintr([&] { return ::send(socket_.get(), output_.data(), output_.size(), MSG_NOSIGNAL | MSG_DONTWAIT); });
    if (count < 0) {
      if (errno != EAGAIN && errno != EWOULDBLOCK) return close();
      if (!writer_) writer_ = loop_.watch_writable(socket_.get(), [this] { flush(); });
      return;
    }
    output_.erase(0, static_cast<std::size_t>(count));
  }
  writer_.reset();
}

void Connection::close() {
  if (!open()) return;
  reader_.reset();
  writer_.reset();
  socket_.reset();
  if (on_close_) on_close_();
}

ControlServer::ControlServer(async::EventLoop& loop, std::string path, OnRequest on_request, OnClosed on_closed)
    : loop_{loop}, path_{std::move(path)}, on_request_{std::move(on_request)}, on_closed_{std::move(on_closed)} {}

ControlServer::~ControlServer() {
  for (const ConnectionPtr& connection : connections_) {
    connection->on_close_ = nullptr;
    connection->close();
  }
}

Result<std::unique_ptr<ControlServer>> ControlServer::listen(async::EventLoop& loop, const std::string& path,
                                                             OnRequest on_request, OnClosed on_closed) {
  std::unique_ptr<ControlServer> server{new ControlServer{loop, path, std::move(on_request), std::move(on_closed)}};
  TRY(server->open());
  return server;
}

Result<void> ControlServer::open() {
  const std::string unready = path_ + ".new";
  TRY_ASSIGN(listener_, sys::listen_unix(unready, SOCK_STREAM | SOCK_NONBLOCK));
  if (::rename(unready.c_str(), path_.c_str()) != 0) return os_error("renaming {}", unready);
  watch_ = loop_.watch_readable(listener_.get(), [this] { accept_all(); });
  return {};
}

bool ControlServer::accept_all() {
  bool any = false;
  for (;;) {
    UniqueFd socket{retry_eintr([&] { return ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC); })};
    if (!socket.valid()) return any;
    any = true;
    ucred peer{};
    socklen_t size = sizeof peer;
    // Mode 0600 keeps others out already; a socket that was opened up by mistake must not.
    if (::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 ||
        (peer.uid != ::geteuid() && peer.uid != 0)) {
      continue;
    }
    const auto connection = std::make_shared<Connection>(loop_, std::move(socket), peer.pid);
    connections_.insert(connection);
    const std::weak_ptr<Connection> weak = connection;
    connection->start(
        [this, weak](const std::string& line) {
          const auto alive = weak.lock();
          json request = json::parse(line, nullptr, false);
          if (request.is_object()) return on_request_(alive, std::move(request));
          alive->send({{"event", "result"}, {"ok", false}, {"error", "the request is not JSON"}});
        },
        [this, weak] {
          if (const auto alive = weak.lock()) {
            connections_.erase(alive);
            on_closed_(alive);
          }
        });
  }
}

Result<bool> ControlServer::close_if_idle() {
  if (!idle()) return false;
  ::unlink(path_.c_str());
  // Who connected just before the unlink stands in the queue now, and nobody can join it any more.
  if (!accept_all()) {
    watch_.reset();
    listener_.reset();
    return true;
  }
  watch_.reset();
  TRY(open());
  return false;
}

}  // namespace compose::supervisor
