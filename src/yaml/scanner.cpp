#include "yaml/scanner.hpp"

#include <fmt/format.h>

#include <utility>

namespace compose::yaml {
namespace {

constexpr std::size_t kSimpleKeyLength = 1024;  // YAML 1.2, 7.4.2: an implicit key is at most this long

bool name_character(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-';
}

}  // namespace

Scanner::Scanner(std::string_view text) : text_{text}, simple_keys_(1) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (text_.starts_with(kByteOrderMark)) {
    mark_.offset = kByteOrderMark.size();
    mark_.line_start = mark_.offset;
  }
}

const Token* Scanner::fetch_front() {
  if (!fetch_more()) return nullptr;
  ready_ = true;
  return &tokens_.front();
}

Token Scanner::take() {
  Token token = std::move(tokens_.front());
  tokens_.pop_front();
  ++tokens_taken_;
  ready_ = false;
  return token;
}

bool Scanner::fail(Mark where, std::string message) {
  if (!error_) error_ = ScanError{where, std::move(message)};
  return false;
}

bool Scanner::document_marker() const {
  if (mark_.column() != 0) return false;
  const std::string_view three = text_.substr(mark_.offset, 3);
  return (three == "---" || three == "...") && blank_or_end(3);
}

void Scanner::skip_line() {
  mark_.offset += at() == '\r' && at(1) == '\n' ? 2 : 1;
  mark_.line_start = mark_.offset;
  ++mark_.line;
}

// A token may only be handed out when no ':' further on can still turn it into a key.
bool Scanner::need_more_tokens() {
  if (tokens_.empty()) return true;
  for (const SimpleKey& key : simple_keys_) {
    if (key.possible && key.token_number == tokens_taken_) return true;
  }
  return false;
}

bool Scanner::fetch_more() {
  if (error_) return false;
  while (!ended_) {
    if (!check_simple_keys()) return false;
    if (!need_more_tokens()) return true;
    if (!fetch_next()) return false;
  }
  return !tokens_.empty() || fail(mark_, "unexpected end of the text");
}

bool Scanner::fetch_next() {
  skip_to_next_token();
  if (!check_simple_keys()) return false;
  unroll_indent(static_cast<int>(mark_.column()));
  if (at_end()) return fetch_stream_end();
  if (mark_.column() == 0 && at() == '%') return fetch_directive();
  if (document_marker()) {
    return fetch_document_marker(at() == '-' ? TokenKind::document_start : TokenKind::document_end);
  }
  const bool flow = simple_keys_.size() > 1;
  switch (at()) {
    case '[':
      return fetch_flow_start(TokenKind::flow_sequence_start);
    case '{':
      return fetch_flow_start(TokenKind::flow_mapping_start);
    case ']':
      return fetch_flow_end(TokenKind::flow_sequence_end);
    case '}':
      return fetch_flow_end(TokenKind::flow_mapping_end);
    case ',':
      return fetch_flow_entry();
    case '-':
      if (blank_or_end(1)) return fetch_block_entry();
      return fetch_plain_scalar();
    case '?':
      if (flow || blank_or_end(1)) return fetch_key();
      return fetch_plain_scalar();
    case ':':
      if (flow || blank_or_end(1)) return fetch_value();
      return fetch_plain_scalar();
    case '*':
      return fetch_anchor(TokenKind::alias);
    case '&':
      return fetch_anchor(TokenKind::anchor);
    case '!':
      return fetch_tag();
    case '\'':
      return fetch_quoted_scalar('\'');
    case '"':
      return fetch_quoted_scalar('"');
    case '|':
    case '>':
      if (!flow) return fetch_block_scalar(at() == '|');
      break;
    case '\t':
      return fail(mark_, "found a tab where indentation is expected; YAML indents with spaces only");
    case '#':
    case '%':
    case '@':
    case '`':
      break;
    default:
      return fetch_plain_scalar();
  }
  return fail(mark_, fmt::format("found character '{}' that cannot start any token; put the value in quotes", at()));
}

