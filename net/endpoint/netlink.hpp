#pragma once
// Netlink messages (netlink(7)): a buffer of requests that go to the kernel with one system call, and dumps.
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/unique_fd.hpp"

namespace compose::net::netlink {

/// Requests one after the other in one buffer. Every message has a label, which an error of the kernel is reported
/// with.
class Batch {
 public:
  /// Starts a message; the one before is complete. `flags` besides NLM_F_REQUEST.
  void message(std::uint16_t type, std::uint16_t flags, std::string label);
  /// The fixed header that follows the netlink header (ifinfomsg, nfgenmsg…).
  template <typename Header>
  void header(const Header& value) {
    append(&value, sizeof value);
  }
  void attribute(std::uint16_t type, std::string_view bytes);
  /// With the terminating zero byte the kernel's NLA_STRING wants.
  void text(std::uint16_t type, std::string_view value);
  void u8(std::uint16_t type, std::uint8_t value) { attribute(type, view(value)); }
  void u16(std::uint16_t type, std::uint16_t value) { attribute(type, view(value)); }
  void u32(std::uint16_t type, std::uint32_t value) { attribute(type, view(value)); }
  void be16(std::uint16_t type, std::uint16_t value);
  void be32(std::uint16_t type, std::uint32_t value);
  void be64(std::uint16_t type, std::uint64_t value);
  void flag(std::uint16_t type) { attribute(type, {}); }

  /// Opens a nested attribute; returns what end() needs. An attribute's length has 16 bits: nested_size() tells how
  /// much is in it.
  [[nodiscard]] std::size_t nest(std::uint16_t type);
  void end(std::size_t nest);
  std::size_t nested_size(std::size_t nest) const { return buffer_.size() - nest; }

  bool empty() const { return labels_.empty(); }
  std::size_t messages() const { return labels_.size(); }
  std::span<const std::string> labels() const { return labels_; }
  /// The bytes to send; sequence numbers count from 0.
  const std::string& bytes();
  void clear();

 private:
  template <typename Value>
  static std::string_view view(const Value& value) {
    return {reinterpret_cast<const char*>(&value), sizeof value};
  }
  void append(const void* data, std::size_t size);
  void finish();

  std::string buffer_;
  std::vector<std::string> labels_;
  std::size_t open_message_ = kNone;
  static constexpr std::size_t kNone = ~std::size_t{0};
};

/// One attribute while reading.
struct Attribute {
  std::uint16_t type = 0;
  std::string_view data;
  std::string_view text() const { return data.substr(0, data.find('\0')); }
  /// 0 when it is too short.
  std::uint32_t u32() const;
  std::uint32_t be32() const;
  std::uint64_t be64() const;
  std::uint8_t u8() const { return data.empty() ? std::uint8_t{0} : static_cast<std::uint8_t>(data[0]); }
};

/// Walks the attributes in `bytes`; torn ones end the walk.
void for_each_attribute(std::string_view bytes, const std::function<void(const Attribute&)>& visit);

/// One message of a dump: type, and what follows the netlink header.
struct Reply {
  std::uint16_t type = 0;
  std::string_view payload;
};

class Socket {
 public:
  /// `protocol` is NETLINK_ROUTE, NETLINK_NETFILTER or NETLINK_SOCK_DIAG, in the current network namespace.
  static Result<Socket> open(int protocol);

  /// Sends the batch with one system call and reports the first failure, with its label and what the kernel says.
  /// The kernel works on the batch inside that call, so all is done when this returns. rtnetlink carries out message
  /// after message; nf_tables all or nothing.
  Result<void> execute(Batch& batch);

  /// Sends a batch of one message with NLM_F_DUMP, or one that has one reply, and visits what comes back.
  Result<void> query(Batch& batch, const std::function<void(const Reply&)>& visit);

  int fd() const { return fd_.get(); }

 private:
  explicit Socket(UniqueFd fd) : fd_{std::move(fd)} {}
  Result<void> send(Batch& batch);
  UniqueFd fd_;
};

}  // namespace compose::net::netlink
