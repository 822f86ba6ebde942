#include "cli/go_template.hpp"

#include <nlohmann/json.hpp>
#include <vector>

#include "base/strings.hpp"

namespace compose::cli {
namespace {

using Json = nlohmann::ordered_json;
using Strings = std::vector<std::string>;

struct Piece {
  bool action = false;
  std::string text;
};

/// Splits into text and actions, applies "{{-" and "-}}".
Result<std::vector<Piece>> split_pieces(std::string_view format) {
  std::vector<Piece> pieces;
  bool trim_next = false;
  while (!format.empty()) {
    const std::size_t open = format.find("{{");
    std::string text{format.substr(0, open)};
    if (trim_next) text.erase(0, text.find_first_not_of(" \t\r\n"));
    if (open == std::string_view::npos) {
      pieces.push_back({false, std::move(text)});
      break;
    }
    const std::size_t close = format.find("}}", open);
    if (close == std::string_view::npos)
      return make_error(Errc::invalid, "template: an action that \"{{{{\" opens is not closed");
    std::string_view action = format.substr(open + 2, close - open - 2);
    if (action.starts_with("- ")) {
      action.remove_prefix(1);
      text.erase(text.find_last_not_of(" \t\r\n") + 1);
    }
    trim_next = action.ends_with(" -");
    if (trim_next) action.remove_suffix(1);
    if (!text.empty()) pieces.push_back({false, std::move(text)});
    action = trim(action);
    if (!action.starts_with("/*")) pieces.push_back({true, std::string{action}});
    format.remove_prefix(close + 2);
  }
  return pieces;
}

std::string unescape(std::string_view text) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size() && (text[i + 1] == 't' || text[i + 1] == 'n')) {
      result += text[++i] == 't' ? '\t' : '\n';
    } else {
      result += text[i];
    }
  }
  return result;
}

/// Words, strings, pipes and parentheses of an action.
Result<std::vector<std::string>> tokens_of(const std::string& action) {
  std::vector<std::string> tokens;
  for (std::size_t i = 0; i < action.size();) {
    const char c = action[i];
    if (c == ' ' || c == '\t' || c == '\n') {
      ++i;
    } else if (c == '(' || c == ')' || c == '|') {
      tokens.emplace_back(1, c);
      ++i;
    } else if (c == '"' || c == '`') {
      std::string literal = "\"";
      for (++i; i < action.size() && action[i] != c; ++i) {
        if (c == '"' && action[i] == '\\' && i + 1 < action.size()) ++i;
        literal += action[i];
      }
      if (i == action.size()) return make_error(Errc::invalid, "template: a string is not closed in \"{}\"", action);
      ++i;
      tokens.push_back(std::move(literal));
    } else {
      const std::size_t end = action.find_first_of(" \t\n()|", i);
      tokens.push_back(action.substr(i, end - i));
      i = end == std::string::npos ? action.size() : end;
    }
  }
  return tokens;
}

bool truth(const Json& value) {
  if (value.is_null()) return false;
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_number()) return value != 0;
  if (value.is_string()) return !value.get_ref<const std::string&>().empty();
  return !value.empty();
}

/// As Go's %v.
std::string text_of(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_null()) return "<no value>";
  if (value.is_array()) {
    std::string text = "[";
    for (const Json& item : value) text += (text.size() > 1 ? " " : "") + text_of(item);
    return text + "]";
  }
  if (value.is_object()) {
    std::string text = "map[";
    for (const auto& [key, item] : value.items()) text += (text.size() > 4 ? " " : "") + key + ":" + text_of(item);
    return text + "]";
  }
  return value.dump();
}

Result<Json> field(const Json& value, std::string_view path) {
  if (path == ".") return value;
  const Json* current = &value;
  for (const std::string& name : split(path.substr(1), '.')) {
    if (!current->is_object() || !current->contains(name)) {
      Strings known;
      if (current->is_object())
        for (const auto& [key, unused] : current->items()) known.push_back(key);
      return make_error(Errc::invalid, "template: no field \"{}\"; there are {}", name, join(known, ", "));
    }
    current = &(*current)[name];
  }
  return *current;
}

