#include "container/prepare.hpp"

#include <gmock/gmock.h>

#include "container/test_folder.hpp"
#include "container/volume.hpp"
#include "runtime/launch/plan.hpp"

namespace compose::container {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
namespace spec = runtime::spec;

class PrepareTest : public TestFolder {
 protected:
  PrepareTest() {
    project_.name = "shop";
    project_.positions.set("services.web", {"compose.yaml", 4, 3});
    project_.positions.set("services.web.volumes[0]", {"compose.yaml", 9, 9});
    service_.name = "web";
    image_.config.cmd = {"serve"};
    directory("layer", 0711);
    file("layer/etc/group", "root:x:0:\nwww-data:x:33:\n");
    file("layer/var/www/index.html", "hello");
    directory("layer/var/www", 0750, ::geteuid() == 0 ? 33 : 0);
    image_.layer_dirs = {path("layer")};
  }

  state::Paths paths() const { return {path("root"), path("run")}; }
  CreateInput input() const {
    return {.project = project_, .service = service_, .image = image_, .id = id_, .name = "shop-web-1"};
  }
  Created create() const {
    auto created = create_container(paths(), input());
    EXPECT_TRUE(created.ok()) << (created.ok() ? "" : created.error().message());
    return created.ok() ? std::move(created).value() : Created{};
  }
  std::string error() const {
    const auto created = create_container(paths(), input());
    return created.ok() ? "no error" : created.error().message();
  }
  Start start(StartInput how = {}) const {
    how.project = "shop";
    how.id = id_;
    auto started = prepare_start(paths(), how);
    EXPECT_TRUE(started.ok()) << (started.ok() ? "" : started.error().message());
    return started.ok() ? std::move(started).value() : Start{};
  }
  model::Mount& mount(const std::string& type, const std::string& source, const std::string& target) {
    auto& mount = service_.volumes.emplace_back();
    mount.type = type;
    mount.source = source;
    mount.target = target;
    return mount;
  }
  template <typename Spec>
  static const runtime::spec::Mount* at(const Spec& spec, const std::string& target) {
    for (const auto& mount : spec.mounts) {
      if (mount.destination == target) return &mount;
    }
    return nullptr;
  }
  std::string run_file(const std::string& name) const { return content("run/containers/" + id_ + "/" + name); }

