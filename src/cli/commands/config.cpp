// compose config: what the files come to, whole or in parts. The loader does the work
// (compose/load/config_command.hpp).
#include "compose/load/config_command.hpp"

#include <unistd.h>

#include "cli/commands/all.hpp"
#include "cli/context.hpp"
#include "cli/project_loading.hpp"
#include "cli/pulls.hpp"
#include "compose/load/disk_files.hpp"
#include "image/reference.hpp"
#include "image/store.hpp"
#include "sys/file.hpp"

namespace compose::cli {
namespace {

struct Options {
  load::ConfigRequest request;
  bool no_consistency = false;
  bool no_env_resolution = false;
  bool no_interpolate = false;
  bool no_normalize = false;
  bool no_path_resolution = false;
  std::string diagnostics = "text";
};

/// IMAGE → IMAGE@sha256:…: what the registry has now; for one that was made here, what it was pushed as.
Result<std::string> digest_of(Context& context, Registries& registries, const std::string& name) {
  TRY_ASSIGN(image::Reference reference, image::parse_reference(name));
  if (!reference.digest.empty()) return name;
  auto digest = registries.resolve(name);
  if (!digest) {
    TRY_ASSIGN(const image::Store store, image::Store::open(context.paths().root()));
    TRY_ASSIGN(const auto image, store.find(name));
    const std::string prefix = reference.familiar_name() + "@";
    if (image) {
      for (const std::string& known : image->repo_digests)
        if (known.starts_with(prefix)) return reference.full() + known.substr(prefix.size() - 1);
    }
    return std::move(digest).error();
  }
  return reference.full() + "@" + *digest;
}

Result<int> config(Context& context, Options& options, const Strings& services) {
  load::ConfigRequest& request = options.request;
  Registries registries{context};
  request.options = load_options(context);
  request.options.services = services;
  request.options.interpolate = !options.no_interpolate;
  request.options.normalize = !options.no_normalize;
  request.options.consistency = !options.no_consistency;
  request.options.resolve_environment = !options.no_env_resolution;
  request.options.resolve_paths = !options.no_path_resolution;
  request.resolve_digest = [&](const std::string& name) { return digest_of(context, registries, name); };
  if (options.diagnostics == "json") {
    request.report = load::Report::json;
  } else if (options.diagnostics == "sarif") {
    request.report = load::Report::sarif;
  } else if (options.diagnostics != "text") {
    return make_error(Errc::invalid, "unknown --diagnostics \"{}\" (text, json, sarif)", options.diagnostics);
  }
  load::DiskFiles files;
  const load::ConfigOutput output = load::run_config(request, files);
  for (const std::string& file : output.files) context.trace("loaded " + file);
  TRY(sys::write_all(STDERR_FILENO, output.messages));
  if (request.output.empty()) {
    TRY(print(output.text));
  } else if (output.exit_code == 0) {
    TRY(sys::write_file_atomic(request.output, output.text));
  }
  return output.exit_code;
}

std::vector<Flag> flags_of(Options& o) {
  load::ConfigRequest& r = o.request;
  return {
      {"diagnostics", 0, &o.diagnostics, "How problems are written: text, json, sarif", "FORMAT"},
      {"environment", 0, &r.environment, "Print the variables interpolation sees"},
      {"explain", 0, &r.explain, "Say where values come from: a path such as services.web.ports, \"\" for all", "PATH"},
      {"format", 0, &r.format, "yaml or json", "FORMAT"},
      {"hash", 0, &r.hash, "Print hashes of the configuration: \"*\" or services, by commas", "SERVICES"},
      {"images", 0, &r.images, "Print the names of images"},
      {"lock-image-digests", 0, &r.lock_image_digests, "Print an override file that pins images by digest"},
      {"models", 0, &r.models, "Print the names of models"},
      {"networks", 0, &r.networks, "Print the names of networks"},
      {"no-consistency", 0, &o.no_consistency, "Do not check what refers to what"},
      {"no-env-resolution", 0, &o.no_env_resolution, "Do not read env_file into environment"},
      {"no-interpolate", 0, &o.no_interpolate, "Leave ${VARIABLES} as they are"},
      {"no-normalize", 0, &o.no_normalize, "Leave defaults out"},
      {"no-path-resolution", 0, &o.no_path_resolution, "Leave relative paths as they are"},
      {"output", 'o', &r.output, "Write to a file", "FILE"},
      {"profiles", 0, &r.profiles, "Print the names of profiles"},
      {"quiet", 'q', &r.quiet, "Only check"},
      {"resolve-image-digests", 0, &r.resolve_image_digests, "Replace tags by digests"},
      {"services", 0, &r.services, "Print the names of services"},
      {"variables", 0, &r.variables, "Print the variables the files use"},
      {"volumes", 0, &r.volumes, "Print the names of volumes"},
  };
}

Command make_command(std::string_view name, std::string_view summary) {
  auto options = std::make_shared<Options>();
  Command command{.name = name, .usage = "[OPTIONS] [SERVICE...]", .summary = summary};
  command.flags = flags_of(*options);
  command.complete = Complete::services;
  command.run = [options](Context& context, const Strings& services) { return config(context, *options, services); };
  return command;
}

}  // namespace

Command config_command() { return make_command("config", "Check the files and print what they come to"); }
Command convert_command() { return make_command("convert", "Another name of config"); }

}  // namespace compose::cli
