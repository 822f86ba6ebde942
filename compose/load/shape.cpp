#include "compose/load/shape.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/strings.hpp"
#include "base/units.hpp"
#include "compose/load/attributes.hpp"
#include "compose/load/split_command.hpp"
#include "yaml/scalar.hpp"

namespace compose::load {
namespace {

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

class Shaper {
 public:
  explicit Shaper(Session& session) : session_{session} {}

  void object(Value& value, const Path& path, const Object& fields) {
    if (!value.is_mapping()) return;
    Mapping& entries = value.entries();
    entries.filter([&](Entry& entry) {
      const Field* field = fields.find(entry.key);
      if (field == nullptr) return entry.key.starts_with("x-") || entry.key.starts_with('#');
      return convert(entry.value, Path(path, entry.key), *field);
    });
    for (const auto& [name, field] : fields.fields) {
      if (entries.contains(name)) continue;
      if (field.type == Type::command) {
        entries.set(name, Value{});
      } else if (field.always) {
        Value empty = Value::mapping();
        object(empty, Path(path, name), *field.fields);
        entries.set(name, std::move(empty));
      }
    }
  }

 private:
  // Gives the value its type. False: it says nothing and is left out.
  bool convert(Value& value, const Path& path, const Field& field) {
    if (value.broken) return false;
    switch (field.type) {
      case Type::text:
        return text(value);
      case Type::flag:
        return flag(value, path) && value.is_bool() && value.as_bool();
      case Type::opt_out:
        return flag(value, path) && value.is_bool() && !value.as_bool();
      case Type::maybe_flag:
        return flag(value, path) && value.is_bool();
      case Type::whole:
        return whole(value, path) && value.as_integer() != 0;
      case Type::maybe_whole:
        return whole(value, path);
      case Type::real:
        return real(value, path);
      case Type::bytes:
        return bytes(value, path);
      case Type::span:
        return span(value, path) && value.as_string() != "0s";
      case Type::maybe_span:
        return span(value, path);
      case Type::command:
        return command(value, path);
      case Type::test:
        return test(value);
      case Type::texts:
        return texts(value);
      case Type::labels:
      case Type::mapping:
        return names(value, path, false, field.type == Type::labels);
      case Type::environment:
        return names(value, path, true, false);
      case Type::hosts:
        return hosts(value, path);
      case Type::multi:
        return multi(value);
      case Type::ulimits:
        return ulimits(value, path);
      case Type::file_mode:
        return file_mode(value, path);
      case Type::device_count:
        return device_count(value, path);
      case Type::ssh:
        return ssh(value);
      case Type::object:
        if (!value.is_mapping()) return false;
        object(value, path, *field.fields);
        return true;
      case Type::objects:
        return objects(value, path, *field.fields);
      case Type::object_map:
      case Type::nullable_map:
        return object_map(value, path, *field.fields);
      case Type::any:
        return !value.is_null();
    }
    return true;
  }

  static bool text(Value& value) {
    if (value.is_null() || !value.is_scalar()) return false;
    if (!value.is_string() || value.timestamp) {
      value.assign(yaml::scalar_text(value));
      value.timestamp = false;
    }
    return !value.as_string().empty();
  }

  bool flag(Value& value, const Path& path) {
    if (value.is_bool()) return true;
    if (!value.is_string()) return false;
    const std::string word = to_lower(value.as_string());
    if (word == "true" || word == "y" || word == "yes" || word == "on") {
      value.assign(true);
    } else if (word == "false" || word == "n" || word == "no" || word == "off") {
      value.assign(false);
    } else {
      session_.fail(value, path, fmt::format("invalid boolean: \"{}\"", value.as_string()), "write true or false");
      return false;
    }
    return true;
  }

  bool whole(Value& value, const Path& path) {
    if (value.is_integer() && value.is_unsigned) {
      session_.fail(value, path, fmt::format("{} is too large", yaml::scalar_text(value)));
      return false;
    }
    if (value.is_integer()) return true;
    if (value.kind() == Kind::real) {
      value.assign(static_cast<std::int64_t>(std::clamp(value.as_real(), -9e18, 9e18)));
      return true;
    }
    if (!value.is_string()) return false;
    if (const auto number = parse_signed(value.as_string())) {
      value.assign(*number);
      return true;
    }
    session_.fail(value, path, fmt::format("\"{}\" is not a whole number", value.as_string()));
    return false;
  }

