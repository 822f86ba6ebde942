// Who a container runs as and what it may do.
#include <algorithm>

#include "base/strings.hpp"
#include "compose/kubernetes/context.hpp"

namespace compose::kubernetes {
namespace {

struct Ids {
  std::optional<std::int64_t> uid;
  std::optional<std::int64_t> gid;
};

// What the API server takes for an id.
constexpr std::int64_t kMostId = 0x7fffffff;

Ids parse_user(std::string_view user) {
  const std::size_t colon = user.find(':');
  Ids ids;
  ids.uid = parse_signed(user.substr(0, colon));
  if (colon != std::string_view::npos) ids.gid = parse_signed(user.substr(colon + 1));
  for (auto* id : {&ids.uid, &ids.gid})
    if (*id && (**id < 0 || **id > kMostId)) id->reset();
  return ids;
}

std::string without_prefix(std::string name) {
  for (char& c : name) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return name.starts_with("CAP_") ? name.substr(4) : name;
}

Value capabilities(Context& context, const std::string& path, const Strings& names) {
  Strings out;
  for (const std::string& name : names) out.push_back(without_prefix(name));
  std::sort(out.begin(), out.end());
  return texts(out, context.at(path));
}

Ids ids_of(Context& context, const std::string& name) {
  const model::Service& service = context.service(name);
  const std::string path = "services." + name + ".user";
  Ids ids = parse_user(service.user);
  const bool named = !service.user.empty() && (!ids.uid || (service.user.find(':') != std::string::npos && !ids.gid));
  if (!named) return ids;
  ids = parse_user(context.image(name).user);
  if (ids.uid)
    context.report.approximated(path,
                                fmt::format("{}: the numbers of the image's /etc/passwd", context.image(name).user));
  else
    context.report.dropped(
        path,
        fmt::format("\"{}\" is no number below 2147483648, and the image is not on this host to look a name up: write "
                    "UID:GID",
                    service.user));
  return ids;
}

// "seccomp=unconfined" and "seccomp:unconfined" are both in use.
std::pair<std::string, std::string> option(const std::string& line) {
  const std::size_t at = line.find_first_of("=:");
  if (at == std::string::npos) return {line, ""};
  return {line.substr(0, at), line.substr(at + 1)};
}

void put_label(const std::string& value, Value& context_value) {
  const std::size_t colon = value.find(':');
  Value options = Value::mapping();
  if (const Value* before = context_value.get("seLinuxOptions")) options = *before;
  const std::string key = value.substr(0, colon);
  if (colon == std::string::npos || (key != "user" && key != "role" && key != "type" && key != "level")) return;
  put(options, key, text(value.substr(colon + 1)));
  put(context_value, "seLinuxOptions", std::move(options));
}

void put_option(Context& context, const std::string& path, const std::string& line, Place place, Value& security) {
  const auto [key, value] = option(line);
  if (key == "no-new-privileges") {
    put(security, "allowPrivilegeEscalation", flag(value == "false", place));
  } else if (key == "seccomp" && value == "unconfined") {
    put(security, "seccompProfile", object({{"type", text("Unconfined", place)}}));
  } else if (key == "apparmor") {
    if (value == "unconfined")
      put(security, "appArmorProfile", object({{"type", text("Unconfined", place)}}));
    else
      put(security, "appArmorProfile", object({{"type", text("Localhost", place)}, {"localhostProfile", text(value)}}));
  } else if (key == "label" && value == "disable") {
    put(security, "seLinuxOptions", object({{"type", text("spc_t", place)}}));
  } else if (key == "label") {
    put_label(value, security);
  } else if (key == "seccomp") {
    context.report.dropped(path, "a seccomp profile must be on the nodes: put it there and name it as Localhost");
  } else {
    context.report.dropped(path, fmt::format("\"{}\" has no counterpart", line));
  }
}

}  // namespace

Value container_security(Context& context, const std::string& name) {
  const model::Service& service = context.service(name);
  const std::string path = "services." + name;
  Value security = Value::mapping();
  put(security, "capabilities",
      object({{"add", capabilities(context, path + ".cap_add", service.cap_add)},
              {"drop", capabilities(context, path + ".cap_drop", service.cap_drop)}}));
  if (service.privileged) put(security, "privileged", flag(true, context.at(path + ".privileged")));
  if (service.read_only) put(security, "readOnlyRootFilesystem", flag(true, context.at(path + ".read_only")));
  const Ids ids = ids_of(context, name);
  if (ids.uid) put(security, "runAsUser", number(*ids.uid, context.at(path + ".user")));
  if (ids.gid) put(security, "runAsGroup", number(*ids.gid, context.at(path + ".user")));
  for (std::size_t i = 0; i < service.security_opt.size(); ++i)
    put_option(context, path + ".security_opt", service.security_opt[i],
               context.at(fmt::format("{}.security_opt[{}]", path, i)), security);
  // The API refuses the two together; a process that has all rights has no new ones to gain.
  const bool all_rights =
      service.privileged ||
      std::any_of(service.cap_add.begin(), service.cap_add.end(), [](const std::string& capability) {
        return without_prefix(capability) == "SYS_ADMIN" || without_prefix(capability) == "ALL";
      });
  if (const Value* escalation = security.get("allowPrivilegeEscalation");
      all_rights && escalation != nullptr && !escalation->as_bool()) {
    security.entries().erase("allowPrivilegeEscalation");
    context.report.dropped(path + ".security_opt",
                           "no-new-privileges is refused together with privileged or SYS_ADMIN");
  }
  // Docker's default, which Kubernetes does not have of itself.
  if (security.get("seccompProfile") == nullptr && !service.privileged)
    put(security, "seccompProfile", object({{"type", text("RuntimeDefault")}}));
  return security;
}

bool opens_low_ports(const Context& context, const Workload& workload) {
  const bool low =
      std::any_of(workload.ports.begin(), workload.ports.end(), [](const PodPort& port) { return port.number < 1024; });
  const model::Service& first = context.service(workload.leader);
  if (!low || first.network_mode == "host" || first.sysctls.contains(std::string{kLowPorts})) return false;
  return std::any_of(workload.members.begin(), workload.members.end(), [&](const std::string& member) {
    const model::Service& service = context.service(member);
    const std::string& user = service.user.empty() ? context.image(member).user : service.user;
    const auto has = [](const Strings& list) {
      return std::any_of(list.begin(), list.end(), [](const std::string& capability) {
        return without_prefix(capability) == "NET_BIND_SERVICE" || without_prefix(capability) == "ALL";
      });
    };
    const bool root = user.empty() || parse_user(user).uid == 0;
    return !service.privileged && (!root || (has(service.cap_drop) && !has(service.cap_add)));
  });
}

Value pod_security(Context& context, const Workload& workload) {
  const model::Service& service = context.service(workload.leader);
  const std::string path = "services." + workload.leader;
  Value security = Value::mapping();
  Value groups = Value::sequence();
  std::optional<std::int64_t> owner;
  for (const std::string& member : workload.members) {
    const model::Service& one = context.service(member);
    for (const std::string& group : one.group_add) {
      const std::string at = "services." + member + ".group_add";
      if (const auto gid = parse_signed(group))
        append(groups, number(*gid, context.at(at)));
      else
        context.report.dropped(at, fmt::format("\"{}\" is a name: write the group's number", group));
    }
    Ids ids = parse_user(one.user);
    if (!ids.uid && !one.user.empty()) ids = parse_user(context.image(member).user);
    if (one.user.empty()) ids = parse_user(context.image(member).user);
    const bool writes = std::any_of(one.volumes.begin(), one.volumes.end(), [](const model::Mount& mount) {
      return mount.type == "volume" && !mount.read_only;
    });
    // A claim is made by root; the group of the files lets the user write.
    if (writes && ids.uid && *ids.uid != 0) owner = ids.gid.value_or(*ids.uid);
  }
  put(security, "supplementalGroups", std::move(groups));
  if (owner) {
    put(security, "fsGroup", number(*owner));
    put(security, "fsGroupChangePolicy", text("OnRootMismatch"));
  }
  Value sysctls = Value::sequence();
  for (const auto& [key, value] : service.sysctls)
    append(sysctls, object({{"name", text(key, context.at(path + ".sysctls." + key))}, {"value", text(value)}}));
  if (opens_low_ports(context, workload))
    append(sysctls, object({{"name", text(std::string{kLowPorts})}, {"value", text("0")}}));
  put(security, "sysctls", std::move(sysctls));
  return security;
}

}  // namespace compose::kubernetes
