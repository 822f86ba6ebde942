#include <charconv>
#include <cstring>

#include "yaml/write.hpp"

namespace compose::yaml {
namespace {

constexpr int kDepth = 512;

class Reader {
 public:
  explicit Reader(std::string_view text) : text_{text} {}

  bool document(Value& out) {
    if (!value(out, 0)) return false;
    blanks();
    return at_ == text_.size();
  }

 private:
  void blanks() {
    while (at_ < text_.size() && std::strchr(" \t\r\n", text_[at_]) != nullptr && text_[at_] != '\0') ++at_;
  }

  bool take(std::string_view word) {
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }

  bool value(Value& out, int depth) {
    if (depth > kDepth) return false;
    blanks();
    if (at_ >= text_.size()) return false;
    switch (text_[at_]) {
      case '{':
        return mapping(out, depth);
      case '[':
        return sequence(out, depth);
      case '"': {
        std::string text;
        if (!string(text)) return false;
        out = Value::string(std::move(text));
        return true;
      }
      case 't':
        out = Value::boolean(true);
        return take("true");
      case 'f':
        out = Value::boolean(false);
        return take("false");
      case 'n':
        out = Value{};
        return take("null");
      default:
        return number(out);
    }
  }

  bool number(Value& out) {
    const char* begin = text_.data() + at_;
    const char* end = text_.data() + text_.size();
    std::int64_t integer = 0;
    const auto whole = std::from_chars(begin, end, integer);
    double real = 0;
    const auto fraction = std::from_chars(begin, end, real);
    if (fraction.ec != std::errc{}) return false;
    std::uint64_t large = 0;
    const auto positive = std::from_chars(begin, end, large);
    if (whole.ec == std::errc{} && whole.ptr == fraction.ptr) {
      out = Value::integer(integer);
    } else if (positive.ec == std::errc{} && positive.ptr == fraction.ptr) {
      out = Value::integer(static_cast<std::int64_t>(large));
      out.is_unsigned = true;
    } else {
      out = Value::real(real);
    }
    at_ += static_cast<std::size_t>(fraction.ptr - begin);
    return true;
  }

  bool unicode(std::uint32_t& code) {
    if (text_.size() - at_ < 4) return false;
    const char* begin = text_.data() + at_;
    const auto [end, error] = std::from_chars(begin, begin + 4, code, 16);
    at_ += 4;
    return error == std::errc{} && end == begin + 4;
  }

  bool escape(std::string& out) {
    if (at_ >= text_.size()) return false;
    const char c = text_[at_++];
    constexpr std::string_view kFrom = "\"\\/bfnrt";
    constexpr std::string_view kTo = "\"\\/\b\f\n\r\t";
    if (const auto i = kFrom.find(c); i != std::string_view::npos) {
      out += kTo[i];
      return true;
    }
    std::uint32_t code = 0;
    if (c != 'u' || !unicode(code)) return false;
    if (code >= 0xD800 && code < 0xDC00) {
      std::uint32_t low = 0;
      if (!take("\\u") || !unicode(low) || low < 0xDC00 || low > 0xDFFF) return false;
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    append(out, code);
    return true;
  }

  static void append(std::string& out, std::uint32_t code) {
    const auto tail = [&](unsigned shift) { out += static_cast<char>(0x80 | ((code >> shift) & 0x3F)); };
    if (code < 0x80) {
      out += static_cast<char>(code);
    } else if (code < 0x800) {
      out += static_cast<char>(0xC0 | (code >> 6));
      tail(0);
    } else if (code < 0x10000) {
      out += static_cast<char>(0xE0 | (code >> 12));
      tail(6);
      tail(0);
    } else {
      out += static_cast<char>(0xF0 | (code >> 18));
      tail(12);
      tail(6);
      tail(0);
    }
  }

  bool string(std::string& out) {
    ++at_;
    for (;;) {
      const std::size_t begin = at_;
      while (at_ < text_.size() && text_[at_] != '"' && text_[at_] != '\\') ++at_;
      out += text_.substr(begin, at_ - begin);
      if (at_ >= text_.size()) return false;
      if (text_[at_++] == '"') return true;
      if (!escape(out)) return false;
    }
  }

  bool sequence(Value& out, int depth) {
    out = Value::sequence();
    ++at_;
    blanks();
    if (take("]")) return true;
    for (;;) {
      if (!value(out.items().emplace_back(), depth + 1)) return false;
      blanks();
      if (take("]")) return true;
      if (!take(",")) return false;
    }
  }

  bool mapping(Value& out, int depth) {
    out = Value::mapping();
    ++at_;
    blanks();
    if (take("}")) return true;
    for (;;) {
      blanks();
      std::string key;
      if (at_ >= text_.size() || text_[at_] != '"' || !string(key)) return false;
      blanks();
      if (!take(":")) return false;
      Value item;
      if (!value(item, depth + 1)) return false;
      out.entries().set(key, std::move(item));
      blanks();
      if (take("}")) return true;
      if (!take(",")) return false;
    }
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

bool from_json(std::string_view text, Value& out) { return Reader(text).document(out); }

}  // namespace compose::yaml