  // Docker Compose keeps these in single precision; the shortest text that reads back as the same number is printed.
  bool real(Value& value, const Path& path) {
    if (value.is_string()) {
      const auto number = yaml::parse_float(value.as_string());
      if (!number) {
        session_.fail(value, path, fmt::format("\"{}\" is not a number", value.as_string()));
        return false;
      }
      value.assign(*number);
    }
    if (!value.is_number()) return false;
    const auto single = static_cast<float>(value.as_real());
    const double number = yaml::parse_float(yaml::go_float32(single)).value_or(value.as_real());
    if (number == std::floor(number) && std::fabs(number) < 1e15) {
      value.assign(static_cast<std::int64_t>(number));
    } else {
      value.assign(number);
    }
    return number != 0;
  }

  bool bytes(Value& value, const Path& path) {
    std::int64_t count = 0;
    if (value.is_integer()) {
      count = value.as_integer();
    } else if (value.is_string()) {
      if (const auto number = parse_signed(value.as_string())) {
        count = *number;
      } else {
        const auto parsed = parse_bytes(value.as_string());
        if (!parsed) {
          session_.fail(value, path, parsed.error().message(), "write a size like 64m or 1.5gb");
          return false;
        }
        count = *parsed;
      }
    } else {
      return false;
    }
    value.assign(fmt::format("{}", count));
    return count != 0;
  }

  bool span(Value& value, const Path& path) {
    if (!value.is_scalar() || value.is_null()) return false;
    const std::string text = yaml::scalar_text(value);
    const auto duration = parse_duration(text);
    if (!duration) {
      session_.fail(value, path, duration.error().message(), "write a duration like 90s or 1m30s");
      return false;
    }
    value.assign(format_duration(*duration));
    return true;
  }

  bool command(Value& value, const Path& path) {
    if (value.is_string()) {
      std::vector<std::string> words;
      if (!split_command(value.as_string(), words)) {
        session_.fail(value, path, "invalid command line: a quote or parenthesis is not closed",
                      "write the command as a list: [\"program\", \"argument\"]");
        return false;
      }
      Sequence items;
      for (std::string& word : words) {
        Value item = Value::string(std::move(word), value.place);
        item.trace = value.trace;
        items.push_back(std::move(item));
      }
      value.assign(std::move(items));
      return true;
    }
    if (value.is_sequence()) texts(value);
    return value.is_sequence() || value.is_null();
  }

  bool test(Value& value) {
    if (!value.is_string()) return texts(value);
    Value shell = Value::string("CMD-SHELL", value.place);
    shell.trace = value.trace;
    session_.traces.add(shell, "short form", "implied");
    Value list = Value::sequence(value.place);
    list.items().push_back(std::move(shell));
    list.items().push_back(std::move(value));
    value = std::move(list);
    return true;
  }

  static bool texts(Value& value) {
    if (value.is_string()) {
      Value list = Value::sequence(value.place);
      list.items().push_back(std::move(value));
      value = std::move(list);
      return true;
    }
    if (!value.is_sequence()) return false;
    for (Value& item : value.items()) {
      if (item.is_scalar() && !item.is_string()) item.assign(yaml::scalar_text(item));
    }
    std::erase_if(value.items(), [](const Value& item) { return item.broken || !item.is_scalar(); });
    return !value.items().empty();
  }

  // Names with values, from a mapping or a list of NAME=VALUE.
  bool names(Value& value, const Path& path, bool null_stays, bool) {
    if (value.is_sequence()) {
      Value mapping = Value::mapping(value.place);
      std::size_t index = 0;
      for (Value& item : value.items()) {
        const Path at(path, index++);
        if (item.broken || !item.is_scalar()) continue;
        name_from_item(item, at, null_stays, mapping);
      }
      mapping.trace = value.trace;
      value = std::move(mapping);
    } else if (value.is_mapping()) {
      value.entries().filter([](const Entry& entry) { return !entry.value.broken; });
      for (Entry& entry : value.entries()) {
        if (entry.value.is_null()) {
          if (!null_stays) entry.value.assign(std::string());
        } else if (!entry.value.is_string() || entry.value.timestamp) {
          entry.value.assign(yaml::scalar_text(entry.value));
          entry.value.timestamp = false;
        }
      }
    }
    return value.is_mapping() && !value.entries().empty();
  }

