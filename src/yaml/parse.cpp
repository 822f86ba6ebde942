#include "yaml/parse.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "yaml/scalar.hpp"
#include "yaml/scanner.hpp"

namespace compose::yaml {
namespace {

class Parser {
 public:
  Parser(std::string_view text, std::uint32_t source, const Limits& limits)
      : scanner_{text}, source_{source}, limits_{limits} {}

  void run(Parsed& out) {
    issues_ = &out.issues;
    while (!stopped_) {
      Document document;
      if (!start_document(document)) break;
      anchors_.clear();
      tagged_ = false;
      document.root = node(0, true, false);
      if (stopped_ || !end_document()) break;
      document.tagged = tagged_;
      out.documents.push_back(std::move(document));
    }
  }

 private:
  struct Anchor {
    Value value;
    std::size_t nodes = 0;
    bool open = true;  // its node is still being read
    Place place;
  };

  Place place(const Mark& mark) const { return {source_, mark.line, mark.column() + 1}; }

  void issue(Place where, std::string message, Place other = {}, std::string note = {}) {
    issues_->push_back({where, std::move(message), other, std::move(note), {}});
  }

  Value stop(const Mark& where, std::string message) {
    if (!stopped_) issue(place(where), std::move(message));
    stopped_ = true;
    return {};
  }

  // The kind of the next token; after an error everything reads as the end.
  TokenKind next() {
    const Token* token = stopped_ ? nullptr : scanner_.peek();
    if (token == nullptr) {
      if (!stopped_) issue(place(scanner_.error()->where), scanner_.error()->message);
      stopped_ = true;
      return TokenKind::stream_end;
    }
    return token->kind;
  }
  // The same while the value of `key` is awaited: a mistake there belongs to it.
  TokenKind next_in(const std::string& key) {
    const std::size_t known = issues_->size();
    const TokenKind kind = next();
    if (issues_->size() > known) issues_->back().path = key;
    return kind;
  }
  const Mark& here() { return scanner_.peek()->start; }

  bool start_document(Document& document) {
    while (next() == TokenKind::document_end) scanner_.take();
    bool directives = false;
    while (next() == TokenKind::directive) {
      scanner_.take();
      directives = true;
    }
    if (stopped_ || next() == TokenKind::stream_end) return false;
    if (next() == TokenKind::document_start) {
      document.root.place = place(here());
      scanner_.take();
    } else if (directives || after_document_) {
      stop(here(), "did not find expected '---' before a document, or ':' after a key");
      return false;
    }
    after_document_ = true;
    return true;
  }

  bool end_document() {
    if (next() == TokenKind::document_end) {
      scanner_.take();
      after_document_ = false;
    }
    return !stopped_;
  }

  bool count_node(const Mark& where) {
    if (++nodes_ <= limits_.nodes) return true;
    stop(where, fmt::format("the file has more than {} values", limits_.nodes));
    return false;
  }

  Value alias() {
    const Token token = scanner_.take();
    const auto found = anchors_.find(token.text);
    if (found == anchors_.end()) {
      return stop(token.start, fmt::format("unknown anchor '{}' referenced", token.text));
    }
    if (found->second.open) {
      issue(place(token.start), fmt::format("cycle detected: anchor '{}' contains itself", token.text),
            found->second.place, "the anchor starts here");
      Value broken{Value::Data{}, place(token.start)};
      broken.broken = true;
      return broken;
    }
    alias_nodes_ += found->second.nodes;
    // A file may use its anchors a lot when it is large; a small one that grows a thousandfold is an attack.
    const std::size_t most = std::min(limits_.alias_nodes + 20 * nodes_, limits_.most_alias_nodes);
    if (alias_nodes_ > most) {
      return stop(token.start,
                  fmt::format("document contains excessive aliasing: its aliases stand for more than {} values", most));
    }
    nodes_with_aliases_ += found->second.nodes;
    return found->second.value;
  }

  struct Properties {
    std::string anchor;
    std::string tag;
    Mark tag_mark;
    Mark start;
    bool any = false;
  };

  Properties properties() {
    Properties found;
    for (;;) {
      const TokenKind kind = next();
      const bool anchor = kind == TokenKind::anchor && found.anchor.empty();
      const bool tag = kind == TokenKind::tag && found.tag.empty();
      if (!anchor && !tag) return found;
      Token token = scanner_.take();
      if (!found.any) found.start = token.start;
      found.any = true;
      if (tag) found.tag_mark = token.start;
      (anchor ? found.anchor : found.tag) = std::move(token.text);
    }
  }

