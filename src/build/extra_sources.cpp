// Sources of COPY and ADD that are no files of a context: here-documents, downloads, repositories; and contexts that
// have a URL.
#include <sys/stat.h>

#include "build/instruction_rules.hpp"
#include "build/session.hpp"
#include "sys/file.hpp"

namespace compose::build {

namespace {

/// What was fetched has to be what --checksum says: a digest of a file, a commit or the beginning of its number.
Result<void> check_sum(const Instruction& item, const std::string& address, const std::string& got, bool is_commit) {
  const Flag* wanted = item.flag("checksum");
  if (wanted == nullptr) return {};
  if (is_commit ? wanted->value.size() >= 7 && got.starts_with(wanted->value) : got == wanted->value) return {};
  return make_error(Errc::corrupt, "\"{}\" has the checksum {}, not {}", address, got, wanted->value);
}

}  // namespace

http::Client& Session::http_client() {
  const std::lock_guard lock{remote_mutex_};
  if (!http_) http_.emplace();
  return *http_;
}

Result<std::string> Session::remote_folder(const NamedContext& context) {
  {
    const std::lock_guard lock{remote_mutex_};
    if (const auto found = fetched_.find(context.name); found != fetched_.end()) return found->second.folder;
  }
  http::Client& client = http_client();
  TRY_ASSIGN(image::Workspace space, internal_.workspace());
  TRY_ASSIGN(FetchedContext fetched,
             fetch_context(client, context.location, std::move(space)).with("the context \"{}\"", context.name));
  const std::lock_guard lock{remote_mutex_};
  // Another stage may have been as fast; then its copy counts.
  return fetched_.try_emplace(context.name, std::move(fetched)).first->second.folder;
}

Result<void> Session::write_heredocs(const StageRun& run, const Instruction& item, const std::string& folder) const {
  for (const Heredoc& heredoc : item.heredocs) {
    std::string content = heredoc.content;
    if (heredoc.expand) {
      TRY_ASSIGN(content, image::expand_text(heredoc.content, lookup(run.state), plan_.file.escape));
    }
    if (heredoc.name.find('/') != std::string::npos || heredoc.name == "." || heredoc.name == "..")
      return make_error(Errc::invalid, "\"{}\" is no name for a file", heredoc.name);
    TRY(sys::write_file_atomic(folder + "/" + heredoc.name, content, 0644));
  }
  return {};
}

Result<Session::ExtraSource> Session::heredoc_source(StageRun& run, const Instruction& item,
                                                     const CopySources& sources) {
  TRY_ASSIGN(image::Workspace space, internal_.workspace());
  ExtraSource source{std::move(space), {}, sources.options, {}, ""};
  TRY(write_heredocs(run, item, source.space.path()));
  source.tree.view = image::MergedView{{source.space.path()}};
  source.options.sources = sources.heredocs;
  return source;
}

Result<Session::ExtraSource> Session::remote_source(const Instruction& item, const CopySources& sources,
                                                    const std::string& address) {
  TRY_ASSIGN(image::Workspace space, internal_.workspace());
  ExtraSource source{std::move(space), {}, sources.options, {}, ""};
  if (const std::optional<GitSource> git = parse_git(address)) {
    const std::string folder = source.space.path() + "/tree";
    TRY_ASSIGN(const std::string commit, clone_git(*git, folder, switch_flag(item, "keep-git-dir")));
    TRY(check_sum(item, address, commit, true));
    source.tree.view = image::MergedView{{folder}};
    source.options.sources = {"/" + git->folder};
    return source;
  }
  if (!address.starts_with("http")) return make_error(Errc::invalid, "\"{}\" is no address of a repository", address);
  std::string name = url_file_name(address);
  if (name.empty() && source.options.destination.ends_with('/'))
    return make_error(Errc::invalid, "\"{}\" gives the file no name: the destination must be one", address);
  if (name.empty()) name = "download";
  const std::string folder = source.space.path() + "/tree";
  TRY(sys::make_directories(folder, 0755));
  TRY_ASSIGN(const Download fetched, download(http_client(), address, folder + "/" + name));
  TRY(check_sum(item, address, fetched.digest, false));
  source.tree.view = image::MergedView{{folder}};
  // A pattern's letters in the name mean themselves.
  std::string escaped;
  for (const char c : name) {
    if (c == '*' || c == '?' || c == '[' || c == '\\') escaped += '\\';
    escaped += c;
  }
  source.options.sources = {escaped};
  // Archives from elsewhere are unpacked only when that is asked for (Dockerfile reference, ADD --unpack).
  source.options.unpack = switch_flag(item, "unpack", false);
  return source;
}

Result<std::vector<Session::ExtraSource>> Session::extra_sources(StageRun& run, const Instruction& item,
                                                                 const CopySources& sources) {
  std::vector<ExtraSource> result;
  if (!sources.heredocs.empty()) {
    TRY_ASSIGN(ExtraSource source, heredoc_source(run, item, sources));
    source.options.unpack = false;
    result.push_back(std::move(source));
  }
  for (const std::string& address : sources.remote) {
    TRY_ASSIGN(ExtraSource source, remote_source(item, sources, address));
    result.push_back(std::move(source));
  }
  for (ExtraSource& source : result) {
    source.tree.from_host = true;
    source.options.parents = false;
    TRY_ASSIGN(source.plan, plan_copy(source.tree, source.options));
    TRY_ASSIGN(source.digest, copy_digest(source.tree, source.options, source.plan));
  }
  return result;
}

}  // namespace compose::build
