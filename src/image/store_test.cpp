#include "image/store.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "image/digest.hpp"
#include "image/store_internal.hpp"
#include "image/testing/tar_builder.hpp"
#include "sys/file.hpp"

namespace compose::image {
namespace {

using testing::tar;
using testing::TempFolder;

std::string message(const auto& result) { return result ? "" : result.error().message(); }

class StoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "layers keep the owners of their files, which needs root";
    Result<Store> opened = Store::open(folder_ / "root");
    ASSERT_TRUE(opened) << message(opened);
    store_.emplace(std::move(*opened));
  }
  Image import(const std::string& name, const std::string& content = "hello",
               const std::vector<std::string>& changes = {}) {
    const std::string path = folder_.write("in.tar", tar({{"etc/", '5'}, {"etc/motd", '0', content}}));
    Result<Image> image = store_->import_rootfs(path, {name, changes, "", ""});
    EXPECT_TRUE(image) << message(image);
    return image ? *image : Image{};
  }
  std::size_t layer_count() const { return sys::list_directory(folder_ / "root/layers")->size(); }
  std::size_t tmp_count() const { return sys::list_directory(folder_ / "root/tmp")->size(); }

  TempFolder folder_;
  std::optional<Store> store_;
};

TEST_F(StoreTest, ImportedImageIsFoundByNameIdAndBeginningOfTheId) {
  const Image image = import("web:1", "hello", {"CMD [\"sh\"]", "ENV A=1", "EXPOSE 80"});
  EXPECT_EQ(image.names, std::vector<std::string>{"web:1"});
  EXPECT_EQ(image.config.env, std::vector<std::string>{"A=1"});
  for (const std::string& text : {std::string{"web:1"}, std::string{"docker.io/library/web:1"}, image.id,
                                  image.id.substr(7), image.id.substr(7, 12)}) {
    const auto found = store_->find(text);
    ASSERT_TRUE(found) << message(found);
    ASSERT_TRUE(found->has_value()) << text;
    EXPECT_EQ((*found)->id, image.id);
  }
  EXPECT_FALSE(store_->find("web:2")->has_value());
  ASSERT_EQ(image.layer_dirs.size(), 1U);
  EXPECT_EQ(*sys::read_file(image.layer_dirs[0] + "/etc/motd"), "hello");
  EXPECT_EQ(tmp_count(), 0U);
}

TEST_F(StoreTest, ADigestAnImageWasPulledByStaysBesideItsNames) {
  const Image image = import("web:1");
  const std::string config = *store_->internal().read_blob(image.id);
  const std::string manifest = *store_->internal().read_blob(image.manifest_digest);
  const std::string digest = "sha256:" + std::string(64, 'd');
  const std::string by_digest = "registry.example/web@" + digest;
  ASSERT_TRUE(store_->internal().add_image(config, {}, manifest, by_digest));
  EXPECT_EQ((*store_->find(by_digest))->id, image.id);
  EXPECT_EQ((*store_->find(by_digest))->repo_digests, std::vector<std::string>{by_digest});
  // Pulled by a tag that has the same digest the entry is one; the time tells of the pull.
  const auto again =
      store_->internal().add_image(config, {*parse_reference("registry.example/web:2")}, manifest, by_digest);
  ASSERT_TRUE(again) << message(again);
  EXPECT_EQ(again->names, (std::vector<std::string>{"registry.example/web:2", "web:1"}));
  const std::string before = again->last_tagged;
  EXPECT_GT(store_->internal()
                .add_image(config, {*parse_reference("registry.example/web:2")}, manifest, by_digest)
                ->last_tagged,
            before);
  // Another image under that digest (another platform's) is found first: it came last.
  const Image other = import("other", "other");
  ASSERT_TRUE(store_->internal().add_image(*store_->internal().read_blob(other.id), {},
                                           *store_->internal().read_blob(other.manifest_digest), by_digest));
  EXPECT_EQ((*store_->find(by_digest))->id, other.id);
  ASSERT_TRUE(store_->remove("registry.example/web:2"));
  const auto removed = store_->remove("web:1");
  ASSERT_TRUE(removed) << message(removed);
  EXPECT_FALSE(store_->find(image.id)->has_value()) << "the last name takes what has none with it";
}

TEST_F(StoreTest, UsageCountsEachLayerOnceAndWhatCouldGo) {
  const Image used = import("used", "12345678");
  const Image idle = import("idle", "1234");
  ASSERT_TRUE(store_->tag("idle", "idle:2"));
  const auto usage = store_->usage({used.id, used.id});
  ASSERT_TRUE(usage) << message(usage);
  EXPECT_EQ(usage->images.size(), 2U);
  EXPECT_EQ(usage->active_images, 1U);
  EXPECT_EQ(usage->images_size, 12U);
  EXPECT_EQ(usage->images_reclaimable, 4U);
  EXPECT_EQ(usage->build_layers, 0U);
  EXPECT_EQ(usage->unfinished, 0U);
  for (const ImageUsage& one : usage->images) {
    EXPECT_EQ(one.containers, one.image.id == used.id ? 2U : 0U);
    EXPECT_EQ(one.shared, 0U);
  }
}

