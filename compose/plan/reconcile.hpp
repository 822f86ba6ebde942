#pragma once
// Pure functions that make plans. Same input, same plan, same text.
//
// Rules (Compose Specification 05-services.md `depends_on`, and what Docker Compose's users rely on):
//  - a container is recreated when its service's hash or image changed, or when a container whose namespace or volumes
//    it uses is recreated, or when one of its networks is; never otherwise, unless asked;
//  - a service starts when each dependency's condition holds; services that do not depend on each other go in parallel;
//  - the old container of a changed service is stopped only when the new one could start (its dependencies are ready);
//  - what completed stays completed while it is unchanged and not named: a one-shot (a service others wait for with
//    service_completed_successfully, or a job), and a service without a restart policy that ended by itself with exit
//    code 0 since the host was started (an attached `up` runs that one again, since its output is what is wanted);
//  - with deploy.update_config the containers of a service are replaced a few at a time, each waiting for the health of
//    the ones before;
//  - stopping goes against the dependencies: dependents first.
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "compose/model/project.hpp"
#include "compose/plan/plan.hpp"

namespace compose::plan {

/// The project with what the caller resolved for it.
struct Desired {
  const model::Project& project;
  std::map<std::string, std::string> images;  ///< service -> image id (sha256:…)
  /// service -> hash of all that makes its containers (container::service_hash: the configuration and the contents of
  /// its secrets and configs); a service without one gets model::config_hash.
  std::map<std::string, std::string> hashes;
};

enum class Recreate : std::uint8_t { changed, always, never };

struct Options {
  std::vector<std::string> services{};  ///< empty = all; else those and what they depend on
  Recreate recreate = Recreate::changed;
  bool always_recreate_deps = false;  ///< `services` are given: also recreate what they depend on
  bool no_deps = false;               ///< leave dependencies alone
  bool renew_anon_volumes = false;    ///< new anonymous volumes for recreated containers; the old ones go
  bool remove_orphans = false;
  bool no_start = false;
  bool run_ended_again = false;  ///< also what ended well and has no restart policy, but not one-shots
  bool wait = false;                            ///< end with waiting until every service is healthy or completed
  bool rollback = false;                        ///< updates obey rollback_config instead of update_config
  std::map<std::string, std::int64_t> scale{};  ///< --scale service=n
  std::optional<std::chrono::seconds> timeout{};
};

/// What `up` and `create` (no_start) do. Errc::not_found: a selected service or an external network or volume does not
/// exist; Errc::invalid: a container_name with more than one replica. Messages name the position in the files.
Result<Plan> reconcile(const Desired& desired, const Observed& observed, const Options& options);

struct DownOptions {
  std::vector<std::string> services{};  ///< empty = the whole project, with its networks
  bool volumes = false;                 ///< and its named and anonymous volumes (external ones stay)
  bool remove_orphans = false;
  std::optional<std::chrono::seconds> timeout{};
};
/// `down`. With a null project every container of the project goes, else those of services it does not know stay unless
/// remove_orphans (and with them the networks they are on).
Plan plan_down(const model::Project* project, const Observed& observed, const DownOptions& options);

/// Which containers, for the commands that work on what exists. one-off containers are left alone, but for down, rm
/// and kill.
struct Selection {
  std::vector<std::string> services{};  ///< empty = all
  bool no_deps = false;                 ///< restart: leave dependents with `restart: true` alone; start: dependencies
  std::optional<std::chrono::seconds> timeout{};
  std::string project{};  ///< its name, for the names of pre_start containers
  bool wait = false;      ///< start: end with waiting until every service is healthy or completed
  bool restore = false;   ///< start after a reboot: `services` are not named by a person, what completed stays so
};
/// `start`: existing containers that do not run, with the services they depend on; waits for their conditions.
/// A one-shot that completed is started only when it is named.
Plan plan_start(const Observed& observed, const Selection& selection);
/// `stop`: running containers, dependents first.
Plan plan_stop(const Observed& observed, const Selection& selection);
/// `restart`: stop (dependents first), then start in order; with the dependents that ask for it (`restart: true`).
Plan plan_restart(const Observed& observed, const Selection& selection);
/// `kill -s SIGNAL`
Plan plan_kill(const Observed& observed, const Selection& selection, const std::string& signal);
Plan plan_pause(const Observed& observed, const Selection& selection);
Plan plan_unpause(const Observed& observed, const Selection& selection);

struct RmOptions {
  std::vector<std::string> services{};
  bool stop = false;     ///< -s: stop running ones first; else they are left
  bool volumes = false;  ///< -v: anonymous volumes too
  std::optional<std::chrono::seconds> timeout{};
};
/// `rm`
Plan plan_rm(const Observed& observed, const RmOptions& options);

/// "PROJECT-SERVICE-NUMBER", or container_name.
std::string container_name(const model::Project& project, const model::Service& service, int number);

/// Whether the service's end is its purpose: somebody waits for it with service_completed_successfully, or its
/// deploy.mode is a job.
bool is_one_shot(const model::Project& project, const std::string& service);

/// Whether its restart policy starts it again after a clean exit (always, unless-stopped, condition any).
bool restarts_after_success(const model::Service& service);

/// The services whose namespaces or volumes `service` uses; ObservedContainer::shares_with.
std::vector<std::string> shares_with(const model::Service& service);

/// What ObservedNetwork::hash and ObservedVolume::hash are compared with.
std::string network_hash(const model::Network& network);
std::string volume_hash(const model::Volume& volume);

}  // namespace compose::plan
