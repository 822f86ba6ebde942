// Stage: consistency. References between services and resources, attributes that exclude or contradict each other.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "compose/load/validate.hpp"
#include "compose/schema/suggest.hpp"

namespace compose::load {
namespace {

const std::string* text(const Value* value) { return value == nullptr ? nullptr : value->if_string(); }

const Value* at(const Value* value, std::initializer_list<std::string_view> keys) {
  for (const std::string_view key : keys) {
    if (value == nullptr) return nullptr;
    value = value->get(key);
  }
  return value;
}

class Checker {
 public:
  Checker(const Value& project, const Value& disabled, const Declared& declared, Session& session)
      : project_{project}, disabled_{disabled}, declared_{declared}, session_{session} {}

  void run() {
    const Path root;
    const Path section(root, "services");
    if (const Value* services = project_.get("services"); services != nullptr && services->is_mapping()) {
      for (const Entry& entry : services->entries()) {
        if (entry.value.is_mapping()) service(entry, Path(section, entry.key));
      }
      cycles(services->entries());
    }
    secrets();
  }

 private:
  Diagnostic& error(const Place& place, const Path& path, std::string message, std::string hint = {}) {
    return session_.diagnostics.error(place, path.to_string(), std::move(message), std::move(hint));
  }

  std::string near(const std::string& name, std::string_view section) const {
    const Value* all = project_.get(section);
    std::vector<std::string> names;
    if (all != nullptr && all->is_mapping()) {
      for (const Entry& entry : all->entries()) names.push_back(entry.key);
    }
    const std::string hint = schema::did_you_mean(name, names);
    return hint.empty() ? fmt::format("declare it under {}:", section) : hint;
  }

  bool has(std::string_view section, const std::string& name) const {
    if (section != "services") {
      const auto names = declared_.names.find(section);
      if (names != declared_.names.end() && names->second.contains(name)) return true;
      if (declared_.broken_sections.contains(section)) return true;
    }
    return at(&project_, {section, name}) != nullptr;
  }

  void undefined(const Place& place, const Path& path, const std::string& service, std::string_view what,
                 const std::string& name, std::string_view section) {
    if (has(section, name)) return;
    error(place, path, fmt::format("service \"{}\" refers to undefined {} {}", service, what, name),
          near(name, section));
  }

  void service(const Entry& entry, const Path& path) {
    const Value& service = entry.value;
    const Value* build = service.get("build");
    const Value* provider = service.get("provider");
    if (build == nullptr && provider == nullptr && service.get("image") == nullptr &&
        !declared_.incomplete_services.contains(entry.key)) {
      error(entry.key_place, path,
            fmt::format("service \"{}\" has neither an image nor a build context specified", entry.key),
            "add image: or build:");
    }
    if (build != nullptr) check_build(entry, *build, Path(path, "build"));
    networks(entry, path);
    references(entry, path);
    depends_on(entry, path);
    volumes(entry, path);
    healthcheck(service, path);
    scale(entry, path);
    limits(service, path);
    watch(service, path);
    mounts(service, path);
  }

  void check_build(const Entry& entry, const Value& build, const Path& path) {
    const Entry* file = build.is_mapping() ? build.entries().find("dockerfile") : nullptr;
    const Entry* inline_file = build.is_mapping() ? build.entries().find("dockerfile_inline") : nullptr;
    if (file != nullptr && inline_file != nullptr) {
      Diagnostic& d =
          error(inline_file->key_place, path,
                fmt::format("service \"{}\" declares mutually exclusive dockerfile and dockerfile_inline", entry.key),
                "keep one of them");
      if (file->key_place.known()) d.notes.push_back({file->key_place, "dockerfile stands here"});
    }
    if (const Value* contexts = build.get("additional_contexts"); contexts != nullptr && contexts->is_mapping()) {
      for (const Entry& context : contexts->entries()) additional_context(entry.key, context, path);
    }
    platforms(entry.value, build, path);
    references_in(build.get("secrets"), Path(path, "secrets"), entry.key, "build secret", "secrets");
  }

