#include "compose/load/normalize.hpp"

#include <fmt/format.h>

#include "base/strings.hpp"
#include "compose/load/paths.hpp"

namespace compose::load {
namespace {

class Normalizer {
 public:
  Normalizer(const std::string& name, const Environment& environment, Session& session)
      : name_{name}, environment_{environment}, session_{session} {}

  void run(Value& model) {
    bool uses_default = false;
    if (Value* services = model.get("services"); services != nullptr && services->is_mapping()) {
      for (Entry& entry : services->entries()) {
        if (entry.value.is_mapping() && !entry.value.broken) service(entry.value, uses_default);
      }
    }
    if (uses_default) add_default_network(model);
    for (const std::string_view section : {"networks", "volumes", "configs", "secrets"}) real_names(model, section);
  }

 private:
  Value made(Value value, std::string detail) {
    session_.traces.add(value, "default", std::move(detail));
    return value;
  }

  void service(Value& service, bool& uses_default) {
    networks(service, uses_default);
    if (Value* policy = service.get("pull_policy"); policy != nullptr && policy->is_string()) {
      if (policy->as_string() == "if_not_present") policy->as_string() = "missing";
    }
    if (Value* build = service.get("build"); build != nullptr && build->is_mapping()) normalize_build(*build);
    if (Value* variables = service.get("environment")) resolve_variables(*variables, true);
    depends_on(service);
    clean_targets(service);
    pre_start_image(service);
  }

  void networks(Value& service, bool& uses_default) {
    if (service.get("provider") != nullptr || service.get("network_mode") != nullptr) return;
    Value* networks = service.get("networks");
    if (networks == nullptr || (networks->is_mapping() && networks->entries().empty())) {
      Value implied = made(Value::mapping(service.place), "every service is on the default network unless it says so");
      implied.entries().set("default", Value{Value::Data{}, service.place});
      service.entries().set("networks", std::move(implied));
      uses_default = true;
    } else if (networks->get("default") != nullptr) {
      uses_default = true;
    }
  }

  static void add_default_network(Value& model) {
    Value* networks = model.get("networks");
    if (networks == nullptr || networks->is_null()) {
      model.entries().set("networks", Value::mapping());
      networks = model.get("networks");
    }
    if (networks->is_mapping() && !networks->entries().contains("default")) {
      networks->entries().set("default", Value::mapping());
    }
  }

  void normalize_build(Value& build) {
    const Value* context = build.get("context");
    if (context == nullptr || context->is_null()) build.entries().set("context", made(Value::string("."), "default"));
    if (build.get("dockerfile") == nullptr && build.get("dockerfile_inline") == nullptr) {
      build.entries().set("dockerfile", made(Value::string("Dockerfile", build.place), "default of dockerfile"));
    }
    if (Value* args = build.get("args")) resolve_variables(*args, false);
  }

  // A name without a value takes it from the environment; without one there it stays (environment) or goes (args).
  void resolve_variables(Value& variables, bool keep) {
    if (Mapping* mapping = variables.if_mapping()) {
      for (Entry& entry : *mapping) {
        if (!entry.value.is_null() || entry.value.broken) continue;
        if (const Variable* variable = environment_.find(entry.key)) {
          entry.value = Value::string(variable->value, entry.key_place);
          session_.traces.add(entry.value, "environment", "value from " + variable->origin, variable->place);
        }
      }
      if (!keep) mapping->filter([](const Entry& entry) { return !entry.value.is_null(); });
    } else if (Sequence* items = variables.if_sequence()) {
      for (Value& item : *items) {
        if (!item.is_string() || item.as_string().find('=') != std::string::npos) continue;
        if (const Variable* variable = environment_.find(item.as_string())) {
          item.as_string() += "=" + variable->value;
          session_.traces.add(item, "environment", "value from " + variable->origin, variable->place);
        }
      }
      if (keep) return;
      std::erase_if(*items, [](const Value& item) {
        return item.is_string() && item.as_string().find('=') == std::string::npos;
      });
    }
  }

