// The loss report accounts for everything.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "case.hpp"
#include "compose/kubernetes/tree.hpp"
#include "compose/schema/schema.hpp"
#include "yaml/write.hpp"

namespace compose::kubernetes::test {
namespace {

TEST(Report, TheTableHasEveryAttributeOfTheList) {
  if (!std::filesystem::exists(ATTRIBUTES)) GTEST_SKIP() << "../shared/spec/attributes.json is not here";
  Value all;
  ASSERT_TRUE(yaml::from_json(read_text(ATTRIBUTES), all));
  for (const yaml::Entry& entry : all.get("attributes")->entries()) {
    EXPECT_NE(find_attribute(entry.key), nullptr) << entry.key << " is neither mapped nor reported";
  }
}

TEST(Report, TheTableHasEveryKeyOfTheSchemaOfServices) {
  Value spec;
  ASSERT_TRUE(yaml::from_json(schema::text(), spec));
  const Value* service = dig(spec, {"definitions", "service", "properties"});
  if (service == nullptr) service = dig(spec, {"$defs", "service", "properties"});
  ASSERT_NE(service, nullptr);
  EXPECT_GT(service->entries().size(), 80U);
  for (const yaml::Entry& entry : service->entries())
    EXPECT_NE(find_attribute("services.<name>." + entry.key), nullptr)
        << entry.key << " is neither mapped nor reported";
}

TEST(Report, WhatIsNotExactSaysHowOrWhy) {
  for (const Attribute& row : attributes()) {
    EXPECT_TRUE(row.fate == Fate::exact || !row.how.empty()) << row.pattern;
  }
}

TEST(Report, HasNoAttributeTheTableDoesNotKnow) {
  for (const std::string& name : case_names())
    for (const Finding& finding : export_case(read_case(name)).exported.findings)
      EXPECT_EQ(finding.how.find("does not know"), std::string::npos) << name << ": " << finding.path;
}

}  // namespace
}  // namespace compose::kubernetes::test
