#include "compose/load/paths.hpp"

#include <algorithm>

#include "base/strings.hpp"

namespace compose::load {
namespace {

enum class Rule { context, plain, maybe_windows, watch, mount, volume };

const Rules<Rule>& rules() {
  static const Rules<Rule> rules{
      {"services.*.build.context", Rule::context},
      {"services.*.build.additional_contexts.*", Rule::context},
      {"services.*.build.ssh.*", Rule::maybe_windows},
      {"services.*.env_file[].path", Rule::plain},
      {"services.*.label_file[]", Rule::plain},
      {"services.*.extends.file", Rule::plain},
      {"services.*.develop.watch[].path", Rule::watch},
      {"services.*.volumes[]", Rule::mount},
      {"configs.*.file", Rule::maybe_windows},
      {"secrets.*.file", Rule::maybe_windows},
      {"volumes.*", Rule::volume},
  };
  return rules;
}

bool is_url(std::string_view text) {
  if (text.find("://") != std::string_view::npos || text.starts_with("service:")) return true;
  return text.starts_with("github.com/") || text.starts_with("git@");
}

bool windows_absolute(std::string_view path) {
  const bool letter = !path.empty() && ((path[0] >= 'a' && path[0] <= 'z') || (path[0] >= 'A' && path[0] <= 'Z'));
  if (letter && path.size() > 2 && path[1] == ':' && (path[2] == '\\' || path[2] == '/')) return true;
  return path.starts_with("\\\\");
}

class Resolver {
 public:
  Resolver(const std::string& folder, const Environment& environment, Session& session)
      : folder_{folder}, environment_{environment}, session_{session} {}

  void walk(Value& value, const Path& path, const Rules<Rule>::Node* node) {
    if (node == nullptr || value.broken) return;
    if (node->rule() != nullptr) {
      apply(value, path, *node->rule());
      return;
    }
    if (Mapping* mapping = value.if_mapping()) {
      for (Entry& entry : *mapping) walk(entry.value, Path(path, entry.key), node->key(entry.key));
    } else if (Sequence* items = value.if_sequence(); items != nullptr && node->item() != nullptr) {
      std::size_t index = 0;
      for (Value& item : *items) walk(item, Path(path, index++), node->item());
    }
  }

 private:
  void apply(Value& value, const Path& path, Rule rule) {
    switch (rule) {
      case Rule::context:
        if (value.is_string() && !is_url(value.as_string())) absolute(value);
        return;
      case Rule::plain:
        if (value.is_string() && !value.as_string().empty()) absolute(value);
        return;
      case Rule::maybe_windows:
        maybe_windows(value);
        return;
      case Rule::watch:
        if (!value.is_string() || value.as_string().empty()) return;
        absolute(value);
        set(value, resolve_link(value.as_string()));
        return;
      case Rule::mount:
        mount(value, path);
        return;
      case Rule::volume:
        volume(value);
        return;
    }
  }

  void set(Value& value, std::string text) {
    if (value.as_string() == text) return;
    value.as_string() = std::move(text);
    session_.traces.add(value, "path", "made absolute");
  }

  // A path that is absolute already stays as it is written, "/a/../b" included.
  void absolute(Value& value) {
    const std::string expanded = expand_home(value.as_string(), environment_);
    set(value, expanded.starts_with('/') ? expanded : join_path(folder_, expanded));
  }

  void maybe_windows(Value& value) {
    if (!value.is_string()) return;
    const std::string expanded = expand_home(value.as_string(), environment_);
    set(value, expanded.starts_with('/') || windows_absolute(expanded) ? expanded : join_path(folder_, expanded));
  }

  // The first component that is a symbolic link is followed, as file watching needs the real place.
  std::string resolve_link(const std::string& path) {
    if (!path.starts_with('/')) return path;
    std::string prefix;
    for (const std::string& part : split(path.substr(1), '/')) {
      prefix += "/" + part;
      const std::string real = session_.files.real_path(prefix);
      if (real != prefix) return real + path.substr(prefix.size());
    }
    return path;
  }

  void mount(Value& value, const Path& path) {
    const Value* type = value.get("type");
    if (type == nullptr || !type->is_string() || type->as_string() != "bind") return;
    Value* source = value.get("source");
    if (source == nullptr) {
      session_.fail(value, path, "invalid mount config for type \"bind\": field source must not be empty",
                    "add source: a path on the host");
      return;
    }
    maybe_windows(*source);
  }

  // A volume of the local driver that is a bind mount in disguise.
  void volume(Value& value) {
    const Value* driver = value.get("driver");
    Value* options = value.get("driver_opts");
    if (driver == nullptr || options == nullptr || !driver->is_string() || driver->as_string() != "local") return;
    const Value* kind = options->get("o");
    Value* device = options->get("device");
    if (kind == nullptr || device == nullptr || !kind->is_string() || kind->as_string() != "bind") return;
    maybe_windows(*device);
  }

  const std::string& folder_;
  const Environment& environment_;
  Session& session_;
};

}  // namespace

std::string clean_path(std::string_view path) {
  const bool rooted = path.starts_with('/');
  std::vector<std::string_view> parts;
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view part = path.substr(begin, end - begin);
    if (part == "..") {
      if (!parts.empty() && parts.back() != "..") {
        parts.pop_back();
      } else if (!rooted) {
        parts.push_back(part);
      }
    } else if (!part.empty() && part != ".") {
      parts.push_back(part);
    }
    begin = end + 1;
  }
  std::string out = rooted ? "/" : "";
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) out += '/';
    out += parts[i];
  }
  return out.empty() ? "." : out;
}

std::string join_path(std::string_view folder, std::string_view path) {
  if (path.starts_with('/')) return clean_path(path);
  if (folder.empty()) return clean_path(path);
  std::string joined(folder);
  joined += '/';
  joined += path;
  return clean_path(joined);
}

std::string parent_path(std::string_view path) {
  const auto slash = path.rfind('/');
  if (slash == std::string_view::npos) return ".";
  return clean_path(slash == 0 ? "/" : path.substr(0, slash));
}

std::string base_name(std::string_view path) {
  const std::string clean = clean_path(path);
  return clean == "/" ? clean : clean.substr(clean.rfind('/') + 1);
}

std::string relative_path(std::string_view base, std::string_view target) {
  const auto from = split(clean_path(base), '/');
  const auto to = split(clean_path(target), '/');
  const auto [a, b] = std::mismatch(from.begin(), from.end(), to.begin(), to.end());
  std::string out;
  for (auto it = a; it != from.end(); ++it) {
    if (!it->empty()) out += "../";
  }
  for (auto it = b; it != to.end(); ++it) out += *it + "/";
  return clean_path(out);
}

std::string expand_home(std::string_view path, const Environment& environment) {
  if (!path.starts_with('~')) return std::string(path);
  const Variable* home = environment.find("HOME");
  if (home == nullptr || home->value.empty()) return std::string(path);
  return join_path(home->value, "./" + std::string(path.substr(1)));
}

void resolve_paths(Value& document, const std::string& folder, const Environment& environment, Session& session) {
  Resolver(folder, environment, session).walk(document, Path{}, rules().root());
}

}  // namespace compose::load
