#pragma once
// Our terminal on one side, a pseudo-terminal's master on the other.
#include <optional>
#include <string>

#include "base/error.hpp"
#include "base/unique_fd.hpp"

namespace compose::cli {

/// "ctrl-p,ctrl-q" → the bytes; letters, digits and ctrl-@ … ctrl-_ (the syntax of Docker's --detach-keys).
Result<std::string> parse_detach_keys(const std::string& text);

/// Finds the detach keys in what is typed: passes on what is not a part of them.
class DetachKeys {
 public:
  explicit DetachKeys(std::string keys) : keys_{std::move(keys)} {}
  /// Bytes to pass on; `detached` becomes true when the sequence is complete.
  std::string feed(std::string_view typed, bool& detached);

 private:
  std::string keys_;
  std::size_t matched_ = 0;
};

/// Gives the master our terminal's size.
void copy_terminal_size(int terminal, int master);

enum class ProxyEnd : std::uint8_t { closed, detached };

/// Puts the terminal at descriptor 0 into raw mode and copies both ways until the other side closes the
/// pseudo-terminal or the keys are typed ("" = none). Follows changes of the size.
Result<ProxyEnd> proxy_terminal(int master, const std::string& detach_keys);

}  // namespace compose::cli
