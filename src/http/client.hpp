#pragma once
// HTTP/1.1 as a client: requests over kept connections, through proxies, with TLS. Calls wait; several threads may use
// one Client at once, each has a connection of its own.
//
//   http::Client client;
//   TRY_ASSIGN(const http::Url url, http::parse_url("https://example.org/file.tar.gz"));
//   TRY_ASSIGN(http::Response response, http::get(client, url));          // follows redirects
//   if (response.status() != 200) …
//   while (…) TRY_ASSIGN(const std::size_t got, response.read(buffer, sizeof buffer));   // 0 at the end
//
// Parsing is Boost.Beast's, TLS is OpenSSL's; sockets and proxies are ours, blocking with limits on every wait: the
// layers of an image are one thread each anyway, nothing has to be started for a command that stays offline, and both
// libraries are linked statically (Debian's libcurl would bring some thirty shared libraries).
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "http/transport.hpp"
#include "http/url.hpp"

namespace compose::http {

using Headers = std::vector<std::pair<std::string, std::string>>;

/// A body that is too large for memory. `read` gives at least one byte, and `size` bytes in all.
struct Upload {
  std::uint64_t size = 0;
  std::function<Result<std::size_t>(char* buffer, std::size_t size)> read;
};

struct Request {
  std::string method = "GET";
  Url url;
  Headers headers = {};  ///< besides Host, User-Agent, Content-Length and Connection
  std::string body = {};
  std::optional<Upload> upload = {};  ///< instead of `body`
};

class Client;

class Response {
 public:
  Response(Response&&) noexcept;
  Response& operator=(Response&&) noexcept;
  /// Closes the connection unless the body was read to its end.
  ~Response();

  unsigned status() const;
  /// The value of a header, whatever its case; nothing when it is not there. Of several equal ones the first.
  std::optional<std::string> header(std::string_view name) const;
  /// All values of a header.
  std::vector<std::string> headers(std::string_view name) const;
  /// Content-Length, when there is one.
  std::optional<std::uint64_t> content_length() const;
  /// The next bytes of the body; 0 at its end. A body that ends early is Errc::failed ("… cut …").
  Result<std::size_t> read(char* buffer, std::size_t size);
  /// The whole body; Errc::corrupt when it has more than `limit` bytes.
  Result<std::string> text(std::size_t limit);
  /// Where it came from: after redirects another one than was asked for.
  const Url& url() const;

 private:
  friend class Client;
  struct State;
  explicit Response(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

class Client {
 public:
  explicit Client(TlsSettings tls = {}, Timeouts timeouts = {}, Environment environment = process_environment());
  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;
  ~Client();

  /// Sends a request and reads the response's header; any status is a success. A connection that was kept and has
  /// died is replaced once when the body can be sent again.
  Result<Response> send(const Request& request);
  /// Ends every wait of every thread with Errc::cancelled, for ever.
  void cancel();

 private:
  friend class Response;
  struct State;
  std::shared_ptr<State> state_;
};

/// Sends a GET or HEAD and follows up to ten redirects (301, 302, 303, 307, 308). Authorization and cookies go only to
/// the first origin; from https to http is Errc::permission.
Result<Response> send_following(Client& client, Request request);
Result<Response> get(Client& client, const Url& url, const Headers& headers = {});

}  // namespace compose::http
