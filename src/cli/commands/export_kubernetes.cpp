// compose export kubernetes: the model as manifests in a folder, with a loss report.
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>

#include "base/strings.hpp"
#include "cli/commands/all.hpp"
#include "cli/context.hpp"
#include "cli/kubernetes_export.hpp"
#include "cli/project_loading.hpp"
#include "sys/file.hpp"

namespace compose::cli {
namespace {

using kubernetes::Environment;
using kubernetes::Folder;

constexpr const char* kMarker = "compose-export.json";

struct Options {
  ExportFlags flags;
  std::string output = "kubernetes";
  std::string name_space;
  Strings overlays;
  bool report = false;
  std::string format = "text";
  bool strict = false;
};

/// The files a former export wrote into the folder; an error when there is something in it and no export wrote it.
Result<Strings> files_of_former_export(const std::string& folder) {
  Strings files;
  const std::string marker = folder + "/" + kMarker;
  if (!sys::exists(marker)) {
    TRY_ASSIGN(const auto names, sys::list_directory(folder));
    if (names.empty()) return files;
    return make_error(Errc::exists, "{} is not empty and no export wrote it: name another folder with -o", folder);
  }
  TRY_ASSIGN(const std::string text, sys::read_file(marker));
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object() || !json.contains("files") || !json["files"].is_array())
    return make_error(Errc::corrupt, "{} is not what an export wrote: remove it, or name another folder with -o",
                      marker);
  for (const auto& file : json["files"]) {
    if (!file.is_string()) continue;
    const std::string name = file.get<std::string>();
    const Strings parts = split(name, '/');
    if (name.starts_with('/') || std::find(parts.begin(), parts.end(), "..") != parts.end())
      return make_error(Errc::corrupt, "{} names \"{}\", which is outside of the folder", marker, name);
    files.push_back(name);
  }
  return files;
}

/// Takes away a file that a former export wrote, and the folders it leaves empty; a folder in its place is not ours.
Result<void> remove_stale(const std::string& folder, const std::string& name) {
  if (::unlink((folder + "/" + name).c_str()) != 0 && errno != ENOENT && errno != EISDIR && errno != ENOTDIR)
    return os_error("remove {}/{}", folder, name);
  for (std::size_t end = name.rfind('/'); end != std::string::npos && end > 0; end = name.rfind('/', end - 1))
    if (::rmdir((folder + "/" + name.substr(0, end)).c_str()) != 0) break;
  return {};
}

/// Only what a former export wrote is replaced or removed.
Result<void> write_folder(const std::string& folder, const Folder& files) {
  TRY_ASSIGN(const Strings former, files_of_former_export(folder));
  nlohmann::json list = nlohmann::json::array();
  for (const auto& [name, unused] : files) list.push_back(name);
  TRY(sys::make_directories(folder));
  for (const auto& [name, text] : files) {
    const std::string path = folder + "/" + name;
    TRY(sys::make_directories(path.substr(0, path.rfind('/'))));
    TRY(sys::write_file_atomic(path, text));
  }
  for (const std::string& name : former)
    if (!files.contains(name)) TRY(remove_stale(folder, name));
  return sys::write_file_atomic(folder + "/" + kMarker, nlohmann::json{{"files", list}}.dump(1) + "\n");
}

Result<std::vector<Environment>> environments_of(Context& context, const Options& options,
                                                 const ExportedProject& base) {
  std::vector<Environment> all;
  std::set<std::string> said{base.exported.warnings.begin(), base.exported.warnings.end()};
  for (const std::string& overlay : options.overlays) {
    const std::size_t equals = overlay.find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == overlay.size())
      return make_error(Errc::invalid, "--overlay \"{}\": write NAME=FILE, such as staging=staging.yaml", overlay);
    const std::string name = overlay.substr(0, equals);
    if (name.find('/') != std::string::npos || name.starts_with('.'))
      return make_error(Errc::invalid, "--overlay \"{}\": the name becomes a folder, so without \"/\"", overlay);
    load::Options wanted = load_options(context);
    if (wanted.files.empty())
      return make_error(
          Errc::invalid,
          "--overlay: name the base with -f, such as -f compose.yaml, so that it is without compose.override.yaml");
    for (const std::string& file : split(overlay.substr(equals + 1), ',')) wanted.files.push_back(file);
    // As it calls itself, for the namespace; then as a part of the base, for the objects.
    TRY_ASSIGN(const load::LoadResult own, load_checked(context, wanted));
    wanted.project_name = base.name;
    TRY_ASSIGN(ExportedProject exported, export_loaded(context, options.flags, wanted, &said));
    all.push_back(
        {name, own.project_name == base.name ? std::string{} : own.project_name, std::move(exported.exported)});
  }
  for (const std::string& profile : base.profiles) {
    load::Options wanted = load_options(context);
    wanted.profiles.push_back(profile);
    wanted.project_name = base.name;
    TRY_ASSIGN(ExportedProject exported, export_loaded(context, options.flags, wanted, &said));
    all.push_back({"profile-" + profile, {}, std::move(exported.exported)});
  }
  return all;
}

