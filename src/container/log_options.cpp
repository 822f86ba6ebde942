#include "container/log_options.hpp"

#include <algorithm>
#include <array>
#include <set>

#include "base/ids.hpp"
#include "base/strings.hpp"
#include "base/units.hpp"
#include "runtime/monitor/log_format.hpp"
#include "runtime/monitor/log_settings.hpp"

namespace compose::container {
namespace {

using state::LogRecord;
using Names = std::set<std::string, std::less<>>;

// Where nobody says how much: as bounded as Docker's "local" driver is, in larger files.
constexpr std::uint64_t kMaxSize = std::uint64_t{50} << 20;
constexpr int kMaxFiles = 5;
constexpr std::uint64_t kDefaultBuffer = std::uint64_t{1} << 20;

const Names kFileOptions = {"max-size", "max-file", "compress"};
const Names kAttributeOptions = {"labels", "env", "tag"};
const Names kCommonOptions = {"mode", "max-buffer-size"};
const Names kCacheOptions = {"cache-disabled", "cache-max-size", "cache-max-file", "cache-compress"};
const Names kSyslogOptions = {"syslog-address", "syslog-facility", "syslog-format"};

// RFC 5424 section 6.2.1, the numbers 0 to 11 and 16 to 23.
constexpr std::array<std::string_view, 24> kFacilities = {
    "kern", "user", "mail", "daemon", "auth",   "syslog", "lpr",    "news",   "uucp",   "cron",   "authpriv", "ftp",
    "",     "",     "",     "",       "local0", "local1", "local2", "local3", "local4", "local5", "local6",   "local7"};

const std::map<std::string, std::vector<const Names*>, std::less<>> kDrivers = {
    {"json-file", {&kFileOptions, &kAttributeOptions, &kCommonOptions}},
    {"local", {&kFileOptions, &kCommonOptions}},
    {"journald", {&kAttributeOptions, &kCommonOptions, &kCacheOptions}},
    {"syslog", {&kAttributeOptions, &kCommonOptions, &kCacheOptions, &kSyslogOptions}},
    {"none", {}},
};

class LogOptions {
 public:
  LogOptions(const LogInput& input, std::string& path) : input_{input}, logging_{*input.service.logging}, path_{path} {}

  Result<LogRecord> read() {
    record_.driver = logging_.driver.empty() ? "local" : logging_.driver;
    TRY(check_names());
    if (record_.driver == "none") {
      record_.max_files = 0;
      return std::move(record_);
    }
    TRY(read_mode());
    if (record_.driver == "local" || record_.driver == "json-file") {
      TRY(read_file("", record_.driver == "local"));
    } else {
      TRY(read_file("cache-", true));
      TRY_ASSIGN(const bool disabled, flag("cache-disabled", false));
      if (disabled) record_.max_files = 0;
    }
    TRY_ASSIGN(record_.tag, tag());
    if (record_.driver == "json-file") return json_file();
    if (record_.driver == "journald") add_journal_fields();
    if (record_.driver == "syslog") TRY(read_syslog());
    return std::move(record_);
  }

 private:
  /// The option's value, and from now on errors are about it.
  const std::string* option(const std::string& name) {
    path_ = "logging.options." + name;
    const auto found = logging_.options.find(name);
    return found == logging_.options.end() ? nullptr : &found->second;
  }

  Result<void> check_names() {
    path_ = "logging.driver";
    const auto driver = kDrivers.find(record_.driver);
    if (driver == kDrivers.end()) {
      std::vector<std::string> known;
      for (const auto& [name, options] : kDrivers) known.push_back(name);
      return make_error(Errc::unsupported, "unknown logging driver \"{}\" (there are {})", record_.driver,
                        join(known, ", "));
    }
    if (record_.driver == "none") return {};
    std::vector<std::string> known;
    for (const Names* names : driver->second) known.insert(known.end(), names->begin(), names->end());
    for (const auto& [name, value] : logging_.options) {
      if (std::ranges::find(known, name) != known.end()) continue;
      path_ = "logging.options." + name;
      if (name == "labels-regex" || name == "env-regex") {
        return make_error(Errc::unsupported, "log option \"{}\" is not supported: list the names in \"{}\"", name,
                          name.substr(0, name.find('-')));
      }
      if (name.starts_with("syslog-tls-")) {
        return make_error(Errc::unsupported, "log option \"{}\" is not supported: syslog goes over unix, udp or tcp",
                          name);
      }
      const auto near = nearest(name, known);
      return make_error(Errc::invalid, "unknown log option \"{}\" for logging driver \"{}\"{}", name, record_.driver,
                        near ? fmt::format(", did you mean \"{}\"?", *near) : " (there are " + join(known, ", ") + ")");
    }
    return {};
  }

