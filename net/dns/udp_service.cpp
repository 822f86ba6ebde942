#include <netinet/in.h>
#include <sys/socket.h>

#include <array>

#include "net/dns/service.hpp"

namespace compose::net::dns {
namespace {
constexpr unsigned kBatch = 32;
constexpr std::size_t kLargestQuery = 4096;
}  // namespace

struct UdpBatch {
  struct Slot {
    std::array<std::uint8_t, kLargestQuery> query;
    sockaddr_storage peer;
    iovec in, out;
    Bytes reply;
  };
  std::array<Slot, kBatch> slots;
};

std::shared_ptr<UdpBatch> make_udp_batch() { return std::make_shared<UdpBatch>(); }

UdpService::UdpService(async::EventLoop& loop, UniqueFd socket, Handler handler, std::shared_ptr<UdpBatch> batch)
    : socket_{std::make_shared<UniqueFd>(std::move(socket))}, handler_{std::move(handler)}, batch_{std::move(batch)} {
  watch_ = loop.watch_readable(socket_->get(), [this] { on_readable(); });
}

/// Takes what has come, up to a batch, in one system call, and sends the answers in one.
void UdpService::on_readable() {
  std::array<mmsghdr, kBatch> messages{};
  for (unsigned i = 0; i < kBatch; ++i) {
    auto& slot = batch_->slots[i];
    slot.in = {slot.query.data(), slot.query.size()};
    messages[i].msg_hdr = {&slot.peer, sizeof slot.peer, &slot.in, 1, nullptr, 0, 0};
  }
  const int fd = socket_->get();
  const int got = ::recvmmsg(fd, messages.data(), kBatch, MSG_DONTWAIT, nullptr);
  std::array<mmsghdr, kBatch> replies{};
  unsigned ready = 0;
  for (int i = 0; i < got; ++i) {
    auto& slot = batch_->slots[static_cast<unsigned>(i)];
    const auto& received = messages[static_cast<unsigned>(i)];
    if ((received.msg_hdr.msg_flags & MSG_TRUNC) != 0) continue;
    const socklen_t peer_size = received.msg_hdr.msg_namelen;
    Later later = [socket = std::weak_ptr{socket_}, peer = slot.peer, peer_size](const Bytes& bytes) {
      const auto alive = socket.lock();
      if (!alive || bytes.empty()) return;
      ::sendto(alive->get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
               reinterpret_cast<const sockaddr*>(&peer), peer_size);
    };
    auto reply = handler_(ByteSpan{slot.query}.first(received.msg_len), Transport::udp, std::move(later));
    if (!reply || reply->empty()) continue;
    slot.reply = std::move(*reply);
    slot.out = {slot.reply.data(), slot.reply.size()};
    replies[ready++].msg_hdr = {&slot.peer, peer_size, &slot.out, 1, nullptr, 0, 0};
  }
  // What the socket's buffer cannot take is lost, as UDP may: the asker asks again.
  if (ready > 0) ::sendmmsg(fd, replies.data(), ready, MSG_DONTWAIT | MSG_NOSIGNAL);
}

}  // namespace compose::net::dns
