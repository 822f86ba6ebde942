// Environment, configs, secrets and files as ConfigMaps and Secrets.
#include <algorithm>

#include "base/sha256.hpp"
#include "compose/kubernetes/context.hpp"

namespace compose::kubernetes {
namespace {

// What envFrom takes for a variable's name.
bool valid_variable(const std::string& name) {
  if (name.empty() || (name[0] >= '0' && name[0] <= '9')) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '.';
  });
}

struct Variables {
  std::map<std::string, std::string> open;
  std::map<std::string, std::string> secret;
};

Variables variables_of(Context& context, const std::string& service) {
  Variables out;
  for (const auto& [name, value] : context.service(service).environment) {
    if (!value) continue;
    const std::string path = fmt::format("services.{}.environment", service);
    if (!valid_variable(name))
      context.report.dropped(path, fmt::format("\"{}\" cannot be a key of a ConfigMap: rename it", name));
    else
      (looks_secret(name) ? out.secret : out.open)[name] = *value;
  }
  return out;
}

std::string environment_name(Context& context, const std::string& service) {
  return dns_label(context.name_of("services", service) + "-env");
}

std::optional<std::string> content_of(const Context& context, const model::FileObject& object_) {
  if (object_.content) return object_.content;
  const auto found = context.options.paths.find(object_.file);
  if (found == context.options.paths.end() || found->second.kind != HostPath::Kind::file) return std::nullopt;
  return found->second.content;
}

std::string why_unreadable(const Context& context, const model::FileObject& object_) {
  const auto found = context.options.paths.find(object_.file);
  if (object_.file.empty()) return fmt::format("the variable {} is not set", object_.environment);
  if (found == context.options.paths.end() || found->second.kind == HostPath::Kind::missing)
    return fmt::format("{} is not there", object_.file);
  if (found->second.too_large)
    return fmt::format("{} is larger than 1 MB, more than a ConfigMap or Secret holds", object_.file);
  return fmt::format("{} is not a file that can be read", object_.file);
}

void export_config(Context& context, const std::string& name, const model::FileObject& config) {
  const std::string path = "configs." + name;
  if (config.external) return;
  const auto content = content_of(context, config);
  if (!content) {
    context.problem(path, fmt::format("config \"{}\": {}", name, why_unreadable(context, config)));
    return;
  }
  if (content->size() > kMostBytes) {
    context.problem(path, fmt::format("config \"{}\" is larger than 1 MB, more than a ConfigMap holds", name));
    return;
  }
  Value metadata = context.metadata(context.name_of("configs", name), "", context.at(path));
  put(metadata, "annotations", object({{fmt::format("{}config", kPrefix), text(name)}}));
  put_labels(metadata, config.labels, context, path + ".labels");
  context.add("configs", "v1", "ConfigMap", std::move(metadata),
              config_map_of({{"content", *content}}, context.at(path)), context.at(path));
}

std::string relative_to(const std::string& folder, const std::string& path) {
  return path.starts_with(folder + "/") ? path.substr(folder.size() + 1) : path;
}

Value secret_data(const std::map<std::string, std::string>& values) {
  Value data = Value::mapping();
  for (const auto& [key, value] : values) put_always(data, key, text(base64(value)));
  return object({{"type", text("Opaque")}, {"data", std::move(data)}});
}

void export_secret(Context& context, const std::string& name, const model::FileObject& secret) {
  const std::string path = "secrets." + name;
  if (secret.external) return;
  const std::string called = context.name_of("secrets", name);
  if (!context.options.embed_secrets) {
    if (!secret.labels.empty())
      context.report.dropped(path + ".labels", "a reference: label the Secret where it is made");
    const std::string from = secret.file.empty() ? fmt::format("--from-literal=content=\"${}\"", secret.environment)
                                                 : fmt::format("--from-file=content={}",
                                                               relative_to(context.project.working_dir, secret.file));
    const std::string how = fmt::format(
        "a reference: make it with \"kubectl create secret generic {} {}\", or with an operator", called, from);
    context.report.approximated(path + (secret.file.empty() ? ".environment" : ".file"), how);
    return;
  }
  const auto content = content_of(context, secret);
  if (!content) {
    context.problem(path, fmt::format("secret \"{}\": {}", name, why_unreadable(context, secret)));
    return;
  }
  Value metadata = context.metadata(called, "", context.at(path));
  put_labels(metadata, secret.labels, context, path + ".labels");
  context.add("secrets", "v1", "Secret", std::move(metadata), secret_data({{"content", *content}}), context.at(path));
  context.report.approximated(path + (secret.file.empty() ? ".environment" : ".file"),
                              "the content is in the manifest: keep the manifest secret");
}

