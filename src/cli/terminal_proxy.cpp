#include "cli/terminal_proxy.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>

#include "base/strings.hpp"
#include "cli/session.hpp"
#include "cli/terminal.hpp"
#include "sys/file.hpp"

namespace compose::cli {

Result<std::string> parse_detach_keys(const std::string& text) {
  std::string keys;
  if (text.empty()) return keys;
  for (const std::string& key : split(text, ',')) {
    if (key.size() == 1) {
      keys += key;
    } else if (key.size() == 6 && key.starts_with("ctrl-")) {
      const char c = key[5];
      const bool letter = c >= 'a' && c <= 'z';
      if (!letter && (c < '@' || c > '_')) return make_error(Errc::invalid, "unknown key \"{}\" in --detach-keys", key);
      keys += static_cast<char>(letter ? c - 'a' + 1 : c - '@');
    } else {
      return make_error(Errc::invalid, "unknown key \"{}\" in --detach-keys: write ctrl-p,ctrl-q", key);
    }
  }
  return keys;
}

std::string DetachKeys::feed(std::string_view typed, bool& detached) {
  std::string out;
  for (const char c : typed) {
    if (keys_.empty()) {
      out += c;
    } else if (c == keys_[matched_]) {
      if (++matched_ == keys_.size()) {
        detached = true;
        return out;
      }
    } else {
      out += keys_.substr(0, matched_);
      matched_ = c == keys_[0] ? 1 : 0;
      if (matched_ == 0) out += c;
    }
  }
  return out;
}

void copy_terminal_size(int terminal, int master) {
  winsize size{};
  if (::ioctl(terminal, TIOCGWINSZ, &size) == 0) ::ioctl(master, TIOCSWINSZ, &size);
}

Result<ProxyEnd> proxy_terminal(int master, const std::string& detach_keys) {
  TRY_ASSIGN(Signals signals, Signals::take({SIGWINCH}));
  TRY_ASSIGN(const RawMode raw, RawMode::enter(STDIN_FILENO));
  copy_terminal_size(STDIN_FILENO, master);
  DetachKeys keys{detach_keys};
  std::array<char, 32768> buffer;
  bool input_open = true;
  while (true) {
    pollfd polled[] = {{input_open ? STDIN_FILENO : -1, POLLIN, 0}, {master, POLLIN, 0}, {signals.fd(), POLLIN, 0}};
    if (::poll(polled, 3, -1) < 0 && errno != EINTR) return os_error("waiting for the terminal");
    while (signals.next() != 0) copy_terminal_size(STDIN_FILENO, master);
    if ((polled[1].revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
      const ssize_t size = ::read(master, buffer.data(), buffer.size());
      if (size <= 0 && errno != EINTR && errno != EAGAIN) return ProxyEnd::closed;  // EIO: the last writer has gone
      if (size > 0) TRY(sys::write_all(STDOUT_FILENO, {buffer.data(), static_cast<std::size_t>(size)}));
    }
    if ((polled[0].revents & (POLLIN | POLLHUP)) != 0) {
      const ssize_t size = ::read(STDIN_FILENO, buffer.data(), buffer.size());
      if (size <= 0) {
        input_open = false;
        continue;
      }
      bool detached = false;
      const std::string out = keys.feed({buffer.data(), static_cast<std::size_t>(size)}, detached);
      if (!out.empty() && !sys::write_all(master, out)) input_open = false;
      if (detached) return ProxyEnd::detached;
    }
  }
}

}  // namespace compose::cli
