// compose completion SHELL prints a script; the script asks "compose __complete WORDS…" what may come next.
#include <algorithm>
#include <set>

#include "base/strings.hpp"
#include "cli/commands.hpp"
#include "cli/commands/all.hpp"
#include "cli/context.hpp"
#include "cli/project_loading.hpp"
#include "compose/load/disk_files.hpp"
#include "image/store.hpp"

namespace compose::cli {
namespace {

// An answer is a line: a word, or a word, a tab and what it means. ":files", ":yaml" and ":folders" ask the shell for
// names of files, those of Compose files, and folders.
constexpr std::string_view kBash = R"(_compose_complete() {
  local word=${COMP_WORDS[COMP_CWORD]} line colon=
  # Bash takes "db:/etc" for three words; put them together again.
  if declare -F _get_comp_words_by_ref >/dev/null; then
    local cur words cword
    _get_comp_words_by_ref -n : cur words cword
    word=$cur
    COMP_WORDS=("${words[@]}")
    COMP_CWORD=$cword
    [[ $word == *:* ]] && colon=${word%"${word##*:}"}
  fi
  COMPREPLY=()
  while IFS= read -r line; do
    case $line in
      :files) compopt -o filenames; mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- "$word") ;;
      :folders) compopt -o filenames; mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -d -- "$word") ;;
      :yaml)
        compopt -o filenames
        mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- "$word" | grep -E '\.ya?ml$')
        mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -d -- "$word") ;;
      *)
        line=${line%%$'\t'*}
        [[ $line == "$word"* ]] && COMPREPLY+=("${line#"$colon"}") ;;
    esac
  done < <("${COMP_WORDS[0]}" __complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
  [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[=:] ]] && compopt -o nospace
  return 0
}
complete -F _compose_complete compose docker-compose
)";

constexpr std::string_view kZsh = R"(#compdef compose docker-compose
_compose() {
  local line tab=$'\t'
  local -a answers
  for line in "${(@f)$("${words[1]}" __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
    case $line in
      '') ;;
      :files) _files ;;
      :folders) _files -/ ;;
      :yaml) _files -g '*.(yaml|yml)' ;;
      *$tab*) answers+=("${${line%%$tab*}//:/\\:}:${line#*$tab}") ;;
      *) answers+=("${line//:/\\:}") ;;
    esac
  done
  (( ${#answers} )) && _describe 'compose' answers
}
if [[ ${funcstack[1]} == _compose ]]; then
  _compose "$@"
else
  compdef _compose compose docker-compose
fi
)";

constexpr std::string_view kFish = R"(function __compose_complete
  set -l words (commandline -opc) (commandline -ct)
  for line in ($words[1] __complete -- $words[2..-1] 2>/dev/null)
    switch $line
      case ':files' ':yaml'
        __fish_complete_path (commandline -ct)
      case ':folders'
        __fish_complete_directories (commandline -ct)
      case '*'
        printf '%s\n' $line
    end
  end
end
complete -c compose -f -a '(__compose_complete)'
complete -c docker-compose -f -a '(__compose_complete)'
)";

/// What the words before the last one are: a command, and whether the last word is a flag's value.
struct Place {
  const Entry* entry = nullptr;
  std::vector<Flag> flags;
  const Flag* value_of = nullptr;
  Strings group;  ///< words of a group ("image") without its command yet
};

const Flag* find_flag(const std::vector<Flag>& flags, const std::string& word) {
  for (const Flag& flag : flags) {
    if (word == fmt::format("--{}", flag.name)) return &flag;
    if (flag.letter != 0 && word.size() == 2 && word[0] == '-' && word[1] == flag.letter) return &flag;
  }
  return nullptr;
}

class Completer {
 public:
  explicit Completer(GlobalOptions given) : options_{std::move(given)} {}

  Strings answer(const Strings& words) {
    flags_ = global_flags(options_);
    Strings plain;  // words that are no flags
    const Flag* pending = nullptr;
    for (std::size_t i = 0; i + 1 < words.size(); ++i) {
      if (pending != nullptr) {
        take(*pending, words[i]);
        pending = nullptr;
      } else if (words[i].starts_with('-')) {
        const Flag* flag = find_flag(flags_, words[i]);
        pending = flag != nullptr && flag->takes_value() ? flag : nullptr;
      } else {
        plain.push_back(words[i]);
        enter(plain);
      }
    }
    const std::string current = words.empty() ? "" : words.back();
    if (pending != nullptr) return values(*pending);
    if (current.starts_with('-')) return flag_names();
    if (entry_ == nullptr) return command_names(plain);
    return arguments(plain.size() -
                     static_cast<std::size_t>(std::count(entry_->name.begin(), entry_->name.end(), ' ')) - 1);
  }

 private:
  /// Remembers -f, -p and the like, so that services come from the right files.
  static void take(const Flag& flag, const std::string& value) {
    if (auto* list = std::get_if<Strings*>(&flag.target)) (*list)->push_back(value);
    if (auto* text = std::get_if<std::string*>(&flag.target)) **text = value;
  }

  void enter(const Strings& plain) {
    if (entry_ != nullptr) return;
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
    if (flag.name == "progress") return {"auto", "tty", "plain", "json", "quiet"};
    if (flag.name == "ansi") return {"auto", "always", "never"};
    if (flag.name == "profile") return profiles();
    if (flag.name == "project-name") return projects();
    if (flag.name == "pull") return {"always", "missing", "never", "build"};
    if (flag.name == "rmi") return {"local", "all"};
    if (flag.name == "status") return {"paused", "restarting", "removing", "running", "dead", "created", "exited"};
    if (flag.name == "format") return {"table", "json"};
    if (flag.name == "attach" || flag.name == "no-attach" || flag.name == "exit-code-from") return services();
    if (flag.name == "scale") return scales();
    if (flag.name == "file") return {":yaml"};
    if (flag.name == "project-directory" || flag.name == "root" || flag.name == "run-root") return {":folders"};
    return {":files"};
  }

  /// `typed`: how many arguments of the command stand before the one asked for.
  Strings arguments(std::size_t typed) {
    if (entry_->name == "completion") return {"bash", "zsh", "fish"};
    switch (command_.complete) {
      case Complete::services:
        if (!command_.interspersed && typed > 0) return {":files"};  // the container's command
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
