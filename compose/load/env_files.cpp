#include "compose/load/env_files.hpp"

#include <fmt/format.h>

#include <map>
#include <optional>

#include "compose/load/dotenv.hpp"
#include "compose/load/paths.hpp"
#include "compose/load/read_document.hpp"

namespace compose::load {
namespace {

void report(const DotenvError& error, const Place& asked, const std::string& asked_path, Session& session) {
  const Source* source = session.sources.get(error.place.source);
  Diagnostic& d =
      session.diagnostics.error(error.place, asked_path,
                                fmt::format("failed to read {}: line {}: {}", source == nullptr ? "" : source->name,
                                            error.place.line, error.message));
  if (asked.known()) d.notes.push_back({asked, "the file is named here"});
}

class ServiceFiles {
 public:
  ServiceFiles(const Environment& environment, Session& session) : environment_{environment}, session_{session} {}

  void environment(Value& service, const Path& path) {
    Value* files = service.get("env_file");
    if (files == nullptr) return;
    const Value list = std::move(*files);
    service.entries().erase("env_file");
    if (list.broken || !list.is_sequence()) return;
    Value* own = service.get("environment");
    Environment values;
    if (own != nullptr && own->is_mapping()) {
      for (const Entry& entry : own->entries()) {
        if (entry.value.is_string()) values.set(entry.key, {entry.value.as_string(), "environment", entry.value.place});
      }
    }
    const Environment before = values;
    const Lookup lookup = [&](std::string_view name) {
      const Variable* variable = environment_.find(name);
      return variable != nullptr ? variable : before.find(name);
    };
    const Path section(path, "env_file");
    std::size_t index = 0;
    for (const Value& item : list.items()) read_env_file(item, Path(section, index++), lookup, values);
    add_below(service, "environment", values);
  }

  void labels(Value& service, const Path& path) {
    Value* files = service.get("label_file");
    if (files == nullptr) return;
    const Value list = std::move(*files);
    service.entries().erase("label_file");
    if (list.broken || !list.is_sequence()) return;
    Environment values;
    const Lookup lookup = [&](std::string_view name) { return values.find(name); };
    const Path section(path, "label_file");
    std::size_t index = 0;
    for (const Value& item : list.items()) {
      const Path at(section, index++);
      if (!item.is_string()) continue;
      if (const auto text = open(item, at, "label file", true)) read(*text, "", item, at, lookup, values);
    }
    add_below(service, "labels", values);
  }

 private:
  void read_env_file(const Value& item, const Path& path, const Lookup& lookup, Environment& values) {
    const Value* file = item.get("path");
    if (file == nullptr || !file->is_string() || item.broken) return;
    const Value* required = item.get("required");
    const bool must = required == nullptr || !required->is_bool() || required->as_bool();
    const Value* format = item.get("format");
    if (const auto source = open(*file, path, "env file", must)) {
      read(*source, format == nullptr || !format->is_string() ? "" : format->as_string(), item, path, lookup, values);
    }
  }

  // Many services share a file: it is read once.
  std::optional<std::uint32_t> open(const Value& file, const Path& path, std::string_view what, bool must) {
    // Without path resolution it is still relative.
    const std::string name = join_path(session_.options.working_dir, file.as_string());
    if (const auto known = opened_.find(name); known != opened_.end()) return known->second;
    if (session_.files.kind(name) == FileKind::missing) {
      if (must) {
        session_.diagnostics.error(file.place, path.to_string(), fmt::format("{} {} not found", what, name),
                                   what == "env file" ? "create it, or set required: false" : "create it");
      }
      return std::nullopt;
    }
    const auto source = read_text(name, file.place, path.to_string(), session_);
    if (source) opened_.emplace(name, *source);
    return source;
  }

  void read(std::uint32_t source, const std::string& format, const Value& item, const Path& path, const Lookup& lookup,
            Environment& values) {
    std::optional<DotenvError> error;
    if (format == "raw") {
      error = parse_raw_env(session_.sources.text(source), source, values);
    } else if (format.empty() || format == ".env") {
      error = parse_dotenv(session_.sources.text(source), source, lookup, values);
    } else {
      const Value* place = item.get("format");
      session_.diagnostics.error(place->place, path.to_string(),
                                 fmt::format("unsupported env_file format \"{}\"", format),
                                 "leave it out, or write raw");
    }
    if (error) report(*error, item.place, path.to_string(), session_);
  }

  // Values of files stand below those of the attribute itself, also below a variable without value.
  void add_below(Value& service, std::string_view attribute, const Environment& values) {
    if (values.all().empty()) return;
    Value* own = service.get(attribute);
    if (own == nullptr || !own->is_mapping()) {
      service.entries().set(attribute, Value::mapping(service.place));
      own = service.get(attribute);
    }
    for (const auto& [name, variable] : values.all()) {
      if (own->entries().contains(name)) continue;
      Value added = Value::string(variable.value, variable.place);
      session_.traces.add(added, attribute == "labels" ? "label_file" : "env_file");
      own->entries().add(name, variable.place, std::move(added));
    }
  }

  const Environment& environment_;
  Session& session_;
  std::map<std::string, std::uint32_t> opened_;
};

}  // namespace

void add_env_files(const std::vector<std::string>& files, const Place& asked, const std::string& asked_path,
                   Environment& environment, Session& session) {
  Environment found;
  const Lookup lookup = [&](std::string_view name) {
    const Variable* variable = environment.find(name);
    return variable != nullptr ? variable : found.find(name);
  };
  for (const std::string& file : files) {
    const FileKind kind = session.files.kind(file);
    if (kind == FileKind::missing || kind == FileKind::directory) {
      session.diagnostics.error(asked, asked_path,
                                kind == FileKind::missing ? fmt::format("couldn't find env file: {}", file)
                                                          : fmt::format("{} is a directory, not an env file", file));
      continue;
    }
    const auto source = read_text(file, asked, asked_path, session);
    if (!source) continue;
    if (const auto error = parse_dotenv(session.sources.text(*source), *source, lookup, found)) {
      report(*error, asked, asked_path, session);
    }
  }
  environment.add_missing(found);
}

void resolve_service_files(Value& services, const Environment& environment, Session& session) {
  ServiceFiles files(environment, session);
  const Path root;
  const Path section(root, "services");
  for (Entry& entry : services.entries()) {
    if (!entry.value.is_mapping()) continue;
    const Path path(section, entry.key);
    files.environment(entry.value, path);
    files.labels(entry.value, path);
  }
}

}  // namespace compose::load
