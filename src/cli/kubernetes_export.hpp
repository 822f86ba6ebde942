#pragma once
// The export to Kubernetes as the commands need it: flags, what is known of images and files, problems on the screen.
#include <set>
#include <string>
#include <vector>

#include "cli/args.hpp"
#include "cli/context.hpp"
#include "compose/kubernetes/folder.hpp"
#include "compose/load/load.hpp"

namespace compose::cli {

struct ExportFlags {
  bool embed_secrets = false;
  bool pin_images = false;
  std::string directories = "refuse";
  std::string shared_volumes = "refuse";
  std::string wait_image;
  std::string kubectl_image;
};
/// The flags every command that exports has.
std::vector<Flag> export_flags(ExportFlags& flags);

struct ExportedProject {
  std::string name;
  Strings profiles;  ///< those of services that are left out
  kubernetes::Export exported;
};
/// Loads and exports. Problems are printed as "file:line: message"; the error then has no message. Warnings are printed
/// but for those of `said`, which these join.
Result<ExportedProject> export_loaded(Context& context, const ExportFlags& flags, const load::Options& options,
                                      std::set<std::string>* said = nullptr);

}  // namespace compose::cli
