#include <fmt/format.h>

#include "compose/load/config_command.hpp"

namespace compose::load {
namespace {

class Reader {
 public:
  Reader(std::span<const std::string> arguments, ConfigRequest& request) : arguments_{arguments}, request_{request} {}

  Result<void> run() {
    bool command = false;
    for (; at_ < arguments_.size(); ++at_) {
      const std::string& argument = arguments_[at_];
      if (argument.size() < 2 || argument[0] != '-') {
        if (command) {
          request_.options.services.push_back(argument);
        } else if (argument == "config") {
          command = true;
        } else {
          return make_error(Errc::invalid, "unknown command \"{}\"", argument);
        }
        continue;
      }
      TRY(flag(argument));
    }
    return {};
  }

 private:
  Result<void> flag(const std::string& argument) {
    const auto equals = argument.find('=');
    const std::string name = argument.substr(0, equals);
    if (bool* target = boolean(name)) {
      *target = true;
      return {};
    }
    if (bool* target = negative(name)) {
      *target = false;
      return {};
    }
    std::string value;
    if (equals != std::string::npos) {
      value = argument.substr(equals + 1);
    } else if (name == "--explain") {
      // Its path may be left out.
      if (at_ + 1 < arguments_.size() && arguments_[at_ + 1][0] != '-') value = arguments_[++at_];
    } else if (at_ + 1 < arguments_.size()) {
      value = arguments_[++at_];
    } else {
      return make_error(Errc::invalid, "flag needs an argument: {}", name);
    }
    return set(name, std::move(value));
  }

  Result<void> set(const std::string& name, std::string value) {
    Options& options = request_.options;
    if (name == "-f" || name == "--file") {
      options.files.push_back(std::move(value));
    } else if (name == "-p" || name == "--project-name") {
      options.project_name = std::move(value);
    } else if (name == "--project-directory" || name == "--workdir") {
      options.project_directory = std::move(value);
    } else if (name == "--profile") {
      options.profiles.push_back(std::move(value));
    } else if (name == "--env-file") {
      options.env_files.push_back(std::move(value));
    } else if (name == "--format") {
      request_.format = std::move(value);
    } else if (name == "--hash") {
      request_.hash = std::move(value);
    } else if (name == "--explain") {
      request_.explain = std::move(value);
    } else if (name == "-o" || name == "--output") {
      request_.output = std::move(value);
    } else if (name == "--diagnostics") {
      request_.report = value == "json" ? Report::json : value == "sarif" ? Report::sarif : Report::text;
    } else {
      return make_error(Errc::invalid, "unknown flag: {}", name);
    }
    return {};
  }

  bool* boolean(const std::string& name) {
    if (name == "--quiet" || name == "-q") return &request_.quiet;
    if (name == "--services") return &request_.services;
    if (name == "--volumes") return &request_.volumes;
    if (name == "--networks") return &request_.networks;
    if (name == "--images") return &request_.images;
    if (name == "--profiles") return &request_.profiles;
    if (name == "--models") return &request_.models;
    if (name == "--environment") return &request_.environment;
    if (name == "--variables") return &request_.variables;
    if (name == "--resolve-image-digests") return &request_.resolve_image_digests;
    if (name == "--lock-image-digests") return &request_.lock_image_digests;
    return nullptr;
  }

  bool* negative(const std::string& name) {
    Options& options = request_.options;
    if (name == "--no-interpolate") return &options.interpolate;
    if (name == "--no-normalize") return &options.normalize;
    if (name == "--no-path-resolution") return &options.resolve_paths;
    if (name == "--no-consistency") return &options.consistency;
    if (name == "--no-env-resolution") return &options.resolve_environment;
    return nullptr;
  }

  std::span<const std::string> arguments_;
  ConfigRequest& request_;
  std::size_t at_ = 0;
};

}  // namespace

Result<ConfigRequest> parse_config_arguments(std::span<const std::string> arguments,
                                             std::map<std::string, std::string> env, std::string working_dir) {
  ConfigRequest request;
  request.options.env = std::move(env);
  request.options.working_dir = std::move(working_dir);
  TRY(Reader(arguments, request).run());
  return request;
}

}  // namespace compose::load
