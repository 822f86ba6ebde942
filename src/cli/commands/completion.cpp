// compose completion SHELL prints a script; the script asks "compose __complete WORDS…" what may come next.
#include <algorithm>
#include <set>

#include "base/strings.hpp"
#include "cli/commands.hpp"
#include "cli/commands/all.hpp"
#include "cli/context.hpp"
#include "cli/project_loading.hpp"
#include "cli/shell_words.hpp"
#include "compose/load/disk_files.hpp"
#include "image/store.hpp"

namespace compose::cli {
namespace {

// An answer is a line: a word, or a word, a tab and what it means. ":files", ":yaml" and ":folders" ask the shell for
// names of files, those of Compose files, and folders. After "--flag=" the answers are values alone.
constexpr std::string_view kBash = R"sh(_compose_add() {
  local full=$flag$1
  [[ $full == "$word"* ]] && COMPREPLY+=("${full#"$kept"}")
}
_compose_complete() {
  # Bash has split at ":" and "=", too; put the words together again as they stand in the line.
  local rest=${COMP_LINE:0:COMP_POINT} words=() piece i
  for ((i = 0; i <= COMP_CWORD; ++i)); do
    [[ $i -eq 0 || $rest == [[:space:]]* ]] && words+=("")
    rest=${rest#"${rest%%[![:space:]]*}"}
    piece=${COMP_WORDS[i]:0:${#rest}}
    words[${#words[@]}-1]+=$piece
    rest=${rest:${#piece}}
  done
  local word=${words[${#words[@]}-1]} flag= breaks= kept= line name
  [[ $word == --*=* ]] && flag=${word%%=*}=
  # What stands before the last of these is kept in the line.
  [[ $COMP_WORDBREAKS == *:* ]] && breaks=:
  [[ $COMP_WORDBREAKS == *=* ]] && breaks+==
  [[ -n $breaks ]] && kept=${word%"${word##*[$breaks]}"}
  COMPREPLY=()
  while IFS= read -r line; do
    case $line in
      :files | :folders | :yaml)
        # Not beside "service:", whose colon would be quoted then.
        [[ ${#COMPREPLY[@]} -eq 0 ]] && compopt -o filenames
        while IFS= read -r name; do
          [[ $line != :yaml || -d $name || $name =~ \.ya?ml$ ]] && _compose_add "$name"
        done < <(compgen "$([[ $line == :folders ]] && echo -d || echo -f)" -- "${word#"$flag"}") ;;
      *) _compose_add "${line%%$'\t'*}" ;;
    esac
  done < <("${words[0]}" __complete -- "${words[@]:1}" 2>/dev/null)
  [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[=:] ]] && compopt -o nospace
  return 0
}
complete -F _compose_complete compose docker-compose
)sh";

constexpr std::string_view kZsh = R"sh(#compdef compose docker-compose
_compose() {
  local line word tab=$'\t'
  local -a lines answers open
  lines=("${(@f)$("${words[1]}" __complete -- "${(@)words[2,CURRENT-1]}" "$PREFIX" 2>/dev/null)}")
  [[ $PREFIX == --*=* ]] && compset -P 1 '*='
  for line in "${lines[@]}"; do
    case $line in
      '') ;;
      :files) _files ;;
      :folders) _files -/ ;;
      :yaml) _files -g '*.(yaml|yml)' ;;
      *)
        word=${${line%%$tab*}//:/\\:}
        [[ $line == *$tab* ]] && word+=:${line#*$tab}
        if [[ $line == *[:=] ]]; then open+=("$word"); else answers+=("$word"); fi ;;
    esac
  done
  (( ${#answers} )) && _describe 'compose' answers
  (( ${#open} )) && _describe 'compose' open -S ''
}
if [[ ${funcstack[1]} == _compose ]]; then
  _compose "$@"
else
  compdef _compose compose docker-compose
fi
)sh";

constexpr std::string_view kFish = R"sh(function __compose_complete
  set -l words (commandline -opc)
  set -l word (commandline -ct)
  set -l flag (string match -r -- '^--[^=]*=' "$word")
  set -l value (string replace -r -- '^--[^=]*=' '' "$word")
  for line in ($words[1] __complete -- $words[2..-1] "$word" 2>/dev/null)
    switch $line
      case ':files'
        __fish_complete_path "$value" | string replace -r -- '^' "$flag"
      case ':yaml'
        __fish_complete_path "$value" | string match -r -- '^[^\t]*(?:/|\.ya?ml)(?:\t.*)?$' | string replace -r -- '^' "$flag"
      case ':folders'
        __fish_complete_directories "$value" | string replace -r -- '^' "$flag"
      case '*'
        printf '%s\n' "$flag$line"
    end
  end
end
complete -c compose -f -a '(__compose_complete)'
complete -c docker-compose -f -a '(__compose_complete)'
)sh";

/// A flag as it stands in the line, and the value it brings along ("--file=x", "-fx").
struct Typed {
  const Flag* flag = nullptr;
  std::optional<std::string> value;
};

Typed find_flag(const std::vector<Flag>& flags, const std::string& word) {
  const std::size_t equals = word.find('=');
  for (const Flag& flag : flags) {
    if (word.substr(0, equals) == fmt::format("--{}", flag.name))
      return {&flag, equals == std::string::npos ? std::nullopt : std::optional{word.substr(equals + 1)}};
    if (flag.letter != 0 && word.size() >= 2 && word[0] == '-' && word[1] == flag.letter)
      return {&flag, word.size() > 2 && flag.takes_value() ? std::optional{word.substr(2)} : std::nullopt};
  }
  return {};
}

/// A word as the shell would pass it to a program: without quotes, with the home folder. Nothing else is expanded,
/// since pressing Tab must not run anything.
std::string unquoted(const std::string& word) {
  const auto words = shell_words(word);
  const std::string plain = words && words->size() == 1 ? words->front() : word;
  return word.starts_with("~/") ? environment_text("HOME") + plain.substr(1) : plain;
}

/// The single words of "table, json or a Go template": help text names what a format may be.
Strings words_of(std::string_view help) {
  Strings words;
  std::string list{help.substr(help.find(": ") == std::string_view::npos ? 0 : help.find(": ") + 2)};
  for (std::size_t at; (at = list.find(" or ")) != std::string::npos;) list.replace(at, 4, ", ");
  for (const std::string& item : split(list, ',')) {
    const std::string word{trim(item)};
    if (!word.empty() && word.find(' ') == std::string::npos) words.push_back(word);
  }
  return words;
}

class Completer {
 public:
  explicit Completer(GlobalOptions given) : options_{std::move(given)} {}

  /// `words`: those after the program's name, as they stand in the line; the last one is asked for.
  Strings answer(const Strings& words) {
    flags_ = global_flags(options_);
    Strings plain;  // words that are no flags
    const Flag* pending = nullptr;
    bool flags_ended = false;
    for (std::size_t i = 0; i + 1 < words.size(); ++i) {
      const std::string word = unquoted(words[i]);
      flags_ended = flags_ended || of_the_container();
      if (pending != nullptr) {
        take(*pending, word);
        pending = nullptr;
      } else if (!flags_ended && word == "--") {
        flags_ended = true;
      } else if (!flags_ended && word.starts_with('-')) {
        const Typed typed = find_flag(flags_, word);
        if (typed.value) take(*typed.flag, *typed.value);
        pending = typed.flag != nullptr && !typed.value && typed.flag->takes_value() ? typed.flag : nullptr;
      } else if (entry_ != nullptr) {
        arguments_.push_back(word);
      } else if (word != "help") {
        plain.push_back(word);
        enter(plain);
      }
    }
    const std::string current = words.empty() ? "" : words.back();
    if (pending != nullptr) return values(*pending);
    flags_ended = flags_ended || of_the_container();
    if (!flags_ended && current.starts_with("--"))
      if (const Typed typed = find_flag(flags_, current); typed.value) return values(*typed.flag);
    if (!flags_ended && current.starts_with('-')) return flag_names();
    return entry_ == nullptr ? command_names(plain) : arguments();
  }

 private:
  /// Remembers -f, -p and the like, so that services come from the right files.
  static void take(const Flag& flag, const std::string& value) {
    if (auto* list = std::get_if<Strings*>(&flag.target)) (*list)->push_back(value);
    if (auto* text = std::get_if<std::string*>(&flag.target)) **text = value;
  }

  /// Whether the words belong to the container's command now (run, exec).
  bool of_the_container() const { return entry_ != nullptr && !command_.interspersed && !arguments_.empty(); }

  void enter(const Strings& plain) {
    const Found found = find_entry(plain);
    if (found.entry == nullptr || found.entry->make == nullptr) return;
    entry_ = found.entry;
    command_ = entry_->make();
    std::vector<Flag> all = command_.flags;
    for (const Flag& flag : flags_)
      if (std::none_of(all.begin(), all.end(), [&](const Flag& own) { return own.name == flag.name; }))
        all.push_back(flag);
    flags_ = std::move(all);
  }

  Strings flag_names() const {
    Strings names;
    for (const Flag& flag : flags_)
      if (!flag.hidden) names.push_back(fmt::format("--{}\t{}", flag.name, flag.help));
    return names;
  }

  static Strings command_names(const Strings& plain) {
    const std::string group = plain.empty() ? std::string{} : join(plain, " ") + " ";
    Strings names;
    for (const Entry& entry : entries()) {
      if (entry.hidden || !entry.name.starts_with(group)) continue;
      const std::string rest{entry.name.substr(group.size())};
      if (!rest.empty() && rest.find(' ') == std::string::npos)
        names.push_back(fmt::format("{}\t{}", rest, entry.summary));
    }
    return names;
  }

  Strings values(const Flag& flag) {
    if (!flag.takes_value()) return {"true", "false"};
    if (flag.name == "progress") return {"auto", "tty", "plain", "json", "quiet"};
    if (flag.name == "ansi") return {"auto", "always", "never"};
    if (flag.name == "profile") return profiles();
    if (flag.name == "project-name") return projects();
    if (flag.name == "pull") return {"always", "missing", "never", "build"};
    if (flag.name == "rmi") return {"local", "all"};
    if (flag.name == "status") return {"paused", "restarting", "removing", "running", "dead", "created", "exited"};
    if (flag.name == "format") return words_of(flag.help);
    if (flag.name == "attach" || flag.name == "no-attach" || flag.name == "exit-code-from") return services();
    if (flag.name == "scale") return scales();
    if (flag.name == "file") return {":yaml"};
    if (flag.name == "project-directory" || flag.name == "root" || flag.name == "run-root") return {":folders"};
    if (std::holds_alternative<int*>(flag.target) || std::holds_alternative<std::optional<int>*>(flag.target))
      return {};
    return {":files"};
  }

  Strings arguments() {
    if (of_the_container()) return {":files"};
    const bool full = arguments_.size() >= command_.max_args || (entry_->name == "port" && !arguments_.empty());
    if (full) return {};
    if (entry_->name == "completion") return {"bash", "zsh", "fish"};
    switch (command_.complete) {
      case Complete::services:
        return entry_->name == "scale" ? scales() : services();
      case Complete::service_then_files: {
        Strings names = services();
        for (std::string& name : names) name += ":";
        names.emplace_back(":files");
        return names;
      }
      case Complete::files:
        return {":files"};
      case Complete::images:
        return images();
      case Complete::nothing:
        break;
    }
    return {};
  }

  const load::LoadResult& loaded() {
    if (!result_) {
      Context context{options_, "compose"};
      load::Options how = load_options(context);
      how.resolve_environment = false;  // a missing env_file must not matter here
      how.consistency = false;
      load::DiskFiles files;
      result_ = load::load(how, files);
    }
    return *result_;
  }

  Strings services() {
    std::set<std::string> names;
    for (const yaml::Value* list : {loaded().canonical.get("services"), &loaded().disabled})
      if (list != nullptr && list->is_mapping())
        for (const yaml::Entry& entry : list->entries()) names.insert(entry.key);
    for (const std::string& given : arguments_) names.erase(given);  // each service is named once
    return {names.begin(), names.end()};
  }

  Strings scales() {
    Strings names = services();
    for (std::string& name : names) name += "=";
    return names;
  }

  Strings profiles() {
    std::set<std::string> names;
    for (const yaml::Value* list : {loaded().canonical.get("services"), &loaded().disabled})
      if (list != nullptr && list->is_mapping())
        for (const yaml::Entry& entry : list->entries())
          if (const yaml::Value* own = entry.value.get("profiles"); own != nullptr && own->is_sequence())
            for (const yaml::Value& name : own->items())
              if (const std::string* text = name.if_string()) names.insert(*text);
    return {names.begin(), names.end()};
  }

  Strings projects() const {
    Strings names;
    GlobalOptions applied = options_;
    if (!apply_environment(applied)) return names;
    const auto all = state::list_projects(state::Paths{applied.root, applied.run_root});
    if (all)
      for (const auto& project : *all) names.push_back(project.name);
    return names;
  }

  Strings images() const {
    Strings names;
    GlobalOptions applied = options_;
    if (!apply_environment(applied)) return names;
    const auto store = image::Store::open(applied.root);
    if (!store) return names;
    if (const auto all = store->list())
      for (const auto& image : *all) names.insert(names.end(), image.names.begin(), image.names.end());
    return names;
  }

  GlobalOptions options_;
  std::vector<Flag> flags_;
  const Entry* entry_ = nullptr;
  Command command_{.name = {}, .summary = {}};
  Strings arguments_;  ///< of the command, before the one asked for
  std::optional<load::LoadResult> result_;
};

}  // namespace

Command completion_command() {
  Command command{.name = "completion", .usage = "bash|zsh|fish", .summary = "Print the completion script of a shell"};
  command.details =
      "An installed compose brings them to where the shells look. Without: source <(compose completion bash), source "
      "<(compose completion zsh), compose completion fish | source.";
  command.min_args = command.max_args = 1;
  command.run = [](Context&, const Strings& arguments) -> Result<int> {
    const std::string& shell = arguments[0];
    if (shell != "bash" && shell != "zsh" && shell != "fish")
      return make_error(Errc::invalid, "unknown shell \"{}\" (bash, zsh, fish)", shell);
    TRY(print(shell == "bash" ? kBash : shell == "zsh" ? kZsh : kFish));
    return 0;
  };
  return command;
}

Command complete_command() {
  Command command{.name = "__complete", .usage = "-- WORDS...", .summary = "Answer the shell's completion"};
  command.interspersed = false;
  command.run = [](Context& context, const Strings& words) -> Result<int> {
    std::string text;
    for (const std::string& word : Completer{context.options()}.answer(words)) text += word + "\n";
    TRY(print(text));
    return 0;
  };
  return command;
}

}  // namespace compose::cli