TEST_F(StoreTest, NobodyElseMayWalkIn) {
  for (const char* name : {"root/images", "root/layers", "root/tmp"}) {
    struct stat status {};
    ASSERT_EQ(::stat((folder_ / name).c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, 0700U) << name;
  }
}

TEST_F(StoreTest, NameMovesToTheNewImageAndTheOldOneIsDangling) {
  const Image first = import("web", "one");
  const Image second = import("web", "two");
  EXPECT_NE(first.id, second.id);
  EXPECT_EQ((*store_->find("web"))->id, second.id);
  const auto old = store_->find(first.id);
  ASSERT_TRUE(old->has_value());
  EXPECT_TRUE((*old)->names.empty());
  const auto report = store_->prune({});
  ASSERT_TRUE(report) << message(report);
  EXPECT_FALSE(store_->find(first.id)->has_value());
  EXPECT_EQ(layer_count(), 1U);
}

TEST_F(StoreTest, PruneKeepsWhatContainersUse) {
  const Image first = import("web", "one");
  import("web", "two");
  ASSERT_TRUE(store_->prune({false, {first.id}}));
  EXPECT_TRUE(store_->find(first.id)->has_value());
}

TEST_F(StoreTest, LayersGoWithTheLastImage) {
  const Image image = import("a:1");
  ASSERT_TRUE(store_->tag("a:1", "b:1"));
  const auto busy = store_->remove(image.id);
  EXPECT_FALSE(busy) << "an id with two names needs force";
  auto removal = store_->remove("a:1");
  ASSERT_TRUE(removal) << message(removal);
  EXPECT_EQ(removal->untagged, std::vector<std::string>{"a:1"});
  EXPECT_TRUE(removal->deleted.empty());
  EXPECT_EQ(layer_count(), 1U);
  EXPECT_FALSE(store_->remove("b:1", false, {image.id})) << "in use";
  removal = store_->remove("b:1");
  ASSERT_TRUE(removal);
  EXPECT_EQ(layer_count(), 0U);
  EXPECT_EQ(sys::list_directory(folder_ / "root/images/blobs/sha256")->size(), 0U);
  EXPECT_FALSE(store_->remove("b:1"));
}

TEST_F(StoreTest, SavedImageIsLoadedElsewhereWithTheSameId) {
  const Image image = import("web:1", "hello", {"CMD x"});
  const std::string archive = folder_ / "out.tar";
  ASSERT_TRUE(store_->save({"web:1"}, archive));
  Result<Store> other = Store::open(folder_ / "other");
  ASSERT_TRUE(other);
  const auto loaded = other->load(archive);
  ASSERT_TRUE(loaded) << message(loaded);
  ASSERT_EQ(loaded->size(), 1U);
  EXPECT_EQ((*loaded)[0].id, image.id);
  EXPECT_EQ((*loaded)[0].names, std::vector<std::string>{"web:1"});
  EXPECT_EQ(testing::describe_tree((*loaded)[0].layer_dirs[0]), testing::describe_tree(image.layer_dirs[0]));
  const std::string again = folder_ / "again.tar";
  ASSERT_TRUE(other->save({"web:1"}, again));
  EXPECT_EQ(*sys::read_file(again), *sys::read_file(archive));
}

TEST_F(StoreTest, LoadsOldDockerArchivesWithLinkedLayers) {
  const std::string layer = tar({{"f", '0', "x"}});
  const std::string config = R"({"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[")" +
                             digest_of(layer) + R"(",")" + digest_of(layer) + R"("]}})";
  const std::string archive =
      tar({{"aa/layer.tar", '0', layer},
           {"bb/layer.tar", '2', "", "../aa/layer.tar"},
           {"c.json", '0', config},
           {"manifest.json", '0',
            R"([{"Config":"c.json","RepoTags":["old:1"],"Layers":["aa/layer.tar","bb/layer.tar"]}])"}});
  const auto loaded = store_->load(folder_.write("old.tar", archive));
  ASSERT_TRUE(loaded) << message(loaded);
  EXPECT_EQ((*loaded)[0].id, digest_of(config));
  EXPECT_EQ((*loaded)[0].layer_dirs.size(), 2U);
}

