#include "image/image_config.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "image/digest.hpp"

namespace compose::image {

namespace {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;

/// Reads members of an object; the first member of a wrong type is remembered.
class Reader {
 public:
  explicit Reader(const Json& object) : object_{object} {}

  const Json* member(const char* name, Json::value_t type) {
    const auto it = object_.find(name);
    if (it == object_.end() || it->is_null()) return nullptr;
    const bool number = type == Json::value_t::number_integer && it->is_number_integer();
    if (it->type() != type && !number) {
      if (wrong_.empty()) wrong_ = name;
      return nullptr;
    }
    return &*it;
  }
  std::string text(const char* name) {
    const Json* found = member(name, Json::value_t::string);
    return found ? found->get<std::string>() : std::string{};
  }
  std::int64_t number(const char* name) {
    const Json* found = member(name, Json::value_t::number_integer);
    return found ? found->get<std::int64_t>() : 0;
  }
  std::optional<std::vector<std::string>> optional_strings(const char* name) {
    const Json* found = member(name, Json::value_t::array);
    if (!found) return std::nullopt;
    std::vector<std::string> result;
    for (const Json& item : *found) {
      if (!item.is_string()) {
        wrong_ = name;
        return std::nullopt;
      }
      result.push_back(item.get<std::string>());
    }
    return result;
  }
  std::vector<std::string> strings(const char* name) {
    return optional_strings(name).value_or(std::vector<std::string>{});
  }
  std::set<std::string> keys(const char* name) {
    std::set<std::string> result;
    if (const Json* found = member(name, Json::value_t::object)) {
      for (const auto& [key, value] : found->items()) result.insert(key);
    }
    return result;
  }
  const std::string& wrong() const { return wrong_; }

