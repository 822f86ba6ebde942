#include "image/registry/credentials.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/strings.hpp"
#include "image/json_values.hpp"
#include "sys/file.hpp"
#include "sys/process.hpp"

namespace compose::image::registry {

namespace {

using Json = nlohmann::json;

constexpr const char* kDockerKey = "https://index.docker.io/v1/";
constexpr std::size_t kMaxConfig = std::size_t{4} << 20;
constexpr std::size_t kMaxSecret = std::size_t{64} << 10;

std::string key_of(const std::string& registry) { return registry == "docker.io" ? kDockerKey : registry; }

/// "https://host/v1/" and "host" are the same registry.
std::string host_of_key(std::string_view key) {
  if (const std::size_t scheme = key.find("://"); scheme != std::string_view::npos) key.remove_prefix(scheme + 3);
  const std::string host{key.substr(0, key.find('/'))};
  return host == "index.docker.io" || host == "registry-1.docker.io" ? "docker.io" : host;
}

Result<Credentials> parse_auth(const Json& entry, const std::string& key) {
  Credentials result;
  result.name = json_text(entry, "username");
  result.password = json_text(entry, "password");
  result.identity_token = json_text(entry, "identitytoken");
  result.registry_token = json_text(entry, "registrytoken");
  const std::string auth = json_text(entry, "auth");
  if (auth.empty()) return result;
  const auto text = http::base64_decode(auth);
  const std::size_t colon = text ? text->find(':') : std::string::npos;
  if (colon == std::string::npos)
    return make_error(Errc::invalid, "the \"auth\" of \"{}\" is damaged: log in again", key);
  result.name = text->substr(0, colon);
  result.password = text->substr(colon + 1);
  while (result.password.ends_with('\0')) result.password.pop_back();
  return result;
}

/// A key of a mapping that means the registry: the exact one first, then one of the same host.
const Json* entry_for(const Json* mapping, const std::string& registry) {
  if (mapping == nullptr || !mapping->is_object()) return nullptr;
  if (const auto it = mapping->find(key_of(registry)); it != mapping->end()) return &*it;
  for (auto it = mapping->begin(); it != mapping->end(); ++it) {
    if (host_of_key(it.key()) == registry) return &it.value();
  }
  return nullptr;
}

bool is_helper_name(const std::string& name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.';
  });
}

Result<std::string> find_program(const std::string& name, const http::Environment& environment) {
  for (const std::string& folder : split(environment("PATH").value_or("/usr/local/bin:/usr/bin:/bin"), ':')) {
    const std::string path = folder + "/" + name;
    if (folder.starts_with('/') && ::access(path.c_str(), X_OK) == 0) return path;
  }
  return make_error(Errc::not_found, "the program \"{}\" is not in PATH", name);
}

/// Runs `docker-credential-HELPER get`: the registry on its input, JSON on its output.
Result<Credentials> ask_helper(const std::string& helper, const std::string& registry,
                               const http::Environment& environment) {
  if (!is_helper_name(helper)) return make_error(Errc::invalid, "\"{}\" is no name of a credential helper", helper);
  const std::string name = "docker-credential-" + helper;
  sys::SpawnOptions options;
  TRY_ASSIGN(options.program, find_program(name, environment));
  options.arguments = {name, "get"};
  TRY_ASSIGN(const UniqueFd input, sys::memfd_from("registry", key_of(registry) + "\n"));
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return os_error("make a pipe");
  UniqueFd output{ends[0]};
  UniqueFd output_end{ends[1]};
  options.fds = {{input.get(), 0}, {output_end.get(), 1}};
  TRY_ASSIGN(const sys::Child child, sys::spawn(options).with("{}", name));
  output_end.reset();
  const auto text = sys::read_all(output.get(), kMaxSecret);
  output.reset();
  TRY_ASSIGN(const sys::ExitStatus status, sys::wait_child(child.pid));
  TRY_ASSIGN(const std::string answer, Result<std::string>{text}.with("{}", name));
  if (status.code != 0) {
    // Every helper says "credentials not found in native keychain" when it has none: that is no failure.
    if (answer.find("credentials not found") != std::string::npos) return Credentials{};
    return make_error(Errc::failed, "{} failed with exit code {}: {}", name, status.code,
                      trim(std::string_view{answer}.substr(0, 200)));
  }
  const Json document = Json::parse(answer, nullptr, false);
  if (!document.is_object()) return make_error(Errc::corrupt, "{} did not answer in JSON", name);
  Credentials result;
  result.name = json_text(document, "Username");
  result.password = json_text(document, "Secret");
  if (result.name == "<token>") {
    result.identity_token = std::exchange(result.password, {});
    result.name.clear();
  }
  return result;
}

}  // namespace

Result<CredentialSource> find_credentials(std::string_view config_json, const std::string& registry) {
  const Json document = Json::parse(config_json, nullptr, false);
  if (!document.is_object()) return make_error(Errc::invalid, "it is no JSON object");
  CredentialSource source;
  if (const Json* entry = entry_for(json_member(document, "auths"), registry)) {
    TRY_ASSIGN(source.stored, parse_auth(*entry, key_of(registry)));
  }
  const Json* helper = entry_for(json_member(document, "credHelpers"), registry);
  source.helper =
      helper != nullptr && helper->is_string() ? helper->get<std::string>() : json_text(document, "credsStore");
  return source;
}

Result<Credentials> load_credentials(const std::string& config_file, const std::string& registry,
                                     const http::Environment& environment) {
  const auto text = sys::read_file(config_file, kMaxConfig);
  if (!text && text.error().code() == Errc::not_found) return Credentials{};
  if (!text) return text.error();
  TRY_ASSIGN(const CredentialSource source, find_credentials(*text, registry).with("\"{}\"", config_file));
  if (source.helper.empty()) return source.stored;
  TRY_ASSIGN(Credentials given, ask_helper(source.helper, registry, environment).with("\"{}\"", config_file));
  return given.empty() ? source.stored : given;
}

}  // namespace compose::image::registry