  Value node(std::uint32_t depth, bool block, bool indentless) {
    if (next() == TokenKind::alias) return alias();
    if (stopped_) return {};
    if (depth > limits_.depth) {
      return stop(here(), fmt::format("collections are nested more than {} levels deep", limits_.depth));
    }
    const Properties found = properties();
    if (stopped_) return {};
    if (!count_node(here())) return {};
    const std::size_t before = nodes_with_aliases_++;
    Mark start = found.any ? found.start : here();
    if (!found.anchor.empty()) open_anchor(found);
    Value value = content(found, depth, block, indentless);
    if (stopped_) return {};
    if (!value.place.known()) value.place = place(start);
    apply_tag(found, value);
    if (!found.anchor.empty()) {
      Anchor& anchor = anchors_[found.anchor];
      anchor.value = value;
      anchor.nodes = nodes_with_aliases_ - before;
      anchor.open = false;
    }
    return value;
  }

  // Reads a child; the problems inside it get `step` in front of their path.
  template <typename Step>
  Value child(std::uint32_t depth, bool block, bool indentless, const Step& step) {
    const std::size_t known = issues_->size();
    Value value = node(depth + 1, block, indentless);
    for (std::size_t i = known; i < issues_->size(); ++i) {
      std::string& path = (*issues_)[i].path;
      path.insert(0, step() + (path.empty() || path[0] == '[' ? "" : "."));
    }
    return value;
  }
  Value item(std::uint32_t depth, bool block, const Value& list) {
    return child(depth, block, false, [&] { return fmt::format("[{}]", list.items().size()); });
  }

  void open_anchor(const Properties& found) {
    Anchor& anchor = anchors_[found.anchor];
    anchor.open = true;
    anchor.place = place(found.start);
  }

  Value content(const Properties& found, std::uint32_t depth, bool block, bool indentless) {
    switch (next()) {
      case TokenKind::scalar:
        return scalar(found);
      case TokenKind::flow_sequence_start:
        return flow_sequence(depth);
      case TokenKind::flow_mapping_start:
        return flow_mapping(depth);
      case TokenKind::block_sequence_start:
        if (block) return block_sequence(depth);
        break;
      case TokenKind::block_mapping_start:
        if (block) return block_mapping(depth);
        break;
      case TokenKind::block_entry:
        if (indentless) return indentless_sequence(depth);
        break;
      default:
        break;
    }
    if (stopped_) return {};
    // Nothing follows: an empty value, which only the place for one may have.
    switch (next()) {
      case TokenKind::block_end:
      case TokenKind::key:
      case TokenKind::value:
      case TokenKind::block_entry:
      case TokenKind::flow_entry:
      case TokenKind::flow_sequence_end:
      case TokenKind::flow_mapping_end:
      case TokenKind::document_start:
      case TokenKind::document_end:
      case TokenKind::stream_end:
        if (found.any || depth == 0) return Value{Value::Data{}, place(found.any ? found.start : here())};
        break;
      default:
        break;
    }
    return stop(here(), "did not find expected node content");
  }

  Value scalar(const Properties& found) {
    Token token = scanner_.take();
    const Place where = place(token.start);
    Value value;
    if (found.tag.starts_with("!!")) {
      auto tagged = resolve_tagged(found.tag, token.text);
      if (!tagged) {
        issue(place(found.tag_mark), fmt::format("cannot decode `{}` as a {}", token.text, found.tag));
        tagged = Value{};
        tagged->broken = true;
      }
      value = std::move(*tagged);
    } else if (token.plain && (found.tag.empty() || found.tag == "!reset" || found.tag == "!override")) {
      value = resolve_plain(token.text);
    } else {
      value = Value::string(std::move(token.text));
    }
    value.quoted = !token.plain;
    value.place = where;
    return value;
  }

  void apply_tag(const Properties& found, Value& value) {
    if (found.tag == "!reset") value.tag = Tag::reset;
    if (found.tag == "!override") value.tag = Tag::override;
    if (value.tag != Tag::none) tagged_ = true;
  }

  Value empty(Place where) { return Value{Value::Data{}, where}; }

  Value block_sequence(std::uint32_t depth) {
    Value value = Value::sequence(place(scanner_.take().start));
    while (next() == TokenKind::block_entry) {
      const Place where = after(scanner_.take().start);
      const TokenKind kind = next();
      if (kind == TokenKind::block_entry || kind == TokenKind::block_end) {
        value.items().push_back(empty(where));
      } else {
        value.items().push_back(item(depth, true, value));
      }
      if (stopped_) return {};
    }
    if (stopped_) return {};
    if (next() != TokenKind::block_end) return stop(here(), "did not find expected '-' indicator");
    scanner_.take();
    return value;
  }

