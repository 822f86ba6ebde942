#pragma once
// Input on its way to a container that does not read it yet.
#include <cstddef>
#include <string>
#include <string_view>

namespace compose::runtime::monitor {

class InputQueue {
 public:
  /// Beyond this many bytes the senders are made to wait.
  static constexpr std::size_t kLimit = std::size_t{256} << 10;

  void add(std::string_view bytes) { bytes_ += bytes; }
  bool empty() const { return start_ == bytes_.size(); }
  bool full() const { return bytes_.size() - start_ > kLimit; }
  void clear();
  /// Writes as much as `fd` (non-blocking) takes; false when nobody will ever read it.
  bool drain(int fd);

 private:
  std::string bytes_;
  std::size_t start_ = 0;  ///< what is before has been written
};

}  // namespace compose::runtime::monitor
