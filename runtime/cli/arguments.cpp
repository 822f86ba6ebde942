#include "runtime/cli/arguments.hpp"

namespace compose::runtime::cli {
namespace {

const OptionSpec* find(std::span<const OptionSpec> known, std::string_view name) {
  for (const auto& option : known) {
    if (option.name == name || (name.size() == 1 && option.letter == name[0])) return &option;
  }
  return nullptr;
}

}  // namespace

Result<Arguments> Arguments::parse(std::span<const std::string> words, std::span<const OptionSpec> known,
                                   bool interspersed) {
  Arguments result;
  std::size_t i = 0;
  for (; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "--") {
      ++i;
      break;
    }
    if (word.size() < 2 || word[0] != '-') {
      if (!interspersed) break;
      result.words_.push_back(word);
      continue;
    }
    // Go's flag packages take one dash for two.
    std::string name = word.substr(word.starts_with("--") ? 2 : 1);
    std::optional<std::string> value;
    if (const auto equals = name.find('='); equals != std::string::npos) {
      value = name.substr(equals + 1);
      name.resize(equals);
    }
    const OptionSpec* option = find(known, name);
    if (option == nullptr && !word.starts_with("--") && name.size() > 1) {
      // "-it": letters run together.
      bool flags = true;
      for (const char letter : name) {
        const OptionSpec* single = find(known, std::string_view{&letter, 1});
        flags = flags && single != nullptr && !single->takes_value;
      }
      if (!flags) return make_error(Errc::invalid, "unknown option \"{}\"", word);
      for (const char letter : name) {
        result.values_[std::string{find(known, std::string_view{&letter, 1})->name}].emplace_back("true");
      }
      continue;
    }
    if (option == nullptr) return make_error(Errc::invalid, "unknown option \"{}\"", word);
    if (option->takes_value && !value) {
      if (++i == words.size()) return make_error(Errc::invalid, "option \"{}\" needs a value", word);
      value = words[i];
    }
    result.values_[std::string{option->name}].push_back(value.value_or("true"));
  }
  result.words_.insert(result.words_.end(), words.begin() + static_cast<std::ptrdiff_t>(i), words.end());
  return result;
}

std::string Arguments::get(std::string_view name, const std::string& fallback) const {
  const auto found = values_.find(name);
  return found == values_.end() ? fallback : found->second.back();
}

std::vector<std::string> Arguments::all(std::string_view name) const {
  const auto found = values_.find(name);
  return found == values_.end() ? std::vector<std::string>{} : found->second;
}

bool Arguments::flag(std::string_view name) const {
  const std::string value = get(name, "false");
  return value == "true" || value == "1";
}

}  // namespace compose::runtime::cli
