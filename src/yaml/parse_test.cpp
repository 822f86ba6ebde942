#include "yaml/parse.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "yaml/scanner.hpp"
#include "yaml/write.hpp"

namespace compose::yaml {
namespace {

constexpr WriteOptions kCompact{true, false, false};

// The first document as JSON, or the first issue.
std::string json(std::string_view text) {
  const Parsed parsed = parse(text, 1);
  if (!parsed.issues.empty()) return "issue: " + parsed.issues[0].message;
  if (parsed.documents.empty()) return "nothing";
  return to_json(parsed.documents[0].root, kCompact);
}

std::string first_issue(std::string_view text) {
  const Parsed parsed = parse(text, 1);
  if (parsed.issues.empty()) return "none";
  const Issue& issue = parsed.issues[0];
  return std::to_string(issue.place.line) + ":" + std::to_string(issue.place.column) + " " + issue.message;
}

TEST(Scalars, HaveTheTypesDockerComposeGivesThem) {
  EXPECT_EQ(json("[0755, 0o755, 0x1F, 0b101, 08, 1_000, +5]"), "[493,493,31,5,8,1000,5]");
  EXPECT_EQ(json("[1.50, 1e3, .5, 1., 12345678.9]"), "[1.5,1000,0.5,1,12345678.9]");
  EXPECT_EQ(json("[true, False, TRUE, yes, no, on, y]"), R"([true,false,true,"yes","no","on","y"])");
  EXPECT_EQ(json("[null, ~, Null, '']"), R"([null,null,null,""])");
  EXPECT_EQ(json("[22:22, 1.2.3.4, 0x, '5', \"6\"]"), R"(["22:22","1.2.3.4","0x","5","6"])");
  EXPECT_EQ(json("[!!str 5, !!int 5, !!float 5, !unknown 5]"), R"(["5",5,5,"5"])");
  EXPECT_EQ(json("18446744073709551615"), "18446744073709551615");
}

TEST(Scalars, PrintAsGoDoes) {
  EXPECT_EQ(go_float(12345678.9), "1.23456789e+07");
  EXPECT_EQ(go_float(1e21), "1e+21");
  EXPECT_EQ(go_float(100000), "100000");
  EXPECT_EQ(go_float(0.00001), "1e-05");
  const Parsed date = parse("[2001-12-14, 2001-12-14T21:59:43Z, '2001-12-14', 2001-12-14t21:59:43.10+02:00]", 1);
  const Sequence& items = date.documents[0].root.items();
  EXPECT_EQ(scalar_text(items[0]), "2001-12-14 00:00:00 +0000 UTC");
  EXPECT_EQ(scalar_text(items[1]), "2001-12-14 21:59:43 +0000 UTC");
  EXPECT_EQ(scalar_text(items[2]), "2001-12-14");
  EXPECT_EQ(scalar_text(items[3]), "2001-12-14 21:59:43.1 +0200 +0200");
}

TEST(Blocks, FoldAndChomp) {
  EXPECT_EQ(json("a: |\n  x\n  y\n\nb: >\n  x\n  y\n\n  z\n"), R"({"a":"x\ny\n","b":"x y\nz\n"})");
  EXPECT_EQ(json("a: |-\n  x\nb: |+\n  y\n\nc: |2\n   z\n"), R"({"a":"x","b":"y\n\n","c":" z\n"})");
  EXPECT_EQ(json("a: x\n  y\n\n  z\nb: 'it''s\n  folded'\nc: \"a\\\n  b\\tc\""),
            R"({"a":"x y\nz","b":"it's folded","c":"ab\tc"})");
}

TEST(Collections, MayBeFlowOrBlock) {
  EXPECT_EQ(json("a: [1, {b: 2}, c: 3]\nd: {e, f: [], \"g\":1}\n"),
            R"({"a":[1,{"b":2},{"c":3}],"d":{"e":null,"f":[],"g":1}})");
  EXPECT_EQ(json("- - 1\n  - 2\n-\n  a: 1\n-\n- b:\n  - 3\n"), R"([[1,2],{"a":1},null,{"b":[3]}])");
  EXPECT_EQ(json("? a\n: 1\n? b\n"), R"({"a":1,"b":null})");
  EXPECT_EQ(json("\xEF\xBB\xBF"
                 "a: 1\r\nb: 2\r\n"),
            R"({"a":1,"b":2})");
}

TEST(Documents, AreSeparate) {
  EXPECT_EQ(parse("a: 1\n---\nb: 2\n...\nc: 3\n", 1).documents.size(), 3U);
  EXPECT_EQ(json(""), "nothing");
  EXPECT_EQ(json("# only this\n"), "nothing");
}

TEST(Merge, IsShallowAndOwnKeysWin) {
  EXPECT_EQ(json("x: &x {a: 1, m: {p: 1}}\ny: {a: 2, <<: *x, m: {q: 2}}\n"),
            R"({"x":{"a":1,"m":{"p":1}},"y":{"a":2,"m":{"q":2}}})");
  EXPECT_EQ(json("a: &a {k: 1}\nb: &b {k: 2, l: 2}\nc: {<<: [*a, *b]}\n"),
            R"({"a":{"k":1},"b":{"k":2,"l":2},"c":{"k":1,"l":2}})");
  EXPECT_THAT(json("a: {<<: 1}"), testing::HasSubstr("map merge requires"));
  EXPECT_THAT(json("x: &x {}\na: {<<: *x, <<: *x}"), testing::HasSubstr("\"<<\" already defined"));
  EXPECT_EQ(json("a: {'<<': 1}"), R"({"a":{"<<":1}})");
}

TEST(Tags, ResetAndOverrideAreKept) {
  const Parsed parsed = parse("a: !reset null\nb: !override [1]\nc: 1\n", 1);
  const Document& document = parsed.documents[0];
  EXPECT_TRUE(document.tagged);
  EXPECT_EQ(document.root.get("a")->tag, Tag::reset);
  EXPECT_EQ(document.root.get("b")->tag, Tag::override);
  EXPECT_EQ(document.root.get("c")->tag, Tag::none);
}

TEST(Places, AreThoseOfTheText) {
  const Parsed parsed = parse("services:\n  web:\n    ports: [80, \"81\"]\n    image: &i nginx\n    other: *i\n", 7);
  const Value& web = *parsed.documents[0].root.get("services")->get("web");
  EXPECT_EQ(web.get("ports")->items()[1].place, (Place{7, 3, 17}));
  EXPECT_EQ(web.entries().find("image")->key_place, (Place{7, 4, 5}));
  EXPECT_EQ(web.get("image")->place, (Place{7, 4, 15}));
  EXPECT_EQ(web.get("other")->place, (Place{7, 4, 15})) << "an alias's value stands at its anchor";
}

TEST(Issues, NameTheFirstOfTwoKeys) {
  const Parsed parsed = parse("a:\n  b: 1\n  b: 2\n", 1);
  ASSERT_EQ(parsed.issues.size(), 1U);
  EXPECT_EQ(parsed.issues[0].place, (Place{1, 3, 3}));
  EXPECT_EQ(parsed.issues[0].other, (Place{1, 2, 3}));
  EXPECT_EQ(parsed.issues[0].path, "a");
}

TEST(Issues, StandWhereTheSyntaxBreaks) {
  EXPECT_EQ(first_issue("a: [1, 2\nb: 3\n"),
            "2:2 did not find expected ',' or ']' of the collection that starts at line 1, column 4");
  EXPECT_THAT(first_issue("a: 'x\n"), testing::StartsWith("1:4 found unexpected end of stream"));
  EXPECT_THAT(first_issue("a:\n\tb: 1\n"), testing::StartsWith("2:1 found a tab"));
  EXPECT_THAT(first_issue("a: b: c\n"), testing::StartsWith("1:5 mapping values are not allowed"));
  EXPECT_THAT(first_issue("a: {k: ${A:-b}}"), testing::HasSubstr("','"));
  EXPECT_THAT(first_issue("a: *b\n"), testing::StartsWith("1:4 unknown anchor 'b'"));
}

TEST(Bounds, StopHostileInput) {
  Limits limits;
  limits.depth = 20;
  limits.nodes = 1000;
  limits.alias_nodes = 100;
  limits.most_alias_nodes = 1000;
  limits.bytes = 100000;
  const auto message = [&](std::string_view text) {
    const Parsed parsed = parse(text, 1, limits);
    return parsed.issues.empty() ? std::string("none") : parsed.issues[0].message;
  };
  EXPECT_THAT(message(std::string(50000, '[')), testing::HasSubstr("nested more than"));
  std::string many = "a: [";
  for (int i = 0; i < 2000; ++i) many += "1,";
  EXPECT_THAT(message(many + "]"), testing::HasSubstr("more than 1000 values"));
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 9; ++i) {
    const std::string last = "*a" + std::to_string(i - 1);
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + last + "," + last + "," + last + "," + last +
            "]\n";
  }
  EXPECT_THAT(message(bomb), testing::HasSubstr("excessive aliasing"));
  EXPECT_THAT(message("a: &a [*a]"), testing::HasSubstr("contains itself"));
  EXPECT_THAT(message(std::string(200000, 'x')), testing::HasSubstr("larger than"));
  EXPECT_THAT(message(std::string_view("a: \0b", 5)), testing::HasSubstr("control characters"));
  EXPECT_THAT(message("a: \xC3\x28"), testing::HasSubstr("invalid UTF-8"));
}

TEST(WriteYaml, ReadsBackTheSame) {
  const char* texts[] = {
      "a: '5'\nb: 'true'\nc: 'x: y'\nd: ''\ne: ' x'\nf: 'a #b'\ng: '- x'\nh: \"tab\\t\"\ni: '2001-01-01'\nj: yes\n",
      "a: |\n  x\n   y\n\n  z\nb: |-\n  p\n  q\nc: \"\\n x\"\n",
      "- - 1\n  - [a, {b: c}]\n- {}\n- []\n- k:\n  - x: 1\n    y: 2\n",
      "'a b': 1\n'c:': 2\n'': 3\n'{': 4\n",
  };
  for (const char* text : texts) {
    const Value root = parse(text, 1).documents[0].root;
    const std::string written = to_yaml(root);
    const Parsed again = parse(written, 1);
    ASSERT_TRUE(again.issues.empty()) << written << again.issues[0].message;
    EXPECT_EQ(to_json(again.documents[0].root), to_json(root)) << written;
  }
}

TEST(Json, ReadsWhatItWrites) {
  const std::string text = R"({"a":[1,-2.5,true,null,"x\n\"\\é"],"b":{}})";
  Value value;
  ASSERT_TRUE(from_json(text, value));
  EXPECT_EQ(to_json(value, kCompact), text);
  for (const char* wrong : {"", "{", "[1,]", "{\"a\"}", "tru", "\"a", "1 2", "{\"a\":1,}"}) {
    EXPECT_FALSE(from_json(wrong, value)) << wrong;
  }
}

