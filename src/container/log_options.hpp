#pragma once
// `logging` of a service: which driver, with which options, as Docker has them
// (docs.docker.com/engine/logging/configure). Pure.
#include <string>

#include "base/error.hpp"
#include "compose/model/service.hpp"
#include "state/records.hpp"

namespace compose::container {

struct LogInput {
  const model::Service& service;
  std::string project;
  std::string id;
  std::string name;  ///< of the container
  std::string image_ref;
  std::string image_id;
  std::map<std::string, std::string> labels;
  std::vector<std::string> environment;  ///< "NAME=value"
};

/// What the container's monitor does with its output. Without `logging`: driver local, bounded. Errors: an unknown
/// driver, option or value; `path` then is what is wrong, below the service ("logging.options.max-size").
Result<state::LogRecord> log_record(const LogInput& input, std::string& path);

}  // namespace compose::container
