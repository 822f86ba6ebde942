#include "image/registry/settings.hpp"

#include <algorithm>

#include "base/strings.hpp"
#include "sys/file.hpp"
#include "yaml/parse.hpp"

namespace compose::image::registry {

namespace {

constexpr std::size_t kMaxFile = std::size_t{1} << 20;

/// One text while it is read: errors need its name.
struct Source {
  const std::string& file;
  Error wrong(const yaml::Value& at, std::string_view why) const {
    return make_error(Errc::invalid, "{}:{}: {}", file, at.place.line, why);
  }
};

Result<std::string> text_of(const Source& source, const yaml::Value& value, std::string_view key) {
  if (const std::string* text = value.if_string(); text != nullptr && !text->empty()) return *text;
  return source.wrong(value, fmt::format("\"{}\" must be a text", key));
}

Result<std::vector<http::Url>> mirrors_of(const Source& source, const yaml::Value& value) {
  const yaml::Sequence* items = value.if_sequence();
  if (items == nullptr) return source.wrong(value, "\"mirrors\" must be a list of addresses");
  std::vector<http::Url> mirrors;
  for (const yaml::Value& item : *items) {
    TRY_ASSIGN(const std::string text, text_of(source, item, "mirrors"));
    auto url = http::parse_url(text);
    if (!url) return source.wrong(item, url.error().message());
    while (url->target.ends_with('/')) url->target.pop_back();
    mirrors.push_back(std::move(*url));
  }
  return mirrors;
}

Result<HostSettings> host_of(const Source& source, const yaml::Value& value) {
  HostSettings host;
  const yaml::Mapping* entries = value.if_mapping();
  if (entries == nullptr) return source.wrong(value, "a registry must be a mapping: mirrors, insecure, ca, …");
  for (const yaml::Entry& entry : *entries) {
    if (entry.key == "mirrors") {
      TRY_ASSIGN(host.mirrors, mirrors_of(source, entry.value));
    } else if (entry.key == "insecure") {
      if (!entry.value.is_bool()) return source.wrong(entry.value, "\"insecure\" must be true or false");
      host.insecure = entry.value.as_bool();
    } else if (entry.key == "ca") {
      TRY_ASSIGN(host.ca, text_of(source, entry.value, entry.key));
    } else if (entry.key == "certificate") {
      TRY_ASSIGN(host.certificate, text_of(source, entry.value, entry.key));
    } else if (entry.key == "key") {
      TRY_ASSIGN(host.key, text_of(source, entry.value, entry.key));
    } else {
      return source.wrong(entry.value, fmt::format("unknown key \"{}\" (there are: mirrors, insecure, ca, certificate, "
                                                   "key)",
                                                   entry.key));
    }
  }
  if (host.certificate.empty() != host.key.empty())
    return source.wrong(value, "\"certificate\" and \"key\" belong together");
  return host;
}

Result<void> read_into(const std::string& file, Settings& settings) {
  auto text = sys::read_file(file, kMaxFile);
  if (!text && text.error().code() == Errc::not_found) return {};
  if (!text) return std::move(text).error();
  TRY_ASSIGN(auto hosts, parse_registries(*text, file));
  for (auto& [name, host] : hosts) settings.hosts[name] = std::move(host);
  return {};
}

void add_certificates(const std::string& folder, http::TlsSettings& tls) {
  const auto names = sys::list_directory(folder);
  if (!names) return;
  for (const std::string& name : *names) {
    const std::string path = folder + "/" + name;
    if (name.ends_with(".crt")) tls.authorities.push_back(path);
    if (!name.ends_with(".cert") || !tls.certificate.empty()) continue;
    const std::string key = path.substr(0, path.size() - 5) + ".key";
    if (!sys::exists(key)) continue;
    tls.certificate = path;
    tls.key = key;
  }
}

}  // namespace

const HostSettings* Settings::find(const std::string& host) const {
  const auto it = hosts.find(host);
  return it == hosts.end() ? nullptr : &it->second;
}

Result<std::map<std::string, HostSettings>> parse_registries(std::string_view text, const std::string& file) {
  const Source source{file};
  std::map<std::string, HostSettings> hosts;
  const yaml::Parsed parsed = yaml::parse(text, 1, {.bytes = kMaxFile, .depth = 16});
  if (!parsed.issues.empty()) {
    const yaml::Issue& issue = parsed.issues.front();
    return make_error(Errc::invalid, "{}:{}: {}", file, issue.place.line, issue.message);
  }
  for (const yaml::Document& document : parsed.documents) {
    if (document.root.is_null()) continue;
    const yaml::Mapping* root = document.root.if_mapping();
    if (root == nullptr) return source.wrong(document.root, "the file must be a mapping with the key \"registries\"");
    for (const yaml::Entry& entry : *root) {
      const yaml::Mapping* list = entry.value.if_mapping();
      if (entry.key != "registries") return source.wrong(entry.value, fmt::format("unknown key \"{}\"", entry.key));
      if (list == nullptr) return source.wrong(entry.value, "\"registries\" must be a mapping");
      for (const yaml::Entry& registry : *list) {
        TRY_ASSIGN(hosts[registry.key], host_of(source, registry.value));
      }
    }
  }
  return hosts;
}

Result<Settings> load_settings(const http::Environment& environment) {
  Settings settings;
  settings.environment = environment;
  const std::string home = environment("HOME").value_or("/root");
  const auto own = environment("XDG_CONFIG_HOME");
  const std::string config_home = own && !own->empty() ? *own : home + "/.config";
  if (const auto file = environment("COMPOSE_REGISTRIES"); file && !file->empty()) {
    TRY(read_into(*file, settings));
  } else {
    TRY(read_into("/etc/compose/registries.yaml", settings));
    TRY(read_into(config_home + "/compose/registries.yaml", settings));
  }
  settings.certificate_dirs = {"/etc/compose/certs.d", "/etc/docker/certs.d", "/etc/containers/certs.d",
                               config_home + "/containers/certs.d"};
  const auto docker = environment("DOCKER_CONFIG");
  settings.docker_config = (docker && !docker->empty() ? *docker : home + "/.docker") + "/config.json";
  return settings;
}

http::TlsSettings tls_settings(const Settings& settings, const std::string& host) {
  http::TlsSettings tls;
  if (const HostSettings* own = settings.find(host)) {
    tls.verify = !own->insecure;
    if (!own->ca.empty()) tls.authorities.push_back(own->ca);
    tls.certificate = own->certificate;
    tls.key = own->key;
  }
  for (const std::string& folder : settings.certificate_dirs) add_certificates(folder + "/" + host, tls);
  return tls;
}

bool is_local(const std::string& host) {
  const auto url = http::parse_url("http://" + host + "/");
  if (!url) return false;
  return url->host == "localhost" || url->host == "::1" ||
         (url->host.starts_with("127.") &&
          std::all_of(url->host.begin(), url->host.end(), [](char c) { return c == '.' || (c >= '0' && c <= '9'); }));
}

}  // namespace compose::image::registry
