#include "build/ssh_agent.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <optional>
#include <utility>

#include "base/strings.hpp"
#include "build/remote.hpp"
#include "sys/file.hpp"
#include "sys/process.hpp"

namespace compose::build {

namespace {

constexpr std::size_t kMaxOutput = std::size_t{64} << 10;
constexpr std::size_t kMaxConnections = 64;

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    return make_error(Errc::invalid, "the path \"{}\" is too long for a socket", path);
  path.copy(address.sun_path, path.size());
  return address;
}

Result<UniqueFd> connect_to(const std::string& path) {
  TRY_ASSIGN(const sockaddr_un address, address_of(path));
  UniqueFd fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  if (!fd.valid()) return os_error("socket");
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return os_error("connect to \"{}\"", path);
  return fd;
}

/// One that came, and its way to the agent.
struct Connection {
  UniqueFd step;
  UniqueFd agent;
};

/// Passes on what can be read; false at the end.
bool pass(int from, int to) {
  std::array<char, 16384> buffer{};
  const ssize_t got = retry_eintr([&] { return ::recv(from, buffer.data(), buffer.size(), 0); });
  for (ssize_t sent = 0; sent < got;) {
    const auto left = static_cast<std::size_t>(got - sent);
    const ssize_t count = retry_eintr([&] { return ::send(to, buffer.data() + sent, left, MSG_NOSIGNAL); });
    if (count <= 0) return false;
    sent += count;
  }
  return got > 0;
}

struct Pipe {
  UniqueFd read;
  UniqueFd write;
};

Result<Pipe> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return os_error("pipe");
  return Pipe{UniqueFd{ends[0]}, UniqueFd{ends[1]}};
}

/// The first line, without its line feed; shorter when the writer ends.
Result<std::string> read_line(int fd) {
  std::string line;
  char c = 0;
  while (line.size() < 64) {
    const ssize_t got = retry_eintr([&] { return ::read(fd, &c, 1); });
    if (got < 0) return os_error("read from ssh-agent");
    if (got == 0 || c == '\n') break;
    line += c;
  }
  return line;
}

Result<void> add_keys(const std::vector<std::string>& keys, const std::string& socket) {
  TRY_ASSIGN(const std::string program, find_program("ssh-add"));
  sys::SpawnOptions options;
  options.program = program;
  options.arguments = {"ssh-add", "-q", "--"};
  options.arguments.insert(options.arguments.end(), keys.begin(), keys.end());
  // A passphrase cannot be asked for: there may be nobody, and other builds write to the terminal.
  options.environment = std::vector<std::string>{"SSH_AUTH_SOCK=" + socket, "SSH_ASKPASS=/bin/false",
                                                 "SSH_ASKPASS_REQUIRE=force", "PATH=/usr/bin:/bin"};
  options.new_session = true;
  const UniqueFd null{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
  TRY_ASSIGN(Pipe output, make_pipe());
  options.fds = {{null.get(), 0}, {output.write.get(), 1}, {output.write.get(), 2}};
  TRY_ASSIGN(const sys::Child child, sys::spawn(options));
  output.write.reset();
  const Result<std::string> said = sys::read_all(output.read.get(), kMaxOutput);
  TRY_ASSIGN(const sys::ExitStatus status, sys::wait_child(child.pid));
  if (status.code == 0) return {};
  const std::string why{said ? trim(*said) : ""};
  return make_error(Errc::failed, "{}", why.empty() ? "the key has a passphrase: add it to an agent" : why);
}

}  // namespace

