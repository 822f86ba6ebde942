#include "image/registry/repository.hpp"

#include <unistd.h>

#include <algorithm>

#include "base/sha256.hpp"
#include "base/strings.hpp"
#include "image/digest.hpp"

namespace compose::image::registry {

namespace {

constexpr int kAttempts = 5;
constexpr std::size_t kMaxAnswer = std::size_t{1} << 20;
constexpr std::size_t kPiece = std::size_t{256} << 10;

bool may_pass(unsigned status) {
  return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 || status == 504;
}

/// Cut connections and timeouts pass; a place where nobody listens does not.
bool may_pass(const Error& error) {
  return (error.code() == Errc::failed || error.code() == Errc::timeout) && error.sys_errno() != ECONNREFUSED;
}

/// "bytes 100-199/200" → 100
std::optional<std::uint64_t> range_start(std::string_view content_range) {
  if (!content_range.starts_with("bytes ")) return std::nullopt;
  content_range.remove_prefix(6);
  return parse_unsigned(content_range.substr(0, content_range.find('-')));
}

Error wrong_digest(const std::string& place, const std::string& digest, const std::string& found) {
  return make_error(Errc::corrupt,
                    "{}: what came for {} has the digest {}: the registry or something on the way to it "
                    "is damaged",
                    place, digest, found);
}

}  // namespace

std::chrono::milliseconds retry_pause(std::chrono::milliseconds base, int attempt,
                                      const std::optional<std::string>& retry_after) {
  constexpr std::chrono::milliseconds kMost{30'000};
  std::chrono::milliseconds pause = base * (1 << std::clamp(attempt - 1, 0, 10));
  if (const auto seconds = parse_unsigned(retry_after.value_or("")))
    pause = std::max(pause, std::chrono::milliseconds{std::min<std::uint64_t>(*seconds, 30) * 1000});
  return std::min(pause, kMost);
}

Repository::Repository(std::shared_ptr<Host> host, std::string path, bool push)
    : host_{std::move(host)},
      path_{std::move(path)},
      scopes_{"repository:" + path_ + (push ? ":pull,push" : ":pull")} {}

Result<http::Url> Repository::url(const std::string& rest) {
  TRY_ASSIGN(http::Url url, host_->base());
  url.target += "/v2/" + path_ + "/" + rest;
  return url;
}

Error Repository::failure(http::Response& response, const std::string& what) const {
  const unsigned status = response.status();
  std::string detail;
  if (const auto body = response.text(kMaxAnswer)) detail = error_text(*body);
  const std::string more = detail.empty() ? "" : ": " + detail;
  if (status == 404)
    return make_error(Errc::not_found, "registry \"{}\" has no {} in \"{}\"{}", registry(), what, path_, more);
  if (status == 403)
    return make_error(Errc::permission, "registry \"{}\" denies access to \"{}\"{}", registry(), path_, more);
  if (status == 429) {
    return make_error(Errc::busy, "registry \"{}\" allows no more requests for now (try later, or log in){}",
                      registry(), more);
  }
  return make_error(Errc::failed, "registry \"{}\": {} of \"{}\": status {}{}", registry(), what, path_, status, more);
}

Result<http::Response> Repository::send(http::Request request, std::initializer_list<unsigned> expected,
                                        const std::string& what) {
  for (int attempt = 1;; ++attempt) {
    Result<http::Response> response = host_->send(request, scopes_);
    std::optional<std::string> retry_after;
    if (response) {
      const unsigned status = response->status();
      if (std::find(expected.begin(), expected.end(), status) != expected.end()) return response;
      if (!may_pass(status) || attempt == kAttempts) return failure(*response, what);
      retry_after = response->header("Retry-After");
    } else if (!may_pass(response.error()) || attempt == kAttempts) {
      return std::move(response).error();
    }
    if (!host_->pause(retry_pause(host_->settings().retry_delay, attempt, retry_after)))
      return make_error(Errc::cancelled, "cancelled");
  }
}

Result<http::Response> Repository::get(const std::string& rest, const http::Headers& headers,
                                       std::initializer_list<unsigned> expected, const std::string& what,
                                       const char* method) {
  http::Request request;
  request.method = method;
  TRY_ASSIGN(request.url, url(rest));
  request.headers = headers;
  return send(std::move(request), expected, what);
}

Result<FetchedManifest> Repository::manifest(const std::string& tag_or_digest) {
  const std::string what = is_digest(tag_or_digest) ? tag_or_digest : "tag \"" + tag_or_digest + "\"";
  TRY_ASSIGN(http::Response response, get("manifests/" + tag_or_digest, {{"Accept", accepted_types()}}, {200}, what));
  FetchedManifest result;
  result.content_type = response.header("Content-Type").value_or("");
  TRY_ASSIGN(result.bytes, response.text(kMaxManifest));
  result.digest = digest_of(result.bytes);
  if (is_digest(tag_or_digest) && result.digest != tag_or_digest)
    return wrong_digest(place_text(), tag_or_digest, result.digest);
  const auto said = response.header("Docker-Content-Digest");
  if (said && is_digest(*said) && *said != result.digest) return wrong_digest(place_text(), *said, result.digest);
  return result;
}

Result<std::string> Repository::manifest_digest(const std::string& tag_or_digest) {
  const std::string what = is_digest(tag_or_digest) ? tag_or_digest : "tag \"" + tag_or_digest + "\"";
  TRY_ASSIGN(const http::Response response,
             get("manifests/" + tag_or_digest, {{"Accept", accepted_types()}}, {200}, what, "HEAD"));
  const auto digest = response.header("Docker-Content-Digest");
  if (digest && is_digest(*digest)) return *digest;
  TRY_ASSIGN(const FetchedManifest whole, manifest(tag_or_digest));
  return whole.digest;
}

Result<std::string> Repository::small_blob(const Descriptor& descriptor) {
  std::string bytes;
  TRY(blob(descriptor,
           [&](std::string_view piece) -> Result<void> {
             if (bytes.size() + piece.size() > kMaxConfig)
               return make_error(Errc::corrupt, "{} is too large", descriptor.digest);
             bytes += piece;
             return {};
           },
           {}));
  return bytes;
}

/// Reads on from `from` until the end or the connection breaks; returns the bytes that came.
Result<std::uint64_t> Repository::download_part(const Descriptor& descriptor, std::uint64_t from,
                                                const std::function<Result<void>(std::string_view)>& sink) {
  http::Request request;
  TRY_ASSIGN(request.url, url("blobs/" + descriptor.digest));
  if (from > 0) request.headers.emplace_back("Range", fmt::format("bytes={}-", from));
  TRY_ASSIGN(http::Response response, host_->send(std::move(request), scopes_));
  if (response.status() != 200 && response.status() != 206) return failure(response, "blob " + descriptor.digest);
  std::uint64_t skip = from;
  if (response.status() == 206) {
    const auto start = range_start(response.header("Content-Range").value_or(""));
    if (!start || *start > from)
      return make_error(Errc::corrupt, "{}: {}: another part came than was asked for", place_text(), descriptor.digest);
    skip = from - *start;
  }
  std::vector<char> buffer(kPiece);
  std::uint64_t came = 0;
  while (true) {
    const auto got = response.read(buffer.data(), buffer.size());
    // What has come so far counts; the next part begins behind it.
    if (!got && (came == 0 || !may_pass(got.error()))) return got.error();
    if (!got || *got == 0) return came;
    std::string_view piece{buffer.data(), *got};
    const auto known = static_cast<std::size_t>(std::min<std::uint64_t>(skip, piece.size()));
    skip -= known;
    piece.remove_prefix(known);
    if (from + came + piece.size() > descriptor.size) {
      return make_error(Errc::corrupt, "{}: {} is larger than its manifest says ({} bytes)", place_text(),
                        descriptor.digest, descriptor.size);
    }
    came += piece.size();
    if (!piece.empty()) TRY(sink(piece));
  }
}

Result<void> Repository::blob(const Descriptor& descriptor, const std::function<Result<void>(std::string_view)>& sink,
                              const ByteCount& progress) {
  Sha256 hash;
  std::uint64_t done = 0;
  std::optional<Error> own;  // of the sink: no reason for another attempt
  const auto take = [&](std::string_view piece) -> Result<void> {
    hash.update(piece.data(), piece.size());
    Result<void> taken = sink(piece);
    done += piece.size();
    if (taken && progress && !progress(done)) taken = make_error(Errc::cancelled, "cancelled");
    if (!taken) own = taken.error();
    return taken;
  };
  int fruitless = 0;
  while (done < descriptor.size || (descriptor.size == 0 && fruitless == 0)) {
    const std::uint64_t before = done;
    const auto part = download_part(descriptor, done, take);
    if (own) return *own;
    if (!part && !may_pass(part.error())) return part.error();
    if (done == descriptor.size) break;
    fruitless = done > before ? 1 : fruitless + 1;
    if (fruitless == kAttempts) {
      if (!part) return part.error();
      return make_error(Errc::failed, "{}: {}: only {} of {} bytes came", place_text(), descriptor.digest, done,
                        descriptor.size);
    }
    if (!host_->pause(retry_pause(host_->settings().retry_delay, fruitless, {})))
      return make_error(Errc::cancelled, "cancelled");
  }
  const std::string digest = "sha256:" + hash.finish_hex();
  if (digest != descriptor.digest) return wrong_digest(place_text(), descriptor.digest, digest);
  return {};
}

Result<bool> Repository::has_blob(const std::string& digest) {
  TRY_ASSIGN(const http::Response response, get("blobs/" + digest, {}, {200, 404}, "blob " + digest, "HEAD"));
  return response.status() == 200;
}

Result<bool> Repository::mount_blob(const std::string& digest, const std::string& from_path) {
  http::Request request;
  request.method = "POST";
  TRY_ASSIGN(request.url, url("blobs/uploads/?mount=" + digest + "&from=" + http::percent_encode(from_path)));
  std::vector<std::string> scopes = scopes_;
  if (from_path != path_) scopes.push_back("repository:" + from_path + ":pull");
  TRY_ASSIGN(http::Response response, host_->send(request, scopes));
  if (response.status() == 201) return true;
  if (response.status() == 202) {
    // It has begun an upload instead, which nobody will make.
    if (const auto location = response.header("Location")) {
      http::Request cancel;
      cancel.method = "DELETE";
      TRY_ASSIGN(cancel.url, http::resolve_url(request.url, *location));
      (void)host_->send(cancel, scopes_);
    }
  }
  return false;
}

Result<http::Url> Repository::start_upload(const std::string& digest) {
  http::Request request;
  request.method = "POST";
  TRY_ASSIGN(request.url, url("blobs/uploads/"));
  TRY_ASSIGN(const http::Response response, send(request, {202}, "upload of " + digest));
  const auto location = response.header("Location");
  if (!location) return make_error(Errc::corrupt, "registry \"{}\" began an upload without saying where", registry());
  return http::resolve_url(request.url, *location);
}

/// How much of an upload has arrived; `place` may move.
Result<std::uint64_t> Repository::upload_offset(http::Url& place) {
  http::Request request;
  request.url = place;
  TRY_ASSIGN(const http::Response response, send(request, {204}, "an upload"));
  if (const auto location = response.header("Location")) {
    TRY_ASSIGN(place, http::resolve_url(place, *location));
  }
  const std::string range = response.header("Range").value_or("");  // "0-1023"; "0-0" also when there is nothing
  const auto last = parse_unsigned(std::string_view{range}.substr(std::min(range.find('-'), range.size() - 1) + 1));
  return last && *last > 0 ? *last + 1 : 0;
}

Result<http::Url> Repository::upload_part(const http::Url& place, int fd, std::uint64_t from, std::uint64_t size,
                                          const ByteCount& progress) {
  http::Request request;
  request.method = "PATCH";
  request.url = place;
  request.headers = {{"Content-Type", "application/octet-stream"}};
  if (from > 0) request.headers.emplace_back("Content-Range", fmt::format("{}-{}", from, size - 1));
  std::uint64_t at = from;
  request.upload = http::Upload{size - from, [&](char* buffer, std::size_t wanted) -> Result<std::size_t> {
                                  const ssize_t got =
                                      retry_eintr([&] { return ::pread(fd, buffer, wanted, static_cast<off_t>(at)); });
                                  if (got < 0) return os_error("read the layer");
                                  at += static_cast<std::uint64_t>(got);
                                  if (progress && !progress(at)) return make_error(Errc::cancelled, "cancelled");
                                  return static_cast<std::size_t>(got);
                                }};
  TRY_ASSIGN(http::Response response, host_->send(request, scopes_));
  if (response.status() != 202 && response.status() != 201 && response.status() != 204)
    return failure(response, "an upload");
  const auto location = response.header("Location");
  if (!location) return place;
  return http::resolve_url(place, *location);
}

Result<void> Repository::upload_blob(int fd, std::uint64_t size, const std::string& digest, const ByteCount& progress) {
  TRY_ASSIGN(http::Url place, start_upload(digest));
  std::uint64_t from = 0;
  for (int attempt = 1;; ++attempt) {
    auto next = upload_part(place, fd, from, size, progress);
    if (next) {
      place = std::move(*next);
      break;
    }
    if (!may_pass(next.error()) || attempt == kAttempts) return std::move(next).error();
    if (!host_->pause(retry_pause(host_->settings().retry_delay, attempt, {})))
      return make_error(Errc::cancelled, "cancelled");
    const auto offset = upload_offset(place);
    if (offset && *offset < size) {
      from = *offset;
    } else {
      TRY_ASSIGN(place, start_upload(digest));
      from = 0;
    }
  }
  http::Request request;
  request.method = "PUT";
  request.url = place;
  request.url.target += (place.target.find('?') == std::string::npos ? "?digest=" : "&digest=") + digest;
  TRY_ASSIGN(const http::Response response, send(std::move(request), {201, 204}, "upload of " + digest));
  return {};
}

Result<std::string> Repository::put_manifest(const std::string& tag_or_digest, const std::string& bytes,
                                             const std::string& media_type) {
  http::Request request;
  request.method = "PUT";
  TRY_ASSIGN(request.url, url("manifests/" + tag_or_digest));
  request.headers = {{"Content-Type", media_type}};
  request.body = bytes;
  TRY_ASSIGN(const http::Response response, send(std::move(request), {200, 201, 202}, "manifest"));
  const std::string digest = digest_of(bytes);
  const auto said = response.header("Docker-Content-Digest");
  if (said && *said != digest) return wrong_digest(place_text(), digest, *said);
  return digest;
}

}  // namespace compose::image::registry
