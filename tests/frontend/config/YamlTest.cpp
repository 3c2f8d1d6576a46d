//===- YamlTest.cpp - Documents, variables, merging, extends --------------===//

#include "frontend/config/yaml/Environment.h"
#include "frontend/config/yaml/Extends.h"
#include "frontend/config/yaml/Merge.h"
#include "frontend/config/yaml/Parser.h"

#include "tests/frontend/config/ConfigTestHelper.h"

using namespace primus::config;
using namespace primus::config::test;

namespace {

std::string parse(const std::string &text) {
  Diagnostics diagnostics;
  std::optional<Value> value = parseYaml(text, "t.yaml", diagnostics);
  return value && !diagnostics.hasErrors() ? value->str() : diagnostics.str();
}

TEST(Yaml, DocumentsBecomeValues) {
  EXPECT_EQ(parse("a: 1\nb: [x, 2.5, yes]\nc: {d: ~}\n"), R"({"a":1,"b":["x",2.5,true],"c":{"d":null}})");
  EXPECT_EQ(parse("a: 'yes'\nb: \"1\"\nc: !!str 2\nd: !!float 3\n"), R"({"a":"yes","b":"1","c":"2","d":3.0})");
  EXPECT_EQ(parse("\xEF\xBB\xBF"
                  "a: 1\r\nb: |\r\n  text\r\n"),
            R"({"a":1,"b":"text\n"})");
  EXPECT_EQ(parse(""), "null");
  EXPECT_EQ(parse("# nothing\n"), "null");
}

TEST(Yaml, AnchorsAliasesAndMergeKeys) {
  EXPECT_EQ(parse("a: &x {p: 1, q: 2}\nb: *x\nc:\n  <<: *x\n  q: 3\n"),
            R"({"a":{"p":1,"q":2},"b":{"p":1,"q":2},"c":{"p":1,"q":3}})");
  // Of several merged mappings the first wins.
  EXPECT_EQ(parse("a: &x {p: 1}\nb: &y {p: 2, r: 3}\nc: {<<: [*x, *y]}\n"),
            R"({"a":{"p":1},"b":{"p":2,"r":3},"c":{"p":1,"r":3}})");
}

TEST(Yaml, EveryScalarKnowsItsPlace) {
  Diagnostics diagnostics;
  std::optional<Value> value = parseYaml("a: 1\nb:\n  c: &x text\n  d: *x\n", "t.yaml", diagnostics);
  ASSERT_TRUE(value);
  EXPECT_EQ(value->find("a")->location().str(), "t.yaml:1:4");
  EXPECT_EQ(value->asMap()->find("b")->second.keyLocation.str(), "t.yaml:2:1");
  // An alias stands where its value was written.
  EXPECT_EQ(value->find("b")->find("d")->location().str(), "t.yaml:3:6");
}

TEST(Yaml, OfDuplicateKeysTheLastWinsWithAWarning) {
  Diagnostics diagnostics;
  std::optional<Value> value = parseYaml("a: 1\na: 2\n", "t.yaml", diagnostics);
  EXPECT_EQ(value->str(), R"({"a":2})");
  EXPECT_EQ(diagnostics.str(),
            "t.yaml:2:1: warning: 'a' is written twice in one mapping; this one wins; remove one of them\n");
}

TEST(Yaml, Errors) {
  EXPECT_EQ(parse("a: [1, 2\nb: 3\n"), "t.yaml:2:2: error: not YAML: end of sequence flow not found\n");
  EXPECT_EQ(parse("a:\n\tb: 1\n"), "t.yaml:2:1: error: a tab in the indentation; indent with blanks\n");
  EXPECT_EQ(parse("a: 1\n---\nb: 2\n"),
            "t.yaml:3:1: error: a second YAML document in one file; remove the '---' line and what follows\n");
  EXPECT_EQ(parse("1: x\n"), "t.yaml:1:1: error: a key must be text, but this one is an integer; put it in quotes\n");
  EXPECT_EQ(parse("on: x\n"), "t.yaml:1:1: error: a key must be text, but this one is a boolean; put it in quotes\n");
  EXPECT_EQ(parse("a: &x [*x]\n"),
            "t.yaml:1:8: error: an alias stands inside the value that it names; give the anchor to a value that is "
            "complete before this line\n");
  EXPECT_EQ(parse("a: {<<: 3}\n"),
            "t.yaml:1:9: error: '<<' merges mappings, but this is an integer; write '<<: *name' where &name marks a "
            "mapping\n");
  EXPECT_EQ(parse("a: !!int x\n"), "t.yaml:1:4: error: 'x' is tagged !!int but is a string\n");
  EXPECT_EQ(parse("a: !python/object x\n"),
            "t.yaml:1:4: error: unknown YAML tag '!python/object'; use !!str, !!int, !!float, !!bool or "
            "!!null, or none\n");
}

TEST(Yaml, NestedAliasesCannotGrowWithoutBound) {
  std::string text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 8; ++i) {
    std::string alias = "*a" + std::to_string(i - 1);
    text += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + alias;
    for (int j = 1; j < 10; ++j)
      text += ", " + alias;
    text += "]\n";
  }
  EXPECT_NE(parse(text).find("error: the document expands to more than 1000000 values"), std::string::npos);
}

