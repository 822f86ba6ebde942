#include "base/sha256.hpp"

#define OPENSSL_SUPPRESS_DEPRECATED  // see Context
#include <openssl/sha.h>

#include <array>
#include <span>

#include "base/strings.hpp"

namespace compose {

// The functions of before OpenSSL 3: the newer ones first read openssl.cnf and look up a provider, milliseconds that each
// command and each supervisor would pay for its first short hash. The code that hashes is the same.
struct Sha256::Context {
  SHA256_CTX state;
  Context() { SHA256_Init(&state); }
};

Sha256::Sha256() : context_{std::make_unique<Context>()} {}
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;
Sha256::~Sha256() = default;

void Sha256::update(const void* data, std::size_t size) { SHA256_Update(&context_->state, data, size); }

std::string Sha256::finish_hex() {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  SHA256_Final(digest.data(), &context_->state);
  return to_hex(digest);
}

std::string sha256_hex(std::string_view bytes) {
  Sha256 hash;
  hash.update(bytes.data(), bytes.size());
  return hash.finish_hex();
}

}  // namespace compose
