#include "cli/commands.hpp"

#include <array>

#include "cli/commands/all.hpp"

namespace compose::cli {
namespace {

constexpr std::array kEntries = {
    Entry{"alpha", "Old names of commands", nullptr, {}, true},
    Entry{"alpha dry-run", "Old form of --dry-run", alpha_dry_run_command, {}, true},
    Entry{"alpha generate", "Files are not made from containers", alpha_generate_command, {}, true},
    Entry{"alpha publish", "Projects are not published to registries", alpha_publish_command, {}, true},
    Entry{"alpha scale", "Old name of scale", alpha_scale_command, {}, true},
    Entry{"alpha viz", "Old form of graph", alpha_viz_command, {}, true},
    Entry{"alpha watch", "Old name of watch", alpha_watch_command, {}, true},
    Entry{"attach", "Connect to a running service's input and output", attach_command},
    Entry{"bridge", "There are no transformer images", nullptr, {}, true},
    Entry{"bridge convert", "There are no transformer images", bridge_convert_command, {}, true},
    Entry{"bridge transformations", "There are no transformer images", nullptr, {}, true},
    Entry{"bridge transformations create", "There are no transformer images", bridge_create_command, {}, true},
    Entry{"bridge transformations list", "There are no transformer images", bridge_list_command,
          "bridge transformations ls", true},
    Entry{"build", "Build images", build_command},
    Entry{"check", "Find what should not go to production", check_command},
    Entry{"commit", "Make an image of a container's files", commit_command},
    Entry{"completion", "Print the completion script of a shell", completion_command},
    Entry{"config", "Check the files and print what they come to", config_command},
    Entry{"convert", "Another name of config", convert_command, {}, true},
    Entry{"cp", "Copy files between a container and the host", cp_command},
    Entry{"create", "Create containers, do not start them", create_command},
    Entry{"diff", "Show what differs between sets of files", diff_command},
    Entry{"doctor", "Say what this host lacks", doctor_command},
    Entry{"down", "Stop and remove containers and networks", down_command},
    Entry{"events", "Show what happens to containers", events_command},
    Entry{"exec", "Run a command in a running container", exec_command},
    Entry{"export", "Write a container's files as a tar archive", export_command},
    Entry{"export kubernetes", "Write the project as Kubernetes manifests", export_kubernetes_command},
    Entry{"graph", "Draw the services and what they wait for", graph_command},
    Entry{"image", "Manage the images of this host"},
    Entry{"image df", "Show what images take up", image_df_command},
    Entry{"image history", "Show the steps an image was made in", image_history_command},
    Entry{"image import", "Make an image of a root file system's tar archive", image_import_command},
    Entry{"image inspect", "Show images in detail", image_inspect_command},
    Entry{"image load", "Read images from an archive", image_load_command},
    Entry{"image ls", "List images", image_ls_command, "image list"},
    Entry{"image prune", "Remove images nothing uses", image_prune_command},
    Entry{"image pull", "Pull images", image_pull_command},
    Entry{"image push", "Push images", image_push_command},
    Entry{"image rm", "Remove images", image_rm_command, "image remove"},
    Entry{"image save", "Write images to an archive", image_save_command},
    Entry{"image tag", "Give an image another name", image_tag_command},
    Entry{"images", "List the images the containers use", images_command},
    Entry{"import", "Read the project from another system's files"},
    Entry{"import kubernetes", "Write a Compose file from exported manifests", import_kubernetes_command},
    Entry{"install-service", "Start the project with the host (systemd)", install_service_command},
    Entry{"job", "Services that run on a schedule"},
    Entry{"job history", "Show past runs", job_history_command},
    Entry{"job ls", "List services with a schedule and their next runs", job_ls_command, "job list"},
    Entry{"job run", "Run a scheduled service now", job_run_command},
    Entry{"kill", "Send a signal to containers", kill_command},
    Entry{"kubernetes", "Run the project on a Kubernetes cluster"},
    Entry{"kubernetes apply", "Bring the project to a cluster", kubernetes_apply_command},
    Entry{"kubernetes delete", "Take the project from a cluster", kubernetes_delete_command},
    Entry{"kubernetes diff", "Show what apply would change", kubernetes_diff_command},
    Entry{"kubernetes logs", "Show what pods wrote", kubernetes_logs_command},
    Entry{"kubernetes status", "List what the project has in a cluster", kubernetes_status_command},
    Entry{"logs", "Show what containers wrote", logs_command},
    Entry{"ls", "List the projects of this host", ls_command},
    Entry{"network", "Manage the networks of this host"},
    Entry{"network create", "Make a network that projects can share", network_create_command},
    Entry{"network inspect", "Show networks and who is on them", network_inspect_command},
    Entry{"network ls", "List networks", network_ls_command, "network list"},
    Entry{"network prune", "Remove networks no container uses", network_prune_command},
    Entry{"network rm", "Remove networks", network_rm_command, "network remove"},
    Entry{"pause", "Freeze containers", pause_command},
    Entry{"plan", "Show what up would do, and why", plan_command},
    Entry{"port", "Show the host port of a container's port", port_command},
    Entry{"ps", "List containers", ps_command},
    Entry{"publish", "Projects are not published to registries", publish_command, {}, true},
    Entry{"pull", "Pull the services' images", pull_command},
    Entry{"push", "Push the images services are built as", push_command},
    Entry{"restart", "Stop and start containers", restart_command},
    Entry{"rm", "Remove stopped containers", rm_command},
    Entry{"run", "Run a command in a new container of a service", run_command},
    Entry{"scale", "Set how many containers a service has", scale_command},
    Entry{"start", "Start containers that exist", start_command},
    Entry{"stats", "Show what containers use", stats_command},
    Entry{"stop", "Stop containers, keep them", stop_command},
    Entry{"top", "Show the processes of containers", top_command},
    Entry{"unpause", "Thaw frozen containers", unpause_command},
    Entry{"up", "Create and start containers", up_command},
    Entry{"version", "Show the version", version_command},
    Entry{"volumes", "List the project's volumes", volumes_command},
    Entry{"wait", "Wait until containers end, exit with their code", wait_command},
    Entry{"watch", "Bring changes of the sources into the running containers", watch_command},
    Entry{"why", "Say why a service does not run", why_command},
    Entry{"restore", "Start what ran before the host was restarted", restore_command, {}, true},
    Entry{"supervise", "Look after one project (used by the program itself)", supervise_command, {}, true},
    Entry{"__describe", "The table of commands as JSON", describe_command, {}, true},
    Entry{"__man", "Write the manual pages", man_command, {}, true},
    Entry{"__complete", "Answer the shell's completion", complete_command, {}, true},
};

/// How many words of `name` stand at the beginning of `words`, 0 unless all of them do.
std::size_t match(std::string_view name, std::span<const std::string> words) {
  std::size_t count = 0;
  while (!name.empty()) {
    const std::size_t blank = name.find(' ');
    if (count == words.size() || words[count] != name.substr(0, blank)) return 0;
    ++count;
    name.remove_prefix(blank == std::string_view::npos ? name.size() : blank + 1);
  }
  return count;
}

}  // namespace

std::span<const Entry> entries() { return kEntries; }

Found find_entry(std::span<const std::string> words) {
  Found best;
  for (const Entry& entry : kEntries)
    for (const std::string_view name : {entry.name, entry.alias})
      if (const std::size_t count = match(name, words); count > best.words) best = {&entry, count};
  return best;
}

}  // namespace compose::cli
