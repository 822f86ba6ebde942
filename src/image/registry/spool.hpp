#pragma once
// A file that one thread fills while another reads it: a layer is unpacked while it still comes, whatever it needs of
// memory is constant, and a connection that breaks is resumed behind the reader's back.
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "base/unique_fd.hpp"
#include "image/byte_stream.hpp"

namespace compose::image::registry {

class Spool {
 public:
  /// A file without a name in `directory`.
  static Result<std::shared_ptr<Spool>> create(const std::string& directory);

  Result<void> append(std::string_view bytes);
  /// No more comes. Without this call the reader waits.
  void finish();
  /// No more comes, and what came is worth nothing: the reader gets the error, also if it stands at the end already.
  void fail(Error error);
  std::uint64_t size() const;
  int fd() const { return fd_.get(); }

  /// Reads from the beginning; waits for what has not come yet. `spool` lives as long as the reader.
  static ByteReaderPtr reader(std::shared_ptr<Spool> spool);

 private:
  friend class SpoolReader;
  Spool() = default;
  UniqueFd fd_;
  mutable std::mutex mutex_;
  std::condition_variable grown_;
  std::uint64_t size_ = 0;
  bool ended_ = false;
  std::optional<Error> error_;
};

}  // namespace compose::image::registry