  void depend(Value& service, const std::string& on, bool restart, const Value& because) {
    Value* dependencies = service.get("depends_on");
    if (dependencies == nullptr || dependencies->is_null()) {
      service.entries().set("depends_on", Value::mapping(because.place));
      dependencies = service.get("depends_on");
    }
    if (!dependencies->is_mapping() || dependencies->entries().contains(on)) return;
    Value dependency = Value::mapping(because.place);
    const auto with_place = [&](Value value) {
      value.place = because.place;
      return made(std::move(value), "implied dependency");
    };
    dependency.entries().set("condition", with_place(Value::string("service_started")));
    dependency.entries().set("restart", with_place(Value::boolean(restart)));
    dependency.entries().set("required", with_place(Value::boolean(true)));
    dependencies->entries().add(on, because.place, std::move(dependency));
  }

  void depends_on(Value& service) {
    if (const Value* links = service.get("links"); links != nullptr && links->is_sequence()) {
      const Value copy = *links;
      for (const Value& link : copy.items()) {
        if (!link.is_string()) continue;
        const auto parts = split(link.as_string(), ':');
        depend(service, parts.size() == 2 ? parts[0] : link.as_string(), true, link);
      }
    }
    constexpr std::string_view kPrefix = "service:";
    for (const std::string_view attribute : {"network_mode", "ipc", "pid", "uts", "cgroup"}) {
      const Value* mode = service.get(attribute);
      if (mode == nullptr || !mode->is_string() || !mode->as_string().starts_with(kPrefix)) continue;
      const Value copy = *mode;
      depend(service, copy.as_string().substr(kPrefix.size()), true, copy);
    }
    if (const Value* from = service.get("volumes_from"); from != nullptr && from->is_sequence()) {
      const Value copy = *from;
      for (const Value& item : copy.items()) {
        if (!item.is_string() || item.as_string().starts_with("container:")) continue;
        depend(service, split(item.as_string(), ':')[0], false, item);
      }
    }
  }

  static void clean_targets(Value& service) {
    Value* volumes = service.get("volumes");
    if (volumes == nullptr || !volumes->is_sequence()) return;
    for (Value& volume : volumes->items()) {
      if (Value* target = volume.get("target"); target != nullptr && target->is_string()) {
        target->as_string() = clean_path(target->as_string());
      }
    }
  }

  void pre_start_image(Value& service) {
    const Value* image = service.get("image");
    Value* hooks = service.get("pre_start");
    if (image == nullptr || hooks == nullptr || !image->is_string() || image->as_string().empty()) return;
    if (!hooks->is_sequence()) return;
    const Value copy = *image;
    for (Value& hook : hooks->items()) {
      if (hook.is_mapping() && !hook.entries().contains("image")) hook.entries().set("image", copy);
    }
  }

  void real_names(Value& model, std::string_view section) {
    Value* resources = model.get(section);
    if (resources == nullptr || !resources->is_mapping()) return;
    for (Entry& entry : resources->entries()) {
      if (entry.value.broken) continue;
      if (entry.value.is_null()) {
        Value empty = Value::mapping(entry.key_place);
        entry.value = std::move(empty);
      }
      if (!entry.value.is_mapping()) continue;
      const Value* name = entry.value.get("name");
      if (name != nullptr && !name->is_null()) continue;
      const Value* external = entry.value.get("external");
      const bool is_external = external != nullptr && external->is_bool() && external->as_bool();
      Value real = Value::string(is_external ? entry.key : name_ + "_" + entry.key, entry.key_place);
      entry.value.entries().set("name", made(std::move(real), "project and key"));
    }
  }

  const std::string& name_;
  const Environment& environment_;
  Session& session_;
};

}  // namespace

void normalize(Value& model, const std::string& project_name, const Environment& environment, Session& session) {
  Normalizer(project_name, environment, session).run(model);
}

}  // namespace compose::load