TEST(Yaml, DeepNestingIsAnError) {
  EXPECT_NE(parse("a: " + std::string(100000, '[')).find("error: not YAML"), std::string::npos);
}

std::string substitute(const std::string &text) {
  Diagnostics diagnostics;
  Value value(text);
  substituteEnvironment(value, diagnostics);
  return diagnostics.empty() ? value.str() : diagnostics.str();
}

TEST(Environment, ReferencesAreReplacedAndTyped) {
  ScopedVariable n("PRIMUS_TEST_N", "42"), empty("PRIMUS_TEST_EMPTY", ""), flag("PRIMUS_TEST_FLAG", "TRUE");
  EXPECT_EQ(substitute("${PRIMUS_TEST_N}"), "42");
  EXPECT_EQ(substitute("a${PRIMUS_TEST_N}b"), "\"a42b\"");
  EXPECT_EQ(substitute("${PRIMUS_TEST_N}${PRIMUS_TEST_N}"), "4242");
  EXPECT_EQ(substitute("${PRIMUS_TEST_FLAG}"), "true");
  EXPECT_EQ(substitute("${PRIMUS_TEST_UNSET:1e-5}"), "1e-05");
  EXPECT_EQ(substitute("${PRIMUS_TEST_UNSET:null}"), "\"null\"");
  EXPECT_EQ(substitute("${PRIMUS_TEST_UNSET:}"), "\"\"");
  EXPECT_EQ(substitute("${PRIMUS_TEST_UNSET:a:b}"), "\"a:b\"");
  EXPECT_EQ(substitute("${PRIMUS_TEST_UNSET:\"\"}"), R"("\"\"")");
  // An empty variable wins over the default; what looks like an escape is none.
  EXPECT_EQ(substitute("${PRIMUS_TEST_EMPTY:7}"), "\"\"");
  EXPECT_EQ(substitute("$${PRIMUS_TEST_N}"), "\"$42\"");
  EXPECT_EQ(substitute("\\${PRIMUS_TEST_N}"), "\"\\\\42\"");
  // Left alone.
  EXPECT_EQ(substitute("$PRIMUS_TEST_N"), "\"$PRIMUS_TEST_N\"");
  EXPECT_EQ(substitute("${:x}"), "\"${:x}\"");
  EXPECT_EQ(substitute("${PRIMUS_TEST_UNSET"), "\"${PRIMUS_TEST_UNSET\"");
  // The first closing brace ends a reference.
  EXPECT_EQ(substitute("${PRIMUS_TEST_UNSET:${Y}}"), "\"${Y}\"");
  EXPECT_EQ(substitute("${PRIMUS_TEST_UNSET:{}}"), "\"{}\"");
}

TEST(Merge, MappingsDeeplyListsAndScalarsWhole) {
  Diagnostics diagnostics;
  Value base = *parseYaml("a: {b: 1, c: [1, 2]}\nd: 4\ne: {f: 1}\n", "base.yaml", diagnostics);
  Value over = *parseYaml("a: {c: [3]}\nd: ~\ne: 5\ng: {h: 'null'}\ni: 'null'\n", "over.yaml", diagnostics);
  Map plain = *base.asMap();
  mergeMap(plain, *over.asMap());
  EXPECT_EQ(Value(plain).str(), R"({"a":{"b":1,"c":[3]},"d":null,"e":5,"g":{"h":"null"},"i":"null"})");

  // The string "null" becomes null where the merge assigns it, but not inside a mapping that is new.
  Map converted = *base.asMap();
  std::vector<Hidden> hidden;
  mergeMap(converted, *over.asMap(), {/*nullStrings=*/true, &hidden});
  EXPECT_EQ(Value(converted).str(), R"({"a":{"b":1,"c":[3]},"d":null,"e":5,"g":{"h":"null"},"i":null})");
  ASSERT_EQ(hidden.size(), 3u);
  EXPECT_EQ(hidden[0].key, "a.c");
  EXPECT_EQ(hidden[0].value.location().str(), "base.yaml:1:14");
  EXPECT_EQ(hidden[0].winner.str(), "over.yaml:1:8");
}

