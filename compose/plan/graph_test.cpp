#include "compose/plan/graph.hpp"

#include <gmock/gmock.h>

namespace compose::plan {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Op named(const std::string& name) {
  Op op;
  op.kind = OpKind::create_network;
  op.name = name;
  op.cause = "test";
  return op;
}

TEST(Graph, NumbersFollowTheEdgesAndElseTheOrderOfAdding) {
  Graph graph;
  const auto a = graph.add(named("a"));
  const auto b = graph.add(named("b"));
  const auto c = graph.add(named("c"));
  graph.after(a, c);
  graph.after(b, Graph::kNone);
  EXPECT_EQ(std::move(graph).finish().to_text(),
            "[] -> #1 network:b create (test)\n"
            "[] -> #2 network:c create (test)\n"
            "[2] -> #3 network:a create (test)\n");
  (void)b;
}

TEST(Graph, ARequiredEdgeWinsOverOneThatMayFail) {
  Graph graph;
  const auto a = graph.add(named("a"));
  const auto b = graph.add(named("b"));
  const auto c = graph.add(named("c"));
  graph.after(c, a, false);
  graph.after(c, b, false);
  graph.after(c, b, true);
  graph.after(c, b, false);
  EXPECT_THAT(std::move(graph).finish().to_text(), HasSubstr("[1?,2] -> #3 network:c"));
}

TEST(Graph, ACycleLosesAnEdgeInsteadOfHanging) {
  Graph graph;
  const auto a = graph.add(named("a"));
  const auto b = graph.add(named("b"));
  graph.after(a, b);
  graph.after(b, a);
  EXPECT_EQ(std::move(graph).finish().ops.size(), 2U);
}

TEST(ServiceGraph, OrdersAndFindsThroughOthers) {
  const ServiceGraph graph{{"web", {"api"}}, {"api", {"db"}}, {"db", {}}, {"cron", {"db", "api"}}};
  EXPECT_THAT(dependencies_first(graph, {"web", "db", "cron"}), ElementsAre("db", "web", "cron"));
  EXPECT_THAT(closure(graph, {"api"}), ElementsAre("db", "api"));
  EXPECT_THAT(nearest_dependencies(graph, "web", [](const std::string& s) { return s == "db"; }), ElementsAre("db"));
  EXPECT_THAT(nearest_dependencies(graph, "cron", [](const std::string& s) { return s == "api"; }), ElementsAre("api"));
}

TEST(Plan, JsonNamesEverything) {
  Graph graph;
  Op op = named("shop_default");
  op.key = "default";
  const auto network = graph.add(op);
  Op create;
  create.kind = OpKind::create_container;
  create.name = "shop-web-1";
  create.service = "web";
  create.replica = 1;
  create.cause = "missing";
  graph.after(graph.add(create), network, false);
  Plan plan = std::move(graph).finish();
  plan.warnings = {"careful"};
  EXPECT_EQ(plan.to_json(),
            R"({
  "operations": [
    {
      "number": 1,
      "kind": "create_network",
      "name": "shop_default",
      "key": "default",
      "cause": "test",
      "after": []
    },
    {
      "number": 2,
      "kind": "create_container",
      "name": "shop-web-1",
      "service": "web",
      "replica": 1,
      "cause": "missing",
      "after": [
        {
          "number": 1,
          "required": false
        }
      ]
    }
  ],
  "warnings": [
    "careful"
  ]
}
)");
}

}  // namespace
}  // namespace compose::plan