  void additional_context(const std::string& service, const Entry& context, const Path& path) {
    constexpr std::string_view kPrefix = "service:";
    const std::string* target = context.value.if_string();
    if (target == nullptr || !target->starts_with(kPrefix)) return;
    const std::string name = target->substr(kPrefix.size());
    const Value* other = at(&project_, {"services", name});
    if (other == nullptr) {
      error(context.value.place, path,
            fmt::format("service \"{}\" declares unknown service \"{}\" as additional contexts {}", service, name,
                        context.key),
            near(name, "services"));
    } else if (other->get("build") == nullptr) {
      error(context.value.place, path,
            fmt::format("service \"{}\" declares non-buildable service \"{}\" as additional contexts {}", service, name,
                        context.key),
            fmt::format("give {} a build:", name));
    }
  }

  void platforms(const Value& service, const Value& build, const Path& path) {
    const Value* all = build.get("platforms");
    const std::string* wanted = text(service.get("platform"));
    if (all == nullptr || wanted == nullptr || !all->is_sequence() || all->items().empty()) return;
    const auto same = [&](const Value& item) { return item.is_string() && item.as_string() == *wanted; };
    if (std::any_of(all->items().begin(), all->items().end(), same)) return;
    Diagnostic& d = error(service.get("platform")->place, path,
                          fmt::format("build.platforms must include the service's platform \"{}\"", *wanted));
    d.notes.push_back({all->place, "the platforms to build for"});
  }

  void networks(const Entry& entry, const Path& path) {
    const Value& service = entry.value;
    const Value* networks = service.get("networks");
    if (networks == nullptr || !networks->is_mapping()) return;
    if (const Entry* mode = service.entries().find("network_mode")) {
      Diagnostic& d =
          error(mode->key_place, path,
                fmt::format("service {} declares mutually exclusive `network_mode` and `networks`", entry.key),
                "keep one of them; !reset takes back what an earlier file set");
      d.notes.push_back({networks->place, "networks stands here"});
      return;
    }
    const Path section(path, "networks");
    for (const Entry& network : networks->entries()) {
      undefined(network.key_place, Path(section, network.key), entry.key, "network", network.key, "networks");
    }
  }

  void references_in(const Value* list, const Path& path, const std::string& service, std::string_view what,
                     std::string_view section) {
    if (list == nullptr || !list->is_sequence()) return;
    std::size_t index = 0;
    for (const Value& item : list->items()) {
      const Path where(path, index++);
      const Value* source = item.get("source");
      if (const std::string* name = text(source)) undefined(source->place, where, service, what, *name, section);
    }
  }

  void references(const Entry& entry, const Path& path) {
    references_in(entry.value.get("secrets"), Path(path, "secrets"), entry.key, "secret", "secrets");
    references_in(entry.value.get("configs"), Path(path, "configs"), entry.key, "config", "configs");
    const Value* models = entry.value.get("models");
    if (models == nullptr || !models->is_mapping()) return;
    const Path section(path, "models");
    for (const Entry& model : models->entries()) {
      undefined(model.key_place, Path(section, model.key), entry.key, "model", model.key, "models");
    }
  }

  void depends_on(const Entry& entry, const Path& path) {
    const Value* dependencies = entry.value.get("depends_on");
    if (dependencies == nullptr || !dependencies->is_mapping()) return;
    const Path section(path, "depends_on");
    for (const Entry& dependency : dependencies->entries()) {
      if (has("services", dependency.key)) continue;
      const Value* disabled = disabled_.get(dependency.key);
      const auto names = declared_.names.find("services");
      const bool known = names != declared_.names.end() && names->second.contains(dependency.key);
      if (disabled == nullptr && known) continue;  // it has a mistake of its own
      const Value* required = dependency.value.get("required");
      const bool must = required == nullptr || !required->is_bool() || required->as_bool();
      if (disabled != nullptr && !must) continue;
      std::string hint = near(dependency.key, "services");
      if (disabled != nullptr) hint = "it is disabled by its profile: activate that, or set required: false";
      error(dependency.key_place, Path(section, dependency.key),
            fmt::format("service \"{}\" depends on undefined service \"{}\"", entry.key, dependency.key), hint);
    }
  }

  void volumes(const Entry& entry, const Path& path) {
    const Value* list = entry.value.get("volumes");
    if (list == nullptr || !list->is_sequence()) return;
    const Path section(path, "volumes");
    std::size_t index = 0;
    for (const Value& volume : list->items()) {
      const Path where(section, index++);
      const std::string* type = text(volume.get("type"));
      const Value* source = volume.get("source");
      const std::string* name = text(source);
      if (type == nullptr || *type != "volume" || name == nullptr) continue;
      undefined(source->place, where, entry.key, "volume", *name, "volumes");
    }
  }