// Files and small folders that containers mount.
void export_bound_files(Context& context) {
  std::set<std::string> done;
  for (const auto& [name, service] : context.project.services)
    for (std::size_t i = 0; i < service.volumes.size(); ++i) {
      const model::Mount& mount = service.volumes[i];
      const auto known = context.options.paths.find(mount.source);
      if (mount.type != "bind" || known == context.options.paths.end() || known->second.too_large ||
          !done.insert(mount.source).second)
        continue;
      std::map<std::string, std::string> files;
      if (known->second.kind == HostPath::Kind::file && known->second.content) {
        files["content"] = *known->second.content;
      } else if (known->second.kind == HostPath::Kind::directory &&
                 context.options.directories == Directories::config_map) {
        std::size_t number = 0;
        for (const auto& [unused, content] : known->second.files) files[fmt::format("file-{}", number++)] = content;
      } else {
        continue;
      }
      const Place place = context.at(fmt::format("services.{}.volumes[{}]", name, i));
      Value metadata = context.metadata(file_key(context, mount.source), "", place);
      context.add("configs", "v1", "ConfigMap", std::move(metadata), config_map_of(files, place), place);
    }
}

}  // namespace

Value config_map_of(const std::map<std::string, std::string>& files, Place place) {
  Value data = Value::mapping(place);
  Value binary = Value::mapping(place);
  for (const auto& [key, content] : files) {
    if (is_text(content))
      put_always(data, key, text(content));
    else
      put_always(binary, key, text(base64(content)));
  }
  return object({{"data", std::move(data)}, {"binaryData", std::move(binary)}});
}

void export_configs(Context& context) {
  for (const auto& [name, config] : context.project.configs) {
    context.note_name("configs", name, config.name, config.external);
    export_config(context, name, config);
  }
  for (const auto& [name, secret] : context.project.secrets) {
    context.note_name("secrets", name, secret.name, secret.external);
    export_secret(context, name, secret);
  }
  export_bound_files(context);
}

// All of a service's variables come from one ConfigMap (and one Secret), never in part from env: there Kubernetes would
// replace $(NAME), and which of two sources wins would be a question.
void put_environment(Context& context, const std::string& service, Value& container) {
  const Variables variables = variables_of(context, service);
  const std::string name = environment_name(context, service);
  Value from = Value::sequence();
  const Place place = context.at(fmt::format("services.{}.environment", service));
  if (!variables.open.empty()) append(from, object({{"configMapRef", object({{"name", text(name, place)}})}}));
  if (!variables.secret.empty()) append(from, object({{"secretRef", object({{"name", text(name, place)}})}}));
  put(container, "envFrom", std::move(from));
}

void export_environment(Context& context, const std::string& service) {
  const Variables variables = variables_of(context, service);
  const std::string name = environment_name(context, service);
  const std::string path = fmt::format("services.{}.environment", service);
  const std::string group = context.workload_of(service).name;
  if (!variables.open.empty()) {
    Value data = Value::mapping(context.at(path));
    for (const auto& [key, value] : variables.open) put_always(data, key, text(value, context.at(path + "." + key)));
    context.add(group, "v1", "ConfigMap", context.metadata(name, dns_label(service)),
                object({{"data", std::move(data)}}));
  }
  if (variables.secret.empty()) return;
  std::string names;
  for (const auto& [key, unused] : variables.secret) names += (names.empty() ? "" : ", ") + key;
  if (context.options.embed_secrets) {
    context.add(group, "v1", "Secret", context.metadata(name, dns_label(service)), secret_data(variables.secret));
    return;
  }
  context.warn(fmt::format(
      "service \"{}\": {} should not be read by everybody: the pods take it from Secret {}, which must be made in the "
      "cluster (or export with --embed-secrets)",
      service, names, name));
  context.report.approximated(
      path, fmt::format("{} from Secret {}, which must be made in the cluster; the rest is a ConfigMap", names, name));
}

// Changes with everything the pods read when they start, so that a change of it replaces them.
std::string checksum(Context& context, const Workload& workload) {
  Sha256 hash;
  bool any = false;
  const auto add = [&](const std::string& name, const std::string& content) {
    const std::string head = fmt::format("{}:{}:", name, content.size());
    hash.update(head.data(), head.size());
    hash.update(content.data(), content.size());
    any = true;
  };
  for (const std::string& member : workload.members) {
    const model::Service& service = context.service(member);
    const Variables variables = variables_of(context, member);
    for (const auto& [name, value] : variables.open) add(name, value);
    if (context.options.embed_secrets)
      for (const auto& [name, value] : variables.secret) add(name, value);
    for (const model::FileReference& reference : service.configs) {
      const auto known = context.project.configs.find(reference.source);
      if (known != context.project.configs.end() && !known->second.external)
        add(reference.source, content_of(context, known->second).value_or(""));
    }
    if (context.options.embed_secrets)
      for (const model::FileReference& reference : service.secrets) {
        const auto known = context.project.secrets.find(reference.source);
        if (known != context.project.secrets.end())
          add(reference.source, content_of(context, known->second).value_or(""));
      }
    for (const model::Mount& mount : service.volumes) {
      const auto known = context.options.paths.find(mount.source);
      if (mount.type != "bind" || known == context.options.paths.end()) continue;
      if (known->second.content) add(mount.target, *known->second.content);
      if (context.options.directories == Directories::config_map)
        for (const auto& [name, content] : known->second.files) add(name, content);
    }
  }
  return any ? hash.finish_hex().substr(0, 16) : std::string{};
}

}  // namespace compose::kubernetes
