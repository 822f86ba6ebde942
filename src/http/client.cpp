#include "http/client.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/version.hpp>
#include <map>
#include <mutex>

#include "base/strings.hpp"

namespace compose::http {

namespace beast = boost::beast;
using Parser = beast::http::response_parser<beast::http::buffer_body>;

namespace {

constexpr std::size_t kMaxHeader = std::size_t{64} << 10;
constexpr std::size_t kBuffer = std::size_t{64} << 10;
constexpr std::size_t kUploadBuffer = std::size_t{256} << 10;
constexpr std::size_t kKept = 8;  // idle connections to one place
constexpr int kMaxRedirects = 10;

/// A transport and what has been read from it ahead.
struct Connection {
  std::string key;
  TransportPtr transport;
  std::vector<char> buffer = std::vector<char>(kBuffer);
  std::size_t begin = 0;
  std::size_t end = 0;

  Result<bool> fill() {
    if (begin < end) std::copy(buffer.begin() + static_cast<long>(begin), buffer.begin() + static_cast<long>(end), buffer.begin());
    end -= begin;
    begin = 0;
    if (end == buffer.size()) return make_error(Errc::corrupt, "a header is too long");
    TRY_ASSIGN(const std::size_t got, transport->read(buffer.data() + end, buffer.size() - end));
    end += got;
    return got > 0;
  }
};
using ConnectionPtr = std::unique_ptr<Connection>;

/// Gives the parser what is buffered and reads on until its header is complete.
Result<void> read_header(Connection& connection, Parser& parser) {
  while (!parser.is_header_done()) {
    if (connection.begin < connection.end) {
      beast::error_code error;
      const boost::asio::const_buffer bytes{connection.buffer.data() + connection.begin,
                                            connection.end - connection.begin};
      connection.begin += parser.put(bytes, error);
      if (error && error != beast::http::error::need_more)
        return make_error(Errc::corrupt, "the answer is no HTTP: {}", error.message());
      if (parser.is_header_done()) break;
    }
    TRY_ASSIGN(const bool more, connection.fill());
    if (!more) return make_error(Errc::failed, "the connection was closed before an answer came");
  }
  return {};
}

void prepare(Parser& parser, bool head) {
  parser.header_limit(kMaxHeader);
  parser.body_limit(boost::none);
  parser.skip(head);
  parser.eager(false);
}

bool is_safe_header(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char c) { return c == '\r' || c == '\n' || c == '\0'; });
}

Result<std::string> header_text(const Request& request, const std::optional<Url>& plain_proxy) {
  std::string text = request.method + " ";
  text += plain_proxy ? request.url.text() : request.url.target;
  text += " HTTP/1.1\r\nHost: " + request.url.authority() + "\r\nUser-Agent: compose\r\n";
  if (plain_proxy && !plain_proxy->user_info.empty())
    text += "Proxy-Authorization: Basic " + base64_encode(percent_decode(plain_proxy->user_info)) + "\r\n";
  for (const auto& [name, value] : request.headers) {
    if (!is_safe_header(name) || !is_safe_header(value))
      return make_error(Errc::invalid, "the header \"{}\" must not have line ends", name);
    text += name + ": " + value + "\r\n";
  }
  const std::uint64_t size = request.upload ? request.upload->size : request.body.size();
  const bool has_body = request.method != "GET" && request.method != "HEAD" && request.method != "DELETE";
  if (has_body || size > 0) text += "Content-Length: " + std::to_string(size) + "\r\n";
  return text + "\r\n";
}

/// CONNECT (RFC 9110, 9.3.6): what follows on the connection is between us and the host.
Result<TransportPtr> open_tunnel(TransportPtr transport, const Url& target, const Url& proxy) {
  const std::string host = target.host.find(':') == std::string::npos ? target.host : "[" + target.host + "]";
  const std::string place = host + ":" + std::to_string(target.port);
  std::string text = "CONNECT " + place + " HTTP/1.1\r\nHost: " + place + "\r\n";
  if (!proxy.user_info.empty())
    text += "Proxy-Authorization: Basic " + base64_encode(percent_decode(proxy.user_info)) + "\r\n";
  TRY(transport->write(text + "\r\n"));
  Connection connection;
  connection.transport = std::move(transport);
  Parser parser;
  prepare(parser, true);
  TRY(read_header(connection, parser));
  const unsigned status = parser.get().result_int();
  if (status / 100 != 2) {
    return make_error(status == 407 ? Errc::permission : Errc::failed, "the proxy {} refused: status {}{}",
                      proxy.origin(), status, status == 407 ? " (it wants a name and a password)" : "");
  }
  if (connection.begin != connection.end) return make_error(Errc::corrupt, "the proxy {} sent too much", proxy.origin());
  return std::move(connection.transport);
}

}  // namespace

