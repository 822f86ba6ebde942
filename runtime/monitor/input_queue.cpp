#include "runtime/monitor/input_queue.hpp"

#include <unistd.h>

#include "base/unique_fd.hpp"

namespace compose::runtime::monitor {

void InputQueue::clear() {
  bytes_ = {};
  start_ = 0;
}

bool InputQueue::drain(int fd) {
  while (!empty()) {
    const ssize_t size = retry_eintr([&] { return ::write(fd, bytes_.data() + start_, bytes_.size() - start_); });
    if (size < 0 && errno == EAGAIN) break;
    if (size < 0) return false;
    start_ += static_cast<std::size_t>(size);
  }
  if (empty()) {
    clear();
  } else if (start_ > kLimit) {
    bytes_.erase(0, start_);
    start_ = 0;
  }
  return true;
}

}  // namespace compose::runtime::monitor