  model::Project project_;
  model::Service service_;
  image::Image image_;
  std::string id_ = std::string(64, 'd');
};

TEST_F(PrepareTest, MakesTheOverlaysFoldersLikeTheImagesRoot) {
  const auto created = create();
  std::vector<std::string> lower = image_.layer_dirs;
  lower.push_back(paths().mount_points());
  EXPECT_EQ(created.files.overlay.lower, lower);
  EXPECT_EQ(content("root/cache/mount-points/etc/resolv.conf"), "") << "below the image, so that /etc is not copied up";
  EXPECT_EQ(created.files.overlay.upper, paths().container("shop", id_) + "/upper");
  EXPECT_EQ(info("root/projects/shop/containers/" + id_ + "/upper").st_mode & 07777U, 0711U);
  EXPECT_EQ(created.spec.root.path, path("run/containers/" + id_ + "/rootfs"));
  create();  // again, as after a crash
}

TEST_F(PrepareTest, WhatWasMadeAndWhatIsReadStartTheSame) {
  service_.cap_add = {"NET_ADMIN"};
  service_.environment = {{"A", "b"}, {"C", ""}};
  service_.extra_hosts = {{"db", {"10.0.0.9"}}};
  service_.tmpfs = {"/scratch:size=1m"};
  service_.ulimits["nofile"] = {1000, 2000};
  service_.init = true;
  service_.user = "33";
  const StartInput how{.project = "shop", .id = id_, .addresses = {"10.9.8.7"}};
  auto made = prepare_start(paths(), how, std::make_unique<Created>(create()));
  ASSERT_TRUE(made.ok()) << made.error().message();
  const Start read = start(how);
  EXPECT_EQ(spec::to_json(made->spec), spec::to_json(read.spec));
  const auto plan = [&](const Start& of) {
    runtime::launch::CompileRequest request;
    request.spec = of.spec;
    request.overlay = of.overlay;
    request.container_id = id_;
    const auto facts = runtime::launch::probe_host();
    if (!facts) return facts.error().message();
    const auto compiled = runtime::launch::compile(request, *facts);
    return compiled ? runtime::launch::serialize(*compiled) : compiled.error().message();
  };
  EXPECT_EQ(plan(*made), plan(read)) << "all that config.json does not say";
}

TEST_F(PrepareTest, ANamedVolumeReceivesTheImagesContent) {
  project_.volumes["www"].name = "shop_www";
  mount("volume", "www", "/var/www");
  const auto created = create();
  EXPECT_EQ(content("root/volumes/shop_www/_data/index.html"), "hello");
  ASSERT_EQ(created.mounts.size(), 1U);
  EXPECT_EQ(created.mounts[0].name, "shop_www");
  EXPECT_FALSE(created.mounts[0].anonymous);
  EXPECT_EQ(at(created.spec, "/var/www")->source, path("root/volumes/shop_www/_data"));
  const auto volume = find_volume(paths(), "shop_www");
  EXPECT_EQ((*volume)->labels.at("com.docker.compose.volume"), "www");
}

TEST_F(PrepareTest, NocopyLeavesTheVolumeEmpty) {
  project_.volumes["www"].name = "shop_www";
  mount("volume", "www", "/var/www").volume.nocopy = true;
  create();
  EXPECT_TRUE(sys::list_directory(path("root/volumes/shop_www/_data"))->empty());
}

TEST_F(PrepareTest, ASubpathMustStayInsideTheVolume) {
  project_.volumes["www"].name = "shop_www";
  auto& entry = mount("volume", "www", "/srv");
  entry.volume.subpath = "../../../etc";
  EXPECT_THAT(error(), HasSubstr("compose.yaml:9:9: subpath \"../../../etc\" of the volume"));
  service_.volumes[0].volume.subpath = "inner";
  EXPECT_THAT(error(), HasSubstr("subpath \"inner\""));
  directory("root/volumes/shop_www/_data/inner");
  EXPECT_EQ(at(create().spec, "/srv")->source, path("root/volumes/shop_www/_data/inner"));
}

TEST_F(PrepareTest, TheImagesVolumesAreAnonymousAndCarriedOver) {
  image_.config.volumes = {"/var/www", "/tmp/x/"};
  service_.tmpfs = {"/tmp/x:size=1m"};
  const auto created = create();
  ASSERT_EQ(created.mounts.size(), 1U);
  EXPECT_TRUE(created.mounts[0].anonymous);
  EXPECT_EQ(created.mounts[0].name.size(), 64U);
  EXPECT_EQ(content("root/volumes/" + created.mounts[0].name + "/_data/index.html"), "hello");

  auto next = input();
  next.id = std::string(64, 'e');
  next.anonymous_volumes = {{"/var/www", created.mounts[0].name}};
  const auto second = create_container(paths(), next);
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(second->mounts[0].name, created.mounts[0].name);
  ASSERT_TRUE(remove_container(paths(), "shop", next.id).ok());
  EXPECT_TRUE(sys::exists(path("root/volumes/" + created.mounts[0].name))) << "it is not the one that brought it";
}

TEST_F(PrepareTest, AVolumeReceivesNothingOfTheHost) {  // CVE-2022-23648, CVE-2020-1726
  link("layer/door", "/etc");
  link("layer/climb", "../../../../../../../../../../etc");
  image_.config.volumes = {"/../../../../../../../../../../etc", "/door", "/climb"};
  const auto created = create();
  ASSERT_EQ(created.mounts.size(), 3U);
  for (const auto& mount : created.mounts) {
    EXPECT_THAT(*sys::list_directory(path("root/volumes/" + mount.name + "/_data")), ElementsAre("group"))
        << mount.target;
  }
}

TEST_F(PrepareTest, AnonymousVolumesGoWithAContainerThatWasNotFinished) {
  image_.config.volumes = {"/var/www", "/var/log"};
  const auto half_made = create();
  ASSERT_TRUE(remove_container(paths(), "shop", input().id).ok());
  for (const auto& mount : half_made.mounts) EXPECT_FALSE(sys::exists(path("root/volumes/" + mount.name)));
  const auto made = create();
  ASSERT_TRUE(set_own_volumes(paths(), "shop", input().id, {}).ok());
  ASSERT_TRUE(remove_container(paths(), "shop", input().id).ok());
  for (const auto& mount : made.mounts) EXPECT_TRUE(sys::exists(path("root/volumes/" + mount.name)));
}

TEST_F(PrepareTest, ABindSourceIsMadeUnlessThatIsForbidden) {
  mount("bind", path("host/new"), "/data").read_only = true;
  const auto created = create();
  EXPECT_TRUE(sys::exists(path("host/new")));
  EXPECT_THAT(at(created.spec, "/data")->options, Contains("ro"));
  service_.volumes[0].source = path("host/none");
  service_.volumes[0].bind.create_host_path = false;
  EXPECT_EQ(error(), "compose.yaml:9:9: bind source path does not exist: " + path("host/none"));
}

TEST_F(PrepareTest, AVolumeMayStandForADirectoryOfTheHost) {
  directory("srv");
  project_.volumes["www"].name = "shop_www";
  project_.volumes["www"].driver_opts = {{"type", "none"}, {"o", "bind"}, {"device", path("srv")}};
  mount("volume", "www", "/srv");
  EXPECT_EQ(at(create().spec, "/srv")->source, path("srv"));
}

TEST_F(PrepareTest, AnExternalVolumeMustExist) {
  project_.volumes["www"].name = "elsewhere";
  project_.volumes["www"].external = true;
  mount("volume", "www", "/srv");
  EXPECT_EQ(error(), "compose.yaml:9:9: volume \"elsewhere\" is declared as external, but it does not exist");
}

TEST_F(PrepareTest, TmpfsMountsTakeSizeAndMode) {
  auto& entry = mount("tmpfs", "", "/cache");
  entry.tmpfs.size = 1 << 20;
  entry.tmpfs.mode = 0700;
  const auto created = create();
  EXPECT_EQ(at(created.spec, "/cache")->type, "tmpfs");
  EXPECT_THAT(at(created.spec, "/cache")->options, Contains("size=1048576"));
  EXPECT_THAT(at(created.spec, "/cache")->options, Contains("mode=700"));
}

TEST_F(PrepareTest, VolumesFromAnotherContainerAreMountedToo) {
  state::ContainerRecord other;
  other.id = std::string(64, 'f');
  other.project = "shop";
  other.service = "db";
  other.mounts = {{"volume", "shop_db", "/vol/db", "/data", false}, {"tmpfs", "", "tmpfs", "/t", false}};
  ASSERT_TRUE(sys::make_directories(paths().container("shop", other.id)).ok());
  ASSERT_TRUE(state::save_record(paths(), other).ok());
  service_.volumes_from = {"db:ro"};
  auto with = input();
  with.volumes_from = {{"db", other.id}};
  const auto created = create_container(paths(), with);
  ASSERT_TRUE(created.ok()) << created.error().message();
  EXPECT_EQ(at(created->spec, "/data")->source, "/vol/db");
  EXPECT_THAT(at(created->spec, "/data")->options, Contains("ro"));
  EXPECT_EQ(at(created->spec, "/t"), nullptr);
  EXPECT_THAT(error(), HasSubstr("volumes_from: no container for \"db\""));
}

TEST_F(PrepareTest, GroupsAreLookedUpInTheImage) {
  service_.group_add = {"www-data", "1000"};
  EXPECT_EQ(create().spec.process->user.additional_gids, (std::vector<std::uint32_t>{33, 1000}));
  service_.group_add = {"nobody-here"};
  project_.positions.set("services.web.group_add", {"compose.yaml", 6, 16});
  EXPECT_EQ(error(),
            "compose.yaml:6:16: service \"web\": group_add: no group \"nobody-here\" in the image's /etc/group");
}

TEST_F(PrepareTest, AStartWritesNamesAndResolver) {
  service_.hostname = "web1";
  create();
  start({.project = {}, .id = {}, .addresses = {"172.20.0.2"}});
  EXPECT_THAT(run_file("hosts"), HasSubstr("172.20.0.2\tweb1\n"));
  EXPECT_EQ(run_file("hostname"), "web1\n");
  EXPECT_THAT(run_file("resolv.conf"), HasSubstr("nameserver 127.0.0.11\n"));
  EXPECT_TRUE(sys::exists(path("run/containers/" + id_ + "/rootfs")));
  start({.project = {}, .id = {}, .addresses = {"172.20.0.9"}});  // the next start has another address
  EXPECT_THAT(run_file("hosts"), HasSubstr("172.20.0.9\tweb1\n"));
}

TEST_F(PrepareTest, AStartWritesSecretsWithOwnerAndMode) {
  COMPOSE_NEEDS_ROOT;
  file("key", "s3cret", 0600);
  project_.secrets["key"].file = path("key");
  service_.secrets = {{"key", "", "33", "34", 0400}};
  create();
  const auto made = start();
  const std::string name = "run/containers/" + id_ + "/secrets/0";
  EXPECT_EQ(content(name), "s3cret");
  EXPECT_EQ(info(name).st_uid, 33U);
  EXPECT_EQ(info(name).st_gid, 34U);
  EXPECT_EQ(info(name).st_mode & 07777U, 0400U);
  EXPECT_EQ(at(made.spec, "/run/secrets/key")->source, path(name));
  EXPECT_THAT(at(made.spec, "/run/secrets/key")->options, Contains("ro"));
}

TEST_F(PrepareTest, AMissingSecretIsNamedWithItsPlace) {
  project_.positions.set("secrets.key", {"compose.yaml", 20, 3});
  project_.secrets["key"].file = path("none");
  service_.secrets = {{"key", "", "", "", {}}};
  EXPECT_EQ(error(),
            "compose.yaml:20:3: secret \"key\": cannot read \"" + path("none") + "\": No such file or directory");
}

TEST_F(PrepareTest, AJoinedNetworkBringsTheOthersNamesAndNamespace) {
  service_.network_mode = "service:db";
  create();
  directory("run/containers/other");
  file("run/containers/other/hostname", "dbhost\n");
  const auto made =
      start({.project = {}, .id = {}, .namespaces = {{"network", "/proc/7/ns/net"}}, .network_container = "other"});
  EXPECT_EQ(at(made.spec, "/etc/hosts")->source, path("run/containers/other/hosts"));
  EXPECT_EQ(at(made.spec, "/etc/resolv.conf")->source, path("run/containers/other/resolv.conf"));
  EXPECT_EQ(made.spec.hostname, "dbhost");
  EXPECT_THAT(made.spec.process->env, Contains("HOSTNAME=dbhost"));
  EXPECT_THAT(made.spec.process->env, Not(Contains("HOSTNAME=dddddddddddd")));
}

TEST_F(PrepareTest, AJoinedIpcNamespaceBringsItsSharedMemory) {
  model::Service db;
  db.name = "db";
  project_.services["db"] = db;
  service_.ipc = "service:db";
  create();
  auto made = start({.project = {}, .id = {}, .ipc_container = "other"});
  EXPECT_EQ(at(made.spec, "/dev/shm")->source, path("run/containers/other/shm"));

  project_.services["web"] = service_;
  service_ = db;
  id_ = std::string(64, 'e');
  create();
  made = start();
  EXPECT_EQ(at(made.spec, "/dev/shm")->source, path("run/containers/" + id_ + "/shm"));
  EXPECT_EQ(info("run/containers/" + id_ + "/shm").st_mode & 07777U, 01777U);
}

TEST_F(PrepareTest, RemovalLeavesNothingButVolumes) {
  project_.volumes["www"].name = "shop_www";
  mount("volume", "www", "/var/www");
  create();
  start();
  ASSERT_TRUE(remove_container(paths(), "shop", id_).ok());
  ASSERT_TRUE(remove_container(paths(), "shop", id_).ok());
  EXPECT_FALSE(sys::exists(paths().container("shop", id_)));
  EXPECT_FALSE(sys::exists(paths().run_container(id_)));
  EXPECT_TRUE(sys::exists(path("root/volumes/shop_www/_data/index.html")));
}

TEST_F(PrepareTest, TheHashFollowsTheContentOfSecretsAndConfigs) {
  project_.services["web"] = service_;
  const auto bare = service_hash(project_, service_);
  file("key", "one");
  project_.secrets["key"].file = path("key");
  service_.secrets = {{"key", "", "", "", {}}};
  const auto first = service_hash(project_, service_);
  ASSERT_TRUE(bare.ok() && first.ok());
  EXPECT_NE(*bare, *first);
  EXPECT_EQ(*first, *service_hash(project_, service_));
  file("key", "two");
  EXPECT_NE(*first, *service_hash(project_, service_));
}

}  // namespace
}  // namespace compose::container