  void healthcheck(const Value& service, const Path& path) {
    const Value* test = at(&service, {"healthcheck", "test"});
    if (test == nullptr || !test->is_sequence() || test->items().empty()) return;
    const std::string* first = test->items().front().if_string();
    if (first == nullptr || *first == "CMD" || *first == "CMD-SHELL" || *first == "NONE") return;
    const Path section(path, "healthcheck");
    error(test->items().front().place, Path(section, "test"),
          "healthcheck.test must start either by \"CMD\", \"CMD-SHELL\" or \"NONE\"",
          "write the test as a text, or put \"CMD\" first");
  }

  void scale(const Entry& entry, const Path& path) {
    const Value* scale = entry.value.get("scale");
    const Value* replicas = at(&entry.value, {"deploy", "replicas"});
    if (scale != nullptr && replicas != nullptr && scale->as_integer() != replicas->as_integer()) {
      Diagnostic& d = error(scale->place, path, "can't set distinct values on 'scale' and 'deploy.replicas'");
      d.notes.push_back({replicas->place, "deploy.replicas stands here"});
    }
    for (const Value* count : {scale, replicas}) {
      if (count != nullptr && count->as_integer() < 0) {
        error(count->place, path,
              fmt::format("{} must be greater than or equal to 0", count == scale ? "scale" : "deploy.replicas"));
      }
    }
    const Value* count = scale != nullptr ? scale : replicas;
    const Value* name = entry.value.get("container_name");
    if (count == nullptr || name == nullptr || count->as_integer() <= 1) return;
    Diagnostic& d = error(name->place, path,
                          fmt::format("can't set container_name and {} as container name must be unique",
                                      scale != nullptr ? "scale" : "deploy.replicas"));
    d.notes.push_back({count->place, fmt::format("more than one container of {} is asked for here", entry.key)});
  }

  // The old attribute and the one under deploy.resources must say the same, when the section is there at all.
  void limits(const Value& service, const Path& path) {
    struct Pair {
      std::string_view attribute;
      std::string_view section;
      std::string_view key;
    };
    constexpr Pair kPairs[] = {{"cpus", "limits", "cpus"},
                               {"mem_limit", "limits", "memory"},
                               {"mem_reservation", "reservations", "memory"},
                               {"pids_limit", "limits", "pids"}};
    for (const Pair& pair : kPairs) {
      const Value* old = service.get(pair.attribute);
      const Value* section = at(&service, {"deploy", "resources", pair.section});
      if (old == nullptr || section == nullptr) continue;
      const Value* other = section->get(pair.key);
      if (other != nullptr && other->same_as(*old)) continue;
      Diagnostic& d = error(old->place, Path(path, pair.attribute),
                            fmt::format("can't set distinct values on '{}' and 'deploy.resources.{}.{}'",
                                        pair.attribute, pair.section, pair.key),
                            "give both the same value, or remove one");
      d.notes.push_back({(other == nullptr ? section : other)->place, "the other value"});
    }
  }

  void watch(const Value& service, const Path& path) {
    const Value* list = at(&service, {"develop", "watch"});
    if (list == nullptr || !list->is_sequence()) return;
    for (const Value& trigger : list->items()) {
      const std::string* action = text(trigger.get("action"));
      if (action == nullptr || *action == "rebuild" || *action == "restart") continue;
      if (trigger.get("target") != nullptr) continue;
      const Path section(path, "develop");
      error(trigger.place, Path(section, "watch"), "develop.watch: target is required for non-rebuild actions",
            "add target: the path in the container");
    }
  }

  void mounts(const Value& service, const Path& path) {
    std::map<std::string, const Value*> seen;
    const auto mount = [&](const std::string& target, const Value& item, const Path& where) {
      const auto [known, added] = seen.emplace(target, &item);
      if (added) return;
      Diagnostic& d =
          error(item.place, where, fmt::format("target {} is already mounted", target), "remove one of them");
      d.notes.push_back({known->second->place, "the first mount of it"});
    };
    if (const Value* tmpfs = service.get("tmpfs"); tmpfs != nullptr && tmpfs->is_sequence()) {
      const Path section(path, "tmpfs");
      std::size_t index = 0;
      for (const Value& item : tmpfs->items()) {
        const Path where(section, index++);
        if (item.is_string()) mount(item.as_string().substr(0, item.as_string().find(':')), item, where);
      }
    }
    const Value* volumes = service.get("volumes");
    if (volumes == nullptr || !volumes->is_sequence()) return;
    const Path section(path, "volumes");
    std::size_t index = 0;
    for (const Value& volume : volumes->items()) {
      const Path where(section, index++);
      if (const std::string* target = text(volume.get("target"))) mount(*target, volume, where);
    }
  }

