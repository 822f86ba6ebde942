#pragma once
// The tree a YAML document becomes: typed scalars, ordered mappings, and for every node the place it was written at.
// Values are copied and moved freely; the place stays with the node through every later stage of the loader.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace compose::yaml {

/// A place in a source text. `source` numbers the texts of one load (0: none); lines and columns count from 1,
/// columns in bytes. line 0: the value was not written anywhere.
struct Place {
  std::uint32_t source = 0;
  std::uint32_t line = 0;
  std::uint32_t column = 0;

  bool known() const { return line != 0; }
  bool operator==(const Place&) const = default;
};

enum class Kind : std::uint8_t { null, boolean, integer, real, string, sequence, mapping };

/// The tags Compose gives a meaning to when files are merged.
enum class Tag : std::uint8_t { none, reset, override };

class Value;
using Sequence = std::vector<Value>;
struct Entry;

/// A mapping with string keys, in the order written. Lookup is by scan while small, by hash table when large.
class Mapping {
 public:
  Mapping();
  Mapping(const Mapping&);
  Mapping(Mapping&&) noexcept;
  Mapping& operator=(const Mapping&);
  Mapping& operator=(Mapping&&) noexcept;
  ~Mapping();

  std::size_t size() const;
  bool empty() const { return size() == 0; }
  Entry* begin();
  Entry* end();
  const Entry* begin() const;
  const Entry* end() const;

  Entry* find(std::string_view key);
  const Entry* find(std::string_view key) const;
  Value* get(std::string_view key);
  const Value* get(std::string_view key) const;
  bool contains(std::string_view key) const { return find(key) != nullptr; }

  /// Adds an entry whose key is not there yet. The reference holds until the next addition.
  Entry& add(std::string key, Place key_place, Value value);
  /// Sets the value of `key`, added at the end when missing.
  Value& set(std::string_view key, Value value);
  bool erase(std::string_view key);
  /// Keeps the entries for which `keep(entry)` is true.
  template <typename Keep>
  void filter(Keep keep);
  /// In the order of `less(entry, entry)`.
  template <typename Less>
  void sort(Less less);
  void reserve(std::size_t count);

 private:
  void reindex();
  void note(std::uint32_t position);

  std::vector<Entry> entries_;
  std::vector<std::uint32_t> slots_;  // open addressing, position + 1; empty while the mapping is small
};

class Value {
 public:
  using Data = std::variant<std::monostate, bool, std::int64_t, double, std::string, Sequence, Mapping>;

  Value() = default;
  explicit Value(Data data, Place where = {}) : place{where}, data_{std::move(data)} {}
  static Value string(std::string text, Place where = {}) { return Value{Data{std::move(text)}, where}; }
  static Value boolean(bool value, Place where = {}) { return Value{Data{value}, where}; }
  static Value integer(std::int64_t value, Place where = {}) { return Value{Data{value}, where}; }
  static Value real(double value, Place where = {}) { return Value{Data{value}, where}; }
  static Value sequence(Place where = {}) { return Value{Data{Sequence{}}, where}; }
  static Value mapping(Place where = {}) { return Value{Data{Mapping{}}, where}; }

  Kind kind() const { return static_cast<Kind>(data_.index()); }
  bool is_null() const { return kind() == Kind::null; }
  bool is_bool() const { return kind() == Kind::boolean; }
  bool is_integer() const { return kind() == Kind::integer; }
  bool is_number() const { return kind() == Kind::integer || kind() == Kind::real; }
  bool is_string() const { return kind() == Kind::string; }
  bool is_sequence() const { return kind() == Kind::sequence; }
  bool is_mapping() const { return kind() == Kind::mapping; }
  bool is_scalar() const { return kind() < Kind::sequence; }

  // Each needs the kind it names (std::bad_variant_access otherwise).
  bool as_bool() const { return std::get<bool>(data_); }
  std::int64_t as_integer() const { return std::get<std::int64_t>(data_); }
  double as_real() const {
    if (!is_integer()) return std::get<double>(data_);
    return is_unsigned ? static_cast<double>(static_cast<std::uint64_t>(as_integer()))
                       : static_cast<double>(as_integer());
  }
  const std::string& as_string() const { return std::get<std::string>(data_); }
  std::string& as_string() { return std::get<std::string>(data_); }
  const Sequence& items() const { return std::get<Sequence>(data_); }
  Sequence& items() { return std::get<Sequence>(data_); }
  const Mapping& entries() const { return std::get<Mapping>(data_); }
  Mapping& entries() { return std::get<Mapping>(data_); }

  /// The text, when this is a string.
  const std::string* if_string() const { return std::get_if<std::string>(&data_); }
  std::string* if_string() { return std::get_if<std::string>(&data_); }
  const Sequence* if_sequence() const { return std::get_if<Sequence>(&data_); }
  Sequence* if_sequence() { return std::get_if<Sequence>(&data_); }
  const Mapping* if_mapping() const { return std::get_if<Mapping>(&data_); }
  Mapping* if_mapping() { return std::get_if<Mapping>(&data_); }

  /// The value of `key` when this is a mapping that has it, else nullptr.
  const Value* get(std::string_view key) const;
  Value* get(std::string_view key);

  /// Replaces the content; place, trace and tag stay.
  void assign(Data data) { data_ = std::move(data); }

  /// Equal content; places, traces and tags do not count. 1 and 1.0 are equal, as in JSON.
  bool same_as(const Value& other) const;

  Place place;
  std::uint32_t trace = 0;  ///< the loader's record of how this value came to be; 0: as written
  Tag tag = Tag::none;
  bool quoted = false;       ///< a scalar written with quotes or as a block
  bool timestamp = false;    ///< a date or time written without quotes; the text is its RFC 3339 form
  bool is_unsigned = false;  ///< an integer above the range of int64: as_integer() has its bits
  bool broken = false;       ///< an error was reported for it; later stages pass over it in silence

 private:
  Data data_;
};

struct Entry {
  std::string key;
  Place key_place;
  Value value;
};

/// What Go's fmt.Sprint prints for a scalar decoded from YAML: "493", "1.5", "1e+21", "true", "<nil>".
std::string scalar_text(const Value& value);
/// Go's shortest %v form of a double.
std::string go_float(double number);
/// The same of a float32, as Docker Compose keeps CPU counts.
std::string go_float32(float number);

/// "mapping", "list", "string", "number", "boolean", "null": what messages call the kind.
std::string_view kind_name(const Value& value);

template <typename Keep>
void Mapping::filter(Keep keep) {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    if (!keep(entries_[i])) continue;
    if (kept != i) entries_[kept] = std::move(entries_[i]);
    ++kept;
  }
  entries_.resize(kept);
  reindex();
}

template <typename Less>
void Mapping::sort(Less less) {
  if (std::is_sorted(entries_.begin(), entries_.end(), less)) return;
  std::sort(entries_.begin(), entries_.end(), less);
  reindex();
}

}  // namespace compose::yaml
