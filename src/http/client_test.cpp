#include "http/client.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <deque>
#include <thread>

namespace compose::http {
namespace {

/// Answers each connection with the next of its scripts: a request is read, an answer written, for every entry.
class Server {
 public:
  explicit Server(std::deque<std::vector<std::string>> connections) : connections_{std::move(connections)} {
    listener_ = UniqueFd{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address);
    ::listen(listener_.get(), 8);
    socklen_t size = sizeof address;
    ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    base_ = "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port));
    thread_ = std::thread{[this] { run(); }};
  }
  ~Server() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
  }
  Url url(const std::string& target = "/") const { return *parse_url(base_ + target); }
  /// Of one request after the other; once the server's thread has ended or the answers were read.
  const std::vector<std::string>& requests() const { return requests_; }

 private:
  void run() {
    while (!connections_.empty()) {
      const UniqueFd fd{::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)};
      if (!fd.valid()) return;
      const std::vector<std::string> answers = std::move(connections_.front());
      connections_.pop_front();
      for (const std::string& answer : answers) {
        std::string request;
        char buffer[4096];
        std::size_t body = 0;
        while (true) {
          const std::size_t end = request.find("\r\n\r\n");
          if (end != std::string::npos) {
            const std::size_t length = request.find("Content-Length: ");
            body = length == std::string::npos ? 0 : std::stoul(request.substr(length + 16));
            if (request.size() >= end + 4 + body) break;
          }
          const ssize_t got = ::recv(fd.get(), buffer, sizeof buffer, 0);
          if (got <= 0) return;
          request.append(buffer, static_cast<std::size_t>(got));
        }
        requests_.push_back(request);
        ::send(fd.get(), answer.data(), answer.size(), MSG_NOSIGNAL);
      }
    }
  }
  UniqueFd listener_;
  std::string base_;
  std::deque<std::vector<std::string>> connections_;
  std::vector<std::string> requests_;
  std::thread thread_;
};

std::string answer(const std::string& body, const std::string& status = "200 OK", const std::string& more = "") {
  return "HTTP/1.1 " + status + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" + more + "\r\n" + body;
}

Environment no_environment() {
  return [](const std::string&) { return std::nullopt; };
}

TEST(HttpClient, ReadsAnswersAndKeepsTheConnection) {
  Server server{{{answer("one"), answer("two", "404 Not Found", "X-A: 1\r\nX-a: 2\r\n")}}};
  Client client{{}, {}, no_environment()};
  auto first = get(client, server.url("/a?b=c"), {{"Accept", "text/plain"}});
  ASSERT_TRUE(first.ok()) << first.error().message();
  EXPECT_EQ(first->status(), 200U);
  EXPECT_EQ(*first->content_length(), 3U);
  EXPECT_EQ(*first->text(100), "one");
  auto second = get(client, server.url());
  ASSERT_TRUE(second.ok()) << second.error().message();
  EXPECT_EQ(second->status(), 404U);
  EXPECT_EQ(second->headers("x-a").size(), 2U);
  EXPECT_EQ(*second->text(100), "two");
  EXPECT_TRUE(server.requests()[0].starts_with("GET /a?b=c HTTP/1.1\r\nHost: 127.0.0.1:")) << server.requests()[0];
  EXPECT_NE(server.requests()[0].find("Accept: text/plain\r\n"), std::string::npos);
}

TEST(HttpClient, ReadsChunksInWhateverPiecesTheyAreAskedFor) {
  Server server{{{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n",
                  answer("kept")}}};
  Client client{{}, {}, no_environment()};
  auto response = get(client, server.url());
  ASSERT_TRUE(response.ok());
  std::string text;
  char buffer[3];
  while (true) {
    const auto got = response->read(buffer, sizeof buffer);
    ASSERT_TRUE(got.ok()) << got.error().message();
    if (*got == 0) break;
    text.append(buffer, *got);
  }
  EXPECT_EQ(text, "hello world");
  EXPECT_EQ(*get(client, server.url())->text(10), "kept");
}

TEST(HttpClient, ABodyThatEndsEarlyIsAnError) {
  Server server{{{"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"}}};
  Client client{{}, {}, no_environment()};
  auto response = get(client, server.url("/big"));
  ASSERT_TRUE(response.ok());
  const auto text = response->text(100);
  ASSERT_FALSE(text.ok());
  EXPECT_NE(text.error().message().find("/big: the answer was cut off"), std::string::npos) << text.error().message();
}

TEST(HttpClient, ABodyWithoutLengthGoesToTheEndOfTheConnection) {
  Server server{{{"HTTP/1.1 200 OK\r\n\r\nall of it"}}};
  Client client{{}, {}, no_environment()};
  EXPECT_EQ(*get(client, server.url())->text(100), "all of it");
}