/// What is found in the base and in what is made of it, once: an overlay repeats most of it.
std::vector<kubernetes::Finding> findings_of(const kubernetes::Export& base,
                                             const std::vector<Environment>& environments) {
  std::vector<kubernetes::Finding> all = base.findings;
  std::set<std::tuple<std::string, kubernetes::Fate, std::string>> known;
  for (const kubernetes::Finding& finding : all) known.insert({finding.path, finding.fate, finding.how});
  for (const Environment& environment : environments)
    for (const kubernetes::Finding& finding : environment.exported.findings)
      if (known.insert({finding.path, finding.fate, finding.how}).second) all.push_back(finding);
  return all;
}

Result<void> print_report(const Options& options, const std::vector<kubernetes::Finding>& findings) {
  if (!options.report) return {};
  if (options.format == "json") return print(kubernetes::report_json(findings));
  return print(kubernetes::report_text(findings, options.format == "all"));
}

Result<int> export_kubernetes(Context& context, const Options& options) {
  if (options.format != "text" && options.format != "all" && options.format != "json")
    return make_error(Errc::invalid, "unknown --format \"{}\" (text, all, json)", options.format);
  TRY_ASSIGN(const ExportedProject base, export_loaded(context, options.flags, load_options(context)));
  TRY_ASSIGN(const std::vector<Environment> environments, environments_of(context, options, base));
  const auto findings = findings_of(base.exported, environments);
  TRY(print_report(options, findings));
  const auto dropped = std::count_if(findings.begin(), findings.end(),
                                     [](const auto& f) { return f.fate == kubernetes::Fate::dropped; });
  if (options.strict && dropped > 0) {
    if (!options.report) TRY(print(kubernetes::report_text(findings, false)));
    return make_error(Errc::unsupported,
                      "--strict: {} attributes have no counterpart in Kubernetes; nothing was written", dropped);
  }
  if (options.output == "-" && options.report) return 0;
  if (options.output == "-") {
    TRY(print(kubernetes::stream_of(base.exported)));
    return 0;
  }
  TRY(write_folder(options.output, kubernetes::folder_of(base.exported, environments, options.name_space))
          .with("writing the manifests"));
  context.progress().line(fmt::format(
      "{}: {} objects{}", options.output, base.exported.manifests.size(),
      dropped == 0 ? std::string{} : fmt::format("; {} attributes were dropped, --report says which", dropped)));
  return 0;
}

}  // namespace

Command export_kubernetes_command() {
  auto options = std::make_shared<Options>();
  Options& o = *options;
  Command command{
      .name = "export kubernetes", .usage = "[OPTIONS]", .summary = "Write the project as Kubernetes manifests"};
  command.details =
      "DIR gets base/, an overlay for each --overlay and each profile that is not active, and report.json; only files "
      "that a former "
      "export wrote there are replaced or removed. -o - prints the objects instead. The files of a container of a "
      "service that is "
      "called \"kubernetes\" are exported with: compose export -- kubernetes";
  command.flags = export_flags(o.flags);
  command.flags.push_back({"namespace", 'n', &o.name_space, "Namespace that the base's kustomization sets", "NAME"});
  command.flags.push_back({"output", 'o', &o.output, "Folder to write to, - for standard output", "DIR"});
  command.flags.push_back(
      {"overlay", 0, &o.overlays, "NAME=FILE[,FILE]: an overlay of what these files change", "NAME=FILE"});
  command.flags.push_back({"format", 0, &o.format, "Of the report: text (what is not exact), all, json", "FORMAT"});
  command.flags.push_back(
      {"report", 0, &o.report, "Print what became of every attribute, instead of writing with -o -"});
  command.flags.push_back({"strict", 0, &o.strict, "Fail when an attribute has no counterpart"});
  command.max_args = 0;
  command.run = [options](Context& context, const Strings&) { return export_kubernetes(context, *options); };
  return command;
}

}  // namespace compose::cli