TEST_F(StoreTest, LayerWithAnotherDigestLeavesNothing) {
  const std::string layer = tar({{"f", '0', "x"}});
  const std::string config =
      R"({"os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:)" + std::string(64, 'a') + R"("]}})";
  const std::string archive =
      tar({{"l.tar", '0', layer},
           {"c.json", '0', config},
           {"manifest.json", '0', R"([{"Config":"c.json","RepoTags":["x"],"Layers":["l.tar"]}])"}});
  const auto loaded = store_->load(folder_.write("bad.tar", archive));
  ASSERT_FALSE(loaded);
  EXPECT_NE(message(loaded).find("expected sha256:aaaa"), std::string::npos) << message(loaded);
  EXPECT_EQ(layer_count(), 0U);
  EXPECT_EQ(tmp_count(), 0U);
  EXPECT_TRUE(store_->list()->empty());
}

std::string layout(const std::string& index, const std::vector<std::string>& blobs) {
  std::vector<testing::TarItem> items = {{"oci-layout", '0', R"({"imageLayoutVersion":"1.0.0"})"},
                                         {"index.json", '0', index}};
  for (const std::string& blob : blobs) items.push_back({"blobs/sha256/" + digest_of(blob).substr(7), '0', blob});
  return tar(items);
}

std::string descriptor(const std::string& blob, const std::string& more = "") {
  return R"({"mediaType":"x","digest":")" + digest_of(blob) + R"(","size":)" + std::to_string(blob.size()) + more + "}";
}

TEST_F(StoreTest, LoadsLayoutsWithNestedIndexForThisPlatform) {
  const std::string layer = tar({{"f", '0', "x"}});
  const std::string config = R"({"os":"linux","rootfs":{"type":"layers","diff_ids":[")" + digest_of(layer) + R"("]}})";
  const std::string manifest =
      R"({"schemaVersion":2,"config":)" + descriptor(config) + R"(,"layers":[)" + descriptor(layer) + "]}";
  const std::string platform = R"(,"platform":{"os":"linux","architecture":")" + host_architecture() + "\"}";
  const std::string inner = R"({"schemaVersion":2,"manifests":[{"digest":"sha256:)" + std::string(64, 'b') +
                            R"(","platform":{"os":"plan9","architecture":"mips"}},)" + descriptor(manifest, platform) +
                            "]}";
  const std::string outer = R"({"schemaVersion":2,"manifests":[)" +
                            descriptor(inner, R"(,"annotations":{"org.opencontainers.image.ref.name":"my/image:2"})") +
                            "]}";
  const auto loaded = store_->load(folder_.write("oci.tar", layout(outer, {layer, config, manifest, inner})));
  ASSERT_TRUE(loaded) << message(loaded);
  EXPECT_EQ((*loaded)[0].names, std::vector<std::string>{"my/image:2"});
}

TEST_F(StoreTest, AmbiguousAndForgedManifestsAreRefused) {
  const std::string config = R"({"os":"linux","rootfs":{"type":"layers","diff_ids":[]}})";
  const std::string both = R"({"schemaVersion":2,"config":)" + descriptor(config) + R"(,"layers":[],"manifests":[]})";
  const auto ambiguous =
      store_->load(folder_.write("a.tar", layout(R"({"manifests":[)" + descriptor(both) + "]}", {config, both})));
  ASSERT_FALSE(ambiguous);
  EXPECT_NE(message(ambiguous).find("ambiguous"), std::string::npos);
  const std::string index = R"({"manifests":[{"digest":"sha256:../../../etc/passwd"}]})";
  EXPECT_FALSE(store_->load(folder_.write("b.tar", layout(index, {}))));
  std::string forged = layout(R"({"manifests":[)" + descriptor(config) + "]}", {});
  forged = tar({{"oci-layout", '0', "{}"},
                {"index.json", '0', R"({"manifests":[)" + descriptor(config) + "]}"},
                {"blobs/sha256/" + digest_of(config).substr(7), '0', "other content"}});
  EXPECT_FALSE(store_->load(folder_.write("c.tar", forged)));
}

TEST_F(StoreTest, WhatIsNoArchiveIsAClearError) {
  const auto text = store_->load(folder_.write("text", "this is no archive at all"));
  EXPECT_FALSE(text);
  const auto rootfs = store_->load(folder_.write("rootfs.tar", tar({{"etc/", '5'}})));
  ASSERT_FALSE(rootfs);
  EXPECT_NE(message(rootfs).find("image import"), std::string::npos);
  EXPECT_FALSE(store_->load(folder_ / "missing.tar"));
}

