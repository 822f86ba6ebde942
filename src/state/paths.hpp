#pragma once
// Every name the project keeps on disk, in one place (the layout stands in the architecture notes). `root` holds what
// must outlive a reboot, `run_root` (a tmpfs) what must not.
#include <string>

namespace compose::state {

class Paths {
 public:
  Paths(std::string root, std::string run_root) : root_{std::move(root)}, run_root_{std::move(run_root)} {}

  const std::string& root() const { return root_; }
  const std::string& run_root() const { return run_root_; }

  std::string volumes() const { return root_ + "/volumes"; }
  std::string volume(const std::string& name) const { return volumes() + "/" + name; }
  std::string volume_data(const std::string& name) const { return volume(name) + "/_data"; }
  std::string volume_meta(const std::string& name) const { return volume(name) + "/meta.json"; }
  std::string seccomp_cache() const { return root_ + "/cache/seccomp"; }
  std::string mount_points() const { return root_ + "/cache/mount-points"; }

  std::string projects() const { return root_ + "/projects"; }
  std::string project(const std::string& project_name) const { return projects() + "/" + project_name; }
  std::string desired(const std::string& project_name) const { return project(project_name) + "/desired.json"; }
  std::string events(const std::string& project_name) const { return project(project_name) + "/events"; }
  /// For `why`: how the last command on the project failed (until one succeeds, or `down`; it may be all that is left
  /// of the project), and what its services were made from when they last worked.
  std::string failures() const { return run_root_ + "/failures"; }
  std::string failure(const std::string& project_name) const { return failures() + "/" + project_name + ".json"; }
  std::string worked(const std::string& project_name) const { return project(project_name) + "/worked.json"; }
  std::string containers(const std::string& project_name) const { return project(project_name) + "/containers"; }
  /// The container's durable directory; it is also the OCI bundle (config.json, upper, work).
  std::string container(const std::string& project_name, const std::string& id) const {
    return containers(project_name) + "/" + id;
  }
  std::string record(const std::string& project_name, const std::string& id) const {
    return container(project_name, id) + "/record.json";
  }
  std::string log(const std::string& project_name, const std::string& id) const {
    return container(project_name, id) + "/log";
  }
  std::string exit_record(const std::string& project_name, const std::string& id) const {
    return container(project_name, id) + "/exit.json";
  }

  std::string run_projects() const { return run_root_ + "/projects"; }
  std::string run_project(const std::string& project_name) const { return run_projects() + "/" + project_name; }
  std::string lock(const std::string& project_name) const { return run_project(project_name) + "/lock"; }
  std::string supervisor_socket(const std::string& project_name) const {
    return run_project(project_name) + "/supervisor.sock";
  }
  std::string supervisor_log(const std::string& project_name) const {
    return run_project(project_name) + "/supervisor.log";
  }
  std::string run_containers() const { return run_root_ + "/containers"; }
  std::string run_container(const std::string& id) const { return run_containers() + "/" + id; }
  std::string monitor_socket(const std::string& id) const { return run_container(id) + "/monitor.sock"; }

  /// The container's cgroup below every controller's mount.
  static std::string cgroup(const std::string& project_name, const std::string& id) {
    return "/compose/" + project_name + "/" + id;
  }

 private:
  std::string root_;
  std::string run_root_;
};

}  // namespace compose::state
