#include "compose/load/substitute.hpp"

#include <fmt/format.h>

namespace compose::load {
namespace {

constexpr int kDepth = 64;                     // of defaults inside defaults
constexpr std::size_t kMostText = 16U << 20U;  // of one result

bool name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool name_part(char c) { return name_start(c) || (c >= '0' && c <= '9'); }

std::size_t name_length(std::string_view text) {
  if (text.empty() || !name_start(text[0])) return 0;
  std::size_t n = 1;
  while (n < text.size() && name_part(text[n])) ++n;
  return n;
}

// The '}' that closes the '{' at text[0], or npos. A '{' right behind another is part of the text.
std::size_t closing_brace(std::string_view text) {
  int open = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '}' && --open == 0) return i;
    if (text[i] == '{') ++open;
  }
  return std::string_view::npos;
}

// ${NAME op word}: the operator is the first character after the name.
struct Braced {
  std::string_view name;
  bool colon = false;
  char op = '\0';  // - ? + or nothing
  std::string_view word;
  std::size_t word_offset = 0;  // in the text inside the braces
};

std::optional<Braced> parse_braced(std::string_view inside) {
  Braced out;
  const std::size_t n = name_length(inside);
  if (n == 0) return std::nullopt;
  out.name = inside.substr(0, n);
  std::string_view rest = inside.substr(n);
  if (rest.empty()) return out;
  if (rest[0] == ':') {
    out.colon = true;
    rest.remove_prefix(1);
  }
  if (rest.empty() || std::string_view("-?+").find(rest[0]) == std::string_view::npos) return std::nullopt;
  out.op = rest[0];
  out.word = rest.substr(1);
  out.word_offset = inside.size() - out.word.size();
  return out;
}

class Engine {
 public:
  // Without a lookup nothing is replaced: every branch is walked to list the variables.
  Engine(const Lookup* lookup, Substituted& out) : lookup_{lookup}, out_{out} {}

  std::string run(std::string_view text, std::size_t base, int depth) {
    std::string result;
    std::size_t at = 0;
    while (at < text.size() && !out_.error) {
      const std::size_t dollar = text.find('$', at);
      result += text.substr(at, dollar - at);
      if (dollar == std::string_view::npos) break;
      at = step(text, dollar, base, depth, result);
      if (result.size() > kMostText) fail(base + dollar, "the text grows without bound by interpolation");
    }
    return result;
  }

 private:
  void fail(std::size_t offset, std::string message, SubstituteError::Kind kind = SubstituteError::Kind::invalid) {
    if (!out_.error) out_.error = SubstituteError{kind, offset, std::move(message)};
  }

  // Handles the '$' at `dollar`; returns where to go on.
  std::size_t step(std::string_view text, std::size_t dollar, std::size_t base, int depth, std::string& result) {
    const std::string_view after = text.substr(dollar + 1);
    if (after.starts_with('$')) {
      result += '$';
      return dollar + 2;
    }
    if (const std::size_t n = name_length(after); n > 0) {
      Braced braced;
      braced.name = after.substr(0, n);
      replace(braced, base + dollar, base, depth, result);
      return dollar + 1 + n;
    }
    if (!after.starts_with('{')) {  // "$1", "$(date)" and a '$' at the end are text
      result += '$';
      return dollar + 1;
    }
    const std::size_t close = closing_brace(after);
    if (close == std::string_view::npos) {
      fail(base + dollar, "this \"${\" is never closed");
      return text.size();
    }
    const auto braced = parse_braced(after.substr(1, close - 1));
    if (!braced) {
      fail(base + dollar, fmt::format("\"${}\" is no variable", after.substr(0, close + 1)));
      return text.size();
    }
    if (depth >= kDepth) {
      fail(base + dollar, fmt::format("defaults are nested more than {} deep", kDepth));
      return text.size();
    }
    replace(*braced, base + dollar, base + dollar + 2, depth, result);
    return dollar + 1 + close + 1;
  }

  void replace(const Braced& braced, std::size_t offset, std::size_t inside, int depth, std::string& result) {
    VariableUse use;
    use.name = std::string(braced.name);
    use.required = braced.op == '?';
    if (braced.op == '-') use.default_value = std::string(braced.word);
    if (braced.op == '+') use.alternative = std::string(braced.word);
    if (lookup_ != nullptr) use.variable = (*lookup_)(braced.name);
    const Variable* variable = use.variable;
    const bool present = variable != nullptr && !(braced.colon && variable->value.empty());
    use.blank = variable == nullptr && braced.op == '\0';
    out_.uses.push_back(std::move(use));
    const auto word = [&] { return run(braced.word, inside + braced.word_offset, depth + 1); };
    if (lookup_ == nullptr) {
      word();
      return;
    }
    if (braced.op == '+') {
      if (present) result += word();
    } else if (present || braced.op == '\0') {
      if (variable != nullptr) result += variable->value;
    } else if (braced.op == '-') {
      result += word();
    } else {
      const std::string message = word();
      std::string text = fmt::format("required variable {} is missing a value", braced.name);
      if (!message.empty()) text += ": " + message;
      fail(offset, std::move(text), SubstituteError::Kind::required);
    }
  }

  const Lookup* lookup_;
  Substituted& out_;
};

}  // namespace

Substituted substitute(std::string_view text, const Lookup& lookup) {
  Substituted out;
  std::string result = Engine(&lookup, out).run(text, 0, 0);
  out.text = std::move(result);
  return out;
}

std::vector<VariableUse> variables_in(std::string_view text) {
  Substituted out;
  Engine(nullptr, out).run(text, 0, 0);
  return std::move(out.uses);
}

}  // namespace compose::load