 private:
  const Json& object_;
  std::string wrong_;
};

std::optional<Healthcheck> read_healthcheck(const Json* object) {
  if (!object) return std::nullopt;
  Reader reader{*object};
  Healthcheck check;
  check.test = reader.strings("Test");
  check.interval = Duration{reader.number("Interval")};
  check.timeout = Duration{reader.number("Timeout")};
  check.start_period = Duration{reader.number("StartPeriod")};
  check.start_interval = Duration{reader.number("StartInterval")};
  check.retries = static_cast<int>(std::clamp<std::int64_t>(reader.number("Retries"), 0, 1'000'000));
  return check;
}

std::string read_runtime(const Json& object, ImageConfig& config) {
  Reader reader{object};
  config.user = reader.text("User");
  config.exposed_ports = reader.keys("ExposedPorts");
  config.env = reader.strings("Env");
  config.entrypoint = reader.optional_strings("Entrypoint");
  config.cmd = reader.optional_strings("Cmd");
  config.volumes = reader.keys("Volumes");
  config.working_dir = reader.text("WorkingDir");
  config.stop_signal = reader.text("StopSignal");
  config.shell = reader.strings("Shell");
  config.on_build = reader.strings("OnBuild");
  config.healthcheck = read_healthcheck(reader.member("Healthcheck", Json::value_t::object));
  if (const Json* labels = reader.member("Labels", Json::value_t::object)) {
    for (const auto& [key, value] : labels->items()) {
      if (!value.is_string()) return "Labels";
      config.labels[key] = value.get<std::string>();
    }
  }
  return reader.wrong();
}

Result<void> read_history(const Json& array, ImageConfig& config) {
  for (const Json& item : array) {
    if (!item.is_object())
      return make_error(Errc::corrupt, "image configuration: an entry of \"history\" is no object");
    Reader reader{item};
    HistoryEntry entry;
    entry.created = reader.text("created");
    entry.created_by = reader.text("created_by");
    entry.author = reader.text("author");
    entry.comment = reader.text("comment");
    if (const Json* empty = reader.member("empty_layer", Json::value_t::boolean))
      entry.empty_layer = empty->get<bool>();
    config.history.push_back(std::move(entry));
  }
  return {};
}

Error wrong_type(const std::string& name) {
  return make_error(Errc::corrupt, "image configuration: \"{}\" has the wrong type", name);
}

OrderedJson healthcheck_json(const Healthcheck& check) {
  OrderedJson object = OrderedJson::object();
  if (!check.test.empty()) object["Test"] = check.test;
  if (check.interval.count() != 0) object["Interval"] = check.interval.count();
  if (check.timeout.count() != 0) object["Timeout"] = check.timeout.count();
  if (check.start_period.count() != 0) object["StartPeriod"] = check.start_period.count();
  if (check.start_interval.count() != 0) object["StartInterval"] = check.start_interval.count();
  if (check.retries != 0) object["Retries"] = check.retries;
  return object;
}

OrderedJson keys_json(const std::set<std::string>& keys) {
  OrderedJson object = OrderedJson::object();
  for (const std::string& key : keys) object[key] = OrderedJson::object();
  return object;
}

OrderedJson runtime_json(const ImageConfig& config) {
  OrderedJson object = OrderedJson::object();
  if (!config.user.empty()) object["User"] = config.user;
  if (!config.exposed_ports.empty()) object["ExposedPorts"] = keys_json(config.exposed_ports);
  if (!config.env.empty()) object["Env"] = config.env;
  if (config.entrypoint) object["Entrypoint"] = *config.entrypoint;
  if (config.cmd) object["Cmd"] = *config.cmd;
  if (config.healthcheck) object["Healthcheck"] = healthcheck_json(*config.healthcheck);
  if (!config.volumes.empty()) object["Volumes"] = keys_json(config.volumes);
  if (!config.working_dir.empty()) object["WorkingDir"] = config.working_dir;
  if (!config.on_build.empty()) object["OnBuild"] = config.on_build;
  if (!config.labels.empty()) object["Labels"] = config.labels;
  if (!config.stop_signal.empty()) object["StopSignal"] = config.stop_signal;
  if (!config.shell.empty()) object["Shell"] = config.shell;
  return object;
}

OrderedJson history_json(const HistoryEntry& entry) {
  OrderedJson object = OrderedJson::object();
  if (!entry.created.empty()) object["created"] = entry.created;
  if (!entry.created_by.empty()) object["created_by"] = entry.created_by;
  if (!entry.author.empty()) object["author"] = entry.author;
  if (!entry.comment.empty()) object["comment"] = entry.comment;
  if (entry.empty_layer) object["empty_layer"] = true;
  return object;
}

/// encoding/json escapes what could end a script in a page of HTML, and two ends of lines. skopeo writes a
/// configuration anew where it makes an OCI image of a Docker one: only in Go's own words it keeps its digest.
std::string as_go_writes(std::string_view json) {
  constexpr std::pair<std::string_view, std::string_view> kEscapes[] = {
      {"<", "\\u003c"}, {">", "\\u003e"}, {"&", "\\u0026"}, {"\xe2\x80\xa8", "\\u2028"}, {"\xe2\x80\xa9", "\\u2029"}};
  std::string result;
  result.reserve(json.size());
  while (!json.empty()) {
    const auto* found = std::ranges::find_if(kEscapes, [&](const auto& one) { return json.starts_with(one.first); });
    const bool escaped = found != std::end(kEscapes);
    result += escaped ? found->second : json.substr(0, 1);
    json.remove_prefix(escaped ? found->first.size() : 1);
  }
  return result;
}

}  // namespace

std::optional<std::string> ImageConfig::env_value(std::string_view name) const {
  for (const std::string& entry : env) {
    if (entry.size() > name.size() && entry.starts_with(name) && entry[name.size()] == '=') {
      return entry.substr(name.size() + 1);
    }
  }
  return std::nullopt;
}

void ImageConfig::set_env(const std::string& name, const std::string& value) {
  const std::string prefix = name + "=";
  for (std::string& entry : env) {
    if (entry.starts_with(prefix)) {
      entry = prefix + value;
      return;
    }
  }
  env.push_back(prefix + value);
}

Result<ImageConfig> parse_image_config(std::string_view json) {
  const Json document = Json::parse(json, nullptr, false);
  if (!document.is_object()) return make_error(Errc::corrupt, "image configuration: not a JSON object");
  Reader reader{document};
  ImageConfig config;
  config.architecture = reader.text("architecture");
  config.variant = reader.text("variant");
  config.os = reader.text("os");
  config.created = reader.text("created");
  config.author = reader.text("author");
  if (const Json* runtime = reader.member("config", Json::value_t::object)) {
    if (const std::string wrong = read_runtime(*runtime, config); !wrong.empty()) return wrong_type(wrong);
  }
  const Json* rootfs = reader.member("rootfs", Json::value_t::object);
  if (!rootfs) return make_error(Errc::corrupt, "image configuration: \"rootfs\" is missing");
  Reader rootfs_reader{*rootfs};
  config.diff_ids = rootfs_reader.strings("diff_ids");
  if (!rootfs_reader.wrong().empty()) return wrong_type(rootfs_reader.wrong());
  for (const std::string& id : config.diff_ids) TRY(parse_digest(id).with("image configuration: diff_ids"));
  if (const Json* history = reader.member("history", Json::value_t::array)) TRY(read_history(*history, config));
  if (!reader.wrong().empty()) return wrong_type(reader.wrong());
  return config;
}

std::string to_json(const ImageConfig& config) {
  OrderedJson document = OrderedJson::object();
  if (!config.created.empty()) document["created"] = config.created;
  if (!config.author.empty()) document["author"] = config.author;
  document["architecture"] = config.architecture;
  if (!config.variant.empty()) document["variant"] = config.variant;
  document["os"] = config.os;
  document["config"] = runtime_json(config);
  document["rootfs"] = {{"type", "layers"}, {"diff_ids", config.diff_ids}};
  OrderedJson history = OrderedJson::array();
  for (const HistoryEntry& entry : config.history) history.push_back(history_json(entry));
  document["history"] = std::move(history);
  // Text that is not UTF-8 (possible in an ENV of a Dockerfile) becomes U+FFFD instead of an exception.
  return as_go_writes(document.dump(-1, ' ', false, OrderedJson::error_handler_t::replace));
}

}  // namespace compose::image
