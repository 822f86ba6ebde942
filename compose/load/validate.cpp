#include "compose/load/validate.hpp"

#include <fmt/format.h>

#include "compose/load/short_syntax.hpp"

namespace compose::load {
namespace {

using Check = void (*)(Value& value, const Path& path, Session& session);

void external_volume(Value& value, const Path& path, Session& session) {
  const Value* external = value.get("external");
  if (external == nullptr || !external->is_bool() || !external->as_bool()) return;
  for (Entry& entry : value.entries()) {
    if (entry.key == "name" || entry.key == "external" || entry.key.starts_with("x-")) continue;
    Diagnostic& d =
        session.diagnostics.error(entry.key_place, path.to_string(),
                                  fmt::format("conflicting parameters \"external\" and \"{}\" specified", entry.key),
                                  "an external volume exists already: remove one of the two");
    d.notes.push_back({external->place, "external stands here"});
  }
}

void file_object(Value& value, const Path& path, Session& session, std::initializer_list<std::string_view> sources) {
  if (!value.is_mapping()) return;
  std::vector<const Entry*> found;
  std::string names;
  for (const std::string_view source : sources) {
    if (!names.empty()) names += '|';
    names += source;
    if (const Entry* entry = value.entries().find(source)) found.push_back(entry);
  }
  if (found.size() > 1) {
    Diagnostic& d = session.diagnostics.error(found[1]->key_place, path.to_string(),
                                              fmt::format("{} attributes are mutually exclusive", names),
                                              "keep one of them; !reset takes back what an earlier file set");
    d.notes.push_back({found[0]->key_place, "the other one"});
  } else if (found.empty() && !value.entries().contains("driver") && !value.entries().contains("external")) {
    session.fail(value, path, fmt::format("one of {} must be set", names));
  }
}

void config(Value& value, const Path& path, Session& session) {
  file_object(value, path, session, {"file", "environment", "content"});
}

void secret(Value& value, const Path& path, Session& session) {
  file_object(value, path, session, {"file", "environment"});
}

void port(Value& value, const Path& path, Session& session) {
  Value* ip = value.get("host_ip");
  if (ip == nullptr || !ip->is_string() || is_ip_address(ip->as_string())) return;
  session.fail(*ip, path, fmt::format("invalid IP address: {}", ip->as_string()));
}

void watch_path(Value& value, const Path& path, Session& session) {
  if (value.is_string() && value.as_string().empty()) session.fail(value, path, "value can't be blank");
}

void device_request(Value& value, const Path& path, Session& session) {
  if (!value.is_mapping()) return;
  const Entry* count = value.entries().find("count");
  const Entry* ids = value.entries().find("device_ids");
  if (count == nullptr || ids == nullptr) return;
  Diagnostic& d = session.diagnostics.error(
      ids->key_place, path.to_string(), "\"count\" and \"device_ids\" attributes are exclusive", "keep one of them");
  d.notes.push_back({count->key_place, "count stands here"});
}

const Rules<Check>& checks() {
  static const Rules<Check> rules{
      {"volumes.*", external_volume},
      {"configs.*", config},
      {"secrets.*", secret},
      {"services.*.ports[]", port},
      {"services.*.develop.watch[].path", watch_path},
      {"services.*.deploy.resources.reservations.devices[]", device_request},
      {"services.*.gpus[]", device_request},
  };
  return rules;
}

void walk(Value& value, const Path& path, const Rules<Check>::Node* node, Session& session) {
  if (node == nullptr || value.broken) return;
  if (node->rule() != nullptr) {
    if (value.is_mapping() || value.is_string()) (*node->rule())(value, path, session);
    return;
  }
  if (Mapping* mapping = value.if_mapping()) {
    for (Entry& entry : *mapping) walk(entry.value, Path(path, entry.key), node->key(entry.key), session);
  } else if (Sequence* items = value.if_sequence(); items != nullptr && node->item() != nullptr) {
    std::size_t index = 0;
    for (Value& item : *items) walk(item, Path(path, index++), node->item(), session);
  }
}

void hide_content(Value& model, std::string_view section, const Environment& environment) {
  Value* objects = model.get(section);
  if (objects == nullptr || !objects->is_mapping()) return;
  for (Entry& entry : objects->entries()) {
    const Value* name = entry.value.get("environment");
    if (name == nullptr || !name->is_string()) continue;
    if (const Variable* variable = environment.find(name->as_string())) {
      entry.value.entries().set(kHiddenContent, Value::string(variable->value));
    }
  }
}

}  // namespace

void validate_model(Value& model, Session& session) { walk(model, Path{}, checks().root(), session); }

void resolve_environment_lists(Value& model, const Environment& environment, Session& session) {
  if (Value* services = model.get("services"); services != nullptr && services->is_mapping()) {
    for (Entry& service : services->entries()) {
      Value* list = service.value.get("environment");
      if (list == nullptr || !list->is_sequence()) continue;
      for (Value& item : list->items()) {
        if (!item.is_string()) continue;
        const Variable* variable = environment.find(item.as_string());
        if (variable == nullptr) continue;
        session.traces.add(item, "environment", fmt::format("value from {}", variable->origin), variable->place);
        item.as_string() += "=" + variable->value;
      }
    }
  }
  hide_content(model, "secrets", environment);
  hide_content(model, "configs", environment);
}

}  // namespace compose::load
