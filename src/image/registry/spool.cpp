#include "image/registry/spool.hpp"

#include <fcntl.h>

#include <algorithm>

#include "sys/file.hpp"

namespace compose::image::registry {

class SpoolReader : public ByteReader {
 public:
  explicit SpoolReader(std::shared_ptr<Spool> spool) : spool_{std::move(spool)} {}
  Result<std::size_t> read(char* buffer, std::size_t size) override {
    std::uint64_t available = 0;
    {
      std::unique_lock lock{spool_->mutex_};
      spool_->grown_.wait(lock, [&] { return spool_->size_ > at_ || spool_->ended_; });
      if (spool_->error_) return *spool_->error_;
      available = spool_->size_ - at_;
    }
    if (available == 0) return std::size_t{0};
    const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(size, available));
    const ssize_t got =
        retry_eintr([&] { return ::pread(spool_->fd_.get(), buffer, wanted, static_cast<off_t>(at_)); });
    if (got < 0) return os_error("read a layer that was fetched");
    at_ += static_cast<std::uint64_t>(got);
    return static_cast<std::size_t>(got);
  }

 private:
  std::shared_ptr<Spool> spool_;
  std::uint64_t at_ = 0;
};

Result<std::shared_ptr<Spool>> Spool::create(const std::string& directory) {
  std::shared_ptr<Spool> spool{new Spool};
  spool->fd_.reset(::open(directory.c_str(), O_RDWR | O_TMPFILE | O_CLOEXEC, 0600));
  if (!spool->fd_.valid()) return os_error("make a file in \"{}\"", directory);
  return spool;
}

Result<void> Spool::append(std::string_view bytes) {
  TRY(sys::write_all(fd_.get(), bytes).with("keep a layer"));
  const std::lock_guard lock{mutex_};
  size_ += bytes.size();
  grown_.notify_all();
  return {};
}

void Spool::finish() {
  const std::lock_guard lock{mutex_};
  ended_ = true;
  grown_.notify_all();
}

void Spool::fail(Error error) {
  const std::lock_guard lock{mutex_};
  ended_ = true;
  if (!error_) error_ = std::move(error);
  grown_.notify_all();
}

std::uint64_t Spool::size() const {
  const std::lock_guard lock{mutex_};
  return size_;
}

ByteReaderPtr Spool::reader(std::shared_ptr<Spool> spool) { return std::make_unique<SpoolReader>(std::move(spool)); }

}  // namespace compose::image::registry
