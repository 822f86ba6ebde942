#include "net/dns/server.hpp"

#include <map>

#include "base/strings.hpp"
#include "net/dns/cache.hpp"
#include "net/dns/forwarder.hpp"
#include "net/dns/responder.hpp"
#include "net/dns/service.hpp"

namespace compose::net::dns {

struct Server::Impl {
  struct Container {
    std::string id;
    std::shared_ptr<const ZoneView> view;
    std::unique_ptr<UdpService> udp;
    std::unique_ptr<TcpService> tcp;
  };

  async::EventLoop& loop;
  std::vector<std::string> upstreams;
  Counters counters;
  Cache cache;
  Forwarder forwarder;
  std::map<std::string, Container> containers;
  std::shared_ptr<UdpBatch> batch = make_udp_batch();
  std::uint32_t rotation = 0;
  std::function<void()> refresh;
  std::chrono::steady_clock::time_point refreshed{};

  Impl(async::EventLoop& on, Options options)
      : loop{on},
        upstreams{std::move(options.upstreams)},
        cache{options.cache_entries},
        forwarder{on, options.timeout, options.attempts, counters} {}

  std::optional<Bytes> handle(const Container& container, ByteSpan query, Transport transport, Later later) {
    ++counters.queries;
    if (refresh) look_around();
    const auto view = container.view;  // an answer may outlive an update
    Decision decision = Responder::decide(query, *view, transport, rotation++);
    switch (decision.kind) {
      case Decision::Kind::drop:
        return Bytes{};
      case Decision::Kind::answer:
        ++counters.answered;
        return std::move(decision.bytes);
      case Decision::Kind::forward:
        break;
    }
    return forward(container, query, transport, std::move(later));
  }

  void look_around() {
    constexpr auto kInterval = std::chrono::milliseconds{100};
    const auto now = std::chrono::steady_clock::now();
    if (now - refreshed < kInterval) return;
    refreshed = now;
    refresh();
  }

  std::optional<Bytes> forward(const Container& container, ByteSpan query, Transport transport, Later later) {
    const Query parsed = parse_query(query).query;
    Forwarder::Targets targets{container.view->upstreams, {}, true};
    std::string asked = container.id + " ";  // what 127.0.0.1 says is true for nobody else
    if (targets.upstreams.empty()) {
      targets = {upstreams, {}, false};
      asked.clear();
    } else {
      targets.beside = container.udp->socket();
    }
    const std::string key = Cache::key(parsed, query, asked + join(targets.upstreams, ","));
    const auto now = std::chrono::steady_clock::now();
    if (auto kept = cache.get(key, query, parsed, now)) {
      const std::size_t limit = transport == Transport::tcp ? kLargestMessage : parsed.udp_size;
      if (kept->size() <= limit) {
        ++counters.cache_hits;
        return kept;
      }
    }
    ++counters.forwarded;
    forwarder.ask(
        query, parsed, transport, std::move(targets),
        [this, key, bytes = Bytes(query.begin(), query.end()), later = std::move(later),
         limit = transport == Transport::tcp ? kLargestMessage : parsed.udp_size](std::optional<Bytes> reply) {
          if (!reply) {
            ++counters.failed;
            return later(Responder::failure(bytes, kServerFailure));
          }
          cache.put(key, *reply, std::chrono::steady_clock::now());
          // An upstream may send more than was asked for.
          later(reply->size() > limit ? truncated(*reply) : std::move(*reply));
        });
    return std::nullopt;
  }
};

Server::Server(async::EventLoop& loop, Options options) : impl_{std::make_unique<Impl>(loop, std::move(options))} {}

Server::Server(async::EventLoop& loop, std::vector<std::string> upstreams)
    : Server{loop, Options{.upstreams = std::move(upstreams)}} {}

Server::~Server() = default;

void Server::serve(const std::string& container_id, endpoint::ResolverSockets sockets,
                   std::shared_ptr<const ZoneView> view) {
  stop(container_id);
  Impl::Container& container = impl_->containers[container_id];
  container.id = container_id;
  container.view = std::move(view);
  const Handler handler = [impl = impl_.get(), &container](ByteSpan query, Transport transport, Later later) {
    return impl->handle(container, query, transport, std::move(later));
  };
  container.udp = std::make_unique<UdpService>(impl_->loop, std::move(sockets.udp), handler, impl_->batch);
  container.tcp = std::make_unique<TcpService>(impl_->loop, std::move(sockets.tcp), handler);
}

void Server::update(const std::string& container_id, std::shared_ptr<const ZoneView> view) {
  const auto found = impl_->containers.find(container_id);
  if (found != impl_->containers.end()) found->second.view = std::move(view);
}

void Server::stop(const std::string& container_id) { impl_->containers.erase(container_id); }

void Server::set_upstreams(std::vector<std::string> upstreams) {
  impl_->upstreams = std::move(upstreams);
  impl_->cache.clear();
}

void Server::before_query(std::function<void()> refresh) { impl_->refresh = std::move(refresh); }

const Server::Counters& Server::counters() const { return impl_->counters; }

}  // namespace compose::net::dns