// Tabs may separate tokens, but not where indentation or a new simple key could be meant.
void Scanner::skip_to_next_token() {
  for (;;) {
    while (at() == ' ' || ((simple_keys_.size() > 1 || !simple_key_allowed_) && at() == '\t')) ++mark_.offset;
    if (at() == '#') {
      while (!break_or_end()) ++mark_.offset;
    }
    if (!line_break()) return;
    skip_line();
    if (simple_keys_.size() == 1) simple_key_allowed_ = true;
  }
}

bool Scanner::usable(SimpleKey& key) {
  if (!key.possible) return false;
  if (key.mark.line == mark_.line && key.mark.offset + kSimpleKeyLength >= mark_.offset) return true;
  if (key.required) return fail(key.mark, "could not find expected ':' after this key");
  key.possible = false;
  return false;
}

bool Scanner::check_simple_keys() {
  // Only the innermost level can be asked for; the outer ones are looked at when their level is reached again, and
  // need_more_tokens must not wait for a key that can no longer be one.
  for (SimpleKey& key : simple_keys_) {
    if (key.possible && key.token_number == tokens_taken_) usable(key);
    if (error_) return false;
  }
  usable(simple_keys_.back());
  return !error_;
}

bool Scanner::save_simple_key() {
  if (!simple_key_allowed_) return true;
  if (!remove_simple_key()) return false;
  SimpleKey& key = simple_keys_.back();
  key.possible = true;
  key.required = simple_keys_.size() == 1 && indent_ == static_cast<int>(mark_.column());
  key.token_number = tokens_taken_ + tokens_.size();
  key.mark = mark_;
  return true;
}

bool Scanner::remove_simple_key() {
  SimpleKey& key = simple_keys_.back();
  if (key.possible && key.required) return fail(key.mark, "could not find expected ':' after this key");
  key.possible = false;
  return true;
}

void Scanner::roll_indent(std::uint32_t column, std::optional<std::size_t> token_number, TokenKind kind, Mark mark) {
  if (simple_keys_.size() > 1 || indent_ >= static_cast<int>(column)) return;
  indents_.push_back(indent_);
  indent_ = static_cast<int>(column);
  Token token;
  token.kind = kind;
  token.start = mark;
  if (token_number) {
    tokens_.insert(tokens_.begin() + static_cast<std::ptrdiff_t>(*token_number - tokens_taken_), std::move(token));
  } else {
    tokens_.push_back(std::move(token));
  }
}

void Scanner::unroll_indent(int column) {
  if (simple_keys_.size() > 1) return;
  while (indent_ > column) {
    push(TokenKind::block_end, 0);
    indent_ = indents_.back();
    indents_.pop_back();
  }
}

void Scanner::push(TokenKind kind, std::size_t length) {
  Token token;
  token.kind = kind;
  token.start = mark_;
  tokens_.push_back(std::move(token));
  mark_.offset += length;
}

bool Scanner::fetch_stream_end() {
  unroll_indent(-1);
  if (!remove_simple_key()) return false;
  simple_key_allowed_ = false;
  push(TokenKind::stream_end, 0);
  ended_ = true;
  return true;
}

bool Scanner::fetch_directive() {
  unroll_indent(-1);
  if (!remove_simple_key()) return false;
  simple_key_allowed_ = false;
  Token token;
  token.kind = TokenKind::directive;
  token.start = mark_;
  while (!break_or_end()) token.text += text_[mark_.offset++];
  if (!token.text.starts_with("%YAML ") && !token.text.starts_with("%TAG ")) {
    return fail(token.start, "found an unknown directive");
  }
  tokens_.push_back(std::move(token));
  return true;
}

bool Scanner::fetch_document_marker(TokenKind kind) {
  unroll_indent(-1);
  if (!remove_simple_key()) return false;
  simple_key_allowed_ = false;
  push(kind, 3);
  return true;
}