  Result<bool> flag(const std::string& name, bool otherwise) {
    const std::string* value = option(name);
    if (value == nullptr) return otherwise;
    if (*value == "true" || *value == "1") return true;
    if (*value == "false" || *value == "0") return false;
    return make_error(Errc::invalid, "log option {}: \"{}\" is neither true nor false", name, *value);
  }

  Result<std::uint64_t> bytes(const std::string& name, std::uint64_t otherwise) {
    const std::string* value = option(name);
    if (value == nullptr) return otherwise;
    const auto size = parse_bytes(*value);
    if (!size || *size == 0 || *size < -1) {
      return make_error(Errc::invalid, "log option {}: \"{}\" is no size (like 10m; -1: without limit)", name, *value);
    }
    return *size == -1 ? 0 : static_cast<std::uint64_t>(*size);
  }

  Result<void> read_mode() {
    const std::string* mode = option("mode");
    if (mode != nullptr && *mode != "blocking" && *mode != "non-blocking") {
      return make_error(Errc::invalid, "log option mode: \"{}\" is neither blocking nor non-blocking", *mode);
    }
    const bool waits = mode == nullptr || *mode == "blocking";
    if (option("max-buffer-size") != nullptr && waits) {
      return make_error(Errc::invalid, "log option max-buffer-size needs mode \"non-blocking\"");
    }
    if (waits) return {};
    TRY_ASSIGN(record_.buffer, bytes("max-buffer-size", kDefaultBuffer));
    if (record_.buffer == 0) return make_error(Errc::invalid, "log option max-buffer-size must be bounded");
    return {};
  }

  Result<void> read_file(const std::string& prefix, bool compress) {
    const bool sized = option(prefix + "max-size") != nullptr;
    TRY_ASSIGN(record_.max_size, bytes(prefix + "max-size", kMaxSize));
    // Docker's json-file keeps one file unless told; where nothing is said there is our bound.
    record_.max_files = record_.driver == "json-file" && sized ? 1 : kMaxFiles;
    if (const std::string* files = option(prefix + "max-file")) {
      const auto number = parse_unsigned(*files);
      if (!number || *number == 0 || *number > 1000) {
        return make_error(Errc::invalid, "log option {}max-file: \"{}\" is no number from 1 to 1000", prefix, *files);
      }
      record_.max_files = static_cast<int>(*number);
    }
    TRY_ASSIGN(record_.compress, flag(prefix + "compress", compress));
    if (record_.driver == "json-file" && record_.compress && (record_.max_files < 2 || !sized)) {
      return make_error(Errc::invalid, "log option compress needs max-file of 2 or more and a max-size");
    }
    return {};
  }

  /// Docker's log tags: a Go template over a handful of names.
  Result<std::string> tag() {
    const std::string* wanted = option("tag");
    std::string text = wanted == nullptr ? "{{.ID}}" : *wanted;
    const std::pair<std::string_view, std::string> names[] = {
        {".ID", short_id(input_.id)},
        {".FullID", input_.id},
        {".Name", input_.name},
        {".ImageName", input_.image_ref},
        {".ImageID", short_id(input_.image_id.substr(input_.image_id.find(':') + 1))},
        {".ImageFullID", input_.image_id},
        {".DaemonName", "compose"},
    };
    std::string result;
    for (std::string_view rest = text; !rest.empty();) {
      const auto begin = rest.find("{{");
      result += rest.substr(0, begin);
      if (begin == std::string_view::npos) break;
      const auto end = rest.find("}}", begin);
      const std::string inner{trim(rest.substr(begin + 2, end == std::string_view::npos ? 0 : end - begin - 2))};
      const auto* known = std::ranges::find(names, inner, [](const auto& name) { return name.first; });
      if (end == std::string_view::npos || known == std::end(names)) {
        return make_error(Errc::invalid,
                          "log option tag: \"{}\" (there are {{{{.ID}}}}, {{{{.FullID}}}}, {{{{.Name}}}}, "
                          "{{{{.ImageName}}}}, {{{{.ImageID}}}}, {{{{.ImageFullID}}}}, {{{{.DaemonName}}}})",
                          text);
      }
      result += known->second;
      rest.remove_prefix(end + 2);
    }
    return result;
  }

  /// The labels and variables that `labels` and `env` name.
  std::map<std::string, std::string> attributes() {
    std::map<std::string, std::string> found;
    if (const std::string* names = option("labels")) {
      for (const auto& name : split(*names, ',')) {
        const auto label = input_.labels.find(std::string{trim(name)});
        if (label != input_.labels.end()) found.insert(*label);
      }
    }
    if (const std::string* names = option("env")) {
      for (const auto& name : split(*names, ',')) {
        const std::string begin = std::string{trim(name)} + "=";
        for (const auto& entry : input_.environment) {
          if (entry.starts_with(begin)) found[begin.substr(0, begin.size() - 1)] = entry.substr(begin.size());
        }
      }
    }
    return found;
  }

