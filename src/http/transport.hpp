#pragma once
// A connection as two calls: bytes out, bytes in. TCP, and TLS over any other transport (so also through a proxy).
// Calls wait, at most for the idle time; every wait ends when the client is cancelled.
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/unique_fd.hpp"

namespace compose::http {

struct TlsSettings {
  std::vector<std::string> authorities;  ///< PEM files whose CAs are trusted besides the system's
  std::string certificate;               ///< PEM file of the client's certificate; may be empty
  std::string key;                       ///< PEM file of its key
  bool verify = true;                    ///< false: any certificate will do
  auto operator<=>(const TlsSettings&) const = default;
};

struct Timeouts {
  std::chrono::milliseconds connect{30'000};
  std::chrono::milliseconds idle{60'000};  ///< without a byte in either direction
};

class Transport {
 public:
  virtual ~Transport() = default;
  /// At least one byte; 0 at the peer's end of the connection.
  virtual Result<std::size_t> read(char* buffer, std::size_t size) = 0;
  virtual Result<void> write(std::string_view bytes) = 0;
  /// Whether an idle connection can still be used: nothing has come and the peer has not closed it.
  virtual bool usable() const = 0;
};
using TransportPtr = std::unique_ptr<Transport>;

/// Tries the host's addresses in the resolver's order. `cancel_fd` ends every wait once it is readable (-1: none).
/// Errors: Errc::not_found when the name has no address, Errc::failed ("connect to …") otherwise.
Result<TransportPtr> connect_tcp(const std::string& host, std::uint16_t port, const Timeouts& timeouts, int cancel_fd);

/// The trust and the key of a client, read once and shared by its connections.
class TlsContext {
 public:
  /// Errc::invalid names the file that cannot be used.
  static Result<std::shared_ptr<TlsContext>> create(const TlsSettings& settings);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

 private:
  friend Result<TransportPtr> start_tls(TransportPtr, const std::string&, std::shared_ptr<TlsContext>);
  TlsContext() = default;
  void* context_ = nullptr;  // SSL_CTX
  bool verify_ = true;
};

/// TLS 1.2 or newer; the certificate must be for `host` (a name or an address). Errc::permission when it cannot be
/// trusted, with the reason.
Result<TransportPtr> start_tls(TransportPtr below, const std::string& host, std::shared_ptr<TlsContext> context);

}  // namespace compose::http
