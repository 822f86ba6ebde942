// COPY, ADD and WORKDIR.
#include <fcntl.h>

#include <algorithm>

#include "base/strings.hpp"
#include "build/session.hpp"
#include "image/digest.hpp"
#include "sys/file.hpp"

namespace compose::build {

namespace {

constexpr const char* kImagePrefix = "docker-image://";

Result<mode_t> parse_mode(const std::string& text) {
  mode_t mode = 0;
  for (const char c : text) {
    if (c < '0' || c > '7') return make_error(Errc::invalid, "--chmod wants an octal mode, not \"{}\"", text);
    mode = mode * 8 + static_cast<mode_t>(c - '0');
  }
  if (text.empty() || mode > 07777)
    return make_error(Errc::invalid, "--chmod wants a mode up to 7777, not \"{}\"", text);
  return mode;
}

bool is_true(const Flag& flag) { return !flag.has_value || to_lower(flag.value) == "true" || flag.value == "1"; }

bool is_url(const std::string& text) {
  return text.starts_with("http://") || text.starts_with("https://") || text.starts_with("git@") ||
         text.starts_with("git://") || text.starts_with("ssh://");
}

/// A heredoc among the words of a COPY: its name, else nothing.
const Heredoc* heredoc_of(const Instruction& item, const std::string& word) {
  if (word.find("<<") == std::string::npos) return nullptr;
  for (const Heredoc& heredoc : item.heredocs) {
    std::string bare;
    std::copy_if(word.begin(), word.end(), std::back_inserter(bare), [](char c) { return c != '"' && c != '\''; });
    if (bare.ends_with("<<" + heredoc.name) || bare.ends_with("<<-" + heredoc.name)) return &heredoc;
  }
  return nullptr;
}

/// COPY and ADD: relative to WORKDIR, a "/" at the end kept.
std::string destination_of(const image::ImageConfig& config, const std::string& text) {
  std::string path = image::change_directory(config.working_dir, text);
  const bool directory = text.ends_with('/') || text == "." || text.ends_with("/.");
  return directory && path != "/" ? path + "/" : path;
}

}  // namespace

/// The tree that --from means: a stage, a context with a name, an image; the build's own context without it.
Result<SourceTree> Session::source_tree(const std::string& from, std::size_t before) {
  if (from.empty()) return context_;
  SourceTree tree;
  const auto named = request_.build.additional_contexts.find(from);
  if (named != request_.build.additional_contexts.end() && !named->second.starts_with(kImagePrefix) &&
      !request_.named_images.contains(named->second)) {
    if (is_url(named->second))
      return make_error(Errc::unsupported, "the context \"{}\" is a URL: only folders and images can be used", from);
    const Result<std::string> ignore = sys::read_file(named->second + "/.dockerignore");
    tree.view = image::MergedView{{named->second}};
    tree.ignore = IgnoreRules{ignore ? *ignore : ""};
    tree.from_host = true;
    return tree;
  }
  if (named == request_.build.additional_contexts.end()) {
    if (const std::optional<std::size_t> index = plan_.find_stage(from, before, true)) {
      TRY_ASSIGN(const StageState* state, stage(*index));
      tree.view = state->view();
      tree.identity = state->chain().empty() ? "scratch" : state->chain();
      return tree;
    }
  }
  TRY_ASSIGN(const StageState state, image_state(from, ""));
  tree.view = state.view();
  tree.identity = state.chain().empty() ? "scratch" : state.chain();
  return tree;
}

Result<CopyOptions> Session::copy_options(StageRun& run, const Instruction& item,
                                          std::vector<std::string>& heredocs) const {
  CopyOptions options;
  const auto expanded = [&](const std::string& text) {
    return image::expand_word(text, lookup(run.state), plan_.file.escape);
  };
  bool unpack = item.keyword == "ADD";
  for (const Flag& flag : item.flags) {
    if (flag.name == "chown") {
      TRY_ASSIGN(const std::string text, expanded(flag.value));
      TRY_ASSIGN(const Owner owner, resolve_owner(run.state.view(), text).with("--chown={}", text));
      options.uid = owner.uid;
      options.gid = owner.gid;
    } else if (flag.name == "chmod") {
      TRY_ASSIGN(const std::string text, expanded(flag.value));
      TRY_ASSIGN(options.mode, parse_mode(text));
    } else if (flag.name == "exclude") {
      TRY_ASSIGN(std::string text, expanded(flag.value));
      options.exclude.push_back(std::move(text));
    } else if (flag.name == "parents" && item.keyword == "COPY") {
      options.parents = is_true(flag);
    } else if (flag.name == "unpack" && item.keyword == "ADD") {
      unpack = is_true(flag);
    } else if (flag.name != "link" && (flag.name != "from" || item.keyword != "COPY")) {
      return make_error(Errc::invalid, "{} has no flag --{}", item.keyword, flag.name);
    }
  }
  options.unpack = unpack;
  std::vector<std::string> words;
  if (std::optional<std::vector<std::string>> listed = image::parse_json_strings(item.arguments)) {
    words = std::move(*listed);
  } else {
    words = image::split_words(item.arguments, plan_.file.escape);
  }
  if (words.size() < 2)
    return make_error(Errc::invalid, "{} wants at least one source and a destination", item.keyword);
  for (std::size_t i = 0; i + 1 < words.size(); ++i) {
    if (const Heredoc* heredoc = heredoc_of(item, words[i])) {
      heredocs.push_back(heredoc->name);
      continue;
    }
    TRY_ASSIGN(std::string source, expanded(words[i]));
    if (is_url(source))
      return make_error(Errc::unsupported, "{}: \"{}\" is a URL: only files of the context can be used", item.keyword,
                        source);
    options.sources.push_back(std::move(source));
  }
  TRY_ASSIGN(const std::string destination, expanded(words.back()));
  if (destination.empty()) return make_error(Errc::invalid, "{}: the destination is empty", item.keyword);
  options.destination = destination_of(run.state.config, destination);
  return options;
}

Result<void> Session::copy(StageRun& run, const Instruction& item) {
  const Flag* from = item.flag("from");
  TRY_ASSIGN(const SourceTree tree, source_tree(from ? from->value : "", static_cast<std::size_t>(run.stage.index)));
  std::vector<std::string> heredocs;
  TRY_ASSIGN(CopyOptions options, copy_options(run, item, heredocs));
  if (options.sources.size() + heredocs.size() > 1 && !options.destination.ends_with('/') &&
      options.destination != "/") {
    return make_error(Errc::invalid, "with several sources the destination must end with \"/\"");
  }
  // Here-documents become files of a folder of their own.
  std::optional<image::Workspace> documents;
  SourceTree document_tree;
  CopyOptions document_options = options;
  document_options.sources = heredocs;
  document_options.unpack = false;
  if (!heredocs.empty()) {
    TRY_ASSIGN(documents, internal_.workspace());
    for (const Heredoc& heredoc : item.heredocs) {
      std::string content = heredoc.content;
      if (heredoc.expand) {
        TRY_ASSIGN(content, image::expand_text(heredoc.content, lookup(run.state), plan_.file.escape));
      }
      TRY(sys::write_file_atomic(documents->path() + "/" + heredoc.name, content, 0644));
    }
    document_tree.view = image::MergedView{{documents->path()}};
    document_tree.from_host = true;
  }
  TRY_ASSIGN(const CopyPlan plan, plan_copy(tree, options));
  TRY_ASSIGN(const CopyPlan document_plan, plan_copy(document_tree, document_options));
  TRY_ASSIGN(const std::string digest, copy_digest(tree, options, plan));
  TRY_ASSIGN(const std::string document_digest, copy_digest(document_tree, document_options, document_plan));

  FileStep step;
  step.instruction = &item;
  step.name = step_name(run, item);
  step.created_by = item.text + " # compose";
  const auto number = [](const auto& value) { return value ? std::to_string(*value) : std::string{"-"}; };
  step.key = KeyBuilder{}
                 .add("copy 1")
                 .add(run.state.chain())
                 .add(options.destination)
                 .add(number(options.uid) + ":" + number(options.gid) + ":" + number(options.mode))
                 .add(digest)
                 .add(document_digest)
                 .digest();
  step.make = [&](const std::string&, const std::string& folder) -> Result<void> {
    TRY_ASSIGN(image::LayerWriter writer, image::LayerWriter::create(folder, run.state.view()));
    const timespec time = file_time();
    if (!plan.items.empty()) TRY(write_copy(tree, options, plan, writer, time));
    if (!document_plan.items.empty()) TRY(write_copy(document_tree, document_options, document_plan, writer, time));
    return writer.finish();
  };
  return file_step(run, step);
}

/// WORKDIR makes the directory if it is not there, for the user that is set.
Result<void> Session::work_dir(StageRun& run, const Instruction& item) {
  const std::string path = run.state.config.working_dir;
  FileStep step;
  step.instruction = &item;
  step.name = step_name(run, item);
  step.created_by = "WORKDIR " + path;
  const std::string user = run.state.config.user;
  step.key = KeyBuilder{}.add("workdir 1").add(run.state.chain()).add(path).add(user).digest();
  step.make = [&](const std::string&, const std::string& folder) -> Result<void> {
    TRY_ASSIGN(image::LayerWriter writer, image::LayerWriter::create(folder, run.state.view()));
    Owner owner;
    if (!user.empty()) {
      TRY_ASSIGN(owner, resolve_owner(run.state.view(), user).with("USER {}", user));
    }
    TRY(ensure_directory(writer, path, {0755, owner.uid, owner.gid, file_time(), {}}));
    return writer.finish();
  };
  return file_step(run, step);
}

}  // namespace compose::build
