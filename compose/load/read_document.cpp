#include "compose/load/read_document.hpp"

#include <fmt/format.h>

#include "compose/load/paths.hpp"
#include "yaml/parse.hpp"

namespace compose::load {
namespace {

// The model path of the key or value that stands at `place`; "" when none does.
std::string path_at(const Value& value, const Place& place, const Path& path) {
  if (const Mapping* mapping = value.if_mapping()) {
    for (const Entry& entry : *mapping) {
      const Path inner(path, entry.key);
      if (entry.key_place == place) return inner.to_string();
      if (std::string found = path_at(entry.value, place, inner); !found.empty()) return found;
    }
  } else if (const Sequence* items = value.if_sequence()) {
    std::size_t index = 0;
    for (const Value& item : *items) {
      if (std::string found = path_at(item, place, Path(path, index++)); !found.empty()) return found;
    }
  }
  return value.place == place ? path.to_string() : std::string{};
}

void report_issues(const yaml::Parsed& parsed, Session& session) {
  for (const yaml::Issue& issue : parsed.issues) {
    std::string path;
    for (const yaml::Document& document : parsed.documents) {
      if (path.empty()) path = path_at(document.root, issue.place, Path{});
    }
    Diagnostic& d = session.diagnostics.error(issue.place, path, issue.message);
    if (issue.other.known()) d.notes.push_back({issue.other, issue.other_note});
  }
}

}  // namespace

std::string display_name(const std::string& path, const Session& session) {
  if (path == "-") return "<stdin>";
  const std::string relative = relative_path(session.options.working_dir, path);
  return relative.starts_with("../") || relative.size() >= path.size() ? path : relative;
}

std::optional<std::uint32_t> read_text(const std::string& path, const Place& asked, const std::string& asked_path,
                                       Session& session) {
  Result<std::string> text = session.files.read(path);
  if (!text) {
    session.diagnostics.error(asked, asked_path, text.error().message());
    return std::nullopt;
  }
  return session.sources.add(display_name(path, session), path, std::move(text).value());
}

std::optional<ReadFile> read_documents(const std::string& path, const Place& asked, const std::string& asked_path,
                                       Session& session) {
  const auto source = read_text(path, asked, asked_path, session);
  if (!source) return std::nullopt;
  yaml::Parsed parsed = yaml::parse(session.sources.text(*source), *source);
  report_issues(parsed, session);
  ReadFile file;
  file.source = *source;
  for (yaml::Document& document : parsed.documents)
    file.documents.push_back({std::move(document.root), document.tagged});
  return file;
}

}  // namespace compose::load