Result<Json> print_formatted(const std::vector<Json>& arguments) {
  std::string text;
  std::size_t next = 1;
  const std::string format = arguments.empty() ? "" : text_of(arguments[0]);
  for (std::size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%' || i + 1 == format.size()) {
      text += format[i];
      continue;
    }
    const char verb = format[++i];
    if (verb == '%') {
      text += '%';
    } else if (next < arguments.size()) {
      const std::string value = text_of(arguments[next++]);
      text += verb == 'q' ? "\"" + value + "\"" : value;
    }
  }
  return Json(text);
}

Result<Json> call(const std::string& name, const std::vector<Json>& arguments) {
  const auto argument = [&](std::size_t i) { return i < arguments.size() ? arguments[i] : Json(); };
  if (name == "json") return Json(argument(0).dump());
  if (name == "upper" || name == "lower" || name == "title") {
    std::string text = text_of(argument(0));
    if (name == "lower") return Json(to_lower(text));
    bool start = true;
    for (char& c : text) {
      if ((name == "upper" || start) && c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
      start = c == ' ';
    }
    return Json(text);
  }
  if (name == "join") {
    Strings parts;
    for (const Json& item : argument(0)) parts.push_back(text_of(item));
    return Json(join(parts, text_of(argument(1))));
  }
  if (name == "split")
    return Json(split(text_of(argument(0)), text_of(argument(1)).empty() ? ' ' : text_of(argument(1))[0]));
  if (name == "len") return Json(argument(0).is_string() ? text_of(argument(0)).size() : argument(0).size());
  if (name == "index") {
    Json value = argument(0);
    for (std::size_t i = 1; i < arguments.size(); ++i) {
      const Json& key = arguments[i];
      if (value.is_array() && key.is_number_unsigned() && key.get<std::size_t>() < value.size()) {
        value = Json(value[key.get<std::size_t>()]);
      } else if (value.is_object() && key.is_string() && value.contains(key.get<std::string>())) {
        value = Json(value[key.get<std::string>()]);
      } else {
        return make_error(Errc::invalid, "template: index {} is not there", text_of(key));
      }
    }
    return value;
  }
  if (name == "println" || name == "print") {
    std::string text;
    for (const Json& item : arguments) text += (text.empty() ? "" : " ") + text_of(item);
    return Json(name == "println" ? text + "\n" : text);
  }
  if (name == "printf") return print_formatted(arguments);
  if (name == "not") return Json(!truth(argument(0)));
  if (name == "eq" || name == "ne") return Json((argument(0) == argument(1)) == (name == "eq"));
  if (name == "and" || name == "or") {
    for (const Json& item : arguments)
      if (truth(item) != (name == "and")) return item;
    return arguments.empty() ? Json() : arguments.back();
  }
  return make_error(Errc::invalid, "template: function \"{}\" is not known", name);
}

class Evaluator {
 public:
  Evaluator(std::vector<std::string> tokens, const Json& dot) : tokens_{std::move(tokens)}, dot_{dot} {}

  Result<Json> pipeline() {
    TRY_ASSIGN(Json value, command(nullptr));
    while (next_ < tokens_.size() && tokens_[next_] == "|") {
      ++next_;
      TRY_ASSIGN(value, command(&value));
    }
    return value;
  }

 private:
  static bool is_function(const std::string& token) {
    return (token[0] >= 'a' && token[0] <= 'z') && token != "true" && token != "false" && token != "nil";
  }

  Result<Json> command(const Json* piped) {
    if (next_ == tokens_.size()) return make_error(Errc::invalid, "template: an action is empty");
    if (!is_function(tokens_[next_])) return operand();
    const std::string name = tokens_[next_++];
    std::vector<Json> arguments;
    while (next_ < tokens_.size() && tokens_[next_] != "|" && tokens_[next_] != ")") {
      TRY_ASSIGN(Json value, operand());
      arguments.push_back(std::move(value));
    }
    if (piped != nullptr) arguments.push_back(*piped);
    return call(name, arguments);
  }

  Result<Json> operand() {
    const std::string token = tokens_[next_++];
    if (token == "(") {
      TRY_ASSIGN(Json value, pipeline());
      if (next_ == tokens_.size() || tokens_[next_] != ")")
        return make_error(Errc::invalid, "template: \")\" is missing");
      ++next_;
      return value;
    }
    if (token[0] == '"') return Json(token.substr(1));
    if (token == "true" || token == "false") return Json(token == "true");
    if (token == "nil") return Json();
    if (token[0] == '.') return field(dot_, token);
    if (token == "$") return dot_;
    if (const auto number = parse_unsigned(token)) return Json(*number);
    return make_error(Errc::invalid, "template: \"{}\" is not understood", token);
  }

  std::vector<std::string> tokens_;
  const Json& dot_;
  std::size_t next_ = 0;
};

class Renderer {
 public:
  explicit Renderer(const std::vector<Piece>& pieces) : pieces_{pieces} {}

  /// Renders up to {{end}} or {{else}} (which it leaves as the current piece) or the end of the template.
  Result<std::string> block(const Json& dot, bool active) {
    std::string text;
    while (next_ < pieces_.size()) {
      const Piece& piece = pieces_[next_];
      if (!piece.action) {
        if (active) text += piece.text;
        ++next_;
        continue;
      }
      const std::string word = piece.text.substr(0, piece.text.find(' '));
      if (word == "end" || word == "else") return text;
      ++next_;
      if (word == "if" || word == "range" || word == "with") {
        TRY_ASSIGN(const std::string inner, control(word, piece.text.substr(word.size()), dot, active));
        text += inner;
      } else if (active) {
        TRY_ASSIGN(const Json value, evaluate(piece.text, dot));
        text += text_of(value);
      }
    }
    return text;
  }

  bool at_end() const { return next_ == pieces_.size(); }

 private:
  static Result<Json> evaluate(const std::string& action, const Json& dot) {
    TRY_ASSIGN(auto tokens, tokens_of(action));
    return Evaluator{std::move(tokens), dot}.pipeline();
  }

  Result<std::string> control(const std::string& word, const std::string& condition, const Json& dot, bool active) {
    Json value;
    if (active) {
      TRY_ASSIGN(value, evaluate(condition, dot));
    }
    const bool taken = active && truth(value);
    std::string text;
    if (word == "range" && taken) {
      const std::size_t start = next_;
      for (const Json& item : value) {
        next_ = start;
        TRY_ASSIGN(const std::string one, block(item, true));
        text += one;
      }
    } else {
      TRY_ASSIGN(text, block(word == "with" && taken ? value : dot, taken));
    }
    if (next_ < pieces_.size() && pieces_[next_].text.starts_with("else")) {
      const std::string rest{trim(std::string_view{pieces_[next_].text}.substr(4))};
      ++next_;
      if (rest.starts_with("if")) {
        TRY_ASSIGN(const std::string other, control("if", rest.substr(2), dot, active && !taken));
        return text + other;  // the inner "if" has eaten the one {{end}}
      }
      TRY_ASSIGN(const std::string other, block(dot, active && !taken));
      text += other;
    }
    if (next_ == pieces_.size()) return make_error(Errc::invalid, "template: \"{}\" without {{{{end}}}}", word);
    ++next_;
    return text;
  }

  const std::vector<Piece>& pieces_;
  std::size_t next_ = 0;
};

}  // namespace

Result<std::string> render_template(std::string_view format, const Json& value) {
  TRY_ASSIGN(const std::vector<Piece> pieces, split_pieces(unescape(format)));
  Renderer renderer{pieces};
  TRY_ASSIGN(std::string text, renderer.block(value, true));
  if (!renderer.at_end())
    return make_error(Errc::invalid, "template: {{{{end}}}} or {{{{else}}}} without its beginning");
  return text;
}

}  // namespace compose::cli