std::string load(const std::string &path) {
  Diagnostics diagnostics;
  std::optional<Value> value = loadWithExtends(path, diagnostics);
  return value ? value->str() : diagnostics.str();
}

TEST(Extends, LaterEntriesAndTheFileItselfWin) {
  Workspace workspace;
  workspace.write("a.yaml", "x: a\ny: a\nz: a\nlist: [1, 2]\n");
  workspace.write("sub/b.yaml", "extends: ../c.yaml\ny: b\n");
  workspace.write("c.yaml", "x: c\nw: c\n");
  workspace.write("main.yaml", "extends: [a.yaml, sub/b.yaml]\nz: main\nlist: [3]\n");
  EXPECT_EQ(load("main.yaml"), R"({"list":[3],"w":"c","x":"c","y":"b","z":"main"})");
}

TEST(Extends, PathsMayHoldVariables) {
  Workspace workspace;
  ScopedVariable base("PRIMUS_TEST_BASE", "a");
  workspace.write("a.yaml", "x: 1\n");
  workspace.write("main.yaml", "extends: ${PRIMUS_TEST_BASE}.yaml\n");
  EXPECT_EQ(load("main.yaml"), R"({"x":1})");
}

TEST(Extends, Errors) {
  Workspace workspace;
  workspace.write("llama_base.yaml", "x: 1\n");
  workspace.write("missing.yaml", "y: 1\nextends:\n  - llama_bas.yaml\n");
  EXPECT_EQ(load("missing.yaml"),
            "missing.yaml:3:5: error: extends 'llama_bas.yaml', but there is no file llama_bas.yaml; did you mean "
            "'llama_base.yaml'?\n");
  workspace.write("one.yaml", "extends: two.yaml\n");
  workspace.write("two.yaml", "a: 1\nextends: [llama_base.yaml, one.yaml]\n");
  EXPECT_EQ(load("one.yaml"), "two.yaml:2:28: error: 'extends' goes in a circle: one.yaml -> two.yaml -> one.yaml; "
                              "remove one of these lines\n");
  workspace.write("self.yaml", "extends: ./self.yaml\n");
  EXPECT_EQ(load("self.yaml"),
            "self.yaml:1:10: error: 'extends' goes in a circle: self.yaml -> self.yaml; remove one of these lines\n");
  workspace.write("empty.yaml", "a: 1\nextends:\n");
  EXPECT_EQ(
      load("empty.yaml"),
      "empty.yaml:2:1: error: 'extends' names a file or a list of files, but this is null; name a file relative to "
      "this one, or remove the key\n");
  workspace.write("list.yaml", "- 1\n");
  EXPECT_EQ(load("list.yaml"),
            "list.yaml:1:1: error: expected a mapping of keys to values, but the file holds a list\n");
  workspace.write("nothing.yaml", "# only a comment\n");
  EXPECT_EQ(load("nothing.yaml"), "nothing.yaml: error: is empty; write a mapping of keys to values\n");
  workspace.write("variable.yaml", "a: 1\nb: [x, '${PRIMUS_TEST_UNSET}']\n");
  EXPECT_EQ(load("variable.yaml"),
            "variable.yaml:2:8: error: the environment variable 'PRIMUS_TEST_UNSET' is not set; set it, or write "
            "${PRIMUS_TEST_UNSET:default}\n");
}

/// The same file twice on different ways is no circle.
TEST(Extends, DiamondsAreFine) {
  Workspace workspace;
  workspace.write("root.yaml", "x: 1\n");
  workspace.write("left.yaml", "extends: root.yaml\n");
  workspace.write("right.yaml", "extends: root.yaml\ny: 2\n");
  workspace.write("main.yaml", "extends: [left.yaml, right.yaml]\n");
  EXPECT_EQ(load("main.yaml"), R"({"x":1,"y":2})");
}

} // namespace
