#include "image/byte_stream.hpp"

#include <algorithm>
#include <array>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "base/sha256.hpp"

namespace compose::image {

namespace {

class FdReader : public ByteReader {
 public:
  FdReader(UniqueFd fd, std::uint64_t limit) : fd_{std::move(fd)}, left_{limit} {}
  Result<std::size_t> read(char* buffer, std::size_t size) override {
    const std::size_t wanted = static_cast<std::size_t>(std::min<std::uint64_t>(size, left_));
    if (wanted == 0) return std::size_t{0};
    const ssize_t got = retry_eintr([&] { return ::read(fd_.get(), buffer, wanted); });
    if (got < 0) return os_error("read");
    left_ -= static_cast<std::uint64_t>(got);
    return static_cast<std::size_t>(got);
  }

 private:
  UniqueFd fd_;
  std::uint64_t left_;
};

class RangeReader : public ByteReader {
 public:
  RangeReader(int fd, std::uint64_t offset, std::uint64_t size) : fd_{fd}, at_{offset}, left_{size} {}
  Result<std::size_t> read(char* buffer, std::size_t size) override {
    const std::size_t wanted = static_cast<std::size_t>(std::min<std::uint64_t>(size, left_));
    if (wanted == 0) return std::size_t{0};
    const ssize_t got = retry_eintr([&] { return ::pread(fd_, buffer, wanted, static_cast<off_t>(at_)); });
    if (got < 0) return os_error("read");
    at_ += static_cast<std::uint64_t>(got);
    left_ -= static_cast<std::uint64_t>(got);
    return static_cast<std::size_t>(got);
  }
  Result<std::uint64_t> skip(std::uint64_t size) override {
    const std::uint64_t count = std::min(size, left_);
    at_ += count;
    left_ -= count;
    return count;
  }

 private:
  int fd_;
  std::uint64_t at_;
  std::uint64_t left_;
};

class MemoryReader : public ByteReader {
 public:
  explicit MemoryReader(std::string_view bytes) : bytes_{bytes} {}
  Result<std::size_t> read(char* buffer, std::size_t size) override {
    const std::size_t count = std::min(size, bytes_.size());
    if (count > 0) std::memcpy(buffer, bytes_.data(), count);
    bytes_.remove_prefix(count);
    return count;
  }

 private:
  std::string_view bytes_;
};

}  // namespace

ByteReaderPtr read_fd(UniqueFd fd, std::uint64_t limit) { return std::make_unique<FdReader>(std::move(fd), limit); }
ByteReaderPtr read_range(int fd, std::uint64_t offset, std::uint64_t size) {
  return std::make_unique<RangeReader>(fd, offset, size);
}
Result<std::uint64_t> ByteReader::skip(std::uint64_t) { return std::uint64_t{0}; }
ByteReaderPtr read_memory(std::string_view bytes) { return std::make_unique<MemoryReader>(bytes); }

struct HashingReader::State {
  ByteReaderPtr input;
  Sha256 hash;
};

HashingReader::HashingReader(ByteReaderPtr input) : state_{std::make_unique<State>()} {
  state_->input = std::move(input);
}
HashingReader::~HashingReader() = default;

Result<std::size_t> HashingReader::read(char* buffer, std::size_t size) {
  TRY_ASSIGN(const std::size_t got, state_->input->read(buffer, size));
  state_->hash.update(buffer, got);
  size_ += got;
  return got;
}

std::string HashingReader::digest() { return "sha256:" + state_->hash.finish_hex(); }

/// A ring of blocks between the thread that fills and the one that takes.
struct ReadAhead::State {
  static constexpr std::size_t kBlocks = 4;
  static constexpr std::size_t kBlockSize = std::size_t{512} << 10;
  struct Block {
    std::vector<char> bytes = std::vector<char>(kBlockSize);
    std::size_t size = 0;
  };

  ByteReader* input = nullptr;
  std::array<Block, kBlocks> ring;
  std::mutex mutex;
  std::condition_variable changed;
  std::size_t filled = 0;  ///< blocks ever filled
  std::size_t taken = 0;   ///< blocks ever emptied
  bool end = false;
  bool stop = false;
  std::optional<Error> error;
  std::size_t offset = 0;  ///< in the block being read; the reader's own
  std::thread thread;

  /// Fills a block as far as it goes, so that small reads of the input do not become small blocks.
  Result<bool> fill(Block& block) {
    block.size = 0;
    while (block.size < kBlockSize) {
      TRY_ASSIGN(const std::size_t got, input->read(block.bytes.data() + block.size, kBlockSize - block.size));
      if (got == 0) return false;
      block.size += got;
    }
    return true;
  }

  void run() {
    bool more = true;
    while (more) {
      std::unique_lock lock{mutex};
      changed.wait(lock, [&] { return stop || filled - taken < kBlocks; });
      if (stop) return;
      Block& block = ring[filled % kBlocks];
      lock.unlock();
      Result<bool> result = fill(block);
      lock.lock();
      more = result.ok() && *result;
      if (!result) error = std::move(result).error();
      if (block.size > 0) ++filled;
      if (!more) end = true;
      changed.notify_all();
    }
  }
};

ReadAhead::ReadAhead(ByteReader& input) : state_{std::make_unique<State>()} {
  state_->input = &input;
  state_->thread = std::thread{[state = state_.get()] { state->run(); }};
}

ReadAhead::~ReadAhead() {
  {
    const std::lock_guard lock{state_->mutex};
    state_->stop = true;
  }
  state_->changed.notify_all();
  state_->thread.join();
}

Result<std::size_t> ReadAhead::read(char* buffer, std::size_t size) {
  State& state = *state_;
  {
    std::unique_lock lock{state.mutex};
    state.changed.wait(lock, [&] { return state.end || state.filled > state.taken; });
    if (state.filled == state.taken) {
      if (state.error) return *state.error;
      return std::size_t{0};
    }
  }
  State::Block& block = state.ring[state.taken % State::kBlocks];
  const std::size_t count = std::min(size, block.size - state.offset);
  std::memcpy(buffer, block.bytes.data() + state.offset, count);
  state.offset += count;
  if (state.offset == block.size) {
    state.offset = 0;
    {
      const std::lock_guard lock{state.mutex};
      ++state.taken;
    }
    state.changed.notify_all();
  }
  return count;
}

Result<std::string> read_everything(ByteReader& input, std::size_t limit) {
  std::string bytes;
  std::vector<char> buffer(std::size_t{64} << 10);
  while (true) {
    TRY_ASSIGN(const std::size_t got, input.read(buffer.data(), buffer.size()));
    if (got == 0) return bytes;
    if (bytes.size() + got > limit) return make_error(Errc::corrupt, "more than {} bytes", limit);
    bytes.append(buffer.data(), got);
  }
}

}  // namespace compose::image
