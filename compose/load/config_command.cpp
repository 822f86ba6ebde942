#include "compose/load/config_command.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/strings.hpp"
#include "compose/load/key_order.hpp"
#include "compose/load/shape.hpp"
#include "compose/load/substitute.hpp"
#include "yaml/write.hpp"

namespace compose::load {
namespace {

std::string lines(const std::set<std::string>& texts) {
  std::string out;
  for (const std::string& text : texts) out += text + "\n";
  return out;
}

std::set<std::string> keys(const Value* mapping) {
  std::set<std::string> out;
  if (mapping == nullptr || !mapping->is_mapping()) return out;
  for (const Entry& entry : mapping->entries()) out.insert(entry.key);
  return out;
}

void add_profiles(const Value* services, std::set<std::string>& out) {
  if (services == nullptr || !services->is_mapping()) return;
  for (const Entry& entry : services->entries()) {
    const Value* profiles = entry.value.get("profiles");
    if (profiles == nullptr || !profiles->is_sequence()) continue;
    for (const Value& profile : profiles->items()) out.insert(yaml::scalar_text(profile));
  }
}

// The image of a service: given, or the name its build gets.
std::string image_of(const Entry& service, const LoadResult& loaded) {
  const Value* image = service.value.get("image");
  return image != nullptr ? yaml::scalar_text(*image) : loaded.project_name + "-" + service.key;
}

std::set<std::string> images(const LoadResult& loaded) {
  std::set<std::string> out;
  const Value* services = loaded.canonical.get("services");
  if (services == nullptr || !services->is_mapping()) return out;
  for (const Entry& service : services->entries()) out.insert(image_of(service, loaded));
  return out;
}

void collect_variables(const Value& value, std::map<std::string, VariableUse>& out) {
  if (const Mapping* mapping = value.if_mapping()) {
    for (const Entry& entry : *mapping) collect_variables(entry.value, out);
  } else if (const Sequence* items = value.if_sequence()) {
    for (const Value& item : *items) collect_variables(item, out);
  } else if (value.is_string()) {
    for (VariableUse& use : variables_in(value.as_string())) {
      VariableUse& known = out.try_emplace(use.name, use).first->second;
      known.required = known.required || use.required;
      if (!known.default_value) known.default_value = use.default_value;
      if (!known.alternative) known.alternative = use.alternative;
    }
  }
}

std::string variable_table(const Value& model, bool json) {
  std::map<std::string, VariableUse> variables;
  collect_variables(model, variables);
  if (json) {
    Value out = Value::mapping();
    for (const auto& [name, use] : variables) {
      Value item = Value::mapping();
      item.entries().set("Name", Value::string(name));
      item.entries().set("DefaultValue", Value::string(use.default_value.value_or("")));
      item.entries().set("PresenceValue", Value::string(use.alternative.value_or("")));
      item.entries().set("Required", Value::boolean(use.required));
      out.entries().add(name, {}, std::move(item));
    }
    return yaml::to_json(out) + "\n";
  }
  std::string out = fmt::format("{:<20} {:<10} {:<20} {}\n", "NAME", "REQUIRED", "DEFAULT VALUE", "ALTERNATE VALUE");
  for (const auto& [name, use] : variables) {
    out += fmt::format("{:<20} {:<10} {:<20} {}\n", name, use.required, use.default_value.value_or(""),
                       use.alternative.value_or(""));
  }
  return out;
}

Result<std::string> hashes(const LoadResult& loaded, const std::string& wanted) {
  const auto names = split(wanted, ',');
  std::string out;
  for (const auto& [name, service] : loaded.project->services) {
    if (wanted != "*" && std::find(names.begin(), names.end(), name) == names.end()) continue;
    out += fmt::format("{} {}\n", name, model::config_hash(*loaded.project, service));
  }
  for (const std::string& name : names) {
    if (wanted != "*" && !loaded.project->services.contains(name)) {
      return make_error(Errc::not_found, "no such service: {}", name);
    }
  }
  return out;
}

Result<void> resolve_digests(const ConfigRequest& request, LoadResult& loaded) {
  Value* services = loaded.canonical.get("services");
  if (services == nullptr || !services->is_mapping()) return {};
  for (Entry& service : services->entries()) {
    Value* image = service.value.get("image");
    if (image == nullptr || !image->is_string()) continue;
    if (!request.resolve_digest) {
      return make_error(Errc::unsupported, "cannot resolve the digest of {}: no image store", image->as_string());
    }
    TRY_ASSIGN(image->as_string(), request.resolve_digest(image->as_string()));
  }
  return {};
}

// Only the images: an override file that pins them.
Value locked(const LoadResult& loaded) {
  Value services = Value::mapping();
  const Value* all = loaded.canonical.get("services");
  if (all != nullptr && all->is_mapping()) {
    for (const Entry& service : all->entries()) {
      const Value* image = service.value.get("image");
      if (image == nullptr) continue;
      Value pinned = Value::mapping();
      pinned.entries().set("image", *image);
      services.entries().add(service.key, {}, std::move(pinned));
    }
  }
  Value out = Value::mapping();
  out.entries().set("services", std::move(services));
  return out;
}

// Docker Compose prints the environment interpolation saw.
std::string environment_lines(const LoadResult& loaded) {
  std::string out;
  for (const auto& [name, variable] : loaded.environment.all()) out += name + "=" + variable.value + "\n";
  return out;
}

Result<std::string> print(const ConfigRequest& request, LoadResult& loaded) {
  if (request.services) return lines(keys(loaded.canonical.get("services")));
  if (request.volumes) return lines(keys(loaded.canonical.get("volumes")));
  if (request.networks) return lines(keys(loaded.canonical.get("networks")));
  if (request.models) return lines(keys(loaded.canonical.get("models")));
  if (request.images) return lines(images(loaded));
  if (request.environment) return environment_lines(loaded);
  if (request.variables) return variable_table(loaded.canonical, request.format == "json");
  if (request.hash) return hashes(loaded, *request.hash);
  if (request.explain) return explain(loaded, *request.explain, request.format == "json");
  if (request.profiles) {
    std::set<std::string> names;
    add_profiles(loaded.canonical.get("services"), names);
    add_profiles(&loaded.disabled, names);
    return lines(names);
  }
  if (request.resolve_image_digests || request.lock_image_digests) TRY(resolve_digests(request, loaded));
  if (request.lock_image_digests) loaded.canonical = locked(loaded);
  if (request.quiet) return std::string();
  return render_config(loaded, request.options, request.format);
}

std::string render_report(const LoadResult& loaded, Report form) {
  switch (form) {
    case Report::text:
      return render_text(loaded.diagnostics, loaded.sources);
    case Report::json:
      return render_json(loaded.diagnostics, loaded.sources);
    case Report::sarif:
      return render_sarif(loaded.diagnostics, loaded.sources);
  }
  return {};
}

}  // namespace

Result<std::string> render_config(LoadResult& loaded, const Options& options, const std::string& format) {
  if (!format.empty() && format != "yaml" && format != "json") {
    return make_error(Errc::invalid, "unsupported format \"{}\": use yaml or json", format);
  }
  yaml::WriteOptions write;
  write.double_dollar = options.interpolate;
  write.sorted = false;
  order_keys(loaded.canonical);
  if (format != "json") return yaml::to_yaml(loaded.canonical, write);
  if (options.interpolate) json_form(loaded.canonical);
  return yaml::to_json(loaded.canonical, write) + "\n";
}

ConfigOutput run_config(const ConfigRequest& request, FileSource& files) {
  Options options = request.options;
  options.want_project = request.hash.has_value();
  options.trace = request.explain.has_value();
  if (request.variables) options.interpolate = false;
  LoadResult loaded = load(options, files);
  ConfigOutput out;
  out.files = loaded.files;
  if (!loaded.diagnostics.all().empty() || request.report != Report::text) {
    out.messages = render_report(loaded, request.report);
  }
  if (!loaded.ok()) {
    out.exit_code = 1;
    return out;
  }
  Result<std::string> text = print(request, loaded);
  if (text) {
    out.text = std::move(text).value();
  } else {
    out.messages += "error: " + text.error().message() + "\n";
    out.exit_code = 1;
  }
  return out;
}

}  // namespace compose::load
