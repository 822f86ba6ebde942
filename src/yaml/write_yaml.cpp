#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "yaml/scalar.hpp"
#include "yaml/write.hpp"

namespace compose::yaml {
namespace {

std::string doubled(std::string_view text) {
  std::string out;
  for (const char c : text) {
    out += c;
    if (c == '$') out += c;
  }
  return out;
}

// Words YAML 1.1 readers take for booleans: quoted on the way out so that every reader agrees.
bool old_boolean(std::string_view text) {
  if (text.size() > 3) return false;
  constexpr std::string_view kWords[] = {"y", "Y", "yes", "Yes", "YES", "on",  "On",  "ON",
                                         "n", "N", "no",  "No",  "NO",  "off", "Off", "OFF"};
  return std::find(std::begin(kWords), std::end(kWords), text) != std::end(kWords);
}

bool base_60(std::string_view text) {
  bool colon = false;
  for (const char c : text) {
    if (c == ':') colon = true;
    if (c != ':' && c != '.' && c != '_' && c != '-' && c != '+' && (c < '0' || c > '9')) return false;
  }
  return colon;
}

bool plain_is_safe(std::string_view text) {
  if (text.empty() || text.front() == ' ' || text.back() == ' ' || text.back() == ':') return false;
  constexpr std::string_view kIndicators = "-?:,[]{}#&*!|>'\"%@`";
  const char first = text.front();
  if (kIndicators.find(first) != std::string_view::npos) {
    const bool may_start = (first == '-' || first == '?' || first == ':') && text.size() > 1 && text[1] != ' ';
    if (!may_start) return false;
  }
  if (text.starts_with("---") || text.starts_with("...") || text == "<<" || text == "=") return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (static_cast<unsigned char>(c) < 0x20) return false;
    if (c == ':' && i + 1 < text.size() && text[i + 1] == ' ') return false;
    if (c == '#' && i > 0 && text[i - 1] == ' ') return false;
  }
  // Only these can start what reads as anything but a string.
  constexpr std::string_view kTypedStarts = "0123456789+-.~nNtTfFyYoO";
  if (kTypedStarts.find(first) == std::string_view::npos) return true;
  const bool number = text.find_first_of("0123456789") != std::string_view::npos;
  if (text.size() > 5 && !number) return true;
  const Value read = resolve_plain(text);
  return read.is_string() && !read.timestamp && !old_boolean(text) && !base_60(text);
}

// Lines of a literal block must not need escapes, and its first line must not start with a blank.
bool block_is_safe(std::string_view text) {
  if (text.find('\n') == std::string_view::npos || text.front() == ' ' || text.front() == '\n') return false;
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t') return false;
  }
  return text.find(" \n") == std::string_view::npos && text.find("\t") == std::string_view::npos;
}

class Writer {
 public:
  Writer(std::string& out, const WriteOptions& options) : out_{out}, options_{options} {}

  void document(const Value& value) {
    if (value.is_mapping() && !value.entries().empty()) {
      mapping(value.entries(), 0, true);
    } else if (value.is_sequence() && !value.items().empty()) {
      sequence(value.items(), 0, true);
    } else {
      scalar(value, 1);  // the lines of a block text are indented at the top level too
      out_ += '\n';
    }
  }

 private:
  void indent(std::size_t level) { out_.append(level * 2, ' '); }

