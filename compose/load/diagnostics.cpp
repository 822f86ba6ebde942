#include "compose/load/diagnostics.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <tuple>

#include "yaml/write.hpp"

namespace compose::load {
namespace {

using yaml::Value;

constexpr std::size_t kMost = 1000;  // a file with more mistakes than this is not helped by one more line

std::string excerpt(const Place& place, const Sources& sources) {
  if (!place.known()) return {};
  constexpr std::size_t kWidth = 160;
  std::string line(sources.line(place));
  if (line.empty() || place.column == 0 || place.column > line.size() + 1) return {};
  const std::size_t column = place.column - 1;
  std::size_t begin = 0;
  if (line.size() > kWidth && column > kWidth / 2) begin = column - kWidth / 2;
  line = line.substr(begin, kWidth);
  std::string caret;
  for (std::size_t i = 0; i < column - begin; ++i) caret += line[i] == '\t' ? '\t' : ' ';
  return fmt::format("{:>5} | {}\n      | {}^\n", place.line, line, caret);
}

std::string head(const Place& place, const Sources& sources) {
  const std::string where = sources.describe(place);
  return where.empty() ? std::string{} : where + ": ";
}

Value place_value(const Place& place, const Sources& sources) {
  Value out = Value::mapping();
  if (const Source* source = sources.get(place.source)) out.entries().set("file", Value::string(source->path));
  if (place.known()) {
    out.entries().set("line", Value::integer(place.line));
    out.entries().set("column", Value::integer(place.column));
  }
  return out;
}

Value sarif_location(const Place& place, const Sources& sources, const std::string& message) {
  Value region = Value::mapping();
  region.entries().set("startLine", Value::integer(std::max(place.line, 1U)));
  region.entries().set("startColumn", Value::integer(std::max(place.column, 1U)));
  Value artifact = Value::mapping();
  const Source* source = sources.get(place.source);
  artifact.entries().set("uri", Value::string(source == nullptr ? "" : "file://" + source->path));
  Value physical = Value::mapping();
  physical.entries().set("artifactLocation", std::move(artifact));
  physical.entries().set("region", std::move(region));
  Value location = Value::mapping();
  location.entries().set("physicalLocation", std::move(physical));
  if (!message.empty()) {
    Value text = Value::mapping();
    text.entries().set("text", Value::string(message));
    location.entries().set("message", std::move(text));
  }
  return location;
}

// Texts of the user's that messages quote may be of any length.
void shorten(std::string& text) {
  constexpr std::size_t kMostBytes = 600;
  if (text.size() <= kMostBytes) return;
  std::size_t end = kMostBytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  text.resize(end);
  text += "...";
}

std::string_view severity_name(Severity severity) { return severity == Severity::error ? "error" : "warning"; }

}  // namespace

Diagnostic& Diagnostics::add(Diagnostic diagnostic) {
  shorten(diagnostic.message);
  shorten(diagnostic.hint);
  shorten(diagnostic.path);
  for (Diagnostic& known : all_) {
    if (known.place == diagnostic.place && known.path == diagnostic.path && known.message == diagnostic.message) {
      return known;
    }
  }
  if (diagnostic.severity == Severity::error) ++errors_;
  if (all_.size() >= kMost) {
    spare_ = std::move(diagnostic);
    return spare_;
  }
  all_.push_back(std::move(diagnostic));
  return all_.back();
}

Diagnostic& Diagnostics::error(Place place, std::string path, std::string message, std::string hint) {
  return add({Severity::error, place, std::move(path), std::move(message), std::move(hint), {}});
}

Diagnostic& Diagnostics::warning(Place place, std::string path, std::string message, std::string hint) {
  return add({Severity::warning, place, std::move(path), std::move(message), std::move(hint), {}});
}

void Diagnostics::sort() {
  // By place; of several at one place, the first reported first.
  std::vector<std::size_t> order(all_.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto key = [this](std::size_t i) {
    const Place& place = all_[i].place;
    return std::tuple(place.source, place.line, place.column, i);
  };
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return key(a) < key(b); });
  std::vector<Diagnostic> sorted;
  sorted.reserve(all_.size());
  for (const std::size_t i : order) sorted.push_back(std::move(all_[i]));
  all_ = std::move(sorted);
}

std::string render_text(const Diagnostics& diagnostics, const Sources& sources) {
  std::string out;
  for (const Diagnostic& d : diagnostics.all()) {
    out += head(d.place, sources);
    out += fmt::format("{}: ", severity_name(d.severity));
    if (!d.path.empty()) out += d.path + ": ";
    out += d.message + "\n" + excerpt(d.place, sources);
    for (const Note& note : d.notes) {
      out += fmt::format("{}note: {}\n{}", head(note.place, sources), note.message, excerpt(note.place, sources));
    }
    if (!d.hint.empty()) out += fmt::format("      = help: {}\n", d.hint);
  }
  return out;
}

std::string render_json(const Diagnostics& diagnostics, const Sources& sources) {
  Value list = Value::sequence();
  for (const Diagnostic& d : diagnostics.all()) {
    Value item = place_value(d.place, sources);
    item.entries().set("severity", Value::string(std::string(severity_name(d.severity))));
    item.entries().set("path", Value::string(d.path));
    item.entries().set("message", Value::string(d.message));
    if (!d.hint.empty()) item.entries().set("hint", Value::string(d.hint));
    if (!d.notes.empty()) {
      Value notes = Value::sequence();
      for (const Note& note : d.notes) {
        Value place = place_value(note.place, sources);
        place.entries().set("message", Value::string(note.message));
        notes.items().push_back(std::move(place));
      }
      item.entries().set("notes", std::move(notes));
    }
    list.items().push_back(std::move(item));
  }
  Value root = Value::mapping();
  root.entries().set("diagnostics", std::move(list));
  return yaml::to_json(root) + "\n";
}

std::string render_sarif(const Diagnostics& diagnostics, const Sources& sources) {
  Value results = Value::sequence();
  for (const Diagnostic& d : diagnostics.all()) {
    Value text = Value::mapping();
    text.entries().set("text", Value::string(d.hint.empty() ? d.message : d.message + " (" + d.hint + ")"));
    Value locations = Value::sequence();
    locations.items().push_back(sarif_location(d.place, sources, {}));
    Value related = Value::sequence();
    for (const Note& note : d.notes) related.items().push_back(sarif_location(note.place, sources, note.message));
    Value result = Value::mapping();
    result.entries().set("ruleId", Value::string("compose-file"));
    result.entries().set("level", Value::string(std::string(severity_name(d.severity))));
    result.entries().set("message", std::move(text));
    result.entries().set("locations", std::move(locations));
    if (!related.items().empty()) result.entries().set("relatedLocations", std::move(related));
    results.items().push_back(std::move(result));
  }
  Value root;
  yaml::from_json(R"({"version": "2.1.0", "$schema": "https://json.schemastore.org/sarif-2.1.0.json", "runs": [
      {"tool": {"driver": {"name": "compose", "rules": [{"id": "compose-file"}]}}}]})",
                  root);
  root.get("runs")->items().front().entries().set("results", std::move(results));
  return yaml::to_json(root) + "\n";
}

}  // namespace compose::load
