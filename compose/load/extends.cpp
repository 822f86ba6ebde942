// Stage: extends. A service takes the attributes of another one, of the same file or of another file, and lays its own
// over them.
#include <fmt/format.h>

#include "compose/load/canonical.hpp"
#include "compose/load/interpolate.hpp"
#include "compose/load/merge.hpp"
#include "compose/load/model_loader.hpp"
#include "compose/load/paths.hpp"
#include "compose/schema/suggest.hpp"

namespace compose::load {

struct ModelLoader::Base {
  Value services = Value::mapping();
  Value resets;
  std::string path;
};

namespace {

constexpr int kLongestChain = 200;

std::string near_service(const std::string& name, const Value& services) {
  std::vector<std::string> names;
  for (const Entry& entry : services.entries()) names.push_back(entry.key);
  return schema::did_you_mean(name, names);
}

// Values of another file's service remember the way they came.
void trace_all(Value& value, const Place& asked, Session& session) {
  if (!session.traces.enabled()) return;
  if (Mapping* mapping = value.if_mapping()) {
    for (Entry& entry : *mapping) trace_all(entry.value, asked, session);
  } else if (Sequence* items = value.if_sequence()) {
    for (Value& item : *items) trace_all(item, asked, session);
  } else {
    session.traces.add(value, "extends", {}, asked);
  }
}

}  // namespace

void ModelLoader::apply_extends(Value& document, const Value& resets, const std::string& path, const Scope& scope) {
  Value* services = document.get("services");
  if (services == nullptr || services->broken) return;
  const Path root;
  const Path at(root, "services");
  if (!services->is_mapping()) {
    session_.fail(*services, at, fmt::format("services must be a mapping, not {}", yaml::kind_name(*services)));
    return;
  }
  const Value none;
  const Value* reset = resets.get("services");
  for (Entry& entry : services->entries()) {
    if (!entry.value.is_null() && !entry.value.is_mapping() && !entry.value.broken) {
      session_.fail(entry.value, Path(at, entry.key),
                    fmt::format("services.{} must be a mapping, not {}", entry.key, yaml::kind_name(entry.value)));
      continue;
    }
    if (entry.value.get("extends") == nullptr) continue;
    extend_service(entry.key, {services, reset == nullptr ? &none : reset, path, &scope}, nullptr);
  }
}

bool ModelLoader::closes_cycle(const Chain& link, Value& extends, const Path& at) {
  if (link.length > kLongestChain) {
    session_.fail(extends, at, fmt::format("more than {} services extend one another in a row", kLongestChain));
    return true;
  }
  for (const Chain* step = link.parent; step != nullptr; step = step->parent) {
    if (step->file != link.file || step->service != link.service) continue;
    std::string way;
    for (const Chain* back = &link; back != nullptr; back = back->parent) {
      way = fmt::format("{} in {}{}{}", back->service, display_name(back->file, session_),
                        way.empty() ? "" : " extends ", way);
    }
    session_.fail(extends, at, "circular reference: " + way);
    return true;
  }
  return false;
}

// The service `name` extends, itself extended already; nullptr when that failed (reported).
const Value* ModelLoader::extended_base(Value& extends, const std::string& name, const Path& at, const Level& level,
                                        const Chain& link) {
  Value& named = *(extends.is_mapping() ? extends.get("service") : &extends);
  const std::string wanted = named.as_string();
  Value* file = extends.is_mapping() ? extends.get("file") : nullptr;
  Level below = level;
  std::shared_ptr<Base> base;
  if (file != nullptr && file->is_string()) {
    base = open_base(name, *file, at, *level.scope);
    if (base == nullptr) return nullptr;
    const Value* resets = base->resets.get("services");
    below = {&base->services, resets == nullptr ? &base->resets : resets, base->path, level.scope};
  }
  if (below.services->get(wanted) == nullptr) {
    session_.fail(named, at,
                  fmt::format("cannot extend service \"{}\" in {}: service \"{}\" not found{}", name,
                              display_name(level.path, session_), wanted,
                              base == nullptr ? "" : " in " + display_name(below.path, session_)),
                  near_service(wanted, *below.services));
    return nullptr;
  }
  if (!extend_service(wanted, below, &link)) return nullptr;
  return below.services->get(wanted);  // `bases_` keeps it
}

// Gives services.NAME what it extends, recursively. False when that failed (reported).
bool ModelLoader::extend_service(const std::string& name, const Level& level, const Chain* chain) {
  const Path root;
  const Path section(root, "services");
  const Path service_path(section, name);
  const Path at(service_path, "extends");
  Value* service = level.services->get(name);
  if (service == nullptr || !service->is_mapping()) return service != nullptr;
  if (service->get("extends") == nullptr) return true;
  if (service->get("extends")->broken) return false;
  Value extends = *service->get("extends");
  const Value* named = extends.is_mapping() ? extends.get("service") : &extends;
  if (named == nullptr || !named->is_string()) {
    session_.fail(extends, at, fmt::format("extends.{}.service is required", name), "add service: NAME");
    service->entries().set("extends", std::move(extends));
    return false;
  }
  const Chain link{chain, level.path, name, chain == nullptr ? 1 : chain->length + 1};
  const Value* source = closes_cycle(link, extends, at) ? nullptr : extended_base(extends, name, at, level, link);
  service = level.services->get(name);
  if (source == nullptr) {
    Value* left = service->get("extends");
    if (left != nullptr) left->broken = true;  // so that later stages know what the service lacks
    return false;
  }
  service->entries().erase("extends");
  if (!source->is_mapping()) return true;
  Value merged = *source;
  trace_all(merged, extends.place, session_);
  if (const Value* reset = level.resets->get(name)) apply_resets(merged, *reset);
  merge_service(merged, std::move(*service), service_path, session_);
  *service = std::move(merged);
  return true;
}

std::shared_ptr<ModelLoader::Base> ModelLoader::open_base(const std::string& name, Value& file, const Path& at,
                                                          const Scope& scope) {
  const std::string path = join_path(scope.directory, expand_home(file.as_string(), scope.environment));
  const std::string key = scope.folder + '\n' + path;
  if (const auto known = bases_.find(key); known != bases_.end()) return known->second;
  auto read = open(path, file.place, at.to_string());
  if (!read) return nullptr;
  auto base = std::make_shared<Base>();
  base->path = path;
  Value model = Value::mapping();
  for (ReadDocument& document : read->documents) {
    if (!document.root.is_mapping()) {
      session_.fail(document.root, Path{}, "the top level must be a mapping");
      continue;
    }
    base->resets = document.tagged ? take_resets(document.root) : Value{};
    if (session_.options.interpolate) interpolate(document.root, scope.environment, session_);
    apply_resets(model, base->resets);
    merge_documents(model, std::move(document.root), session_);
    keep_unique(model, session_);
    canonicalise(model, session_);
    keep_unique(model, session_);
  }
  Value* services = model.get("services");
  if (services == nullptr || !services->is_mapping()) {
    session_.fail(
        file, at,
        fmt::format("cannot extend service \"{}\" in {}: no services section", name, display_name(path, session_)));
    return nullptr;
  }
  resolve_paths(model, folder_for(parent_path(path)), scope.environment, session_);
  base->services = std::move(*model.get("services"));
  bases_.emplace(key, base);
  return base;
}

}  // namespace compose::load
