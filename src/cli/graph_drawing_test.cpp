#include "cli/graph_drawing.hpp"

#include <gtest/gtest.h>

namespace compose::cli {
namespace {

model::Project shop() {
  model::Project project;
  project.name = "shop";
  const auto add = [&](const std::string& name) -> model::Service& {
    model::Service& service = project.services[name];
    service.name = name;
    return service;
  };
  add("db.main").image = "mariadb:11";
  add("init").depends_on["db.main"] = {.condition = model::Condition::healthy};
  model::Service& web = add("web");
  web.depends_on["init"] = {.condition = model::Condition::completed_successfully};
  web.depends_on["db.main"] = {.condition = model::Condition::healthy, .required = false};
  model::Port port;
  port.target = 80;
  port.published = "8080";
  port.protocol = "tcp";
  web.ports = {port};
  return project;
}

TEST(GraphDrawing, TreeNamesConditionsAndStates) {
  EXPECT_EQ(draw_tree(shop(), {{"db.main", "running (healthy)"}, {"init", "exited (0)"}}, false),
            "web\n"
            "├─ db.main  running (healthy)  [healthy]\n"
            "└─ init  exited (0)  [completed]\n"
            "   └─ db.main  running (healthy)  [healthy]\n");
}

TEST(GraphDrawing, MermaidHasSafeIds) {
  EXPECT_EQ(draw_mermaid(shop(), {{"web", "running"}}),
            "flowchart TD\n"
            "  s_db_dot_main[\"db.main\"]\n"
            "  s_init[\"init\"]\n"
            "  s_web[\"web<br/>running\"]\n"
            "  s_init -->|healthy| s_db_dot_main\n"
            "  s_web -.->|healthy| s_db_dot_main\n"
            "  s_web -->|completed| s_init\n");
}

TEST(GraphDrawing, DotWithDetails) {
  EXPECT_EQ(draw_dot(shop(), {}, {.images = true, .ports = true, .indent = " "}),
            "digraph \"shop\" {\n"
            " node [shape=box];\n"
            " \"db.main\" [label=\"db.main\\nmariadb:11\"];\n"
            " \"init\" [label=\"init\"];\n"
            " \"web\" [label=\"web\\n8080:80/tcp\"];\n"
            " \"init\" -> \"db.main\" [label=\"healthy\"];\n"
            " \"web\" -> \"db.main\" [label=\"healthy\", style=dashed];\n"
            " \"web\" -> \"init\" [label=\"completed\"];\n"
            "}\n");
}

}  // namespace
}  // namespace compose::cli
