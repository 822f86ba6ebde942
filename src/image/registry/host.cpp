#include "image/registry/host.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/strings.hpp"
#include "image/json_values.hpp"

namespace compose::image::registry {

namespace {

using Json = nlohmann::json;
using std::chrono::steady_clock;

constexpr std::size_t kMaxAnswer = std::size_t{1} << 20;
constexpr const char* kDockerHub = "registry-1.docker.io";

std::string form_encode(std::string_view name, std::string_view value) {
  return http::percent_encode(name) + "=" + http::percent_encode(value);
}

const Challenge* find_scheme(const std::vector<Challenge>& challenges, std::string_view scheme) {
  for (const Challenge& challenge : challenges) {
    if (challenge.scheme == scheme) return &challenge;
  }
  return nullptr;
}

std::string parameter(const Challenge& challenge, const std::string& name) {
  const auto it = challenge.parameters.find(name);
  return it == challenge.parameters.end() ? "" : it->second;
}

std::string basic(const Credentials& credentials) {
  return "Basic " + http::base64_encode(credentials.name + ":" + credentials.password);
}

std::string printable(std::string_view text, std::size_t limit) {
  std::string result;
  for (const char c : text.substr(0, limit)) {
    if (static_cast<unsigned char>(c) >= ' ' && c != '\x7f') result += c;
  }
  return result;
}

}  // namespace

std::string error_text(std::string_view body) {
  const Json document = Json::parse(body, nullptr, false);
  std::string result;
  for (const Json& item : json_items(document, "errors")) {
    if (result.size() > 300) break;
    const std::string message = printable(json_text(item, "message"), 200);
    const std::string code = printable(json_text(item, "code"), 60);
    if (!result.empty()) result += "; ";
    result += message.empty() ? code : message + (code.empty() ? "" : " (" + code + ")");
  }
  if (result.empty() && document.is_object()) result = printable(json_text(document, "details"), 200);
  return result;
}

Host::Host(const Settings& settings, std::string registry, std::optional<http::Url> base)
    : settings_{settings},
      name_{std::move(registry)},
      address_{base                   ? base->authority()
               : name_ == "docker.io" ? kDockerHub
                                      : name_},
      mirror_{std::move(base)},
      plain_allowed_{is_local(address_)},
      client_{tls_settings(settings, mirror_ ? address_ : name_), settings.timeouts, settings.environment} {
  const HostSettings* own = settings.find(name_);
  plain_allowed_ = plain_allowed_ || (own != nullptr && own->insecure);
}

void Host::cancel() {
  client_.cancel();
  const std::lock_guard lock{pause_mutex_};
  cancelled_ = true;
  pause_.notify_all();
}

bool Host::pause(std::chrono::milliseconds delay) {
  std::unique_lock lock{pause_mutex_};
  return !pause_.wait_for(lock, delay, [&] { return cancelled_; });
}

void Host::remember(const http::Response& response) {
  std::vector<Challenge> all;
  for (const std::string& value : response.headers("WWW-Authenticate")) {
    for (Challenge& challenge : parse_challenges(value)) all.push_back(std::move(challenge));
  }
  if (!all.empty()) challenges_ = std::move(all);
}

/// One contact; nothing (and why) when another scheme may help.
Result<std::optional<http::Url>> Host::try_base(const std::string& scheme, std::optional<Error>& failure) {
  http::Url url;
  if (mirror_) {
    url = *mirror_;
  } else {
    TRY_ASSIGN(url, http::parse_url(scheme + "://" + address_));
    url.target.clear();
  }
  http::Request request;
  request.url = url;
  request.url.target += "/v2/";
  auto response = http::send_following(client_, request);
  if (!response) {
    const Errc code = response.error().code();
    if (code == Errc::permission) {
      return make_error(code, "{}; put its CA's certificate into /etc/docker/certs.d/{}/ca.crt",
                        response.error().message(), mirror_ ? address_ : name_);
    }
    if (code == Errc::cancelled || code == Errc::invalid || code == Errc::not_found) return std::move(response).error();
    if (!failure) failure = std::move(response).error();
    return std::optional<http::Url>{};
  }
  remember(*response);
  (void)response->text(kMaxAnswer);
  return std::optional{url};
}

Result<http::Url> Host::base() {
  const std::lock_guard lock{mutex_};
  if (base_) return *base_;
  std::optional<Error> failure;
  TRY_ASSIGN(base_, try_base("https", failure));
  if (!base_ && plain_allowed_ && !mirror_) {
    TRY_ASSIGN(base_, try_base("http", failure));
  }
  if (base_) return *base_;
  if (failure->code() == Errc::unsupported) {
    failure = Error{Errc::unsupported,
                    failure->message() + fmt::format("; to use plain HTTP write \"insecure: true\" for \"{}\" into "
                                                     "/etc/compose/registries.yaml",
                                                     name_)};
  }
  return *failure;
}

Error Host::refused(const std::string& detail) const {
  const std::string more = detail.empty() ? "" : ": " + detail;
  if (credentials_ && !credentials_->empty()) {
    return make_error(Errc::permission, "registry \"{}\" refuses the name and password in \"{}\"{}", name_,
                      settings_.docker_config, more);
  }
  return make_error(Errc::permission,
                    "registry \"{}\" denies access (a wrong name, or it wants a login: \"{}\" has no credentials for "
                    "it){}",
                    name_, settings_.docker_config, more);
}

Result<void> Host::load() {
  if (credentials_) return {};
  TRY_ASSIGN(credentials_, load_credentials(settings_.docker_config, name_, settings_.environment));
  return {};
}

Result<Host::Token> Host::fetch_token(const http::Url& realm, const std::string& service,
                                      const std::vector<std::string>& scopes) {
  if (!realm.secure() && !is_local(realm.authority()) && !plain_allowed_)
    return make_error(Errc::permission, "registry \"{}\" wants a password to be sent unencrypted to {}", name_,
                      realm.origin());
  http::Client* client = &client_;
  if (realm.authority() != address_) {
    if (!token_client_) {
      token_client_.emplace(tls_settings(settings_, realm.authority()), settings_.timeouts, settings_.environment);
    }
    client = &*token_client_;
  }
  http::Request request;
  request.url = realm;
  std::string query;
  if (!service.empty()) query += "&" + form_encode("service", service);
  if (!credentials_->identity_token.empty()) {
    request.method = "POST";
    request.headers = {{"Content-Type", "application/x-www-form-urlencoded"}};
    request.body = "grant_type=refresh_token&client_id=compose&" +
                   form_encode("refresh_token", credentials_->identity_token) + "&" +
                   form_encode("scope", join(scopes, " ")) + query;
  } else {
    for (const std::string& scope : scopes) query += "&" + form_encode("scope", scope);
    if (!credentials_->name.empty()) {
      query += "&" + form_encode("account", credentials_->name);
      request.headers = {{"Authorization", basic(*credentials_)}};
    }
    if (!query.empty())
      request.url.target += (realm.target.find('?') == std::string::npos ? "?" : "&") + query.substr(1);
  }
  auto sent = request.method == "GET" ? http::send_following(*client, request) : client->send(request);
  TRY_ASSIGN(http::Response response, std::move(sent).with("ask {} for a token", realm.origin()));
  TRY_ASSIGN(const std::string body, response.text(kMaxAnswer));
  if (response.status() == 401 || response.status() == 403) return refused(error_text(body));
  if (response.status() != 200) {
    return make_error(Errc::failed, "{} gave no token: status {} {}", realm.origin(), response.status(),
                      error_text(body));
  }
  const Json document = Json::parse(body, nullptr, false);
  Token token;
  token.value = json_text(document, "token");
  if (token.value.empty()) token.value = json_text(document, "access_token");
  if (token.value.empty()) return make_error(Errc::corrupt, "{} gave no token", realm.origin());
  const std::uint64_t seconds = std::clamp<std::uint64_t>(json_size(document, "expires_in"), 60, 86'400);
  token.expires = steady_clock::now() + std::chrono::seconds{seconds * 9 / 10};
  return token;
}

Result<std::string> Host::bearer(const Challenge& challenge, const std::vector<std::string>& scopes, bool again) {
  if (!credentials_->registry_token.empty()) return "Bearer " + credentials_->registry_token;
  TRY_ASSIGN(const http::Url realm,
             http::parse_url(parameter(challenge, "realm")).with("registry \"{}\": its token server", name_));
  std::vector<std::string> wanted = scopes;
  if (wanted.empty() && !parameter(challenge, "scope").empty()) wanted = {parameter(challenge, "scope")};
  const std::string key = realm.text() + " " + join(wanted, " ");
  if (again) tokens_.erase(key);
  auto found = tokens_.find(key);
  if (found == tokens_.end() || found->second.expires <= steady_clock::now()) {
    TRY_ASSIGN(Token token, fetch_token(realm, parameter(challenge, "service"), wanted));
    found = tokens_.insert_or_assign(key, std::move(token)).first;
  }
  return "Bearer " + found->second.value;
}

/// The Authorization header for what the registry has asked for so far; "" when it has asked for nothing.
Result<std::string> Host::authorization(const std::vector<std::string>& scopes, bool again) {
  const std::lock_guard lock{mutex_};
  if (challenges_.empty()) return std::string{};
  TRY(load());
  if (const Challenge* challenge = find_scheme(challenges_, "bearer")) return bearer(*challenge, scopes, again);
  if (find_scheme(challenges_, "basic") != nullptr && !credentials_->name.empty()) return basic(*credentials_);
  return std::string{};
}

Result<http::Response> Host::send(http::Request request, const std::vector<std::string>& scopes) {
  const bool follows = request.method == "GET" || request.method == "HEAD";
  const http::Headers headers = request.headers;
  for (int attempt = 0;; ++attempt) {
    // Where an upload goes on may be another host, which our secrets are no business of.
    TRY_ASSIGN(const http::Url home, base());
    std::string authorization;
    if (request.url.origin() == home.origin()) {
      TRY_ASSIGN(authorization, this->authorization(scopes, attempt > 0));
    }
    request.headers = headers;
    if (!authorization.empty()) request.headers.emplace_back("Authorization", authorization);
    TRY_ASSIGN(http::Response response, follows ? http::send_following(client_, request) : client_.send(request));
    if (response.status() != 401) return response;
    std::string detail;
    if (const auto body = response.text(kMaxAnswer)) detail = error_text(*body);
    const std::lock_guard lock{mutex_};
    remember(response);
    TRY(load());
    if (attempt > 0 || request.upload || (find_scheme(challenges_, "bearer") == nullptr && !authorization.empty()))
      return refused(detail);
  }
}

}  // namespace compose::image::registry