  void name_from_item(Value& item, const Path& path, bool null_stays, Value& mapping) {
    const std::string text = yaml::scalar_text(item);
    const auto equals = text.find('=');
    const std::string name = text.substr(0, equals);
    if (null_stays && !name.empty() && is_space(name.back())) {
      session_.fail(item, path, fmt::format("environment variable {} is declared with a trailing space", name),
                    "remove the space before '='");
      return;
    }
    Value content{Value::Data{}, item.place};
    if (equals != std::string::npos) {
      content = Value::string(text.substr(equals + 1), item.place);
    } else if (!null_stays) {
      content = Value::string("", item.place);
    }
    content.trace = item.trace;
    mapping.entries().set(name, std::move(content));
  }

  bool hosts(Value& value, const Path& path) {
    std::vector<Value> lines;
    const auto line = [&](const std::string& host, std::string address, const Value& from, const Path& at) {
      if (host.empty() || host.find_first_of(":=") != std::string::npos) {
        session_.diagnostics.error(from.place, at.to_string(), fmt::format("bad host name '{}'", host));
        return;
      }
      if (address.size() > 2 && address.front() == '[' && address.back() == ']') {
        address = address.substr(1, address.size() - 2);
      }
      Value item = Value::string(host + "=" + address, from.place);
      item.trace = from.trace;
      lines.push_back(std::move(item));
    };
    if (const Mapping* mapping = value.if_mapping()) {
      for (const Entry& entry : *mapping) {
        const Path at(path, entry.key);
        if (entry.value.is_sequence()) {
          for (const Value& item : entry.value.items()) line(entry.key, yaml::scalar_text(item), item, at);
        } else {
          line(entry.key, entry.value.is_null() ? "" : yaml::scalar_text(entry.value), entry.value, at);
        }
      }
    } else if (value.is_sequence()) {
      std::size_t index = 0;
      for (const Value& item : value.items()) {
        const Path at(path, index++);
        const std::string text = yaml::scalar_text(item);
        auto cut = text.find('=');
        if (cut == std::string::npos) cut = text.find(':');
        if (cut == std::string::npos) {
          session_.diagnostics.error(item.place, at.to_string(),
                                     fmt::format("invalid additional host, missing IP: {}", text),
                                     "write HOST=ADDRESS");
          continue;
        }
        for (const std::string& address : split(text.substr(cut + 1), ',')) {
          line(text.substr(0, cut), address, item, at);
        }
      }
    }
    std::sort(lines.begin(), lines.end(), [](const Value& a, const Value& b) { return a.as_string() < b.as_string(); });
    value.assign(Sequence(std::move(lines)));
    return !value.items().empty();
  }

  static bool multi(Value& value) {
    if (!value.is_mapping()) return false;
    for (Entry& entry : value.entries()) {
      if (!entry.value.is_sequence()) {
        Value list = Value::sequence(entry.value.place);
        list.items().push_back(std::move(entry.value));
        entry.value = std::move(list);
      }
      for (Value& item : entry.value.items()) {
        if (!item.is_string()) item.assign(yaml::scalar_text(item));
      }
    }
    return !value.entries().empty();
  }

  bool ulimits(Value& value, const Path& path) {
    if (!value.is_mapping()) return false;
    static const Object kLimits{{"soft", {Type::whole}}, {"hard", {Type::whole}}};
    value.entries().filter([&](Entry& entry) {
      const Path at(path, entry.key);
      if (entry.value.is_mapping()) {
        object(entry.value, at, kLimits);
        return true;
      }
      if (!whole(entry.value, at)) return false;
      if (entry.value.as_integer() == 0) entry.value = Value::mapping(entry.value.place);
      return true;
    });
    return !value.entries().empty();
  }

