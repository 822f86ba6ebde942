#pragma once
// One repository of a registry, as the distribution-spec's operations see it. Each call retries what may pass (a cut
// connection, 429, 5xx) with growing pauses. Errors name the registry and the reference or digest.
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "image/reference.hpp"
#include "image/registry/host.hpp"
#include "image/registry/manifest.hpp"

namespace compose::image::registry {

struct FetchedManifest {
  std::string bytes;
  std::string content_type;
  std::string digest;  ///< of the bytes
};

/// Pause before attempt `attempt` (1: the second): the base doubled each time, what the server asked for (Retry-After,
/// seconds) if that is more, never more than 30 s.
std::chrono::milliseconds retry_pause(std::chrono::milliseconds base, int attempt,
                                      const std::optional<std::string>& retry_after);

/// Called with the bytes so far. Returning false ends the transfer with Errc::cancelled.
using ByteCount = std::function<bool(std::uint64_t)>;

class Repository {
 public:
  /// `push`: ask for the right to write too.
  Repository(std::shared_ptr<Host> host, std::string path, bool push = false);

  const std::string& registry() const { return host_->name(); }
  const std::string& path() const { return path_; }

  /// By tag or digest; a digest is compared. Errc::not_found: no such manifest.
  Result<FetchedManifest> manifest(const std::string& tag_or_digest);
  /// Only the digest a tag has now.
  Result<std::string> manifest_digest(const std::string& tag_or_digest);
  /// A blob that fits in memory, checked.
  Result<std::string> small_blob(const Descriptor& descriptor);
  /// A blob's bytes in order, resumed where a connection broke; size and digest are compared. Errc::corrupt otherwise.
  Result<void> blob(const Descriptor& descriptor, const std::function<Result<void>(std::string_view)>& sink,
                    const ByteCount& progress);

  Result<bool> has_blob(const std::string& digest);
  /// Takes a blob over from another repository of the registry; false when it does not do that.
  Result<bool> mount_blob(const std::string& digest, const std::string& from_path);
  /// `fd` has `size` bytes with that digest; resumed where a connection broke.
  Result<void> upload_blob(int fd, std::uint64_t size, const std::string& digest, const ByteCount& progress);
  /// Returns the digest the registry has it under, which is that of the bytes.
  Result<std::string> put_manifest(const std::string& tag_or_digest, const std::string& bytes,
                                   const std::string& media_type);

 private:
  Result<http::Url> url(const std::string& rest);
  /// Retries; the answer has one of the statuses in `expected`, or the result is the error it stands for.
  Result<http::Response> send(http::Request request, std::initializer_list<unsigned> expected, const std::string& what);
  Result<http::Response> get(const std::string& rest, const http::Headers& headers,
                             std::initializer_list<unsigned> expected, const std::string& what,
                             const char* method = "GET");
  Result<std::uint64_t> download_part(const Descriptor& descriptor, std::uint64_t from,
                                      const std::function<Result<void>(std::string_view)>& sink);
  Result<http::Url> start_upload(const std::string& digest);
  Result<http::Url> upload_part(const http::Url& place, int fd, std::uint64_t from, std::uint64_t size,
                                const ByteCount& progress);
  Result<std::uint64_t> upload_offset(http::Url& place);
  Error failure(http::Response& response, const std::string& what) const;
  std::string place_text() const { return host_->name() + "/" + path_; }

  std::shared_ptr<Host> host_;
  std::string path_;
  std::vector<std::string> scopes_;
};

}  // namespace compose::image::registry
