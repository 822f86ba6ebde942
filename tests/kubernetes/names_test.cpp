// Odd and hostile names: valid objects or an error that says what to rename.
#include "compose/kubernetes/names.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mapped.hpp"

namespace compose::kubernetes::test {
namespace {

using testing::HasSubstr;

const std::string kLong(100, 'a');

TEST(Names, AreCutWithAHashSoThatTheyStayApart) {
  EXPECT_EQ(dns_label("My_Web.1"), "my-web-1");
  EXPECT_EQ(dns_label("1st"), "x-1st");
  EXPECT_EQ(dns_label("___"), "x");
  const std::string one = dns_label(kLong + "1");
  const std::string two = dns_label(kLong + "2");
  EXPECT_EQ(one.size(), 63U);
  EXPECT_NE(one, two);
  EXPECT_EQ(dns_label(kLong, 50).size(), 50U);
}

TEST(Names, OfEverythingMayBeLongOddAndInCapitals) {
  const std::string text = fmt::format(
      "services:\n"
      "  {0}_A: {{image: a, restart: always, ports: ['80:80'], depends_on: {{{0}_B: {{condition: service_started}}}},\n"
      "    environment: {{A: b}}, volumes: ['{0}_V:/v', '/anonymous'], tmpfs: [/t], shm_size: 1m,\n"
      "    networks: {{{0}_N: {{aliases: [www]}}, {0}_M: }}, configs: [{0}_C], secrets: [{0}_S]}}\n"
      "  {0}_B: {{image: mariadb, restart: always, expose: ['1'], volumes: ['{0}_W:/v'], networks: [{0}_M]}}\n"
      "  {0}.C: {{image: a, x-schedule: '@daily', container_name: Box_1}}\n"
      "  UPPER: {{image: a, restart: always, hostname: UPPER.example, labels: {{'a b': c, fine: '{0}{0}'}}}}\n"
      "networks: {{{0}_N: , {0}_M: {{internal: true}}}}\n"
      "volumes: {{{0}_V: , {0}_W: }}\n"
      "configs: {{{0}_C: {{content: a}}}}\n"
      "secrets: {{{0}_S: {{external: true, name: Some_Secret}}}}\n",
      kLong);
  const Mapped made{text};  // each object is checked
  EXPECT_EQ(made.problems(), "");
  EXPECT_TRUE(made.has("CronJob", dns_label(kLong + ".C", 52)));
  EXPECT_TRUE(made.has("StatefulSet", dns_label(kLong + "_B", 52)));
  EXPECT_EQ(made.at("Deployment", "upper", "metadata|annotations|fine"), "\"" + kLong + kLong + "\"");
  EXPECT_THAT(made.fate("services.UPPER.labels"), HasSubstr("dropped: \"a b\" cannot be a key"));
  EXPECT_THAT(made.fate("services.UPPER.hostname"), HasSubstr("dropped"));
  EXPECT_THAT(made.fate("secrets." + kLong + "_S.name"), HasSubstr("approximated"));
  EXPECT_THAT(made.fate("services." + kLong + ".C.container_name"), HasSubstr("dropped: \"Box_1\" cannot be"));
  EXPECT_THAT(made.all().warnings, testing::Contains(HasSubstr("service \"UPPER\" is called \"upper\" there")));
}

TEST(Names, LongNetworksStayApart) {
  const Mapped made{
      fmt::format("services:\n  web: {{image: a, networks: [{0}1, {0}2]}}\nnetworks: {{{0}1: , {0}2: }}\n", kLong)};
  EXPECT_EQ(
      made.object("Deployment", "web")->get("spec")->get("template")->get("metadata")->get("labels")->entries().size(),
      5U);
}

TEST(Names, ThatComeToTheSameAreRefused) {
  for (const char* text :
       {"services:\n  web: {image: a, ports: ['80:80']}\n  web-published: {image: b}\n",
        "services:\n  web: {image: a, environment: {A: b}, configs: [web-env]}\nconfigs: {web-env: {content: c}}\n",
        "services:\n  web: {image: a, volumes: ['a.b:/1', 'a_b:/2']}\nvolumes: {a.b: , a_b: }\n",
        "services:\n  web: {image: a, configs: [a.b, a_b]}\nconfigs: {a.b: {content: c}, a_b: {content: d}}\n",
        "services:\n  web: {image: a, networks: [a.b, a_b]}\nnetworks: {a.b: , a_b: }\n"})
    EXPECT_THAT(Mapped(text).problems(), HasSubstr(" would be made twice, for ")) << text;
  EXPECT_THAT(Mapped("services:\n  a.b: {image: a}\n  a_b: {image: b}\n").problems(),
              HasSubstr("services \"a.b\" and \"a_b\" would both be called \"a-b\""));
  EXPECT_THAT(
      Mapped("services:\n  web: {image: a, tmpfs: [/t], volumes: ['tmpfs-0-web:/d']}\nvolumes: {tmpfs-0-web: }\n")
          .problems(),
      HasSubstr("two volumes of the pod would be called \"tmpfs-0-web\""));
}

TEST(Names, TheErrorOfTwoNamesHasALine) {
  const Mapped made{"services:\n  web: {image: a, volumes: ['a.b:/1', 'a_b:/2']}\nvolumes:\n  a.b:\n  a_b:\n"};
  EXPECT_THAT(made.problems(), HasSubstr("compose.yaml:6: PersistentVolumeClaim \"a-b\" would be made twice, for "
                                         "compose.yaml:5 and for compose.yaml:6: rename one"));
}

TEST(Names, OfPortsAreUniqueAndShort) {
  const Mapped made = service(
      "    ports: [{target: 80, name: tcp-81}, {target: 81}, {target: 82, name: a-name-too-long-for-a-port}, {target: "
      "83, "
      "name: tcp-81}]\n");
  EXPECT_EQ(made.at("Service", "web", "spec|ports|0|name"), "\"tcp-80\"");
  EXPECT_EQ(made.at("Service", "web", "spec|ports|1|name"), "\"tcp-81\"");
  EXPECT_EQ(made.at("Service", "web", "spec|ports|2|name"), "\"tcp-82\"");
  EXPECT_THAT(made.fate("services.web.ports[2].name"), HasSubstr("dropped: not a port's name there"));
}

TEST(Names, InLabelsOfOursAreChecked) {
  const std::string claim = "services:\n  web: {image: a, volumes: ['vol:/v']}\nvolumes: {vol: {labels: {%}}}\n";
  for (const char* label : {"kubernetes.size: 20 gigabytes", "kubernetes.class: Fast Disk", "kubernetes.access: all"}) {
    std::string text = claim;
    text.replace(text.find('%'), 1, label);
    EXPECT_THAT(Mapped(text).problems(), HasSubstr("compose.yaml:4: label kubernetes.")) << label;
  }
  for (const char* labels :
       {"host: 'http://a'", "host: a.test, kubernetes.ingress.path: a", "host: a.test, kubernetes.ingress.class: A B",
        "host: a.test, kubernetes.ingress.tls: A_B"})
    EXPECT_THAT(service(fmt::format("    expose: ['80']\n    labels: {{kubernetes.ingress.{}}}\n", labels)).problems(),
                HasSubstr("label kubernetes.ingress."))
        << labels;
}

TEST(Names, OfPathsThatKubernetesRefusesAreErrors) {
  const std::string mount =
      "    volumes: [{type: volume, source: v, target: '%', volume: {subpath: '&'}}]\nvolumes: {v: }\n";
  const auto with = [&](const std::string& target, const std::string& below) {
    std::string text = mount;
    text.replace(text.find('%'), 1, target);
    return text.replace(text.find('&'), 1, below);
  };
  EXPECT_EQ(service(with("/d", "a/b")).problems(), "");
  EXPECT_THAT(service(with("/d:e", "a")).problems(), HasSubstr("mounts at \"/d:e\""));
  EXPECT_THAT(service(with("/d", "../a")).problems(), HasSubstr("subpath \"../a\" leaves the volume"));
}

TEST(Quantities, AreThoseOfTheApi) {
  for (const char* good : {"1", "20Gi", "1.5G", "500m", ".5Ti"}) EXPECT_TRUE(is_quantity(good)) << good;
  for (const char* bad : {"", "Gi", "1 Gi", "1GB", "1.2.3", "-1", "1e"}) EXPECT_FALSE(is_quantity(bad)) << bad;
  EXPECT_EQ(cpu_quantity(0.0001), "1m");
  EXPECT_EQ(cpu_quantity(0), "0");
}

}  // namespace
}  // namespace compose::kubernetes::test