  bool file_mode(Value& value, const Path& path) {
    std::int64_t mode = 0;
    if (value.is_integer()) {
      mode = value.as_integer();
    } else if (value.is_string()) {
      const std::string& digits = value.as_string();
      const bool octal = !digits.empty() && digits.size() < 12 &&
                         std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '7'; });
      if (!octal) {
        session_.fail(value, path, fmt::format("invalid file mode \"{}\"", digits),
                      "write octal digits, like \"0440\"");
        return false;
      }
      for (const char c : digits) mode = mode * 8 + (c - '0');
    } else {
      return false;
    }
    value.assign(fmt::format("0{:o}", mode));
    return true;
  }

  bool device_count(Value& value, const Path& path) {
    if (value.is_string()) {
      if (to_lower(value.as_string()) == "all") {
        value.assign(std::int64_t{-1});
      } else if (const auto number = parse_signed(value.as_string())) {
        value.assign(*number);
      } else {
        session_.fail(
            value, path,
            fmt::format("invalid value \"{}\", the only value allowed is 'all' or a number", value.as_string()));
        return false;
      }
    }
    return value.is_integer() && value.as_integer() != 0;
  }

  // [default, "id=path"]
  static bool ssh(Value& value) {
    if (!value.is_mapping()) return false;
    Sequence items;
    for (const Entry& entry : value.entries()) {
      const bool path = entry.value.is_scalar() && !entry.value.is_null();
      items.push_back(Value::string(path ? entry.key + "=" + yaml::scalar_text(entry.value) : entry.key,
                                    entry.value.place.known() ? entry.value.place : entry.key_place));
    }
    value.assign(std::move(items));
    return !value.items().empty();
  }

  bool objects(Value& value, const Path& path, const Object& fields) {
    if (!value.is_sequence()) return false;
    std::erase_if(value.items(), [](const Value& item) { return item.broken; });
    std::size_t index = 0;
    for (Value& item : value.items()) object(item, Path(path, index++), fields);
    return !value.items().empty();
  }

  bool object_map(Value& value, const Path& path, const Object& fields) {
    if (!value.is_mapping()) return false;
    value.entries().filter([](const Entry& entry) { return !entry.value.broken; });
    for (Entry& entry : value.entries()) object(entry.value, Path(path, entry.key), fields);
    return !value.entries().empty();
  }

  Session& session_;
};

void capital_keys(Value& blkio) {
  if (!blkio.is_mapping()) return;
  for (Entry& limits : blkio.entries()) {
    if (!limits.value.is_sequence()) continue;
    for (Value& limit : limits.value.items()) {
      Value renamed = Value::mapping(limit.place);
      for (Entry& entry : limit.entries()) {
        std::string key = entry.key;
        key[0] = static_cast<char>(key[0] - 'a' + 'A');
        renamed.entries().add(std::move(key), entry.key_place, std::move(entry.value));
      }
      limit = std::move(renamed);
    }
  }
}

void drop(Value& value, const Object& fields) {
  if (!value.is_mapping()) return;
  value.entries().filter([](const Entry& entry) { return !entry.key.starts_with("x-"); });
  for (Entry& entry : value.entries()) {
    const Field* field = fields.find(entry.key);
    if (field == nullptr || field->fields == nullptr) continue;
    if (field->type == Type::object) {
      drop(entry.value, *field->fields);
    } else if (Sequence* items = entry.value.if_sequence()) {
      for (Value& item : *items) drop(item, *field->fields);
    } else if (Mapping* mapping = entry.value.if_mapping()) {
      for (Entry& named : *mapping) drop(named.value, *field->fields);
    }
  }
}

}  // namespace

void shape_project(Value& project, Session& session) { Shaper(session).object(project, Path{}, project_fields()); }

void json_form(Value& project) {
  for (Entry& section : project.entries()) {
    const Field* field = project_fields().find(section.key);
    if (field == nullptr || field->fields == nullptr || !section.value.is_mapping()) continue;
    for (Entry& entry : section.value.entries()) {
      drop(entry.value, *field->fields);
      if (Value* blkio = entry.value.get("blkio_config")) capital_keys(*blkio);
    }
  }
}

}  // namespace compose::load
