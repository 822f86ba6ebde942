#include "build/mount_options.hpp"

#include <algorithm>
#include <map>
#include <vector>

#include "base/strings.hpp"
#include "base/units.hpp"

namespace compose::build {

namespace {

using Pairs = std::vector<std::pair<std::string, std::string>>;
using Type = MountOptions::Type;

constexpr const char* kTypes[] = {"bind", "cache", "tmpfs", "secret", "ssh"};

/// One line of CSV (RFC 4180): fields in double quotes may have commas, a doubled quote is one.
std::vector<std::string> csv_fields(std::string_view text) {
  std::vector<std::string> fields(1);
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"' && quoted && i + 1 < text.size() && text[i + 1] == '"') {
      fields.back() += text[++i];
    } else if (c == '"' && (quoted || fields.back().empty())) {
      quoted = !quoted;
    } else if (c == ',' && !quoted) {
      fields.emplace_back();
    } else {
      fields.back() += c;
    }
  }
  return fields;
}

/// Names that mean the same, under one of them.
std::string main_name(std::string key) {
  if (key == "src") return "source";
  if (key == "dst" || key == "destination") return "target";
  if (key == "readwrite") return "rw";
  if (key == "readonly") return "ro";
  return key;
}

Pairs read_pairs(std::string_view text) {
  Pairs pairs;
  for (const std::string& field : csv_fields(text)) {
    if (field.empty()) continue;
    const std::size_t equals = field.find('=');
    pairs.emplace_back(main_name(to_lower(trim(field.substr(0, equals)))),
                       equals == std::string::npos ? "" : field.substr(equals + 1));
  }
  return pairs;
}

const std::vector<std::string>& keys_of(Type type) {
  static const std::map<Type, std::vector<std::string>> kKeys = {
      {Type::bind, {"type", "from", "source", "target", "rw", "ro"}},
      {Type::cache, {"type", "id", "from", "source", "target", "rw", "ro", "sharing", "mode", "uid", "gid"}},
      {Type::tmpfs, {"type", "target", "size"}},
      {Type::secret, {"type", "id", "source", "target", "required", "mode", "uid", "gid", "env"}},
      {Type::ssh, {"type", "id", "target", "required", "mode", "uid", "gid"}}};
  return kKeys.at(type);
}

Result<bool> boolean(const std::string& key, const std::string& value) {
  const std::string lower = to_lower(value);
  if (lower.empty() || lower == "true" || lower == "1") return true;
  if (lower == "false" || lower == "0") return false;
  return make_error(Errc::invalid, "{} is true or false, not \"{}\"", key, value);
}

Result<std::uint32_t> number(const std::string& key, const std::string& value, int base) {
  char* end = nullptr;
  const unsigned long long parsed = std::strtoull(value.c_str(), &end, base);
  const bool digits = !value.empty() && value[0] >= '0' && value[0] <= '9' && *end == '\0';
  if (!digits || parsed > (base == 8 ? 07777ULL : 0xfffffffeULL))
    return make_error(Errc::invalid, "\"{}\" is no number for {}", value, key);
  return static_cast<std::uint32_t>(parsed);
}

Result<Type> type_of(const Pairs& pairs) {
  for (const auto& [key, value] : pairs) {
    if (key != "type") continue;
    const std::string wanted = to_lower(value);
    const auto found = std::find(std::begin(kTypes), std::end(kTypes), wanted);
    if (found == std::end(kTypes))
      return make_error(Errc::invalid, "the type is bind, cache, tmpfs, secret or ssh, not \"{}\"", value);
    return static_cast<Type>(found - std::begin(kTypes));
  }
  return Type::bind;
}

Result<void> set_sharing(MountOptions& options, const std::string& value) {
  const std::string lower = to_lower(value);
  if (lower == "shared") {
    options.sharing = MountOptions::Sharing::shared;
  } else if (lower == "private") {
    options.sharing = MountOptions::Sharing::exclusive;
  } else if (lower == "locked") {
    options.sharing = MountOptions::Sharing::locked;
  } else {
    return make_error(Errc::invalid, "sharing is shared, private or locked, not \"{}\"", value);
  }
  return {};
}

Result<void> set(MountOptions& options, const std::string& key, const std::string& value) {
  if (key == "from") options.from = value;
  if (key == "target") options.target = value;
  if (key == "env") options.variable = value;
  if (key == "id") options.id = value;
  if (key == "source") (options.type == Type::secret ? options.id : options.source) = value;
  if (key == "sharing") return set_sharing(options, value);
  if (key == "rw" || key == "ro") {
    TRY_ASSIGN(const bool on, boolean(key, value));
    options.writable = on == (key == "rw");
  }
  if (key == "required") {
    TRY_ASSIGN(options.required, boolean(key, value));
  }
  if (key == "size") {
    TRY_ASSIGN(options.size, parse_bytes(value));
  }
  if (key == "mode") {
    TRY_ASSIGN(options.mode, number(key, value, 8));
  }
  if (key == "uid") {
    TRY_ASSIGN(options.uid, number(key, value, 10));
  }
  if (key == "gid") {
    TRY_ASSIGN(options.gid, number(key, value, 10));
  }
  return {};
}

bool may_be_bare(const std::string& key) { return key == "rw" || key == "ro" || key == "required"; }
bool is_expanded(const std::string& key) { return key == "target" || key == "source" || key == "id"; }

}  // namespace

Result<MountOptions> parse_mount(std::string_view text, const image::VariableLookup& lookup, char escape) {
  const Pairs pairs = read_pairs(text);
  MountOptions options;
  TRY_ASSIGN(options.type, type_of(pairs));
  options.writable = options.type == Type::cache;
  const std::string type = kTypes[static_cast<std::size_t>(options.type)];
  const std::vector<std::string>& keys = keys_of(options.type);
  for (const auto& [key, value] : pairs) {
    if (key == "type") continue;
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) {
      const std::optional<std::string> meant = nearest(key, keys);
      return make_error(Errc::invalid, "a mount of type {} has no \"{}\"{}", type, key,
                        meant ? fmt::format(" (did you mean \"{}\"?)", *meant) : "");
    }
    if (value.empty() && !may_be_bare(key)) return make_error(Errc::invalid, "{} has no value", key);
    std::string given = value;
    if (is_expanded(key)) {
      TRY_ASSIGN(given, image::expand_word(value, lookup, escape));
    }
    TRY(set(options, key, given));
  }
  const bool needs_target = options.type != Type::secret && options.type != Type::ssh;
  if (needs_target && options.target.empty()) return make_error(Errc::invalid, "it needs a target");
  if (options.source.empty()) options.source = "/";
  if (options.type == Type::secret && options.id.empty()) {
    options.id = options.target.substr(options.target.rfind('/') + 1);
    if (options.id.empty()) return make_error(Errc::invalid, "a secret needs an id or a target");
  }
  return options;
}

std::string mount_source_name(std::string_view text) {
  for (const auto& [key, value] : read_pairs(text))
    if (key == "from") return value;
  return {};
}

}  // namespace compose::build