  Result<LogRecord> json_file() {
    record_.format = "json";
    auto found = attributes();
    if (logging_.options.contains("tag")) found["tag"] = record_.tag;
    std::string text;
    const auto quoted = [](const std::string& value) {
      std::string out(value.size() * runtime::monitor::kJsonGrowth, '\0');
      out.resize(static_cast<std::size_t>(runtime::monitor::write_json_text(out.data(), value) - out.data()));
      return '"' + out + '"';
    };
    for (const auto& [name, value] : found) text += (text.empty() ? "" : ",") + quoted(name) + ":" + quoted(value);
    if (!text.empty()) record_.attributes = "\"attrs\":{" + text + "},";
    if (record_.attributes.size() > runtime::monitor::kMaxAttributes) {
      path_ = "logging.options";
      return make_error(Errc::invalid,
                        "the labels and variables for every line of the log are {} bytes, at most {} fit",
                        record_.attributes.size(), runtime::monitor::kMaxAttributes);
    }
    return std::move(record_);
  }

  /// The fields that Docker's journald driver sends, and the project's own.
  void add_journal_fields() {
    record_.remote = "journald";
    record_.address = "unixgram:/run/systemd/journal/socket";
    const auto add = [&](const std::string& name, std::string value) {
      std::ranges::replace(value, '\n', ' ');
      record_.fields += name + "=" + value + "\n";
    };
    add("CONTAINER_ID", short_id(input_.id));
    add("CONTAINER_ID_FULL", input_.id);
    add("CONTAINER_NAME", input_.name);
    add("CONTAINER_TAG", record_.tag);
    add("SYSLOG_IDENTIFIER", record_.tag);
    add("IMAGE_NAME", input_.image_ref);
    add("COMPOSE_PROJECT", input_.project);
    add("COMPOSE_SERVICE", input_.service.name);
    for (const auto& [name, value] : attributes()) {
      // Capitals, digits and "_", which does not come first (systemd.journal-fields(7)).
      std::string field;
      for (const char c : name) {
        const bool lower = c >= 'a' && c <= 'z';
        const bool fits = (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        field += lower ? static_cast<char>(c - 'a' + 'A') : fits ? c : '_';
      }
      field.erase(0, field.find_first_not_of('_'));
      if (!field.empty()) add(field, value);
    }
  }

  Result<void> read_syslog() {
    const std::string* address = option("syslog-address");
    const bool local = address == nullptr || address->starts_with("unix");
    record_.remote = "syslog";
    record_.address = "unix:/dev/log";
    if (address != nullptr) {
      const auto scheme = address->find("://");
      const std::string name = address->substr(0, scheme);
      if (scheme == std::string::npos || (name != "unix" && name != "unixgram" && name != "udp" && name != "tcp")) {
        return make_error(Errc::invalid,
                          "log option syslog-address: \"{}\" is not udp://HOST:PORT, tcp://HOST:PORT or "
                          "unix:///PATH",
                          *address);
      }
      std::string place = address->substr(scheme + 3);
      if (!local && (place.ends_with(']') || place.find(':') == std::string::npos)) place += ":514";
      record_.address = name + ":" + place;
    }
    if (const std::string* facility = option("syslog-facility")) {
      const auto* known = std::ranges::find(kFacilities, *facility);
      const auto number = parse_unsigned(*facility);
      if (facility->empty() || (known == kFacilities.end() && (!number || *number > 23))) {
        return make_error(Errc::invalid, "log option syslog-facility: there is no \"{}\"", *facility);
      }
      record_.facility =
          known == kFacilities.end() ? static_cast<int>(*number) : static_cast<int>(known - kFacilities.begin());
    }
    if (const std::string* format = option("syslog-format")) {
      if (*format != "rfc3164" && *format != "rfc5424" && *format != "rfc5424micro") {
        return make_error(Errc::invalid, "log option syslog-format: \"{}\" (there are rfc3164, rfc5424, rfc5424micro)",
                          *format);
      }
      record_.remote = *format;
    }
    return {};
  }

  const LogInput& input_;
  const model::Logging& logging_;
  std::string& path_;
  LogRecord record_;
};

}  // namespace

Result<LogRecord> log_record(const LogInput& input, std::string& path) {
  if (input.service.logging) return LogOptions{input, path}.read();
  LogRecord record;
  record.driver = "local";
  record.max_size = kMaxSize;
  record.max_files = kMaxFiles;
  record.compress = true;
  return record;
}

}  // namespace compose::container
