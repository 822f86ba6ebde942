#include "image/registry/manifest.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/strings.hpp"
#include "image/digest.hpp"
#include "image/json_values.hpp"
#include "image/store_internal.hpp"

namespace compose::image::registry {

namespace {

using Json = nlohmann::json;

constexpr const char* kOciIndex = "application/vnd.oci.image.index.v1+json";
constexpr const char* kOciManifest = "application/vnd.oci.image.manifest.v1+json";
constexpr const char* kDockerList = "application/vnd.docker.distribution.manifest.list.v2+json";
constexpr const char* kDockerManifest = "application/vnd.docker.distribution.manifest.v2+json";
constexpr std::size_t kMaxLayers = 1000;
constexpr std::size_t kMaxManifests = 10'000;

Error corrupt(std::string_view why) { return make_error(Errc::corrupt, "the manifest is damaged: {}", why); }

bool index_type(std::string_view type) { return type == kOciIndex || type == kDockerList; }
bool manifest_type(std::string_view type) { return type == kOciManifest || type == kDockerManifest; }

Result<Json> parse_object(std::string_view text) {
  Json document = Json::parse(text, nullptr, false);
  if (!document.is_object()) return corrupt("it is no JSON object");
  return document;
}

Result<Descriptor> descriptor_of(const Json& item) {
  Descriptor result;
  result.media_type = json_text(item, "mediaType");
  result.digest = json_text(item, "digest");
  result.size = json_size(item, "size");
  TRY(parse_digest(result.digest));
  if (const Json* platform = json_member(item, "platform")) {
    result.platform = {json_text(*platform, "os"), json_text(*platform, "architecture"),
                       json_text(*platform, "variant")};
  }
  return result;
}

/// What a variant amounts to; the usual one has no name.
int variant_number(const Platform& platform) {
  std::string_view text = platform.variant;
  if (text.empty()) {
    if (platform.architecture == "arm64") return 8;
    if (platform.architecture == "arm") return 7;
    return 1;
  }
  if (text.starts_with('v')) text.remove_prefix(1);
  return static_cast<int>(parse_unsigned(text.substr(0, text.find('.'))).value_or(1000));
}

}  // namespace

std::string Platform::text() const { return os + "/" + architecture + (variant.empty() ? "" : "/" + variant); }

Result<Platform> parse_platform(std::string_view text) {
  if (text.empty()) return Platform{"linux", host_architecture(), ""};
  const std::vector<std::string> parts = split(text, '/');
  const bool empty = std::any_of(parts.begin(), parts.end(), [](const std::string& part) { return part.empty(); });
  if (empty || parts.size() > 3)
    return make_error(Errc::invalid, "\"{}\" is no platform: write OS/ARCHITECTURE[/VARIANT], e.g. linux/arm64", text);
  Platform result;
  if (parts.size() == 1) {
    if (parts[0] == "linux") return Platform{"linux", host_architecture(), ""};
    result.architecture = to_lower(parts[0]);
  } else {
    result.os = to_lower(parts[0]);
    result.architecture = to_lower(parts[1]);
    if (parts.size() == 3) result.variant = to_lower(parts[2]);
  }
  if (result.architecture == "x86_64" || result.architecture == "x86-64") result.architecture = "amd64";
  if (result.architecture == "aarch64") result.architecture = "arm64";
  if (result.architecture == "armhf") result.architecture = "arm";
  return result;
}

std::string accepted_types() {
  return fmt::format("{}, {}, {}, {}", kOciIndex, kOciManifest, kDockerList, kDockerManifest);
}

Result<bool> is_index(std::string_view json, std::string_view content_type) {
  TRY_ASSIGN(const Json document, parse_object(json));
  content_type = trim(content_type.substr(0, content_type.find(';')));
  const std::string own = json_text(document, "mediaType");
  if (json_member(document, "fsLayers") != nullptr || json_size(document, "schemaVersion") == 1) {
    return make_error(Errc::unsupported,
                      "the image is in Docker's old format (schema 1): push it again with a newer program");
  }
  const bool has_manifests = json_member(document, "manifests") != nullptr;
  const bool has_layers = json_member(document, "layers") != nullptr || json_member(document, "config") != nullptr;
  if (has_manifests == has_layers) return corrupt("it is neither an image nor an index of images");
  for (const std::string_view type : {std::string_view{own}, content_type}) {
    if (index_type(type) != has_manifests && (index_type(type) || manifest_type(type)))
      return corrupt(fmt::format("its type is said to be {}, but it is not", type));
  }
  return has_manifests;
}

Result<Manifest> parse_manifest(std::string_view json) {
  TRY_ASSIGN(const Json document, parse_object(json));
  Manifest result;
  result.media_type = json_text(document, "mediaType");
  if (result.media_type.empty()) result.media_type = kOciManifest;
  const Json* config = json_member(document, "config");
  if (config == nullptr) return corrupt("it names no configuration");
  TRY_ASSIGN(result.config, descriptor_of(*config));
  if (result.config.size > kMaxConfig) return corrupt("the configuration is too large");
  const std::vector<Json> layers = json_items(document, "layers");
  if (layers.size() > kMaxLayers) return corrupt(fmt::format("it has more than {} layers", kMaxLayers));
  for (const Json& item : layers) {
    TRY_ASSIGN(Descriptor layer, descriptor_of(item));
    if (layer.media_type.find("foreign") != std::string::npos) {
      return make_error(Errc::unsupported, "layer {} is not kept by the registry (a foreign layer of Windows)",
                        layer.digest);
    }
    result.layers.push_back(std::move(layer));
  }
  return result;
}

Result<Index> parse_index(std::string_view json) {
  TRY_ASSIGN(const Json document, parse_object(json));
  Index result;
  const std::vector<Json> items = json_items(document, "manifests");
  if (items.size() > kMaxManifests) return corrupt("it has too many entries");
  for (const Json& item : items) {
    TRY_ASSIGN(Descriptor entry, descriptor_of(item));
    result.manifests.push_back(std::move(entry));
  }
  return result;
}

Result<Descriptor> choose(const Index& index, const Platform& platform) {
  const int wanted = variant_number(platform);
  std::optional<Descriptor> best;
  std::string there;
  for (const Descriptor& entry : index.manifests) {
    // "unknown/unknown" are attestations of BuildKit, no images.
    if (entry.platform.architecture == "unknown") continue;
    if (there.size() < 500 && !entry.platform.architecture.empty())
      there += (there.empty() ? "" : ", ") + entry.platform.text();
    const bool unsaid = entry.platform.architecture.empty() && index.manifests.size() == 1;
    if (unsaid) return entry;
    if (entry.platform.os != platform.os || entry.platform.architecture != platform.architecture) continue;
    const int number = variant_number(entry.platform);
    // A machine that nobody named is taken as the oldest of its kind but for arm, whose variants differ in little else.
    if (number > wanted) continue;
    if (!best || number > variant_number(best->platform)) best = entry;
  }
  if (best) return *best;
  return make_error(Errc::not_found, "there is no image for {} (there is: {})", platform.text(),
                    there.empty() ? "none" : there);
}

}  // namespace compose::image::registry