  void secrets() {
    const Value* secrets = project_.get("secrets");
    if (secrets == nullptr || !secrets->is_mapping()) return;
    const Path root;
    const Path section(root, "secrets");
    for (const Entry& entry : secrets->entries()) {
      const Value& secret = entry.value;
      if (!secret.is_mapping() || secret.get("external") != nullptr) continue;
      if (secret.get("file") != nullptr || secret.get("environment") != nullptr) continue;
      error(entry.key_place, Path(section, entry.key),
            fmt::format("secret \"{}\" must declare either `file` or `environment`", entry.key));
    }
  }

  // Depth first over depends_on, without recursion: a chain of services may be long.
  void cycles(const Mapping& services) {
    enum class Mark : std::uint8_t { fresh, open, done };
    std::map<std::string, Mark, std::less<>> marks;
    struct Step {
      const Entry* service;
      std::vector<const Entry*> next;
    };
    const auto step = [&](const Entry& entry) {
      Step out{&entry, {}};
      const Value* dependencies = entry.value.get("depends_on");
      if (dependencies != nullptr && dependencies->is_mapping()) {
        for (const Entry& dependency : dependencies->entries()) out.next.push_back(&dependency);
        std::sort(out.next.begin(), out.next.end(), [](const Entry* a, const Entry* b) { return a->key > b->key; });
      }
      return out;
    };
    std::vector<const Entry*> order;
    for (const Entry& entry : services) order.push_back(&entry);
    std::sort(order.begin(), order.end(), [](const Entry* a, const Entry* b) { return a->key < b->key; });
    for (const Entry* start : order) {
      if (marks[start->key] != Mark::fresh) continue;
      std::vector<Step> way{step(*start)};
      marks[start->key] = Mark::open;
      while (!way.empty()) {
        if (way.back().next.empty()) {
          marks[way.back().service->key] = Mark::done;
          way.pop_back();
          continue;
        }
        const Entry* dependency = way.back().next.back();
        way.back().next.pop_back();
        const Entry* target = services.find(dependency->key);
        if (target == nullptr) continue;
        if (marks[target->key] == Mark::open) {
          std::vector<const Entry*> names;
          for (const Step& each : way) names.push_back(each.service);
          report_cycle(names, *dependency);
        } else if (marks[target->key] == Mark::fresh) {
          marks[target->key] = Mark::open;
          way.push_back(step(*target));
        }
      }
    }
  }

  void report_cycle(const std::vector<const Entry*>& way, const Entry& dependency) {
    std::string chain;
    bool inside = false;
    for (const Entry* entry : way) {
      inside = inside || entry->key == dependency.key;
      if (inside) chain += entry->key + " -> ";
    }
    const Path root;
    const Path section(root, "services");
    const Path service(section, way.back()->key);
    error(dependency.key_place, Path(service, "depends_on"),
          fmt::format("dependency cycle detected: {}{}", chain, dependency.key), "remove one of these dependencies");
  }

  const Value& project_;
  const Value& disabled_;
  const Declared& declared_;
  Session& session_;
};

}  // namespace

Declared collect_declared(const Value& model) {
  Declared out;
  if (!model.is_mapping()) return out;
  for (const Entry& section : model.entries()) {
    if (section.value.broken) out.broken_sections.insert(section.key);
    if (!section.value.is_mapping()) continue;
    for (const Entry& entry : section.value.entries()) out.names[section.key].insert(entry.key);
  }
  const Value* services = model.get("services");
  if (services == nullptr || !services->is_mapping()) return out;
  for (const Entry& service : services->entries()) {
    for (const std::string_view key : {"image", "build", "extends", "provider"}) {
      const Value* value = service.value.get(key);
      if (value != nullptr && value->broken) out.incomplete_services.insert(service.key);
    }
  }
  return out;
}

void check_consistency(const Value& project, const Value& disabled, const Declared& declared, Session& session) {
  Checker(project, disabled, declared, session).run();
}

}  // namespace compose::load