TEST_F(StoreTest, ChangedFilesAreNoticedWhenSaving) {
  const Image image = import("web");
  std::ofstream{image.layer_dirs[0] + "/etc/motd"} << "HELLO";
  const auto saved = store_->save({"web"}, folder_ / "out.tar");
  ASSERT_FALSE(saved);
  EXPECT_NE(message(saved).find("have been changed"), std::string::npos);
  EXPECT_FALSE(sys::exists(folder_ / "out.tar"));
  EXPECT_FALSE(sys::exists(folder_ / "out.tar.part"));
}

TEST_F(StoreTest, DamagedBlobIsNamed) {
  const Image image = import("web");
  std::ofstream{store_->internal().blob_path(image.id)} << "{}";
  const auto found = store_->find("web");
  ASSERT_FALSE(found);
  EXPECT_NE(message(found).find(image.id), std::string::npos);
}

TEST_F(StoreTest, LayersOfAnEarlierBootAreCheckedOnce) {
  const Image image = import("web");
  const std::string layer_folder = image.layer_dirs[0].substr(0, image.layer_dirs[0].rfind('/'));
  const std::string record = layer_folder + "/layer.json";
  const auto pretend_reboot = [&] {
    nlohmann::json document = nlohmann::json::parse(std::ifstream{record});
    document["boot_id"] = "before";
    std::ofstream{record} << document.dump();
  };
  pretend_reboot();
  ASSERT_TRUE(store_->find("web").ok());
  EXPECT_EQ(sys::read_file(record)->find("boot_id"), std::string::npos) << "known to be on the disk from now on";
  std::ofstream{record, std::ios::trunc}.flush();
  EXPECT_EQ(import("web").layer_dirs, image.layer_dirs) << "a record without content is replaced";
  pretend_reboot();
  std::ofstream{image.layer_dirs[0] + "/etc/motd", std::ios::trunc}.flush();  // what a power cut leaves
  const auto found = store_->find("web");
  ASSERT_FALSE(found);
  EXPECT_NE(message(found).find("load or build the image again"), std::string::npos) << message(found);
  EXPECT_EQ(import("web").id.size(), image.id.size());
  EXPECT_TRUE(store_->find("web").ok()) << "and then it is whole again";
}

TEST_F(StoreTest, GarbageOfKilledProcessesIsSweptAndWorkInProgressIsNot) {
  import("web");
  const Result<Workspace> alive = store_->internal().workspace();
  ASSERT_TRUE(alive);
  ASSERT_TRUE(sys::make_directories(folder_ / "root/tmp/dead/layer/diff/x"));
  folder_.write("root/tmp/dead.lock", "");
  ASSERT_TRUE(sys::make_directories(folder_ / ("root/layers/" + std::string(64, 'c') + "/diff")));
  ASSERT_TRUE(store_->prune({}));
  EXPECT_FALSE(sys::exists(folder_ / "root/tmp/dead"));
  EXPECT_FALSE(sys::exists(folder_ / "root/tmp/dead.lock"));
  EXPECT_TRUE(sys::exists(alive->path()));
  EXPECT_EQ(layer_count(), 1U);
}

TEST_F(StoreTest, CollectionWaitsForUsers) {
  import("web");
  const Result<UseLock> use = store_->internal().use();
  ASSERT_TRUE(use);
  ASSERT_TRUE(store_->remove("web"));
  EXPECT_EQ(layer_count(), 1U) << "somebody may be about to name that layer";
}

TEST_F(StoreTest, ParallelImportsOfOneImageAndOfMany) {
  std::vector<std::thread> threads;
  std::vector<std::string> problems(8);
  for (std::size_t i = 0; i < problems.size(); ++i) {
    const std::string path =
        folder_.write(fmt::format("p{}.tar", i), tar({{"f", '0', i % 2 == 0 ? "same" : fmt::format("{}", i)}}));
    threads.emplace_back([this, i, path, &problems] {
      Result<Store> own = Store::open(folder_ / "root");
      const Result<Image> image = own->import_rootfs(path, {fmt::format("p{}", i), {}, "", ""});
      problems[i] = message(image);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& problem : problems) EXPECT_EQ(problem, "");
  EXPECT_EQ(store_->list()->size(), 8U);
  EXPECT_EQ(layer_count(), 5U);
  EXPECT_EQ(tmp_count(), 0U);
}

TEST_F(StoreTest, ImportChangesThatAreNoneAreErrors) {
  const std::string path = folder_.write("in.tar", tar({{"f", '0', "x"}}));
  EXPECT_FALSE(store_->import_rootfs(path, {"a", {"RUN true"}, "", ""}));
  EXPECT_FALSE(store_->import_rootfs(path, {"a", {"EXPOSE x"}, "", ""}));
  EXPECT_FALSE(store_->import_rootfs(path, {"UPPER", {}, "", ""}));
  EXPECT_EQ(layer_count(), 0U);
}

}  // namespace
}  // namespace compose::image
