// compose import kubernetes: a Compose file from the manifests that the export wrote.
#include <sys/stat.h>
#include <unistd.h>

#include "cli/commands/all.hpp"
#include "cli/context.hpp"
#include "compose/kubernetes/import.hpp"
#include "sys/file.hpp"
#include "yaml/parse.hpp"
#include "yaml/write.hpp"

namespace compose::cli {
namespace {

constexpr std::size_t kLimit = std::size_t{16} << 20;

struct Options {
  std::string output;
};

Result<void> read_objects(const std::string& name, const std::string& text, std::vector<yaml::Value>& objects) {
  yaml::Parsed parsed = yaml::parse(text, 1);
  if (!parsed.issues.empty())
    return make_error(Errc::invalid, "{}:{}: {}", name, parsed.issues[0].place.line, parsed.issues[0].message);
  for (yaml::Document& document : parsed.documents) {
    const yaml::Value* kind = document.root.get("kind");
    if (kind == nullptr || !kind->is_string())
      return make_error(Errc::invalid, "{}:{}: not an object of Kubernetes: it has no kind", name,
                        document.root.place.line);
    if (kind->as_string() == "Kustomization") continue;
    if (const yaml::Value* metadata = document.root.get("metadata"); metadata == nullptr || !metadata->is_mapping())
      return make_error(Errc::invalid, "{}:{}: the object has no metadata", name, document.root.place.line);
    objects.push_back(std::move(document.root));
  }
  return {};
}

/// A file, "-", or a folder: the base of an export in it, else the .yaml files that stand in it.
Result<void> read_argument(const std::string& path, std::vector<yaml::Value>& objects) {
  if (path == "-") {
    TRY_ASSIGN(const std::string text, sys::read_all(STDIN_FILENO, kLimit));
    return read_objects("standard input", text, objects);
  }
  std::string folder = path;
  if (sys::exists(folder + "/base/kustomization.yaml")) {
    if (sys::exists(folder + "/common/kustomization.yaml")) TRY(read_argument(folder + "/common", objects));
    folder += "/base";
  }
  struct stat status{};
  if (::stat(folder.c_str(), &status) != 0) return os_error("{}", path);
  if (!S_ISDIR(status.st_mode)) {
    TRY_ASSIGN(const std::string text, sys::read_file(path, kLimit));
    return read_objects(path, text, objects);
  }
  TRY_ASSIGN(const auto names, sys::list_directory(folder));
  for (const std::string& name : names) {
    if (!name.ends_with(".yaml") && !name.ends_with(".yml")) continue;
    TRY_ASSIGN(const std::string text, sys::read_file(folder + "/" + name, kLimit));
    TRY(read_objects(folder + "/" + name, text, objects));
  }
  return {};
}

Result<int> import_kubernetes(Context& context, const Options& options, const Strings& arguments) {
  std::vector<yaml::Value> objects;
  for (const std::string& argument : arguments) TRY(read_argument(argument, objects));
  TRY_ASSIGN(const kubernetes::Imported imported, kubernetes::import_objects(objects));
  for (const std::string& name : imported.ignored)
    context.warn(fmt::format("{} was not exported by compose: left out", name));
  yaml::WriteOptions how;
  how.double_dollar = true;
  const std::string text = yaml::to_yaml(imported.project, how);
  if (options.output.empty() || options.output == "-") {
    TRY(print(text));
  } else {
    if (sys::exists(options.output))
      return make_error(Errc::exists, "{} is there already: name another file with -o", options.output);
    TRY(sys::write_file_atomic(options.output, text));
  }
  return 0;
}

}  // namespace

Command import_kubernetes_command() {
  auto options = std::make_shared<Options>();
  Command command{.name = "import kubernetes",
                  .usage = "[OPTIONS] DIR|FILE|-...",
                  .summary = "Write a Compose file from exported manifests"};
  command.details =
      "Reads what \"export kubernetes\" wrote: its folder (the base in it), files, or standard input, such as what "
      "\"kubectl kustomize\" prints.";
  command.flags = {{"output", 'o', &options->output, "File to write instead of standard output", "FILE"}};
  command.min_args = 1;
  command.complete = Complete::files;
  command.run = [options](Context& context, const Strings& arguments) {
    return import_kubernetes(context, *options, arguments);
  };
  return command;
}

}  // namespace compose::cli
