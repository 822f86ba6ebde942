#include "cli/table.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "cli/listing.hpp"

namespace compose::cli {
namespace {

TEST(Table, AlignsColumnsAndLeavesNoBlanksAtTheEnd) {
  Table table{{"NAME", "STATUS", "PORTS"}};
  table.add({"shop-web-1", "Up 2 minutes", "80/tcp"});
  table.add({"shop-düse-1", "Created", ""});
  EXPECT_EQ(table.render(),
            "NAME          STATUS         PORTS\n"
            "shop-web-1    Up 2 minutes   80/tcp\n"
            "shop-düse-1   Created        \n");
}

TEST(Table, OfNoRowsIsItsHeader) { EXPECT_EQ(Table({"NAME", "STATUS"}).render(), "NAME   STATUS\n"); }

const Listing kListing{{{"NAME", "Name"}, {"STATUS", "Status"}}};
const std::vector<nlohmann::ordered_json> kRows = {{{"Name", "a"}, {"Status", "running(1)"}},
                                                   {{"Name", "long"}, {"Status", "exited(2)"}}};

TEST(Listing, PrintsJsonPerLineOrAsOneArray) {
  EXPECT_EQ(render_listing(kListing, "json", kRows).value(),
            "{\"Name\":\"a\",\"Status\":\"running(1)\"}\n{\"Name\":\"long\",\"Status\":\"exited(2)\"}\n");
  Listing array = kListing;
  array.json = JsonShape::array;
  EXPECT_EQ(render_listing(array, "json", kRows).value(),
            "[{\"Name\":\"a\",\"Status\":\"running(1)\"},{\"Name\":\"long\",\"Status\":\"exited(2)\"}]\n");
  EXPECT_EQ(render_listing(array, "json", {}).value(), "[]\n");
}

TEST(Listing, FollowsTemplates) {
  EXPECT_EQ(render_listing(kListing, "{{.Name}}:{{upper .Status}}", kRows).value(), "a:RUNNING(1)\nlong:EXITED(2)\n");
  EXPECT_EQ(render_listing(kListing, "table {{.Status}}\\t{{.Name}}", kRows).value(),
            "STATUS       NAME\nrunning(1)   a\nexited(2)    long\n");
}

}  // namespace
}  // namespace compose::cli
