#include "compose/load/read_document.hpp"

#include <fmt/format.h>

#include "compose/load/paths.hpp"
#include "yaml/parse.hpp"

namespace compose::load {
namespace {

void report_issues(const yaml::Parsed& parsed, Session& session) {
  for (const yaml::Issue& issue : parsed.issues) {
    Diagnostic& d = session.diagnostics.error(issue.place, issue.path, issue.message);
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
  return parse_source(*source, session);
}

ReadFile parse_source(std::uint32_t source, Session& session) {
  yaml::Parsed parsed = yaml::parse(session.sources.text(source), source);
  report_issues(parsed, session);
  ReadFile file;
  file.source = source;
  for (yaml::Document& document : parsed.documents) {
    file.documents.push_back({std::move(document.root), document.tagged});
  }
  return file;
}

}  // namespace compose::load
