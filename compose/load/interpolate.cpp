#include "compose/load/interpolate.hpp"

#include <fmt/format.h>

#include "base/strings.hpp"
#include "compose/load/substitute.hpp"
#include "yaml/scalar.hpp"

namespace compose::load {
namespace {

enum class Cast { boolean, integer, real };

const Rules<Cast>& casts() {
  static const Rules<Cast> rules{
      {"services.*.cpu_count", Cast::integer},
      {"services.*.cpu_percent", Cast::real},
      {"services.*.cpu_period", Cast::integer},
      {"services.*.cpu_quota", Cast::integer},
      {"services.*.cpu_rt_period", Cast::integer},
      {"services.*.cpu_rt_runtime", Cast::integer},
      {"services.*.cpus", Cast::real},
      {"services.*.cpu_shares", Cast::integer},
      {"services.*.init", Cast::boolean},
      {"services.*.depends_on.*.required", Cast::boolean},
      {"services.*.depends_on.*.restart", Cast::boolean},
      {"services.*.deploy.replicas", Cast::integer},
      {"services.*.deploy.update_config.parallelism", Cast::integer},
      {"services.*.deploy.update_config.max_failure_ratio", Cast::real},
      {"services.*.deploy.rollback_config.parallelism", Cast::integer},
      {"services.*.deploy.rollback_config.max_failure_ratio", Cast::real},
      {"services.*.deploy.restart_policy.max_attempts", Cast::integer},
      {"services.*.deploy.placement.max_replicas_per_node", Cast::integer},
      {"services.*.healthcheck.retries", Cast::integer},
      {"services.*.healthcheck.disable", Cast::boolean},
      {"services.*.oom_kill_disable", Cast::boolean},
      {"services.*.oom_score_adj", Cast::integer},
      {"services.*.pids_limit", Cast::integer},
      {"services.*.ports[].target", Cast::integer},
      {"services.*.privileged", Cast::boolean},
      {"services.*.read_only", Cast::boolean},
      {"services.*.scale", Cast::integer},
      {"services.*.stdin_open", Cast::boolean},
      {"services.*.tty", Cast::boolean},
      {"services.*.ulimits.*", Cast::integer},
      {"services.*.ulimits.*.hard", Cast::integer},
      {"services.*.ulimits.*.soft", Cast::integer},
      {"services.*.volumes[].read_only", Cast::boolean},
      {"services.*.volumes[].volume.nocopy", Cast::boolean},
      {"networks.*.external", Cast::boolean},
      {"networks.*.internal", Cast::boolean},
      {"networks.*.attachable", Cast::boolean},
      {"networks.*.enable_ipv4", Cast::boolean},
      {"networks.*.enable_ipv6", Cast::boolean},
      {"volumes.*.external", Cast::boolean},
      {"secrets.*.external", Cast::boolean},
      {"configs.*.external", Cast::boolean},
  };
  return rules;
}

class Interpolator {
 public:
  Interpolator(const Environment& environment, Session& session)
      : session_{session}, lookup_{[&environment](std::string_view name) { return environment.find(name); }} {}

  void walk(Value& value, const Path& path, const Rules<Cast>::Node* node) {
    if (Mapping* mapping = value.if_mapping()) {
      for (Entry& entry : *mapping) {
        walk(entry.value, Path(path, entry.key), node == nullptr ? nullptr : node->key(entry.key));
      }
    } else if (Sequence* items = value.if_sequence()) {
      std::size_t index = 0;
      for (Value& item : *items) walk(item, Path(path, index++), node == nullptr ? nullptr : node->item());
    } else if (value.is_string() && !value.timestamp) {
      scalar(value, path);
      if (node != nullptr && node->rule() != nullptr && !value.broken) cast(value, path, *node->rule());
    }
  }

  void scalar(Value& value, const Path& path) {
    std::string& text = value.as_string();
    if (text.find('$') == std::string::npos) return;
    Substituted result = substitute(text, lookup_);
    for (const VariableUse& use : result.uses) note(value, path, use);
    if (result.error) {
      report(value, path, *result.error);
      return;
    }
    text = std::move(result.text);
  }

 private:
  void note(Value& value, const Path& path, const VariableUse& use) {
    if (use.blank) {
      session_.diagnostics.warning(value.place, path.to_string(),
                                   fmt::format("the variable \"{}\" is not set and becomes a blank string", use.name),
                                   fmt::format("set it, or give it a default: ${{{}:-default}}", use.name));
    }
    if (!session_.traces.enabled()) return;
    if (use.variable == nullptr) {
      session_.traces.add(value, "interpolated", use.name + " is not set");
    } else {
      session_.traces.add(value, "interpolated",
                          fmt::format("{}={} from {}", use.name, use.variable->value, use.variable->origin),
                          use.variable->place);
    }
  }

  void report(Value& value, const Path& path, const SubstituteError& error) {
    Place place = value.place;
    const std::string& text = value.as_string();
    // A text on one line stands in the file as it is, but for its quote: point at the `$` itself.
    if (text.find('\n') == std::string::npos) {
      const std::string_view line = session_.sources.line(place);
      const auto found = line.find(text, place.column - 1);
      if (found != std::string_view::npos) place.column = static_cast<std::uint32_t>(found + error.offset + 1);
    }
    value.broken = true;
    if (error.kind == SubstituteError::Kind::required) {
      session_.diagnostics.error(place, path.to_string(), error.message, "set it in the shell or in an env file");
      return;
    }
    session_.diagnostics.error(place, path.to_string(), fmt::format("invalid interpolation format: {}", error.message),
                               fmt::format("write \"$$\" for a dollar sign that is part of the text: {}", text));
  }

  void cast(Value& value, const Path& path, Cast to) {
    const std::string text = value.as_string();
    switch (to) {
      case Cast::boolean: {
        const std::string word = to_lower(text);
        if (word == "true" || word == "y" || word == "yes" || word == "on") {
          value.assign(true);
        } else if (word == "false" || word == "n" || word == "no" || word == "off") {
          value.assign(false);
        } else {
          session_.fail(value, path, fmt::format("invalid boolean: \"{}\"", text), "write true or false");
        }
        return;
      }
      case Cast::integer:
        if (const auto number = parse_signed(text)) {
          value.assign(*number);
        } else {
          session_.fail(value, path, fmt::format("\"{}\" is not a whole number", text));
        }
        return;
      case Cast::real:
        if (const auto number = yaml::parse_float(text)) {
          value.assign(*number);
        } else {
          session_.fail(value, path, fmt::format("\"{}\" is not a number", text));
        }
    }
  }

  Session& session_;
  Lookup lookup_;
};

}  // namespace

void interpolate(Value& document, const Environment& environment, Session& session) {
  Interpolator(environment, session).walk(document, Path{}, casts().root());
}

void interpolate_scalar(Value& value, const Path& path, const Environment& environment, Session& session) {
  if (value.is_string()) Interpolator(environment, session).scalar(value, path);
}

}  // namespace compose::load
