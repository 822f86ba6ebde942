#pragma once
// The `config` command as a function: what to print for a project, given the flags. Used by the command line and by
// the tests of the loader.
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "compose/load/load.hpp"

namespace compose::load {

enum class Report { text, json, sarif };  ///< the form of problems

struct ConfigRequest {
  Options options;
  std::string format;  ///< "yaml" (also ""), "json"
  bool quiet = false;
  bool services = false;
  bool volumes = false;
  bool networks = false;
  bool images = false;
  bool profiles = false;
  bool models = false;
  bool environment = false;
  bool variables = false;
  bool resolve_image_digests = false;
  bool lock_image_digests = false;
  std::optional<std::string> hash;     ///< "*", or names separated by commas
  std::optional<std::string> explain;  ///< a model path, "" for everything
  Report report = Report::text;
  std::string output;  ///< -o: the file the caller writes the text to
  /// IMAGE -> IMAGE@sha256:..., for the image digest flags.
  std::function<Result<std::string>(const std::string& image)> resolve_digest;
};

struct ConfigOutput {
  std::string text;      ///< for standard output or -o
  std::string messages;  ///< for standard error: problems and warnings
  int exit_code = 0;
  std::vector<std::string> files{};  ///< that were read
};

ConfigOutput run_config(const ConfigRequest& request, FileSource& files);

/// The canonical tree of a loaded project as text, its keys put in the order of key_order.hpp. `format` is "yaml",
/// "json" or "".
Result<std::string> render_config(LoadResult& loaded, const Options& options, const std::string& format);

/// Where every value below `path` ("" = all) comes from: one line a value, or JSON.
std::string explain(const LoadResult& loaded, const std::string& path, bool json);

/// Reads "[global flags] config [flags] [SERVICE...]" as the command line has them, from what follows the program's
/// name. `env` and `working_dir` go into the options.
Result<ConfigRequest> parse_config_arguments(std::span<const std::string> arguments,
                                             std::map<std::string, std::string> env, std::string working_dir);

}  // namespace compose::load
