#include "net/endpoint/netlink.hpp"
#include "base/crash_point.hpp"

#include <arpa/inet.h>
#include <endian.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include <cstring>

namespace compose::net::netlink {

namespace {
constexpr std::size_t aligned(std::size_t size) {
  return (size + NLMSG_ALIGNTO - 1) & ~(std::size_t{NLMSG_ALIGNTO} - 1);
}
constexpr std::size_t kReceiveBuffer = 32 * 1024;  // the kernel sends no larger pieces of a dump
}  // namespace

void Batch::append(const void* data, std::size_t size) {
  buffer_.append(static_cast<const char*>(data), size);
  buffer_.resize(aligned(buffer_.size()), '\0');
}

void Batch::finish() {
  if (open_message_ == kNone) return;
  const auto length = static_cast<std::uint32_t>(buffer_.size() - open_message_);
  std::memcpy(buffer_.data() + open_message_, &length, sizeof length);  // nlmsg_len is the first field
  open_message_ = kNone;
}

void Batch::message(std::uint16_t type, std::uint16_t flags, std::string label) {
  finish();
  open_message_ = buffer_.size();
  nlmsghdr head{};
  head.nlmsg_type = type;
  head.nlmsg_flags = static_cast<std::uint16_t>(flags | NLM_F_REQUEST);
  head.nlmsg_seq = static_cast<std::uint32_t>(labels_.size());
  append(&head, sizeof head);
  labels_.push_back(std::move(label));
}

void Batch::attribute(std::uint16_t type, std::string_view bytes) {
  nlattr head{};
  head.nla_len = static_cast<std::uint16_t>(sizeof head + bytes.size());
  head.nla_type = type;
  append(&head, sizeof head);
  append(bytes.data(), bytes.size());
}

void Batch::text(std::uint16_t type, std::string_view value) {
  std::string terminated{value};
  terminated.push_back('\0');
  attribute(type, terminated);
}

void Batch::be16(std::uint16_t type, std::uint16_t value) { attribute(type, view(htons(value))); }
void Batch::be32(std::uint16_t type, std::uint32_t value) { attribute(type, view(htonl(value))); }
void Batch::be64(std::uint16_t type, std::uint64_t value) { attribute(type, view(htobe64(value))); }

std::size_t Batch::nest(std::uint16_t type) {
  const std::size_t start = buffer_.size();
  nlattr head{};
  head.nla_type = static_cast<std::uint16_t>(type | NLA_F_NESTED);
  append(&head, sizeof head);
  return start;
}

void Batch::end(std::size_t nest) {
  const auto length = static_cast<std::uint16_t>(buffer_.size() - nest);
  std::memcpy(buffer_.data() + nest, &length, sizeof length);  // nla_len is the first field
}

const std::string& Batch::bytes() {
  finish();
  return buffer_;
}

void Batch::clear() {
  buffer_.clear();
  labels_.clear();
  open_message_ = kNone;
}

std::uint32_t Attribute::u32() const {
  std::uint32_t value = 0;
  if (data.size() >= sizeof value) std::memcpy(&value, data.data(), sizeof value);
  return value;
}

std::uint32_t Attribute::be32() const { return ntohl(u32()); }

std::uint64_t Attribute::be64() const {
  std::uint64_t value = 0;
  if (data.size() >= sizeof value) std::memcpy(&value, data.data(), sizeof value);
  return be64toh(value);
}

void for_each_attribute(std::string_view bytes, const std::function<void(const Attribute&)>& visit) {
  while (bytes.size() >= sizeof(nlattr)) {
    nlattr head{};
    std::memcpy(&head, bytes.data(), sizeof head);
    if (head.nla_len < sizeof head || head.nla_len > bytes.size()) return;
    visit({static_cast<std::uint16_t>(head.nla_type & NLA_TYPE_MASK),
           bytes.substr(sizeof head, head.nla_len - sizeof head)});
    const std::size_t step = aligned(head.nla_len);
    if (step >= bytes.size()) return;
    bytes.remove_prefix(step);
  }
}

namespace {

/// The kernel's own words of a failure, if it gave any (NLMSGERR_ATTR_MSG).
std::string kernel_words(const nlmsghdr& head, std::string_view message) {
  std::string words;
  if ((head.nlmsg_flags & NLM_F_ACK_TLVS) == 0) return words;
  std::size_t offset = sizeof(nlmsghdr) + sizeof(nlmsgerr);
  if ((head.nlmsg_flags & NLM_F_CAPPED) == 0) {
    nlmsgerr failure{};
    std::memcpy(&failure, message.data() + sizeof(nlmsghdr), sizeof failure);
    offset += aligned(failure.msg.nlmsg_len) - sizeof(nlmsghdr);
  }
  if (offset >= message.size()) return words;
  for_each_attribute(message.substr(offset), [&](const Attribute& attribute) {
    if (attribute.type == NLMSGERR_ATTR_MSG) words = attribute.text();
  });
  return words;
}

Error failure_of(const nlmsghdr& head, std::string_view message, int code, std::span<const std::string> labels) {
  const std::string words = kernel_words(head, message);
  std::string text = head.nlmsg_seq < labels.size() ? labels[head.nlmsg_seq] : "netlink request";
  if (!words.empty()) text += " (" + words + ")";
  return os_error_from(-code, std::move(text));
}

/// Visits the messages of one datagram; stops when `visit` says so.
template <typename Visit>
void for_each_message(std::string_view bytes, Visit visit) {
  while (bytes.size() >= sizeof(nlmsghdr)) {
    nlmsghdr head{};
    std::memcpy(&head, bytes.data(), sizeof head);
    if (head.nlmsg_len < sizeof head || head.nlmsg_len > bytes.size()) return;
    if (!visit(head, bytes.substr(0, head.nlmsg_len))) return;
    const std::size_t step = aligned(head.nlmsg_len);
    if (step >= bytes.size()) return;
    bytes.remove_prefix(step);
  }
}

int error_code(std::string_view message) {
  nlmsgerr failure{};
  if (message.size() < sizeof(nlmsghdr) + sizeof failure.error) return -EPROTO;
  std::memcpy(&failure.error, message.data() + sizeof(nlmsghdr), sizeof failure.error);
  return failure.error;
}

}  // namespace

Result<Socket> Socket::open(int protocol) {
  UniqueFd fd{::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol)};
  if (!fd.valid()) return os_error("open a netlink socket");
  const int on = 1;
  // Both only improve messages; kernels without them are fine.
  (void)::setsockopt(fd.get(), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
  (void)::setsockopt(fd.get(), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
  (void)::setsockopt(fd.get(), SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof on);
  return Socket{std::move(fd)};
}

Result<void> Socket::send(Batch& batch) {
  const std::string& bytes = batch.bytes();
  constexpr std::size_t kDefaultSendBuffer = 128 * 1024;
  if (bytes.size() > kDefaultSendBuffer) {
    // A message must fit the socket's send buffer, whose ordinary limit is about 200 KiB.
    const int wanted = static_cast<int>(bytes.size() * 2);
    (void)::setsockopt(fd_.get(), SOL_SOCKET, SO_SNDBUFFORCE, &wanted, sizeof wanted);
  }
  const ssize_t sent = retry_eintr([&] { return ::send(fd_.get(), bytes.data(), bytes.size(), 0); });
  if (sent < 0) return os_error("send {} netlink messages", batch.messages());
  return {};
}

Result<void> Socket::execute(Batch& batch) {
  if (batch.empty()) return {};
  crash_point("netlink");
  TRY(send(batch));
  crash_point("netlink done");
  char buffer[8192];  // room for one error with its texts; on the stack to keep the monitor's heap small
  Result<void> outcome;
  while (true) {
    const ssize_t got = retry_eintr([&] { return ::recv(fd_.get(), buffer, sizeof buffer, MSG_DONTWAIT); });
    if (got < 0) {
      if (errno == EAGAIN) return outcome;  // no (more) complaints: messages carry no NLM_F_ACK
      return os_error("receive a netlink reply");
    }
    for_each_message({buffer, static_cast<std::size_t>(got)}, [&](const nlmsghdr& head, std::string_view message) {
      if (head.nlmsg_type != NLMSG_ERROR) return true;
      const int code = error_code(message);
      if (code != 0 && outcome.ok()) outcome = failure_of(head, message, code, batch.labels());
      return true;
    });
  }
}

Result<void> Socket::query(Batch& batch, const std::function<void(const Reply&)>& visit) {
  TRY(send(batch));
  std::string buffer(kReceiveBuffer, '\0');
  Result<void> outcome;
  bool done = false;
  while (!done) {
    const ssize_t got = retry_eintr([&] { return ::recv(fd_.get(), buffer.data(), buffer.size(), 0); });
    if (got < 0) return os_error("receive a netlink reply");
    for_each_message({buffer.data(), static_cast<std::size_t>(got)},
                     [&](const nlmsghdr& head, std::string_view message) {
                       if (head.nlmsg_type == NLMSG_ERROR) {
                         const int code = error_code(message);
                         if (code != 0) outcome = failure_of(head, message, code, batch.labels());
                         done = true;
                         return false;
                       }
                       if (head.nlmsg_type == NLMSG_DONE) {
                         done = true;
                         return false;
                       }
                       visit({head.nlmsg_type, message.substr(sizeof(nlmsghdr))});
                       if ((head.nlmsg_flags & NLM_F_MULTI) == 0) done = true;
                       return !done;
                     });
  }
  return outcome;
}

}  // namespace compose::net::netlink