  Value indentless_sequence(std::uint32_t depth) {
    Value value = Value::sequence(place(here()));
    while (next() == TokenKind::block_entry) {
      const Place where = after(scanner_.take().start);
      const TokenKind kind = next();
      if (kind == TokenKind::block_entry || kind == TokenKind::key || kind == TokenKind::value ||
          kind == TokenKind::block_end) {
        value.items().push_back(empty(where));
      } else {
        value.items().push_back(item(depth, true, value));
      }
      if (stopped_) return {};
    }
    return value;
  }

  Place after(const Mark& mark) const {
    Place where = place(mark);
    ++where.column;
    return where;
  }

  // The merge values (`<<`) of the mapping being read, in order.
  struct Building {
    Value value;
    std::vector<Value> merges;
    Place merge_place;
  };

  struct Key {
    std::string text;
    Place place;
    bool merge = false;
  };

  // Turns a key node into text. Compose files have string keys only.
  Key key_of(Value&& value, bool had_tag) {
    Key key;
    key.place = value.place;
    if (value.broken || stopped_) return key;
    if (!value.is_scalar()) {
      issue(value.place, fmt::format("a mapping key must be a string, not {}", kind_name(value)));
      return key;
    }
    key.text = scalar_text(value);
    if (!value.is_string() || value.timestamp) {
      issue(value.place, fmt::format("non-string key: {}; put it in quotes", key.text));
    }
    key.merge = key.text == "<<" && !value.quoted && !had_tag;
    return key;
  }

  Key read_key(std::uint32_t depth, bool block) {
    const bool tagged = next() == TokenKind::tag;
    return key_of(node(depth + 1, block, block), tagged);
  }

  void add_entry(Building& building, Key key, Value value) {
    if (stopped_) return;
    if (key.merge) {
      if (building.merge_place.known()) {
        issue(key.place, "mapping key \"<<\" already defined; give one `<<` a list", building.merge_place,
              "first defined here");
        return;
      }
      building.merge_place = key.place;
      add_merges(building, std::move(value));
      return;
    }
    Mapping& mapping = building.value.entries();
    if (const Entry* first = mapping.find(key.text)) {
      issue(key.place, fmt::format("mapping key \"{}\" already defined at line {}", key.text, first->key_place.line),
            first->key_place, "first defined here");
      return;
    }
    mapping.add(std::move(key.text), key.place, std::move(value));
  }

  void add_merges(Building& building, Value value) {
    if (value.broken) return;
    if (value.is_mapping()) {
      building.merges.push_back(std::move(value));
      return;
    }
    bool fits = value.is_sequence();
    if (fits) {
      for (Value& item : value.items()) {
        fits = fits && (item.is_mapping() || item.broken);
        if (item.is_mapping()) building.merges.push_back(std::move(item));
      }
    }
    if (!fits) issue(value.place, "map merge requires map or sequence of maps as the value");
  }

  // `<<`: own keys win, wherever it stands; of several mappings the earlier wins; nothing is merged deeper.
  Value finish(Building&& building) {
    Mapping& mapping = building.value.entries();
    for (Value& merge : building.merges) {
      for (Entry& entry : merge.entries()) {
        if (!mapping.contains(entry.key)) mapping.add(std::move(entry.key), entry.key_place, std::move(entry.value));
      }
    }
    return std::move(building.value);
  }

  Value block_mapping(std::uint32_t depth) {
    Building building{Value::mapping(place(scanner_.take().start)), {}, {}};
    for (;;) {
      const TokenKind kind = next();
      if (kind != TokenKind::key && kind != TokenKind::value) break;
      Key key;
      if (kind == TokenKind::key) {
        const Mark mark = scanner_.take().start;
        const TokenKind follows = next();
        if (follows == TokenKind::key || follows == TokenKind::value || follows == TokenKind::block_end) {
          key = key_of(empty(place(mark)), false);
        } else {
          key = read_key(depth, true);
        }
      } else {
        key = key_of(empty(place(here())), false);
      }
      Value value = empty(key.place);
      if (next() == TokenKind::value) {
        scanner_.take();
        const TokenKind follows = next_in(key.text);
        if (follows != TokenKind::key && follows != TokenKind::value && follows != TokenKind::block_end) {
          value = child(depth, true, true, [&] { return key.text; });
        }
      }
      add_entry(building, std::move(key), std::move(value));
      if (stopped_) return {};
    }
    if (stopped_) return {};
    if (next() != TokenKind::block_end) {
      return stop(here(), "did not find expected key; is this line indented as the keys above it are?");
    }
    scanner_.take();
    return finish(std::move(building));
  }