struct Client::State {
  TlsSettings tls;
  Timeouts timeouts;
  Environment environment;
  UniqueFd cancel{::eventfd(0, EFD_CLOEXEC)};
  std::mutex mutex;
  std::shared_ptr<TlsContext> context;
  std::map<std::string, std::vector<ConnectionPtr>> idle;

  Result<std::shared_ptr<TlsContext>> tls_context() {
    const std::lock_guard lock{mutex};
    if (!context) {
      TRY_ASSIGN(context, TlsContext::create(tls));
    }
    return context;
  }

  ConnectionPtr take(const std::string& key) {
    const std::lock_guard lock{mutex};
    auto& list = idle[key];
    while (!list.empty()) {
      ConnectionPtr connection = std::move(list.back());
      list.pop_back();
      if (connection->transport->usable()) return connection;
    }
    return nullptr;
  }

  void give_back(ConnectionPtr connection) {
    const std::lock_guard lock{mutex};
    auto& list = idle[connection->key];
    if (list.size() < kKept) list.push_back(std::move(connection));
  }

  Result<ConnectionPtr> connect(const Url& url, const std::optional<Url>& proxy, const std::string& key) {
    const Url& first = proxy ? *proxy : url;
    auto connected = connect_tcp(first.host, first.port, timeouts, cancel.get());
    if (!connected) {
      if (proxy) connected = std::move(connected).with("the proxy {}", proxy->origin());
      return std::move(connected).error();
    }
    TransportPtr transport = std::move(*connected);
    if (proxy && proxy->secure()) {
      TRY_ASSIGN(auto trust, tls_context());
      TRY_ASSIGN(transport, start_tls(std::move(transport), proxy->host, std::move(trust)));
    }
    if (url.secure()) {
      if (proxy) {
        TRY_ASSIGN(transport, open_tunnel(std::move(transport), url, *proxy));
      }
      TRY_ASSIGN(auto trust, tls_context());
      TRY_ASSIGN(transport, start_tls(std::move(transport), url.host, std::move(trust)));
    }
    auto connection = std::make_unique<Connection>();
    connection->key = key;
    connection->transport = std::move(transport);
    return connection;
  }
};

struct Response::State {
  std::shared_ptr<Client::State> client;
  ConnectionPtr connection;
  std::unique_ptr<Parser> parser;
  Url url;
  bool ended = false;
  bool reusable = true;

  void finish() {
    ended = true;
    if (connection && reusable && parser->keep_alive() && connection->begin == connection->end)
      client->give_back(std::move(connection));
    connection.reset();
  }
};

Response::Response(std::unique_ptr<State> state) : state_{std::move(state)} {}
Response::Response(Response&&) noexcept = default;
Response& Response::operator=(Response&&) noexcept = default;
Response::~Response() = default;

unsigned Response::status() const { return state_->parser->get().result_int(); }
const Url& Response::url() const { return state_->url; }

std::vector<std::string> Response::headers(std::string_view name) const {
  std::vector<std::string> values;
  const auto range = state_->parser->get().base().equal_range(beast::string_view{name.data(), name.size()});
  for (auto it = range.first; it != range.second; ++it) values.emplace_back(it->value());
  return values;
}

std::optional<std::string> Response::header(std::string_view name) const {
  std::vector<std::string> values = headers(name);
  return values.empty() ? std::nullopt : std::optional{std::move(values.front())};
}

std::optional<std::uint64_t> Response::content_length() const {
  const auto length = state_->parser->content_length();
  return length ? std::optional<std::uint64_t>{*length} : std::nullopt;
}

Result<std::size_t> Response::read(char* buffer, std::size_t size) {
  State& state = *state_;
  if (state.ended) return std::size_t{0};
  Parser& parser = *state.parser;
  Connection& connection = *state.connection;
  auto& body = parser.get().body();
  body.data = buffer;
  body.size = size;
  body.more = true;
  while (!parser.is_done()) {
    beast::error_code error;
    if (connection.begin < connection.end) {
      const boost::asio::const_buffer bytes{connection.buffer.data() + connection.begin,
                                            connection.end - connection.begin};
      connection.begin += parser.put(bytes, error);
      if (error && error != beast::http::error::need_buffer && error != beast::http::error::need_more)
        return make_error(Errc::corrupt, "{}: the answer is no HTTP: {}", state.url.text(), error.message());
      if (body.size < size) return size - body.size;
      if (parser.is_done()) break;
      if (error != beast::http::error::need_more && connection.begin < connection.end) continue;
    }
    auto more = connection.fill().with("{}", state.url.text());
    if (!more) return std::move(more).error();
    if (!*more) {
      parser.put_eof(error);
      if (error) return make_error(Errc::failed, "{}: the answer was cut off", state.url.text());
    }
  }
  state.finish();
  return std::size_t{0};
}

