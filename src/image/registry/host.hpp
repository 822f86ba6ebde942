#pragma once
// One registry (or mirror): how it is reached, and what it wants to see before it answers.
#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "http/client.hpp"
#include "image/registry/challenge.hpp"
#include "image/registry/credentials.hpp"
#include "image/registry/settings.hpp"

namespace compose::image::registry {

class Host {
 public:
  /// `registry` is the name that images and credentials have for it; `base` its address when it is a mirror.
  Host(const Settings& settings, std::string registry, std::optional<http::Url> base = {});

  /// As images and messages name it.
  const std::string& name() const { return name_; }
  /// Its address with the prefix before "/v2", after a first contact that decides between https and http.
  Result<http::Url> base();
  /// Sends a request with what the registry wants for the scopes ("repository:a/b:pull"); GET and HEAD follow
  /// redirects. A status other than 401 is a success. Errc::permission: the registry refuses the credentials, or wants
  /// some.
  Result<http::Response> send(http::Request request, const std::vector<std::string>& scopes);
  /// Ends what all threads wait for, for ever.
  void cancel();
  /// Waits before another attempt: false when cancelled.
  bool pause(std::chrono::milliseconds delay);
  const Settings& settings() const { return settings_; }

 private:
  struct Token {
    std::string value;
    std::chrono::steady_clock::time_point expires;
  };
  Result<std::optional<http::Url>> try_base(const std::string& scheme, std::optional<Error>& failure);
  Result<std::string> authorization(const std::vector<std::string>& scopes, bool again);
  Result<std::string> bearer(const Challenge& challenge, const std::vector<std::string>& scopes, bool again);
  Result<Token> fetch_token(const http::Url& realm, const std::string& service, const std::vector<std::string>& scopes);
  Result<void> load();
  void remember(const http::Response& response);
  Error refused(const std::string& detail) const;

  const Settings& settings_;
  std::string name_;
  std::string address_;  ///< host[:port]
  std::optional<http::Url> mirror_;
  bool plain_allowed_;
  http::Client client_;
  std::optional<http::Client> token_client_;

  std::mutex mutex_;
  std::optional<http::Url> base_;
  std::optional<Credentials> credentials_;
  std::vector<Challenge> challenges_;
  std::map<std::string, Token> tokens_;

  std::mutex pause_mutex_;
  std::condition_variable pause_;
  bool cancelled_ = false;
};

/// "name unknown: repository name not known to registry (NAME_UNKNOWN)", from an error's body (distribution-spec,
/// "Error Codes"); empty when it has none. Control characters are left out.
std::string error_text(std::string_view body);

}  // namespace compose::image::registry
