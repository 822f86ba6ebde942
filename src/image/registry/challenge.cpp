#include "image/registry/challenge.hpp"

#include "base/strings.hpp"

namespace compose::image::registry {

namespace {

constexpr std::size_t kMaxHeader = 16384;

bool is_token_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view{"!#$%&'*+-.^_`|~/"}.find(c) != std::string_view::npos;
}

class Reader {
 public:
  explicit Reader(std::string_view text) : rest_{text} {}
  bool at_end() const { return rest_.empty(); }
  void skip_spaces() {
    while (!rest_.empty() && (rest_.front() == ' ' || rest_.front() == '\t')) rest_.remove_prefix(1);
  }
  void skip_separators() {
    while (!rest_.empty() && (rest_.front() == ' ' || rest_.front() == '\t' || rest_.front() == ','))
      rest_.remove_prefix(1);
  }
  bool take(char c) {
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void drop() { rest_.remove_prefix(1); }
  std::string token() {
    std::size_t size = 0;
    while (size < rest_.size() && is_token_character(rest_[size])) ++size;
    std::string text{rest_.substr(0, size)};
    rest_.remove_prefix(size);
    return text;
  }
  std::string value() {
    if (!take('"')) return token();
    std::string text;
    while (!rest_.empty() && rest_.front() != '"') {
      if (rest_.front() == '\\' && rest_.size() > 1) rest_.remove_prefix(1);
      text += rest_.front();
      rest_.remove_prefix(1);
    }
    take('"');
    return text;
  }

 private:
  std::string_view rest_;
};

}  // namespace

std::vector<Challenge> parse_challenges(std::string_view header) {
  std::vector<Challenge> result;
  Reader reader{header.substr(0, kMaxHeader)};
  while (true) {
    reader.skip_separators();
    if (reader.at_end()) return result;
    const std::string name = to_lower(reader.token());
    if (name.empty()) {
      reader.drop();
      continue;
    }
    reader.skip_spaces();
    if (reader.take('=')) {
      reader.skip_spaces();
      if (!result.empty()) result.back().parameters[name] = reader.value();
    } else {
      result.push_back({name, {}});
    }
  }
}

}  // namespace compose::image::registry
