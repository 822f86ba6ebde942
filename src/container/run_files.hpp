#pragma once
// The files of a container's run directory, which every start writes: what they are is fixed when the container is
// created and kept in files.json; what they hold may depend on the start.
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "compose/model/project.hpp"
#include "runtime/launch/plan.hpp"
#include "runtime/spec/spec.hpp"

namespace compose::container {

/// A secret or config as one service sees it.
struct GrantedFile {
  std::string name;    ///< below the run directory: "secrets/0"
  std::string target;  ///< in the container, absolute
  std::string source;  ///< host path, "" when `content` holds it
  std::string content;
  std::uint32_t uid = 0, gid = 0;
  std::uint32_t mode = 0444;
  std::string what;   ///< "secret \"db_password\""
  std::string where;  ///< "compose.yaml:12:5: ", for errors; may be ""
};

enum class NetworkKind : std::uint8_t { own, host, none, joined };

struct RunFiles {
  std::string hostname;
  std::string domainname;
  NetworkKind network = NetworkKind::own;
  std::vector<std::string> dns, dns_search, dns_options;
  std::map<std::string, std::vector<std::string>> extra_hosts;
  std::vector<GrantedFile> files;
  bool shares_shm = false;  ///< /dev/shm is a folder of the run directory, for containers that join its ipc namespace
  bool joins_shm = false;   ///< /dev/shm is that folder of the container whose ipc namespace it joins
  runtime::launch::Overlay overlay;
};

std::string to_json(const RunFiles& files);
Result<RunFiles> run_files_from_json(std::string_view text);

/// The secrets and configs a service is granted. Errors name where they stand: one that the project does not have, an
/// external one, an owner that is no number, a variable that is not set.
Result<std::vector<GrantedFile>> granted_files(const model::Project& project, const model::Service& service);

/// /etc/hosts: localhost, the container's addresses with its names, extra hosts ("host-gateway" stands for `gateway`).
std::string hosts_text(const RunFiles& files, const std::vector<std::string>& addresses, const std::string& gateway);

/// /etc/resolv.conf for a container with the resolver at 127.0.0.11; `host` is the host's, whose search domains hold
/// unless the service names its own ("." = none).
std::string resolver_text(const RunFiles& files, const std::string& host);
/// The same for one that asks the servers itself: dns, else the host's.
std::string direct_text(const RunFiles& files, const std::string& host);

/// Writes a secret or config below `run_dir`. Errc::not_found names a file that is missing.
Result<void> write_granted(const GrantedFile& file, const std::string& run_dir);

}  // namespace compose::container
