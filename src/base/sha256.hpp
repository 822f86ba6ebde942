#pragma once
// SHA-256 (FIPS 180-4) over bytes, as 64 lower-case hexadecimal digits; OpenSSL does the work.
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace compose {

std::string sha256_hex(std::string_view bytes);

/// The same piece by piece.
class Sha256 {
 public:
  Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  ~Sha256();
  void update(const void* data, std::size_t size);
  /// Ends the hash; the object is then spent.
  std::string finish_hex();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

}  // namespace compose
