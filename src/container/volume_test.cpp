#include "container/volume.hpp"

#include <gmock/gmock.h>

#include "container/test_folder.hpp"
#include "container/volume_content.hpp"

namespace compose::container {
namespace {

using testing::HasSubstr;

class VolumeTest : public TestFolder {
 protected:
  state::Paths paths() const { return {path("root"), path("run")}; }
  VolumeInfo named(const std::string& name) const {
    VolumeInfo volume;
    volume.name = name;
    volume.labels = {{"a", "b"}};
    volume.project = "shop";
    volume.key = "data";
    volume.hash = "h";
    return volume;
  }
  LayeredTree image() const {
    directory("image/data", 0750, ::geteuid() == 0 ? 33 : 0);
    file("image/data/seed", "one");
    directory("image/empty");
    auto tree = LayeredTree::open({path("image")});
    return std::move(tree).value();
  }
};

TEST_F(VolumeTest, IsMadeOnceAndRemembersHow) {
  const auto made = ensure_volume(paths(), named("shop_data"));
  ASSERT_TRUE(made.ok()) << made.error().message();
  VolumeInfo other = named("shop_data");
  other.labels = {{"c", "d"}};
  const auto again = ensure_volume(paths(), other);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->labels, named("").labels);
  EXPECT_EQ(again->project, "shop");
  EXPECT_EQ(again->hash, "h");
  const auto found = find_volume(paths(), "shop_data");
  ASSERT_TRUE(found.ok() && found->has_value());
  EXPECT_EQ((*found)->key, "data");
  EXPECT_NE((*found)->created_at, state::Time{});
  EXPECT_EQ(list_volumes(paths())->size(), 1U);
}

TEST_F(VolumeTest, IsGoneAfterRemovalAndThatMayBeRepeated) {
  ASSERT_TRUE(ensure_volume(paths(), named("shop_data")).ok());
  file("root/volumes/shop_data/_data/deep/file", "x");
  EXPECT_TRUE(remove_volume(paths(), "shop_data").ok());
  EXPECT_TRUE(remove_volume(paths(), "shop_data").ok());
  EXPECT_FALSE(find_volume(paths(), "shop_data")->has_value());
  EXPECT_FALSE(sys::exists(path("root/volumes/shop_data")));
}

TEST_F(VolumeTest, RefusesNamesThatAreNoneAndOtherDrivers) {
  for (const char* name : {"", "../x", "a/b", ".hidden", "a b"}) {
    EXPECT_FALSE(ensure_volume(paths(), named(name)).ok()) << name;
    EXPECT_FALSE(remove_volume(paths(), name).ok()) << name;
  }
  VolumeInfo remote = named("shop_data");
  remote.driver = "nfs";
  const auto made = ensure_volume(paths(), remote);
  ASSERT_FALSE(made.ok());
  EXPECT_THAT(made.error().message(), HasSubstr("driver \"nfs\""));
}

TEST_F(VolumeTest, ANewerDescriptionIsRefused) {
  ASSERT_TRUE(ensure_volume(paths(), named("shop_data")).ok());
  file("root/volumes/shop_data/meta.json", R"({"schema":99})");
  EXPECT_EQ(find_volume(paths(), "shop_data").error().code(), Errc::unsupported);
  file("root/volumes/shop_data/meta.json", "torn");
  EXPECT_EQ(find_volume(paths(), "shop_data").error().code(), Errc::corrupt);
}

TEST_F(VolumeTest, AnEmptyOneReceivesTheImagesContent) {
  ASSERT_TRUE(ensure_volume(paths(), named("shop_data")).ok());
  ASSERT_TRUE(fill_volume(paths(), "shop_data", image(), "/data").ok());
  EXPECT_EQ(content("root/volumes/shop_data/_data/seed"), "one");
  EXPECT_EQ(info("root/volumes/shop_data/_data").st_mode & 07777U, 0750U);
  EXPECT_FALSE(sys::exists(path("root/volumes/shop_data/filling")));
}

TEST_F(VolumeTest, OneWithContentIsLeftAlone) {
  ASSERT_TRUE(ensure_volume(paths(), named("shop_data")).ok());
  file("root/volumes/shop_data/_data/mine", "two");
  ASSERT_TRUE(fill_volume(paths(), "shop_data", image(), "/data").ok());
  EXPECT_FALSE(sys::exists(path("root/volumes/shop_data/_data/seed")));
}

TEST_F(VolumeTest, AnInterruptedCopyIsBegunAgain) {
  ASSERT_TRUE(ensure_volume(paths(), named("shop_data")).ok());
  file("root/volumes/shop_data/_data/half", "torn");
  file("root/volumes/shop_data/filling", "");
  ASSERT_TRUE(fill_volume(paths(), "shop_data", image(), "/data").ok());
  EXPECT_FALSE(sys::exists(path("root/volumes/shop_data/_data/half")));
  EXPECT_EQ(content("root/volumes/shop_data/_data/seed"), "one");
}

TEST_F(VolumeTest, APathThatTheImageDoesNotHaveGivesNothing) {
  ASSERT_TRUE(ensure_volume(paths(), named("shop_data")).ok());
  ASSERT_TRUE(fill_volume(paths(), "shop_data", image(), "/none").ok());
  EXPECT_TRUE(sys::list_directory(path("root/volumes/shop_data/_data"))->empty());
}

}  // namespace
}  // namespace compose::container