Result<std::unique_ptr<AgentSocket>> AgentSocket::create(const std::string& path, const std::string& agent) {
  TRY(connect_to(agent));  // an agent that is not there is told now, not by ssh in the step
  TRY_ASSIGN(const sockaddr_un address, address_of(path));
  UniqueFd listener{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  UniqueFd stop{::eventfd(0, EFD_CLOEXEC)};
  if (!listener.valid() || !stop.valid()) return os_error("socket");
  if (::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(listener.get(), 16) != 0)
    return os_error("listen at \"{}\"", path);
  return std::unique_ptr<AgentSocket>{new AgentSocket{std::move(listener), std::move(stop), agent}};
}

AgentSocket::AgentSocket(UniqueFd listener, UniqueFd stop, std::string agent)
    : listener_{std::move(listener)}, stop_{std::move(stop)}, agent_{std::move(agent)} {
  thread_ = std::thread{[this] { serve(); }};
}

AgentSocket::~AgentSocket() {
  const std::uint64_t one = 1;
  (void)!::write(stop_.get(), &one, sizeof one);
  thread_.join();
}

void AgentSocket::serve() const {
  std::vector<Connection> connections;
  while (true) {
    std::vector<pollfd> polls = {{stop_.get(), POLLIN, 0}, {listener_.get(), POLLIN, 0}};
    for (const Connection& connection : connections) {
      polls.push_back({connection.step.get(), POLLIN, 0});
      polls.push_back({connection.agent.get(), POLLIN, 0});
    }
    if (::poll(polls.data(), polls.size(), -1) < 0 && errno != EINTR) return;
    if (polls[0].revents != 0) return;
    std::vector<Connection> left;
    for (std::size_t i = 0; i < connections.size(); ++i) {
      Connection& connection = connections[i];
      const bool from_step = polls[2 * i + 2].revents != 0;
      const bool from_agent = polls[2 * i + 3].revents != 0;
      const bool open = (!from_step || pass(connection.step.get(), connection.agent.get())) &&
                        (!from_agent || pass(connection.agent.get(), connection.step.get()));
      if (open) left.push_back(std::move(connection));
    }
    connections = std::move(left);
    if (polls[1].revents == 0) continue;
    UniqueFd step{::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)};
    Result<UniqueFd> agent = connect_to(agent_);
    if (step.valid() && agent && connections.size() < kMaxConnections)
      connections.push_back({std::move(step), std::move(*agent)});
  }
}

Result<std::unique_ptr<KeyAgent>> KeyAgent::start(const std::vector<std::string>& keys, const std::string& folder) {
  TRY_ASSIGN(const std::string program, find_program("ssh-agent"));
  const std::string socket = folder + "/keys";
  sys::SpawnOptions options;
  options.program = program;
  // The agent serves a command, and ends with it; the command ends when we do.
  options.arguments = {"ssh-agent", "-a", socket, "/bin/sh", "-c", "echo $SSH_AGENT_PID; exec cat"};
  options.new_group = true;
  TRY_ASSIGN(Pipe input, make_pipe());
  TRY_ASSIGN(Pipe output, make_pipe());
  options.fds = {{input.read.get(), 0}, {output.write.get(), 1}};
  TRY_ASSIGN(const sys::Child child, sys::spawn(options));
  output.write.reset();
  input.read.reset();
  TRY_ASSIGN(const std::string line, read_line(output.read.get()));
  const auto pid = parse_unsigned(line);
  UniqueFd agent;
  if (pid) {
    Result<UniqueFd> opened = sys::open_pidfd(static_cast<pid_t>(*pid));
    if (opened) agent = std::move(*opened);
  }
  std::unique_ptr<KeyAgent> result{new KeyAgent{socket, std::move(input.write), child.pid, std::move(agent)}};
  if (!result->agent_.valid()) return make_error(Errc::failed, "ssh-agent does not start");
  TRY(add_keys(keys, socket));
  return result;
}

KeyAgent::KeyAgent(std::string socket, UniqueFd input, pid_t child, UniqueFd agent)
    : socket_{std::move(socket)}, input_{std::move(input)}, child_{child}, agent_{std::move(agent)} {}

KeyAgent::~KeyAgent() {
  input_.reset();
  (void)sys::wait_child(child_).ok();
  if (agent_.valid()) (void)sys::send_signal(agent_.get(), SIGTERM).ok();  // it looks for its command every ten seconds
}

}  // namespace compose::build