bool Scanner::fetch_flow_start(TokenKind kind) {
  if (!save_simple_key()) return false;
  simple_keys_.emplace_back();
  simple_key_allowed_ = true;
  push(kind, 1);
  return true;
}

bool Scanner::fetch_flow_end(TokenKind kind) {
  if (!remove_simple_key()) return false;
  if (simple_keys_.size() > 1) simple_keys_.pop_back();
  simple_key_allowed_ = false;
  push(kind, 1);
  return true;
}

bool Scanner::fetch_flow_entry() {
  if (!remove_simple_key()) return false;
  simple_key_allowed_ = true;
  push(TokenKind::flow_entry, 1);
  return true;
}

bool Scanner::fetch_block_entry() {
  if (simple_keys_.size() == 1) {
    if (!simple_key_allowed_) return fail(mark_, "block sequence entries are not allowed in this context");
    roll_indent(mark_.column(), std::nullopt, TokenKind::block_sequence_start, mark_);
  }
  if (!remove_simple_key()) return false;
  simple_key_allowed_ = true;
  push(TokenKind::block_entry, 1);
  return true;
}

bool Scanner::fetch_key() {
  const bool block = simple_keys_.size() == 1;
  if (block) {
    if (!simple_key_allowed_) return fail(mark_, "mapping keys are not allowed in this context");
    roll_indent(mark_.column(), std::nullopt, TokenKind::block_mapping_start, mark_);
  }
  if (!remove_simple_key()) return false;
  simple_key_allowed_ = block;
  push(TokenKind::key, 1);
  return true;
}

bool Scanner::fetch_value() {
  SimpleKey& key = simple_keys_.back();
  const bool simple = usable(key);
  if (error_) return false;
  if (simple) {
    Token token;
    token.kind = TokenKind::key;
    token.start = key.mark;
    tokens_.insert(tokens_.begin() + static_cast<std::ptrdiff_t>(key.token_number - tokens_taken_), std::move(token));
    roll_indent(key.mark.column(), key.token_number, TokenKind::block_mapping_start, key.mark);
    key.possible = false;
    simple_key_allowed_ = false;
  } else {
    const bool block = simple_keys_.size() == 1;
    if (block) {
      if (!simple_key_allowed_) {
        return fail(mark_, "mapping values are not allowed in this context; if the ':' is part of the text, quote it");
      }
      roll_indent(mark_.column(), std::nullopt, TokenKind::block_mapping_start, mark_);
    }
    simple_key_allowed_ = block;
  }
  push(TokenKind::value, 1);
  return true;
}

bool Scanner::fetch_anchor(TokenKind kind) {
  if (!save_simple_key()) return false;
  simple_key_allowed_ = false;
  Token token;
  token.kind = kind;
  token.start = mark_;
  ++mark_.offset;
  while (name_character(at())) token.text += text_[mark_.offset++];
  constexpr std::string_view kMayFollow = "?:,]}%@`";
  if (token.text.empty() || !(blank_or_end() || kMayFollow.find(at()) != std::string_view::npos)) {
    return fail(token.start, fmt::format("an {} name has letters, digits, '_' and '-' only",
                                         kind == TokenKind::alias ? "alias's" : "anchor's"));
  }
  tokens_.push_back(std::move(token));
  return true;
}

bool Scanner::fetch_tag() {
  if (!save_simple_key()) return false;
  simple_key_allowed_ = false;
  Token token;
  token.kind = TokenKind::tag;
  token.start = mark_;
  const bool verbatim = at(1) == '<';
  constexpr std::string_view kUri = "!;/?:@&=+$,.~*'()[]%#<>";
  while (name_character(at()) || (!at_end() && kUri.find(at()) != std::string_view::npos)) {
    token.text += text_[mark_.offset++];
  }
  if (!blank_or_end() || (verbatim && !token.text.ends_with('>'))) {
    return fail(token.start, "a tag must end with a space or a line break");
  }
  if (verbatim) token.text = token.text.substr(2, token.text.size() - 3);
  tokens_.push_back(std::move(token));
  return true;
}

}  // namespace compose::yaml