Result<std::string> Response::text(std::size_t limit) {
  std::string result;
  std::vector<char> buffer(std::size_t{16} << 10);
  while (true) {
    TRY_ASSIGN(const std::size_t got, read(buffer.data(), buffer.size()));
    if (got == 0) return result;
    if (result.size() + got > limit)
      return make_error(Errc::corrupt, "{}: the answer has more than {} bytes", state_->url.text(), limit);
    result.append(buffer.data(), got);
  }
}

Client::Client(TlsSettings tls, Timeouts timeouts, Environment environment) : state_{std::make_shared<State>()} {
  state_->tls = std::move(tls);
  state_->timeouts = timeouts;
  state_->environment = std::move(environment);
}
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;
Client::~Client() = default;

void Client::cancel() {
  const std::uint64_t one = 1;
  (void)!::write(state_->cancel.get(), &one, sizeof one);
}

namespace {

Result<void> write_request(Connection& connection, const Request& request, const std::string& head) {
  if (!request.upload) return connection.transport->write(head + request.body);
  TRY(connection.transport->write(head));
  std::vector<char> buffer(kUploadBuffer);
  std::uint64_t left = request.upload->size;
  while (left > 0) {
    const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(left, buffer.size()));
    TRY_ASSIGN(const std::size_t got, request.upload->read(buffer.data(), wanted));
    if (got == 0) return make_error(Errc::failed, "what is to be sent is shorter than announced");
    TRY(connection.transport->write({buffer.data(), got}));
    left -= got;
  }
  return {};
}

/// The answer to a request, without the interim ones (1xx).
Result<std::unique_ptr<Parser>> read_answer(Connection& connection, bool head) {
  for (int interim = 0; interim < 8; ++interim) {
    auto parser = std::make_unique<Parser>();
    prepare(*parser, head);
    TRY(read_header(connection, *parser));
    if (parser->get().result_int() / 100 != 1) return parser;
  }
  return make_error(Errc::corrupt, "too many interim answers");
}

}  // namespace

Result<Response> Client::send(const Request& request) {
  TRY_ASSIGN(const std::optional<Url> proxy, proxy_for(request.url, state_->environment));
  const bool through = proxy && !request.url.secure();
  TRY_ASSIGN(const std::string head, header_text(request, through ? proxy : std::nullopt));
  const std::string key = request.url.origin() + (proxy ? " " + proxy->origin() : "");
  for (int attempt = 0;; ++attempt) {
    ConnectionPtr connection = attempt == 0 && !request.upload ? state_->take(key) : nullptr;
    const bool kept = connection != nullptr;
    if (!kept) {
      TRY_ASSIGN(connection, state_->connect(request.url, proxy, key));
    }
    const Result<void> written = write_request(*connection, request, head);
    // A server that refuses a body answers before it has read all of it and closes: the answer is what counts.
    const bool closed = !written && (written.error().sys_errno() == EPIPE || written.error().sys_errno() == ECONNRESET);
    if (!written && !closed && !kept) return Error{written.error()}.add_context(request.url.text());
    auto parser = read_answer(*connection, request.method == "HEAD");
    if (!parser) {
      const Error& cause = written ? parser.error() : written.error();
      if (kept && cause.code() != Errc::cancelled && cause.code() != Errc::timeout) continue;
      return Error{cause}.add_context(request.url.text());
    }
    auto state = std::make_unique<Response::State>();
    state->client = state_;
    state->connection = std::move(connection);
    state->parser = std::move(*parser);
    state->url = request.url;
    state->reusable = written.ok();
    if (state->parser->is_done()) state->finish();
    return Response{std::move(state)};
  }
}

Result<Response> send_following(Client& client, Request request) {
  const std::string first = request.url.text();
  for (int i = 0; i <= kMaxRedirects; ++i) {
    TRY_ASSIGN(Response response, client.send(request));
    const unsigned status = response.status();
    const bool moved = status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
    const auto location = response.header("Location");
    if (!moved || !location) return response;
    TRY_ASSIGN(Url next, resolve_url(request.url, *location).with("{}: redirect", first));
    if (request.url.secure() && !next.secure())
      return make_error(Errc::permission, "{}: redirected from https to {}", first, next.text());
    if (next.origin() != request.url.origin()) {
      std::erase_if(request.headers, [](const auto& header) {
        const std::string name = to_lower(header.first);
        return name == "authorization" || name == "cookie";
      });
    }
    (void)response.text(kMaxHeader);  // so that the connection can be kept
    request.url = std::move(next);
  }
  return make_error(Errc::failed, "{}: more than {} redirects", first, kMaxRedirects);
}

Result<Response> get(Client& client, const Url& url, const Headers& headers) {
  Request request;
  request.url = url;
  request.headers = headers;
  return send_following(client, std::move(request));
}

}  // namespace compose::http