TEST(HttpClient, BoundsWhatItKeepsInMemory) {
  Server server{{{answer(std::string(1000, 'x'))}, {"HTTP/1.1 200 OK\r\nX: " + std::string(100'000, 'x')}}};
  Client client{{}, {}, no_environment()};
  EXPECT_EQ(get(client, server.url())->text(999).error().code(), Errc::corrupt);
  EXPECT_EQ(get(client, server.url()).error().code(), Errc::corrupt);
}

TEST(HttpClient, WhatIsNoHttpIsSaidToBeNone) {
  Server server{{{"SSH-2.0-OpenSSH_9.2\r\n\r\n"}}};
  Client client{{}, {}, no_environment()};
  const auto response = get(client, server.url());
  ASSERT_FALSE(response.ok());
  EXPECT_NE(response.error().message().find("is no HTTP"), std::string::npos);
}

TEST(HttpClient, AKeptConnectionThatDiedIsReplaced) {
  Server server{{{answer("one")}, {answer("two")}}};
  Client client{{}, {}, no_environment()};
  EXPECT_EQ(*get(client, server.url())->text(10), "one");
  EXPECT_EQ(*get(client, server.url())->text(10), "two");
}

TEST(HttpClient, FollowsRedirectsAndKeepsSecretsAtHome) {
  Server other{{{answer("there")}}};
  Server server{{{answer("", "307 Temporary Redirect", "Location: /b\r\n"),
                  answer("", "302 Found", "Location: " + other.url("/c").text() + "\r\n")}}};
  Client client{{}, {}, no_environment()};
  auto response = get(client, server.url("/a"), {{"Authorization", "Basic x"}, {"Range", "bytes=1-"}});
  ASSERT_TRUE(response.ok()) << response.error().message();
  EXPECT_EQ(*response->text(10), "there");
  EXPECT_EQ(response->url().target, "/c");
  EXPECT_NE(server.requests()[1].find("Authorization"), std::string::npos);
  EXPECT_EQ(other.requests()[0].find("Authorization"), std::string::npos);
  EXPECT_NE(other.requests()[0].find("Range: bytes=1-"), std::string::npos);
}

TEST(HttpClient, GivesUpACircleOfRedirects) {
  std::vector<std::string> circle(12, answer("", "302 Found", "Location: /\r\n"));
  Server server{{circle}};
  Client client{{}, {}, no_environment()};
  EXPECT_NE(get(client, server.url()).error().message().find("redirects"), std::string::npos);
}

TEST(HttpClient, SendsBodiesFromMemoryAndFromElsewhere) {
  Server server{{{answer("", "201 Created")}, {answer("", "202 Accepted")}}};
  Client client{{}, {}, no_environment()};
  Request put{.method = "PUT", .url = server.url()};
  put.body = "body";
  EXPECT_EQ(client.send(put)->status(), 201U);
  std::string left(300'000, 'z');
  Request patch{.method = "PATCH", .url = server.url()};
  patch.upload = Upload{left.size(), [&](char* buffer, std::size_t size) -> Result<std::size_t> {
                          const std::size_t count = left.copy(buffer, std::min<std::size_t>(size, 7000));
                          left.erase(0, count);
                          return count;
                        }};
  EXPECT_EQ(client.send(patch)->status(), 202U);
  EXPECT_TRUE(server.requests()[0].ends_with("Content-Length: 4\r\n\r\nbody")) << server.requests()[0];
  EXPECT_TRUE(server.requests()[1].ends_with(std::string(300'000, 'z')));
}

TEST(HttpClient, GoesThroughAProxy) {
  Server proxy{{{answer("by proxy")}, {"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"}}};
  const std::string address = proxy.url().text();
  Client client{{}, {}, [address](const std::string& name) -> std::optional<std::string> {
                  if (name == "HTTP_PROXY") return "http://us%65r:pw@" + address.substr(7);
                  if (name == "HTTPS_PROXY") return address;
                  return std::nullopt;
                }};
  EXPECT_EQ(*get(client, *parse_url("http://far.example/x"))->text(10), "by proxy");
  EXPECT_TRUE(proxy.requests()[0].starts_with("GET http://far.example/x HTTP/1.1\r\nHost: far.example\r\n"));
  EXPECT_NE(proxy.requests()[0].find("Proxy-Authorization: Basic dXNlcjpwdw==\r\n"), std::string::npos);
  const auto refused = get(client, *parse_url("https://far.example/x"));
  EXPECT_EQ(refused.error().code(), Errc::permission);
  EXPECT_TRUE(proxy.requests()[1].starts_with("CONNECT far.example:443 HTTP/1.1\r\n")) << proxy.requests()[1];
}

TEST(HttpClient, HeadersCannotSmuggleOthers) {
  Client client{{}, {}, no_environment()};
  EXPECT_EQ(get(client, *parse_url("http://127.0.0.1:1/"), {{"A", "b\r\nC: d"}}).error().code(), Errc::invalid);
}

TEST(HttpClient, SaysWhichPlaceCannotBeReached) {
  Client client{{}, {}, no_environment()};
  const auto response = get(client, *parse_url("http://127.0.0.1:1/"));
  EXPECT_NE(response.error().message().find("127.0.0.1:1: connect: Connection refused"), std::string::npos)
      << response.error().message();
}

TEST(HttpClient, CancelEndsAWaitInAnotherThread) {
  Server server{{{"", ""}}};  // never answers
  Client client{{}, {}, no_environment()};
  std::thread other{[&] { client.cancel(); }};
  EXPECT_EQ(get(client, server.url()).error().code(), Errc::cancelled);
  other.join();
}

}  // namespace
}  // namespace compose::http