  // A key and value of a flow mapping, or of a single-pair mapping in a flow sequence.
  void flow_pair(Building& building, std::uint32_t depth, TokenKind closer) {
    Key key;
    const bool explicit_key = next() == TokenKind::key;
    if (explicit_key) {
      const Mark mark = scanner_.take().start;
      const TokenKind follows = next();
      if (follows == TokenKind::value || follows == TokenKind::flow_entry || follows == closer) {
        key = key_of(empty(place(mark)), false);
      } else {
        key = read_key(depth, false);
      }
    } else if (next() == TokenKind::value) {
      key = key_of(empty(place(here())), false);
    } else {
      key = read_key(depth, false);
    }
    Value value = empty(key.place);
    if (!stopped_ && next() == TokenKind::value) {
      scanner_.take();
      const TokenKind follows = next_in(key.text);
      if (follows != TokenKind::flow_entry && follows != closer)
        value = child(depth, false, false, [&] { return key.text; });
    }
    add_entry(building, std::move(key), std::move(value));
  }

  Value flow_mapping(std::uint32_t depth) {
    const Mark start = scanner_.take().start;
    Building building{Value::mapping(place(start)), {}, {}};
    bool first = true;
    while (next() != TokenKind::flow_mapping_end) {
      if (!first) {
        if (next() != TokenKind::flow_entry) return unclosed(start, "did not find expected ',' or '}'");
        scanner_.take();
        if (next() == TokenKind::flow_mapping_end) break;
      }
      first = false;
      flow_pair(building, depth, TokenKind::flow_mapping_end);
      if (stopped_) return {};
    }
    scanner_.take();
    return finish(std::move(building));
  }

  Value flow_sequence(std::uint32_t depth) {
    const Mark start = scanner_.take().start;
    Value value = Value::sequence(place(start));
    bool first = true;
    while (next() != TokenKind::flow_sequence_end) {
      if (!first) {
        if (next() != TokenKind::flow_entry) return unclosed(start, "did not find expected ',' or ']'");
        scanner_.take();
        if (next() == TokenKind::flow_sequence_end) break;
      }
      first = false;
      if (next() == TokenKind::key) {
        Building pair{Value::mapping(place(here())), {}, {}};
        flow_pair(pair, depth, TokenKind::flow_sequence_end);
        value.items().push_back(finish(std::move(pair)));
      } else {
        value.items().push_back(item(depth, false, value));
      }
      if (stopped_) return {};
    }
    scanner_.take();
    return value;
  }

  Value unclosed(const Mark& start, std::string message) {
    if (stopped_) return {};
    message += fmt::format(" of the collection that starts at line {}, column {}", start.line, start.column() + 1);
    return stop(here(), std::move(message));
  }

  Scanner scanner_;
  std::uint32_t source_;
  const Limits& limits_;
  std::vector<Issue>* issues_ = nullptr;
  std::unordered_map<std::string, Anchor> anchors_;
  std::size_t nodes_ = 0;
  std::size_t nodes_with_aliases_ = 0;
  std::size_t alias_nodes_ = 0;
  bool tagged_ = false;
  bool stopped_ = false;
  bool after_document_ = false;
};

Place place_of_offset(std::string_view text, std::size_t offset, std::uint32_t source) {
  Place where{source, 1, 1};
  for (std::size_t i = 0; i < offset; ++i) {
    if (text[i] == '\n') {
      ++where.line;
      where.column = 1;
    } else {
      ++where.column;
    }
  }
  return where;
}

}  // namespace

Parsed parse(std::string_view text, std::uint32_t source, const Limits& limits) {
  Parsed out;
  if (text.size() > limits.bytes) {
    out.issues.push_back(
        {{source, 1, 1}, fmt::format("the file is larger than {} MiB", limits.bytes >> 20U), {}, {}, {}});
    return out;
  }
  if (const auto bad = check_characters(text)) {
    const auto byte = static_cast<unsigned char>(text[bad->offset]);
    out.issues.push_back({place_of_offset(text, bad->offset, source),
                          bad->utf8 ? fmt::format("invalid UTF-8: byte 0x{:02x}; save the file as UTF-8", byte)
                                    : fmt::format("control characters are not allowed: byte 0x{:02x}", byte),
                          {},
                          {},
                          {}});
    return out;
  }
  Parser(text, source, limits).run(out);
  return out;
}

}  // namespace compose::yaml
