#include "compose/load/canonical.hpp"

#include <fmt/format.h>

#include "base/strings.hpp"
#include "compose/load/paths.hpp"
#include "compose/load/short_syntax.hpp"

namespace compose::load {
namespace {

using Transform = void (*)(Value& value, const Path& path, Session& session);

Value text(std::string_view content, const Value& from) {
  Value value = Value::string(std::string(content), from.place);
  value.trace = from.trace;
  return value;
}

Value boolean(bool content, const Value& from) {
  Value value = Value::boolean(content, from.place);
  value.trace = from.trace;
  return value;
}

Value mapping_from(const Value& from) {
  Value value = Value::mapping(from.place);
  value.trace = from.trace;
  return value;
}

// What a short form implies without writing it.
Value implied(Value value, Session& session) {
  session.traces.add(value, "short form", "implied");
  return value;
}

void single_to_list(Value& value, const Path&, Session&) {
  if (!value.is_string()) return;
  Value list = Value::sequence(value.place);
  list.items().push_back(std::move(value));
  value = std::move(list);
}

void text_to_source(Value& value, const Path&, Session&) {
  if (!value.is_string()) return;
  Value mapping = mapping_from(value);
  mapping.entries().set("source", std::move(value));
  value = std::move(mapping);
}

void to_text(Value& value, const Path&, Session&) {
  if (value.is_scalar() && !value.is_string()) value = text(yaml::scalar_text(value), value);
}

void build(Value& value, const Path&, Session&) {
  if (!value.is_string()) return;
  Value mapping = mapping_from(value);
  mapping.entries().set("context", std::move(value));
  value = std::move(mapping);
}

void extends(Value& value, const Path&, Session&) {
  if (!value.is_string()) return;
  Value mapping = mapping_from(value);
  mapping.entries().set("service", std::move(value));
  value = std::move(mapping);
}

void key_values(Value& value, const Path& path, Session& session) {
  if (!value.is_sequence()) return;
  Value mapping = mapping_from(value);
  std::size_t index = 0;
  for (Value& item : value.items()) {
    const Path at(path, index++);
    if (!item.is_string()) continue;
    const std::string& content = item.as_string();
    const auto equals = content.find('=');
    if (equals == std::string::npos) {
      if (!session.options.interpolate) return;
      session.fail(item, at, fmt::format("invalid value \"{}\", expected key=value", content));
      continue;
    }
    mapping.entries().set(content.substr(0, equals), text(content.substr(equals + 1), item));
  }
  value = std::move(mapping);
}

void names_to_mapping(Value& value, const Path&, Session&) {
  if (!value.is_sequence()) return;
  Value mapping = mapping_from(value);
  for (const Value& item : value.items()) {
    if (item.is_string()) mapping.entries().set(item.as_string(), Value{Value::Data{}, item.place});
  }
  value = std::move(mapping);
}

void depends_on(Value& value, const Path& path, Session& session) {
  names_to_mapping(value, path, session);
  if (!value.is_mapping()) return;
  for (Entry& entry : value.entries()) {
    if (entry.value.is_null() && !entry.value.broken) {
      const Value from = entry.value;
      entry.value = mapping_from(from);
    }
    if (!entry.value.is_mapping()) continue;
    Mapping& dependency = entry.value.entries();
    if (!dependency.contains("condition")) {
      dependency.set("condition", implied(text("service_started", entry.value), session));
    }
    if (!dependency.contains("required")) dependency.set("required", implied(boolean(true, entry.value), session));
  }
}

void env_file(Value& value, const Path& path, Session& session) {
  single_to_list(value, path, session);
  if (!value.is_sequence()) return;
  for (Value& item : value.items()) {
    if (item.is_string()) {
      Value mapping = mapping_from(item);
      mapping.entries().set("path", std::move(item));
      item = std::move(mapping);
    }
    if (item.is_mapping() && !item.entries().contains("required")) {
      item.entries().set("required", implied(boolean(true, item), session));
    }
  }
}

void gpus(Value& value, const Path&, Session&) {
  if (!value.is_string()) return;
  Value list = Value::sequence(value.place);
  Value request = mapping_from(value);
  request.entries().set("count", text("all", value));
  list.items().push_back(std::move(request));
  value = std::move(list);
}

void mount(Value& value, const Path& path, Session& session) {
  if (!value.is_string()) return;
  const MountSpec spec = parse_mount(value.as_string());
  if (!spec.error.empty()) {
    if (session.options.interpolate) {
      session.fail(value, path, spec.error, "write \"SOURCE:/target/in/the/container[:ro]\"");
    }
    return;
  }
  Value out = mapping_from(value);
  Mapping& entries = out.entries();
  entries.set("type", implied(text(spec.type, value), session));
  if (!spec.source.empty()) entries.set("source", text(spec.source, value));
  entries.set("target", text(clean_path(spec.target), value));
  if (spec.read_only) entries.set("read_only", boolean(true, value));
  if (spec.type == "bind" || !spec.propagation.empty() || !spec.selinux.empty()) {
    Value bind = mapping_from(value);
    if (!spec.propagation.empty()) bind.entries().set("propagation", text(spec.propagation, value));
    if (!spec.selinux.empty()) bind.entries().set("selinux", text(spec.selinux, value));
    if (spec.type == "bind") bind.entries().set("create_host_path", implied(boolean(true, value), session));
    entries.set("bind", std::move(bind));
  }
  if (spec.type == "volume" || spec.nocopy) {
    Value volume = mapping_from(value);
    if (spec.nocopy) volume.entries().set("nocopy", boolean(true, value));
    entries.set("volume", std::move(volume));
  }
  value = std::move(out);
}

void device(Value& value, const Path& path, Session& session) {
  if (!value.is_string()) return;
  const auto parts = split(value.as_string(), ':');
  if (parts.size() > 3) {
    if (session.options.interpolate) session.fail(value, path, "confusing device mapping", "use the long syntax");
    return;
  }
  Value out = mapping_from(value);
  const bool has_target = parts.size() > 1 && !parts[1].empty();
  out.entries().set("source", text(parts[0], value));
  out.entries().set("target", text(has_target ? parts[1] : parts[0], value));
  out.entries().set("permissions", parts.size() > 2 ? text(parts[2], value) : implied(text("rwm", value), session));
  value = std::move(out);
}

Value port_mapping(const PortSpec& port, const Value& from, Session& session) {
  Value out = mapping_from(from);
  Mapping& entries = out.entries();
  entries.set("mode", implied(text("ingress", from), session));
  if (!port.host_ip.empty()) entries.set("host_ip", text(port.host_ip, from));
  Value target = Value::integer(port.target, from.place);
  target.trace = from.trace;
  entries.set("target", std::move(target));
  if (!port.published.empty()) entries.set("published", text(port.published, from));
  const bool written = !from.is_integer() && from.as_string().find('/') != std::string::npos;
  Value protocol = text(port.protocol, from);
  entries.set("protocol", written ? std::move(protocol) : implied(std::move(protocol), session));
  return out;
}

constexpr std::size_t kMostPorts = 100'000;  // of one project: a range is a short text and many ports

void ports(Value& value, const Path& path, Session& session) {
  if (!value.is_sequence()) return;
  Sequence out;
  std::size_t index = 0;
  for (Value& item : value.items()) {
    const Path at(path, index++);
    if (item.broken || item.is_mapping()) {
      out.push_back(std::move(item));
      continue;
    }
    if (!item.is_string() && !item.is_integer()) {
      session.fail(item, at, fmt::format("invalid type for port: {}", yaml::scalar_text(item)),
                   "write \"HOST:CONTAINER\", like \"8080:80\"");
      continue;
    }
    if (session.ports_made > kMostPorts) continue;  // reported already
    const PortSpecs specs = parse_ports(yaml::scalar_text(item));
    if (!specs.error.empty()) {
      if (!session.options.interpolate) return;
      session.fail(item, at, specs.error, specs.hint);
      out.push_back(std::move(item));
      continue;
    }
    session.ports_made += specs.ports.size();
    if (session.ports_made > kMostPorts) {
      session.fail(item, at, fmt::format("the ranges of this project stand for more than {} ports", kMostPorts));
      continue;
    }
    for (const PortSpec& port : specs.ports) out.push_back(port_mapping(port, item, session));
  }
  value.items() = std::move(out);
}

void ssh(Value& value, const Path& path, Session& session) {
  if (!value.is_sequence()) return;
  Value out = mapping_from(value);
  std::size_t index = 0;
  for (Value& item : value.items()) {
    const Path at(path, index++);
    if (!item.is_string()) continue;
    const std::string& content = item.as_string();
    const auto equals = content.find('=');
    if (equals != std::string::npos) {
      out.entries().set(content.substr(0, equals), text(content.substr(equals + 1), item));
    } else if (content == "default") {
      out.entries().set(content, Value{Value::Data{}, item.place});
    } else {
      session.fail(item, at, fmt::format("invalid ssh key \"{}\"", content), "write ID=PATH, or default");
    }
  }
  value = std::move(out);
}

// `external: {name: x}`, the old form, becomes `external: true` and `name: x`.
void external(Value& value, const Path& path, Session& session) {
  if (!value.is_mapping()) return;
  Value* old = value.get("external");
  if (old == nullptr || !old->is_mapping()) return;
  const Value given = std::move(*old);
  *old = boolean(true, given);
  const Value* other = given.get("name");
  if (other == nullptr) return;
  session.diagnostics.warning(other->place, path.to_string(), "external.name is deprecated",
                              "set name: and external: true");
  const Value* name = value.get("name");
  if (name == nullptr) {
    value.entries().set("name", *other);
  } else if (!name->same_as(*other)) {
    Diagnostic& d =
        session.diagnostics.error(other->place, path.to_string(), "name and external.name conflict; only use name");
    d.notes.push_back({name->place, "the other name"});
  }
}

void include(Value& value, const Path&, Session&) {
  if (!value.is_string()) return;
  Value mapping = mapping_from(value);
  mapping.entries().set("path", std::move(value));
  value = std::move(mapping);
}

const Rules<Transform>& transforms() {
  static const Rules<Transform> rules{
      {"services.*.build", build},
      {"services.*.build.secrets[]", text_to_source},
      {"services.*.build.provenance", to_text},
      {"services.*.build.sbom", to_text},
      {"services.*.build.additional_contexts", key_values},
      {"services.*.build.ssh", ssh},
      {"services.*.depends_on", depends_on},
      {"services.*.env_file", env_file},
      {"services.*.label_file", single_to_list},
      {"services.*.extends", extends},
      {"services.*.gpus", gpus},
      {"services.*.networks", names_to_mapping},
      {"services.*.models", names_to_mapping},
      {"services.*.volumes[]", mount},
      {"services.*.dns", single_to_list},
      {"services.*.devices[]", device},
      {"services.*.secrets[]", text_to_source},
      {"services.*.configs[]", text_to_source},
      {"services.*.ports", ports},
      {"services.*.develop.watch[].ignore", single_to_list},
      {"services.*.develop.watch[].include", single_to_list},
      {"volumes.*", external},
      {"networks.*", external},
      {"secrets.*", external},
      {"configs.*", external},
      {"include[]", include},
  };
  return rules;
}

void remove_empty_items(Value& list) {
  if (Sequence* items = list.if_sequence()) {
    std::erase_if(*items,
                  [](const Value& item) { return item.is_null() || (item.is_string() && item.as_string().empty()); });
  }
}

void set_if_missing(Value& value, std::string_view key, std::string content, Session& session) {
  if (value.entries().contains(key)) return;
  Value added = text(content, value);
  added.trace = 0;
  session.traces.add(added, "default", fmt::format("default of {}", key));
  value.entries().set(key, std::move(added));
}

void default_context(Value& value, const Path&, Session& session) {
  if (value.is_mapping()) set_if_missing(value, "context", ".", session);
}

void default_secret(Value& value, const Path&, Session& session) {
  const Value* source = value.get("source");
  if (source == nullptr) return;
  set_if_missing(value, "target", "/run/secrets/" + yaml::scalar_text(*source), session);
}

void default_port(Value& value, const Path&, Session& session) {
  if (!value.is_mapping()) return;
  set_if_missing(value, "protocol", "tcp", session);
  set_if_missing(value, "mode", "ingress", session);
}

void default_device_request(Value& value, const Path&, Session& session) {
  if (!value.is_mapping() || value.entries().contains("device_ids")) return;
  set_if_missing(value, "count", "all", session);
}

const Rules<Transform>& defaults() {
  static const Rules<Transform> rules{
      {"services.*.build", default_context},
      {"services.*.secrets[]", default_secret},
      {"services.*.ports[]", default_port},
      {"services.*.deploy.resources.reservations.devices[]", default_device_request},
      {"services.*.gpus[]", default_device_request},
  };
  return rules;
}

void walk(Value& value, const Path& path, const Rules<Transform>::Node* node, Session& session) {
  if (node == nullptr || value.broken) return;
  if (node->rule() != nullptr) (*node->rule())(value, path, session);
  if (Mapping* mapping = value.if_mapping()) {
    for (Entry& entry : *mapping) walk(entry.value, Path(path, entry.key), node->key(entry.key), session);
  } else if (Sequence* items = value.if_sequence()) {
    if (node->item() == nullptr) return;
    std::size_t index = 0;
    for (Value& item : *items) walk(item, Path(path, index++), node->item(), session);
  }
}

}  // namespace

void canonicalise(Value& document, Session& session) {
  walk(document, Path{}, transforms().root(), session);
  if (Value* services = document.get("services"); services != nullptr && services->is_mapping()) {
    for (Entry& entry : services->entries()) {
      if (Value* dns = entry.value.get("dns")) remove_empty_items(*dns);
    }
  }
}

void set_defaults(Value& document, Session& session) { walk(document, Path{}, defaults().root(), session); }

}  // namespace compose::load
