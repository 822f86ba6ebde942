#include "build/network.hpp"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <functional>
#include <set>
#include <thread>

#include "base/strings.hpp"
#include "net/endpoint/endpoint.hpp"
#include "sys/process.hpp"

namespace compose::build {

namespace {

constexpr const char* kName = "compose-build";
constexpr const char* kOwner = "build";

net::NetworkSpec spec() {
  net::NetworkSpec result;
  result.key = kName;
  result.name = kName;
  // Steps are strangers to each other.
  result.options["com.docker.network.bridge.enable_icc"] = "false";
  return result;
}

/// "build/PID.START": names a process for ever.
std::string process_owner(pid_t pid, std::uint64_t start) { return fmt::format("{}/{}.{}", kOwner, pid, start); }

bool is_alive(const std::string& owner) {
  const std::vector<std::string> parts = split(owner, '/');
  if (parts.size() < 2) return false;
  const std::size_t dot = parts[1].find('.');
  if (dot == std::string::npos) return false;
  const std::uint64_t pid = parse_unsigned(parts[1].substr(0, dot)).value_or(0);
  const std::uint64_t start = parse_unsigned(parts[1].substr(dot + 1)).value_or(0);
  return pid > 0 && start > 0 && sys::process_start_time(static_cast<pid_t>(pid)) == start;
}

/// Runs `work` on a thread of its own, which may change its namespaces.
Result<void> on_thread(const std::function<Result<void>()>& work) {
  Result<void> result;
  std::thread{[&] { result = work(); }}.join();
  return result;
}

Result<UniqueFd> new_namespace() {
  UniqueFd fd;
  TRY(on_thread([&]() -> Result<void> {
    if (::unshare(CLONE_NEWNET) != 0) return os_error("make a network namespace");
    fd.reset(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    if (!fd.valid()) return os_error("open the network namespace");
    return {};
  }));
  return fd;
}

bool is_loopback(const std::string& server) {
  return server.starts_with("127.") || server == "::1" || server.starts_with("::ffff:127.");
}

/// "nameserver X" lines with an address that can be reached from another namespace.
std::vector<std::string> usable_servers(const std::string& text) {
  std::vector<std::string> servers;
  for (const std::string& line : split(text, '\n')) {
    const std::string_view trimmed = trim(line);
    if (!trimmed.starts_with("nameserver")) continue;
    std::string server{trim(trimmed.substr(10))};
    if (!server.empty() && !is_loopback(server)) servers.push_back(std::move(server));
  }
  return servers;
}

}  // namespace

std::string step_resolv_conf(const std::string& host, const std::string& resolved) {
  std::vector<std::string> servers = usable_servers(host);
  if (servers.empty()) servers = usable_servers(resolved);
  if (servers.empty()) servers = {"8.8.8.8", "8.8.4.4"};
  std::string text;
  for (const std::string& server : servers) text += "nameserver " + server + "\n";
  for (const std::string& line : split(host, '\n')) {
    const std::string_view trimmed = trim(line);
    if (trimmed.starts_with("search") || trimmed.starts_with("options")) text += std::string{trimmed} + "\n";
  }
  return text;
}

StepNetwork::StepNetwork(BuildNetwork& owner, UniqueFd fd, std::string lease_owner,
                         net::endpoint::Attachment attachment, std::string gateway)
    : owner_{&owner},
      fd_{std::move(fd)},
      lease_owner_{std::move(lease_owner)},
      attachment_{std::move(attachment)},
      gateway_{std::move(gateway)} {}

StepNetwork::StepNetwork(StepNetwork&& other) noexcept
    : owner_{std::exchange(other.owner_, nullptr)},
      fd_{std::move(other.fd_)},
      lease_owner_{std::move(other.lease_owner_)},
      attachment_{std::move(other.attachment_)},
      gateway_{std::move(other.gateway_)} {}

StepNetwork::~StepNetwork() {
  if (owner_ == nullptr) return;
  owner_->release(lease_owner_, attachment_);
}

std::string StepNetwork::path() const { return fmt::format("/proc/{}/fd/{}", ::getpid(), fd_.get()); }

BuildNetwork::BuildNetwork(std::string state_root, std::string run_root)
    : networks_{std::move(state_root), std::move(run_root)} {}

BuildNetwork::~BuildNetwork() {
  // Another builder may be at work on the bridge: "busy" then, and the last one removes it.
  if (used_) (void)sweep().ok();
}

Result<BuildNetwork::Place> BuildNetwork::take_place(const std::string& owner, const std::string& id) {
  const std::lock_guard lock{mutex_};
  TRY_ASSIGN(const net::Network network, networks_.ensure(spec()));
  used_ = true;
  TRY_ASSIGN(const std::vector<net::Lease> leases, networks_.leases(kName));
  TRY(release_dead(leases));
  TRY_ASSIGN(const net::Lease lease, networks_.lease({kName, owner, id, "", "", ""}));
  Place place;
  TRY_ASSIGN(place.attachment, networks_.attachment(network, lease, id, 0, true));
  if (!network.subnets.empty()) place.gateway = network.subnets.front().gateway;
  return place;
}

Result<StepNetwork> BuildNetwork::attach(const std::string& id) {
  const std::string owner = process_owner(::getpid(), sys::process_start_time(::getpid())) + "/" + id;
  TRY_ASSIGN(UniqueFd fd, new_namespace());
  for (int attempt = 0;; ++attempt) {
    Result<Place> place = take_place(owner, id);
    Result<void> made = place ? net::endpoint::create_pair_in(place->attachment, fd.get()) : place.error();
    // The last step of another builder may have taken the bridge away in between; then once more.
    if (!made && made.error().code() == Errc::not_found && attempt < 3) continue;
    if (!made) {
      if (place) release(owner, place->attachment);
      return std::move(made).error().add_context("the network of a build step");
    }
    StepNetwork step{*this, std::move(fd), owner, place->attachment, place->gateway};
    TRY(on_thread([&]() -> Result<void> {
      if (::setns(step.fd_.get(), CLONE_NEWNET) != 0) return os_error("enter the network namespace");
      return net::endpoint::configure({&step.attachment_, 1});
    }));
    TRY(net::endpoint::open_port(step.attachment_));
    return step;
  }
}

void BuildNetwork::release(const std::string& lease_owner, const net::endpoint::Attachment& attachment) {
  const std::lock_guard lock{mutex_};
  (void)net::endpoint::remove_pair(attachment).ok();
  (void)networks_.release(lease_owner).ok();
}

Result<void> BuildNetwork::release_dead(const std::vector<net::Lease>& leases) {
  std::set<std::string> dead;
  for (const net::Lease& lease : leases)
    if (!is_alive(lease.owner)) dead.insert(lease.owner);
  for (const std::string& owner : dead) TRY(networks_.release(owner));
  return {};
}

Result<void> BuildNetwork::sweep() {
  const std::lock_guard lock{mutex_};
  TRY_ASSIGN(const std::optional<net::Network> network, networks_.find(kName));
  if (!network) return {};
  TRY_ASSIGN(const std::vector<net::Lease> leases, networks_.leases(kName));
  TRY(release_dead(leases));
  TRY_ASSIGN(const std::vector<net::Lease> left, networks_.leases(kName));
  if (!left.empty()) return {};
  const Result<void> removed = networks_.remove(kName);
  if (!removed && removed.error().code() != Errc::busy && removed.error().code() != Errc::not_found)
    return removed.error();
  return {};
}

}  // namespace compose::build
