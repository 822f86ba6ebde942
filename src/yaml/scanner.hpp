#pragma once
// From YAML text to tokens (YAML 1.2, chapters 5 to 8), with the choices of libyaml and its Go port where the
// specification leaves one or they are stricter, because Compose files in the world are written against those.
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace compose::yaml {

/// A position in the text being scanned.
struct Mark {
  std::size_t offset = 0;
  std::size_t line_start = 0;  ///< offset of the line's first byte
  std::uint32_t line = 1;

  std::uint32_t column() const { return static_cast<std::uint32_t>(offset - line_start); }  ///< from 0
};

enum class TokenKind : std::uint8_t {
  stream_end,
  directive,
  document_start,
  document_end,
  block_sequence_start,
  block_mapping_start,
  block_end,
  flow_sequence_start,
  flow_sequence_end,
  flow_mapping_start,
  flow_mapping_end,
  block_entry,
  flow_entry,
  key,
  value,
  alias,
  anchor,
  tag,
  scalar,
};

struct Token {
  TokenKind kind = TokenKind::stream_end;
  bool plain = false;  ///< scalar without quotes and not a block
  Mark start;
  std::string text;  ///< scalar's value, anchor's or alias's name, tag as written, directive's line
};

struct ScanError {
  Mark where;
  std::string message;
};

class Scanner {
 public:
  /// `text` must outlive the scanner and be valid UTF-8 without control characters (see check_characters).
  explicit Scanner(std::string_view text);

  /// The next token, not yet taken; nullptr after an error.
  const Token* peek() { return ready_ ? &tokens_.front() : fetch_front(); }
  /// Takes the token peek() showed.
  Token take();
  const std::optional<ScanError>& error() const { return error_; }

 private:
  struct SimpleKey {
    bool possible = false;
    bool required = false;
    std::size_t token_number = 0;
    Mark mark;
  };

  char at(std::size_t ahead = 0) const {
    return mark_.offset + ahead < text_.size() ? text_[mark_.offset + ahead] : '\0';
  }
  bool at_end(std::size_t ahead = 0) const { return mark_.offset + ahead >= text_.size(); }
  bool blank(std::size_t ahead = 0) const { return at(ahead) == ' ' || at(ahead) == '\t'; }
  bool line_break(std::size_t ahead = 0) const { return at(ahead) == '\n' || at(ahead) == '\r'; }
  bool blank_or_end(std::size_t ahead = 0) const { return blank(ahead) || line_break(ahead) || at_end(ahead); }
  bool break_or_end() const { return line_break() || at_end(); }
  bool document_marker() const;
  void skip_line();

  bool fail(Mark where, std::string message);
  const Token* fetch_front();
  bool fetch_more();
  bool fetch_next();
  void skip_to_next_token();
  bool need_more_tokens();

  bool usable(SimpleKey& key);
  bool check_simple_keys();
  bool save_simple_key();
  bool remove_simple_key();
  void roll_indent(std::uint32_t column, std::optional<std::size_t> token_number, TokenKind kind, Mark mark);
  void unroll_indent(int column);

  void push(TokenKind kind, std::size_t length);
  bool fetch_stream_end();
  bool fetch_directive();
  bool fetch_document_marker(TokenKind kind);
  bool fetch_flow_start(TokenKind kind);
  bool fetch_flow_end(TokenKind kind);
  bool fetch_flow_entry();
  bool fetch_block_entry();
  bool fetch_key();
  bool fetch_value();
  bool fetch_anchor(TokenKind kind);
  bool fetch_tag();
  bool fetch_block_scalar(bool literal);
  bool fetch_quoted_scalar(char quote);
  bool fetch_plain_scalar();

  bool scan_block_header(Mark start, int& chomping, std::uint32_t& increment);
  bool scan_block_breaks(std::uint32_t& indent, std::string& breaks);
  bool scan_escape(Mark start, std::string& out);
  void take_break(std::string& out);

  std::string_view text_;
  Mark mark_;
  int indent_ = -1;
  std::vector<int> indents_;
  bool simple_key_allowed_ = true;
  bool ended_ = false;
  bool ready_ = false;  // the first token is final: no ':' further on can still put a key in front of it
  std::vector<SimpleKey> simple_keys_;  // one for each flow level, the block context first
  std::deque<Token> tokens_;
  std::size_t tokens_taken_ = 0;
  std::optional<ScanError> error_;
};

/// The first byte that may not stand in a YAML text (broken UTF-8, a control character), if there is one.
struct BadCharacter {
  std::size_t offset = 0;
  bool utf8 = false;  ///< broken UTF-8 rather than a forbidden character
};
std::optional<BadCharacter> check_characters(std::string_view text);

}  // namespace compose::yaml
