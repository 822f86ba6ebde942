#include "container/run_files.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/schema.hpp"
#include "base/strings.hpp"
#include "base/unique_fd.hpp"
#include "sys/file.hpp"

namespace compose::container {
namespace {

using nlohmann::json;

constexpr int kSchema = 1;

// A secret may be any bytes, a JSON string may not.
std::string hex(const std::string& bytes) {
  return to_hex({reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()});
}

std::string from_hex(const std::string& digits) {
  const auto value = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  std::string bytes;
  for (std::size_t i = 0; i + 1 < digits.size(); i += 2) {
    bytes += static_cast<char>(value(digits[i]) * 16 + value(digits[i + 1]));
  }
  return bytes;
}

json file_to_json(const GrantedFile& file) {
  return {{"name", file.name},  {"target", file.target}, {"source", file.source}, {"content", hex(file.content)},
          {"uid", file.uid},    {"gid", file.gid},       {"mode", file.mode},     {"what", file.what},
          {"where", file.where}};
}

GrantedFile file_from_json(const json& value) {
  GrantedFile file;
  value.at("name").get_to(file.name);
  value.at("target").get_to(file.target);
  value.at("source").get_to(file.source);
  file.content = from_hex(value.at("content").get<std::string>());
  value.at("uid").get_to(file.uid);
  value.at("gid").get_to(file.gid);
  value.at("mode").get_to(file.mode);
  value.at("what").get_to(file.what);
  value.at("where").get_to(file.where);
  return file;
}

Result<std::uint32_t> owner(const std::string& text, const GrantedFile& file, const char* attribute) {
  if (text.empty()) return std::uint32_t{0};
  const auto number = parse_unsigned(text);
  if (!number || *number >= std::numeric_limits<std::uint32_t>::max()) {
    return make_error(Errc::invalid, "{}{}: {} \"{}\" is not a number", file.where, file.what, attribute, text);
  }
  return static_cast<std::uint32_t>(*number);
}

// One kind of references: secrets or configs.
struct Kind {
  const char* singular;
  const char* plural;
  const std::map<std::string, model::FileObject>& objects;
  std::string (*default_target)(const model::FileReference&);
};

std::string secret_target(const model::FileReference& reference) {
  const std::string& name = reference.target.empty() ? reference.source : reference.target;
  return name.starts_with('/') ? name : "/run/secrets/" + name;
}

std::string config_target(const model::FileReference& reference) {
  const std::string& name = reference.target.empty() ? reference.source : reference.target;
  return name.starts_with('/') ? name : "/" + name;
}

std::string place(const model::Project& project, const std::string& path) {
  const auto position = project.where(path);
  return position.known() ? position.to_string() + ": " : "";
}

Result<void> fill_source(const model::Project& project, const Kind& kind, const std::string& key, GrantedFile& file) {
  const auto found = kind.objects.find(key);
  if (found == kind.objects.end()) {
    return make_error(Errc::not_found, "{}{} is not defined in the project", file.where, file.what);
  }
  const model::FileObject& object = found->second;
  const std::string declared = place(project, fmt::format("{}.{}", kind.plural, key));
  if (object.external) {
    return make_error(Errc::unsupported, "{}{} is external: there is no store of {} here, name a file", declared,
                      file.what, kind.plural);
  }
  if (object.content) {
    file.content = *object.content;
  } else if (!object.environment.empty()) {
    const auto variable = project.environment.find(object.environment);
    if (variable == project.environment.end()) {
      return make_error(Errc::not_found, "{}{}: the environment variable \"{}\" is not set", declared, file.what,
                        object.environment);
    }
    file.content = variable->second;
  } else {
    file.source = object.file;
  }
  file.where = declared;
  return {};
}

Result<void> grant(const model::Project& project, const model::Service& service, const Kind& kind,
                   const std::vector<model::FileReference>& references, std::vector<GrantedFile>& into) {
  for (std::size_t i = 0; i < references.size(); ++i) {
    const auto& reference = references[i];
    GrantedFile file;
    file.name = fmt::format("{}/{}", kind.plural, i);
    file.target = kind.default_target(reference);
    file.what = fmt::format("{} \"{}\"", kind.singular, reference.source);
    file.where = place(project, fmt::format("services.{}.{}[{}]", service.name, kind.plural, i));
    file.mode = reference.mode.value_or(0444);
    TRY_ASSIGN(file.uid, owner(reference.uid, file, "uid"));
    TRY_ASSIGN(file.gid, owner(reference.gid, file, "gid"));
    TRY(fill_source(project, kind, reference.source, file));
    into.push_back(std::move(file));
  }
  return {};
}

std::vector<std::string> values_of(const std::string& resolv_conf, std::string_view keyword) {
  std::vector<std::string> result;
  for (const auto& line : split(resolv_conf, '\n')) {
    std::string text = line.substr(0, line.find_first_of("#;"));
    std::ranges::replace(text, '\t', ' ');
    const auto trimmed = trim(text);
    if (!trimmed.starts_with(keyword) || trimmed.substr(keyword.size(), 1) != " ") continue;
    if (keyword == "search") result.clear();  // the last one holds, resolv.conf(5)
    for (const auto& word : split(trimmed.substr(keyword.size()), ' ')) {
      if (!word.empty()) result.push_back(word);
    }
  }
  return result;
}

std::string resolv_conf(const std::vector<std::string>& servers, const RunFiles& files, const std::string& host,
                        std::vector<std::string> options) {
  std::string text;
  for (const auto& server : servers) text += "nameserver " + server + "\n";
  std::vector<std::string> search = files.dns_search.empty() ? values_of(host, "search") : files.dns_search;
  std::erase(search, ".");
  if (!search.empty()) text += "search " + join(search, " ") + "\n";
  options.insert(options.end(), files.dns_options.begin(), files.dns_options.end());
  if (!options.empty()) text += "options " + join(options, " ") + "\n";
  return text;
}

}  // namespace

std::string to_json(const RunFiles& files) {
  json granted = json::array();
  for (const auto& file : files.files) granted.push_back(file_to_json(file));
  const json value = {{"schema", kSchema},
                      {"hostname", files.hostname},
                      {"domainname", files.domainname},
                      {"network", static_cast<int>(files.network)},
                      {"dns", files.dns},
                      {"dns_search", files.dns_search},
                      {"dns_options", files.dns_options},
                      {"extra_hosts", files.extra_hosts},
                      {"files", std::move(granted)},
                      {"shares_shm", files.shares_shm},
                      {"joins_shm", files.joins_shm},
                      {"lower", files.overlay.lower},
                      {"upper", files.overlay.upper},
                      {"work", files.overlay.work}};
  return value.dump(1) + "\n";
}

Result<RunFiles> run_files_from_json(std::string_view text) {
  try {
    const json value = json::parse(text);
    TRY(check_schema(value.value("schema", 0), kSchema).with("files.json"));
    RunFiles files;
    value.at("hostname").get_to(files.hostname);
    value.at("domainname").get_to(files.domainname);
    files.network = static_cast<NetworkKind>(value.at("network").get<int>());
    value.at("dns").get_to(files.dns);
    value.at("dns_search").get_to(files.dns_search);
    value.at("dns_options").get_to(files.dns_options);
    value.at("extra_hosts").get_to(files.extra_hosts);
    for (const auto& file : value.at("files")) files.files.push_back(file_from_json(file));
    value.at("shares_shm").get_to(files.shares_shm);
    value.at("joins_shm").get_to(files.joins_shm);
    value.at("lower").get_to(files.overlay.lower);
    value.at("upper").get_to(files.overlay.upper);
    value.at("work").get_to(files.overlay.work);
    return files;
  } catch (const json::exception& problem) {
    return make_error(Errc::corrupt, "files.json: {}", problem.what());
  }
}

Result<std::vector<GrantedFile>> granted_files(const model::Project& project, const model::Service& service) {
  std::vector<GrantedFile> result;
  TRY(grant(project, service, {"secret", "secrets", project.secrets, secret_target}, service.secrets, result));
  TRY(grant(project, service, {"config", "configs", project.configs, config_target}, service.configs, result));
  return result;
}

std::string hosts_text(const RunFiles& files, const std::vector<std::string>& addresses, const std::string& gateway) {
  std::string text =
      "127.0.0.1\tlocalhost\n"
      "::1\tlocalhost ip6-localhost ip6-loopback\n"
      "fe00::\tip6-localnet\n"
      "ff00::\tip6-mcastprefix\n"
      "ff02::1\tip6-allnodes\n"
      "ff02::2\tip6-allrouters\n";
  const std::string names = files.domainname.empty()
                                ? files.hostname
                                : fmt::format("{}.{} {}", files.hostname, files.domainname, files.hostname);
  for (const auto& address : addresses) text += address + "\t" + names + "\n";
  for (const auto& [host, targets] : files.extra_hosts) {
    for (const auto& target : targets) {
      const std::string& address = target == "host-gateway" ? gateway : target;
      if (!address.empty()) text += address + "\t" + host + "\n";
    }
  }
  return text;
}

std::string resolver_text(const RunFiles& files, const std::string& host) {
  std::vector<std::string> options;
  const bool has_ndots =
      std::ranges::any_of(files.dns_options, [](const std::string& option) { return option.starts_with("ndots:"); });
  // A service's name has no dot: it must be asked as it is, before any search domain is put behind it.
  if (!has_ndots) options.emplace_back("ndots:0");
  return resolv_conf({"127.0.0.11"}, files, host, std::move(options));
}

std::string direct_text(const RunFiles& files, const std::string& host) {
  if (files.dns.empty() && files.dns_search.empty() && files.dns_options.empty()) return host;
  const auto servers = files.dns.empty() ? values_of(host, "nameserver") : files.dns;
  return resolv_conf(servers, files, host,
                     files.dns_options.empty() ? values_of(host, "options") : std::vector<std::string>{});
}

Result<void> write_granted(const GrantedFile& file, const std::string& run_dir) {
  std::string content = file.content;
  if (!file.source.empty()) {
    auto read = sys::read_file(file.source);
    if (!read.ok()) return std::move(read).with("{}{}", file.where, file.what).error();
    content = std::move(read).value();
  }
  const std::string path = run_dir + "/" + file.name;
  const std::string fresh = path + ".new";
  if (::unlink(fresh.c_str()) != 0 && errno != ENOENT) return os_error("{}", file.what);
  const UniqueFd fd{::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600)};
  if (!fd.valid()) return os_error("{}: create \"{}\"", file.what, fresh);
  TRY(sys::write_all(fd.get(), content).with("{}", file.what));
  if (::fchown(fd.get(), file.uid, file.gid) != 0) return os_error("{}: chown to {}:{}", file.what, file.uid, file.gid);
  if (::fchmod(fd.get(), file.mode & 07777U) != 0) return os_error("{}: chmod", file.what);
  if (::rename(fresh.c_str(), path.c_str()) != 0) return os_error("{}: rename \"{}\"", file.what, fresh);
  return {};
}

}  // namespace compose::container