TEST(Json, KeepsWholeNumbersAboveInt64) {
  Value value;
  ASSERT_TRUE(from_json("[18446744073709551615, 18446744073709551616, -9223372036854775808]", value));
  WriteOptions line;
  line.pretty = false;
  EXPECT_EQ(to_json(value, line), "[18446744073709551615,18446744073709551616,-9223372036854775808]");
}

TEST(Write, LongKeysReadBack) {
  Value inner = Value::mapping();
  inner.entries().add(std::string(2000, 'k'), {}, Value::integer(1));
  Value root = Value::mapping();
  root.entries().add(std::string(700, '\t'), {}, std::move(inner));
  const Parsed parsed = parse(to_yaml(root), 1);
  ASSERT_TRUE(parsed.issues.empty()) << parsed.issues[0].message;
  EXPECT_TRUE(parsed.documents[0].root.same_as(root));
}

TEST(Write, EscapesWhatAYamlTextMayNotHold) {
  for (const char* escaped : {"\\u008e", "\\u0085", "\\u2028", "\\ufeff", "\\uffff", "\\u007f"}) {
    const std::string text = "- \"a\\t" + std::string(escaped) + "\"\n";
    const Parsed parsed = parse(text, 1);
    ASSERT_EQ(parsed.documents.size(), 1U) << escaped;
    EXPECT_EQ(to_yaml(parsed.documents[0].root), text);
  }
}

}  // namespace
}  // namespace compose::yaml