  void text(std::string_view raw, std::size_t level, bool key) {
    std::string storage;
    std::string_view copy = raw;
    if (options_.double_dollar && raw.find('$') != std::string_view::npos) copy = storage = doubled(raw);
    if (has_unsafe_character(copy)) {
      out_ += json_quote(copy);
    } else if (plain_is_safe(copy)) {
      out_ += copy;
    } else if (!key && block_is_safe(copy)) {
      block(copy, level);
    } else if (std::any_of(copy.begin(), copy.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; })) {
      out_ += json_quote(copy);
    } else if (copy.find('\'') != std::string::npos || copy.empty() || key || !needs_escape(copy)) {
      out_ += json_quote(copy);
    } else {
      out_ += '\'';
      out_ += copy;
      out_ += '\'';
    }
  }

  static bool needs_escape(std::string_view copy) { return copy.find_first_of("\"\\") != std::string_view::npos; }

  void block(std::string_view copy, std::size_t level) {
    out_ += '|';
    if (!copy.ends_with('\n')) {
      out_ += '-';
    } else if (copy.ends_with("\n\n")) {
      out_ += '+';
    }
    out_ += std::exchange(comment_, {});
    std::size_t begin = 0;
    while (begin < copy.size()) {
      const std::size_t end = std::min(copy.find('\n', begin), copy.size());
      out_ += '\n';
      if (end > begin) indent(level);
      out_ += copy.substr(begin, end - begin);
      begin = end + 1;
    }
  }

  void scalar(const Value& value, std::size_t level) {
    if (value.is_string()) {
      text(value.as_string(), level, false);
    } else if (value.is_null()) {
      out_ += "null";
    } else if (value.kind() == Kind::real && !std::isfinite(value.as_real())) {
      out_ += std::isnan(value.as_real()) ? ".nan" : value.as_real() < 0 ? "-.inf" : ".inf";
    } else if (value.is_mapping()) {
      out_ += "{}";
    } else if (value.is_sequence()) {
      out_ += "[]";
    } else {
      out_ += scalar_text(value);
    }
  }

  void mapping(const Mapping& mapping, std::size_t level, bool first_indented) {
    std::vector<const Entry*> order;
    order.reserve(mapping.size());
    for (const Entry& entry : mapping) order.push_back(&entry);
    if (options_.sorted) {
      std::sort(order.begin(), order.end(), [](const Entry* a, const Entry* b) { return a->key < b->key; });
    }
    bool indented = first_indented;
    for (const Entry* entry : order) {
      if (!indented || level > 0) {
        if (indented || !first_line_) indent(level);
      }
      first_line_ = false;
      indented = true;
      key(entry->key, level);
      member(entry->value, level);
    }
  }

  // A key and its colon. Readers look no further than 1,024 characters for the colon of a simple key.
  void key(const std::string& name, std::size_t level) {
    constexpr std::size_t kLongestSimpleKey = 1000;
    const std::size_t begin = out_.size();
    text(name, level, true);
    if (out_.size() - begin > kLongestSimpleKey) {
      out_.insert(begin, "? ");
      out_ += '\n';
      indent(level);
    }
    out_ += ':';
  }

  void member(const Value& value, std::size_t level) {
    note(value);
    if (value.is_mapping() && !value.entries().empty()) {
      end_line();
      mapping(value.entries(), level + 1, true);
    } else if (value.is_sequence() && !value.items().empty()) {
      end_line();
      sequence(value.items(), level + 1, true);
    } else {
      out_ += ' ';
      scalar(value, level + 1);
      end_line();
    }
  }

  // The comment of `value`, for the end of its line; a block text puts it behind its header.
  void note(const Value& value) {
    comment_.clear();
    if (options_.comment == nullptr) return;
    comment_ = (*options_.comment)(value.place);
    if (!comment_.empty()) comment_.insert(0, "  # ");
  }

  void end_line() {
    out_ += std::exchange(comment_, {});
    out_ += '\n';
  }

  void sequence(const Sequence& items, std::size_t level, bool) {
    for (const Value& item : items) {
      indent(level);
      first_line_ = false;
      out_ += "- ";
      if (item.is_mapping() && !item.entries().empty()) {
        first_line_ = true;
        mapping(item.entries(), level + 1, false);
      } else if (item.is_sequence() && !item.items().empty()) {
        out_.pop_back();
        out_ += '\n';
        sequence(item.items(), level + 1, true);
      } else {
        note(item);
        scalar(item, level + 1);
        end_line();
      }
    }
  }

  std::string& out_;
  const WriteOptions& options_;
  std::string comment_;      // for the end of the line being written
  bool first_line_ = false;  // the next mapping entry follows "- " on the same line
};

}  // namespace

std::string to_yaml(const Value& value, const WriteOptions& options) {
  std::string out;
  Writer(out, options).document(value);
  return out;
}

}  // namespace compose::yaml
