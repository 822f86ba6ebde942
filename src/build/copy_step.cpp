// COPY, ADD and WORKDIR.
#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "base/strings.hpp"
#include "build/instruction_rules.hpp"
#include "build/session.hpp"
#include "image/digest.hpp"
#include "sys/file.hpp"

namespace compose::build {

namespace {

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

bool is_url(const std::string& text) {
  for (const std::string_view scheme : {"http://", "https://", "git://", "ssh://", "git@"})
    if (text.starts_with(scheme)) return true;
  return false;
}

/// COPY and ADD: relative to WORKDIR, a "/" at the end kept.
std::string destination_of(const image::ImageConfig& config, const std::string& text) {
  std::string path = image::change_directory(config.working_dir, text);
  const bool directory = text.ends_with('/') || text == "." || text.ends_with("/.");
  return directory && path != "/" ? path + "/" : path;
}

}  // namespace

Result<SourceTree> Session::folder_tree(const std::string& folder) {
  struct stat status {};
  if (::stat(folder.c_str(), &status) != 0) return os_error("context \"{}\"", folder);
  if (!S_ISDIR(status.st_mode)) return make_error(Errc::invalid, "the context \"{}\" is not a folder", folder);
  SourceTree tree;
  const Result<std::string> ignore = sys::read_file(folder + "/.dockerignore");
  tree.view = image::MergedView{{folder}};
  tree.ignore = IgnoreRules{ignore ? *ignore : ""};
  tree.from_host = true;
  tree.hashes = hashes_for(folder);
  return tree;
}

/// The tree that --from means: a context with a name, a stage, an image; the build's own context without it.
Result<SourceTree> Session::source_tree(const std::string& from, std::size_t before) {
  if (from.empty()) return context_;
  const auto of_layers = [](const StageState& state) {
    SourceTree tree;
    tree.view = state.view();
    tree.identity = state.chain().empty() ? "scratch" : state.chain();
    return tree;
  };
  const std::optional<NamedContext> named = find_context(request_.build.additional_contexts, from);
  if (named && named->kind == NamedContext::Kind::folder) return folder_tree(named->location);
  if (named && named->kind == NamedContext::Kind::remote) {
    TRY_ASSIGN(const std::string folder, remote_folder(*named));
    return folder_tree(folder);
  }
  if (!named) {
    if (const std::optional<std::size_t> index = plan_.find_stage(from, before, true)) {
      TRY_ASSIGN(const StageState* state, stage(*index));
      return of_layers(*state);
    }
  }
  TRY_ASSIGN(const StageState state, image_state(from, ""));
  return of_layers(state);
}

Result<void> Session::copy_flags(StageRun& run, const Instruction& item, CopySources& sources) const {
  CopyOptions& options = sources.options;
  options.unpack = switch_flag(item, "unpack", item.keyword == "ADD");
  options.parents = switch_flag(item, "parents");
  options.link = switch_flag(item, "link");
  std::string chown;
  std::string chmod;
  for (const Flag& flag : item.flags) {
    if (flag.name != "chown" && flag.name != "chmod" && flag.name != "exclude") continue;
    TRY_ASSIGN(std::string text, image::expand_word(flag.value, lookup(run.state), plan_.file.escape));
    if (flag.name == "chown") {
      TRY_ASSIGN(const Owner owner, resolve_owner(run.state.view(), text).with("--chown={}", text));
      options.uid = owner.uid;
      options.gid = owner.gid;
      chown = fmt::format("--chown={} ", text);
    } else if (flag.name == "chmod") {
      TRY_ASSIGN(options.mode, ModeChange::parse(text));
      chmod = fmt::format("--chmod={} ", text);
    } else {
      options.exclude.push_back(std::move(text));
    }
  }
  sources.written = chown + chmod;
  return {};
}

Result<Session::CopySources> Session::copy_sources(StageRun& run, const Instruction& item) const {
  CopySources result;
  CopyOptions& options = result.options;
  TRY(copy_flags(run, item, result));
  const auto expanded = [&](const std::string& text) {
    return image::expand_word(text, lookup(run.state), plan_.file.escape);
  };
  std::vector<std::string> words;
  if (std::optional<std::vector<std::string>> listed = image::parse_json_strings(item.arguments)) {
    words = std::move(*listed);
  } else {
    words = image::split_words(item.arguments, plan_.file.escape);
  }
  for (std::size_t i = 0; i + 1 < words.size(); ++i) {
    if (const Heredoc* heredoc = heredoc_of(item, words[i])) {
      result.heredocs.push_back(heredoc->name);
      continue;
    }
    TRY_ASSIGN(std::string source, expanded(words[i]));
    if (source.empty()) return make_error(Errc::invalid, "{}: the source \"{}\" is empty", item.keyword, words[i]);
    if (is_url(source)) {
      if (item.keyword != "ADD")
        return make_error(Errc::invalid, "\"{}\": COPY takes files of the context only; ADD fetches", source);
      result.written += source + " ";
      result.remote.push_back(std::move(source));
      continue;
    }
    result.written += source + " ";
    options.sources.push_back(std::move(source));
  }
  for (const std::string& name : result.heredocs) result.written += "<<" + name + " ";
  if (item.flag("checksum") != nullptr && (result.remote.size() != 1 || !options.sources.empty()))
    return make_error(Errc::invalid, "--checksum is for one URL or repository, not for files of the context");
  TRY_ASSIGN(const std::string destination, expanded(words.back()));
  if (destination.empty()) return make_error(Errc::invalid, "{}: the destination is empty", item.keyword);
  options.destination = destination_of(run.state.config, destination);
  result.written += destination;
  if (options.sources.size() + result.heredocs.size() + result.remote.size() > 1 && !options.destination.ends_with('/'))
    return make_error(Errc::invalid, "with several sources the destination must end with \"/\"");
  return result;
}

Result<void> Session::copy(StageRun& run, const Instruction& item) {
  const Flag* from = item.flag("from");
  TRY_ASSIGN(const SourceTree tree, source_tree(from ? from->value : "", static_cast<std::size_t>(run.stage.index)));
  TRY_ASSIGN(const CopySources sources, copy_sources(run, item));
  const CopyOptions& options = sources.options;
  TRY_ASSIGN(const CopyPlan plan, plan_copy(tree, options));
  TRY_ASSIGN(const std::vector<ExtraSource> extra, extra_sources(run, item, sources));

  FileStep step;
  step.instruction = &item;
  step.name = step_name(run, item);
  step.created_by = fmt::format("{} {} # compose", item.keyword, sources.written);
  const auto key_for = [&](const std::string& digest) {
    const auto number = [](const auto& value) { return value ? std::to_string(*value) : std::string{"-"}; };
    KeyBuilder key;
    key.add("copy 3")
        .add(run.state.chain())
        .add(options.destination)
        .add(number(options.uid) + ":" + number(options.gid) + (options.link ? ":link" : ""))
        .add(options.mode ? options.mode->text() : "-")
        .add(digest);
    for (const ExtraSource& source : extra) key.add(source.digest);
    return key.digest();
  };
  TRY_ASSIGN(const std::string digest, copy_digest(tree, options, plan));
  step.key = key_for(digest);
  TRY(key_by_content(run, tree, options, plan, step, key_for));
  step.make = [&](const std::string&, const std::string& folder, int) -> Result<void> {
    TRY_ASSIGN(image::LayerWriter writer, image::LayerWriter::create(folder, run.state.view()));
    const timespec time = file_time();
    TRY(write_copy(tree, options, plan, writer, time));
    for (const ExtraSource& source : extra) TRY(write_copy(source.tree, source.options, source.plan, writer, time));
    return writer.finish();
  };
  return file_step(run, step);
}

/// A stage that was built anew differs in its times at least; what is copied from it often does not. So files of stages
/// and images are read when the layers they are in are new, or when the key is to mean something on another host.
Result<void> Session::key_by_content(const StageRun& run, const SourceTree& tree, const CopyOptions& options,
                                     const CopyPlan& plan, FileStep& step,
                                     const std::function<std::string(const std::string&)>& key_for) const {
  if (tree.identity.empty()) return {};
  TRY_ASSIGN(const std::optional<StepResult> known, cache_.find(step.key));
  const bool travels = !request_.build.cache_to.empty() || request_.build.args.contains("BUILDKIT_INLINE_CACHE");
  if (known && run.use_cache && !travels) return {};
  SourceTree read = tree;
  read.identity.clear();
  TRY_ASSIGN(const std::string digest, copy_digest(read, options, plan));
  step.quick_key = std::exchange(step.key, key_for(digest));
  return {};
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
  step.make = [&](const std::string&, const std::string& folder, int) -> Result<void> {
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
