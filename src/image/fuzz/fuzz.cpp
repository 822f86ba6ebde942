#include "image/fuzz/fuzz.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "image/digest.hpp"
#include "image/layer_tar.hpp"
#include "image/reference.hpp"
#include "image/registry/challenge.hpp"
#include "image/registry/host.hpp"
#include "image/registry/manifest.hpp"
#include "image/store.hpp"
#include "image/tar_reader.hpp"
#include "image/testing/tar_builder.hpp"
#include "sys/file.hpp"

namespace compose::image::fuzz {

namespace {

constexpr std::size_t kMaxOutput = std::size_t{8} << 20;

void require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

}  // namespace

void tar(std::string_view bytes) {
  const Result<ByteReaderPtr> plain = decompress(read_memory(bytes));
  if (!plain) return;
  TarReader reader{**plain};
  std::uint64_t total = 0;
  while (total < kMaxOutput) {
    const Result<std::optional<TarEntry>> entry = reader.next();
    if (!entry || !*entry) return;
    while (total < kMaxOutput) {
      const Result<std::optional<TarChunk>> chunk = reader.next_chunk();
      if (!chunk || !*chunk) break;
      require((*chunk)->offset + (*chunk)->bytes.size() <= (*entry)->size, "a chunk lies behind the end of its file");
      total += (*chunk)->bytes.size();
    }
  }
}

void layer(std::string_view bytes) {
  const testing::TempFolder folder;
  folder.write("outside/file", "untouched");
  const std::string before = testing::describe_tree(folder / "outside");
  Result<LayerWriter> writer = LayerWriter::create(folder / "layer", MergedView{});
  require(writer.ok(), "a folder for the layer");
  const ByteReaderPtr input = read_memory(bytes);
  const std::string headers = folder / "layer/headers.zst";
  UnpackLimits limits;
  limits.bytes = kMaxOutput;
  limits.entries = 1000;
  const Result<void> unpacked = unpack_tar(*input, *writer, headers, limits);
  require(testing::describe_tree(folder / "outside") == before, "a layer changed what lies outside of it");
  if (!unpacked) return;
  std::string again;
  const Result<void> replayed = replay_tar(folder / "layer", headers, [&](std::string_view part) {
    again += part;
    return Result<void>{};
  });
  require(replayed.ok() && again == bytes, "the tar does not come back");
}

void config(std::string_view bytes) {
  const Result<ImageConfig> parsed = parse_image_config(bytes);
  if (!parsed) return;
  const Result<ImageConfig> again = parse_image_config(to_json(*parsed));
  require(again.ok(), "a written configuration cannot be read");
  require(to_json(*again) == to_json(*parsed), "a configuration changes when it is written");
}

void reference(std::string_view bytes) {
  const Result<Reference> name = parse_reference(bytes);
  if (!name) return;
  const Result<Reference> full = parse_reference(name->full());
  require(full.ok() && *full == *name, "the full form of a name means something else");
  const Result<Reference> familiar = parse_reference(name->familiar());
  require(familiar.ok() && *familiar == *name, "the short form of a name means something else");
}

void manifest(std::string_view bytes) {
  const std::string_view header = bytes.substr(0, bytes.find('\n'));
  const std::string_view body = bytes.substr(std::min(bytes.size(), header.size() + 1));
  for (const registry::Challenge& challenge : registry::parse_challenges(header)) {
    require(!challenge.scheme.empty(), "a challenge has a scheme");
  }
  const std::string error = registry::error_text(body);
  require(error.find('\x1b') == std::string::npos, "an error's text has no escapes");
  const Result<bool> index = registry::is_index(body, header);
  if (!index) return;
  if (*index) {
    const Result<registry::Index> list = registry::parse_index(body);
    if (!list) return;
    const Result<registry::Descriptor> chosen = registry::choose(*list, {"linux", "arm", "v7"});
    require(!chosen || is_digest(chosen->digest), "what is chosen has a digest");
    return;
  }
  const Result<registry::Manifest> image = registry::parse_manifest(body);
  if (!image) return;
  require(is_digest(image->config.digest), "a configuration has a digest");
  for (const registry::Descriptor& layer : image->layers) require(is_digest(layer.digest), "a layer has a digest");
}

void archive(std::string_view bytes) {
  const testing::TempFolder folder;
  Result<Store> store = Store::open(folder / "root");
  require(store.ok(), "a store");
  const std::string path = folder.write("archive", std::string{bytes});
  const Result<std::vector<Image>> loaded = store->load(path);
  const Result<std::vector<Image>> listed = store->list();
  require(listed.ok(), "the store cannot be listed after a load");
  const Result<PruneReport> pruned = store->prune({});
  require(pruned.ok() && (loaded.ok() || pruned->reclaimed == 0 || listed->empty()), "a failed load left garbage");
}

}  // namespace compose::image::fuzz
