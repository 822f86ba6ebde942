#include "compose/load/split_command.hpp"

namespace compose::load {
namespace {

class Splitter {
 public:
  explicit Splitter(std::vector<std::string>& words) : words_{words} {}

  enum class Next { more, end, broken };

  Next take(char c) {
    if (escaped_) {
      escaped_ = false;
      add(c);
      return Next::more;
    }
    if (c == '\\' && !single_quoted_) {
      escaped_ = true;
      return Next::more;
    }
    if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
      blank(c);
      return Next::more;
    }
    if (substitution(c)) return broken_ ? Next::broken : Next::more;
    if (c == '"' && !single_quoted_ && !parenthesis_) return quote(double_quoted_);
    if (c == '\'' && !double_quoted_ && !parenthesis_) return quote(single_quoted_);
    if (!inside() && std::string_view(";&|<>").find(c) != std::string_view::npos) {
      // "2>file": the digit belongs to the redirection.
      if (c == '>' && !word_.empty() && word_[0] >= '0' && word_[0] <= '9') in_word_ = false;
      return Next::end;
    }
    add(c);
    return Next::more;
  }

  /// False when a quote, bracket or escape is still open.
  bool finish() {
    if (in_word_) words_.push_back(std::move(word_));
    return !escaped_ && !inside();
  }

 private:
  bool inside() const { return single_quoted_ || double_quoted_ || back_quoted_ || parenthesis_; }

  void add(char c) {
    in_word_ = true;
    word_ += c;
  }

  void blank(char c) {
    if (inside()) {
      word_ += c;
    } else if (in_word_) {
      words_.push_back(std::move(word_));
      word_.clear();
      in_word_ = false;
    }
  }

  Next quote(bool& open) {
    in_word_ = in_word_ || open;  // '' is a word
    open = !open;
    return Next::more;
  }

  // `…` and $(…) stay as they are; their marks are part of the word.
  bool substitution(char c) {
    if (single_quoted_ || double_quoted_) return false;
    if (c == '`' && !parenthesis_) {
      back_quoted_ = !back_quoted_;
    } else if (c == ')' && !back_quoted_) {
      parenthesis_ = !parenthesis_;
    } else if (c == '(' && !back_quoted_) {
      broken_ = parenthesis_ || !word_.ends_with('$');
      parenthesis_ = true;
    } else {
      return false;
    }
    add(c);
    return true;
  }

  std::vector<std::string>& words_;
  std::string word_;
  bool in_word_ = false;
  bool escaped_ = false;
  bool single_quoted_ = false;
  bool double_quoted_ = false;
  bool back_quoted_ = false;
  bool parenthesis_ = false;
  bool broken_ = false;
};

}  // namespace

bool split_command(std::string_view line, std::vector<std::string>& words) {
  Splitter splitter(words);
  for (const char c : line) {
    const Splitter::Next next = splitter.take(c);
    if (next == Splitter::Next::broken) return false;
    if (next == Splitter::Next::end) break;
  }
  return splitter.finish();
}

}  // namespace compose::load
