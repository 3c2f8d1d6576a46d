//===- ResolveTest.cpp - Layers of one module -----------------------------===//

#include "tests/frontend/config/ConfigTestHelper.h"

#include <set>

using namespace primus::config;
using namespace primus::config::test;

namespace {

/// A root of presets named "presets" with one module and one model preset.
class ResolveTest : public ::testing::Test {
protected:
  void SetUp() override {
    workspace.write("presets/modules/toy/base.yaml", "shared: module\nsection: {a: 1, b: 2}\nempty: null\n");
    workspace.write("presets/modules/toy/trainer.yaml", "extends: base.yaml\nlr: 1e-5\nseq: 8\n");
    workspace.write("presets/models/toy/net.yaml", "shared: model\nwidth: 4\nsection: {c: 3}\npath: 'null'\n");
  }

  std::string resolve(const std::string &module, std::vector<std::string> overrides = {}) {
    workspace.write("exp.yaml", header + "modules:\n  pre_trainer:\n" + module);
    ConfigRequest request{"exp.yaml", std::move(overrides), {"presets"}, {}, false};
    diagnostics = {};
    config = resolveConfig(request, diagnostics);
    return config ? Value(config->params).str() : diagnostics.str();
  }

  const std::string base = "    framework: toy\n    config: trainer.yaml\n    model: net\n";
  Workspace workspace;
  Diagnostics diagnostics;
  std::optional<ResolvedConfig> config;
};

TEST_F(ResolveTest, ModulePresetWinsOverModelPreset) {
  EXPECT_EQ(
      resolve(base),
      R"({"empty":null,"lr":1e-05,"model":"net","path":null,"section":{"a":1,"b":2},"seq":8,)"
      R"("shared":"module","width":4})");
  // What is hidden is kept for --explain.
  std::set<std::string> hidden;
  for (const Hidden &entry : config->hidden) {
    EXPECT_TRUE(entry.surprising);
    hidden.insert(entry.key + " " + entry.value.location().str() + " " + entry.winner.str());
  }
  EXPECT_EQ(hidden,
            (std::set<std::string>{"section presets/models/toy/net.yaml:3:10 presets/modules/toy/base.yaml:2:10",
                                   "shared presets/models/toy/net.yaml:1:9 presets/modules/toy/base.yaml:1:9"}));
}

TEST_F(ResolveTest, OverridesWinAndTheCommandLineWinsOverAll) {
  EXPECT_EQ(
      resolve(
          base +
              "    overrides:\n      shared: mine\n      section: {b: 'null', d: {e: 'null'}}\n      width: 'null'\n",
          {"seq=16", "section.a=7", "new.key=[1, 2]", "empty=null"}),
      R"({"empty":"null","lr":1e-05,"model":"net","new":{"key":[1,2]},"path":null,)"
      R"("section":{"a":7,"b":null,"d":{"e":"null"}},"seq":16,"shared":"mine","width":null})");
}

TEST_F(ResolveTest, FreeAttributesCountOnlyWhereTheModulePresetHasNone) {
  std::string module = base + "    trainer_class: Mine\n    width: 5\n    seq: 99\n";
  EXPECT_EQ(resolve(module),
            R"({"empty":null,"lr":1e-05,"model":"net","path":null,"section":{"a":1,"b":2},"seq":8,"shared":"module",)"
            R"("trainer_class":"Mine","width":5})");
  EXPECT_EQ(diagnostics.str(), "exp.yaml:12:5: warning: 'seq' has no effect here: the module preset sets it "
                               "(presets/modules/toy/trainer.yaml:3:6); "
                               "move it under 'overrides:'\n");
}

TEST_F(ResolveTest, AModelPresetMayDefineItsOwnModelMapping) {
  workspace.write("presets/models/toy/titan.yaml", "model: {name: llama3, flavor: 8B}\n");
  EXPECT_EQ(
      resolve(
          "    framework: toy\n    config: trainer\n    model: titan.yaml\n    overrides: {model: {flavor: 70B}}\n"),
      R"({"empty":null,"lr":1e-05,"model":{"flavor":"70B","name":"llama3"},"section":{"a":1,"b":2},"seq":8,)"
      R"("shared":"module"})");
}

TEST_F(ResolveTest, AModuleWithoutPresetIsTakenAsItIs) {
  EXPECT_EQ(resolve("    framework: toy\n    model: net\n    width: 3\n    overrides: {width: 4}\n"),
            R"({"model":"net","overrides":{"width":4},"width":3})");
}

TEST_F(ResolveTest, ExperimentsExtendExperiments) {
  workspace.write("parent.yaml", header + "modules:\n  pre_trainer:\n" + base + "    overrides: {seq: 1, width: 1}\n");
  workspace.write("child.yaml",
                  "extends: parent.yaml\nexp_name: child\nmodules:\n  pre_trainer:\n    overrides: {width: 2}\n");
  ConfigRequest request{"child.yaml", {}, {"presets"}, {}, false};
  Diagnostics own;
  std::optional<ResolvedConfig> result = resolveConfig(request, own);
  ASSERT_TRUE(result) << own.str();
  EXPECT_EQ(Value(result->params).find("seq")->str() + Value(result->params).find("width")->str(), "12");
  EXPECT_EQ(result->experiment.find("exp_name")->second.value.str(), "\"child\"");
}

TEST_F(ResolveTest, CommandLineForms) {
  EXPECT_EQ(
      resolve(base, {"--seq", "-4", "--lr=2e-4", "--flag", "--width", "6"}),
      R"({"empty":null,"flag":true,"lr":0.0002,"model":"net","path":null,"section":{"a":1,"b":2},"seq":-4,)"
      R"("shared":"module","width":6})");
}

TEST_F(ResolveTest, EarlierConfigPathsWin) {
  workspace.write("more/models/toy/net.yaml", "width: 8\n");
  workspace.write("exp.yaml", header + "modules:\n  pre_trainer:\n" + base);
  Diagnostics own;
  std::optional<ResolvedConfig> result = resolveConfig({"exp.yaml", {}, {"more", "presets"}, {}, false}, own);
  ASSERT_TRUE(result) << own.str();
  EXPECT_EQ(Value(result->params).find("width")->str(), "8");
}

TEST_F(ResolveTest, TheTrainerIsTheDefaultModule) {
  workspace.write("exp.yaml", header + "modules:\n  helper:\n    framework: toy\n  post_trainer:\n" + base);
  Diagnostics own;
  std::optional<ResolvedConfig> result = resolveConfig({"exp.yaml", {}, {"presets"}, {}, false}, own);
  ASSERT_TRUE(result) << own.str();
  EXPECT_EQ(result->module, "post_trainer");
}

/// Upstream's `train pretrain` and `train posttrain` prefer their own trainer and take the other where it is alone.
TEST_F(ResolveTest, TheTaskChoosesAmongTrainers) {
  workspace.write("both.yaml", header + "modules:\n  post_trainer:\n" + base + "  pre_trainer:\n" + base);
  workspace.write("one.yaml", header + "modules:\n  pre_trainer:\n" + base);
  auto module = [&](const char *file, bool postTraining) {
    Diagnostics own;
    ConfigRequest request{file, {}, {"presets"}, {}, false, "cpu", postTraining};
    std::optional<ResolvedConfig> result = resolveConfig(request, own);
    return result ? result->module : own.str();
  };
  EXPECT_EQ(module("both.yaml", false), "pre_trainer");
  EXPECT_EQ(module("both.yaml", true), "post_trainer");
  EXPECT_EQ(module("one.yaml", true), "pre_trainer");
}

/// Sorted keys, no blanks: what upstream's tools print.
TEST_F(ResolveTest, Json) {
  resolve(base);
  EXPECT_EQ(config->json(), R"({"framework":"toy","params":{"empty":null,"lr":1e-05,"model":"net","path":null,)"
                            R"("section":{"a":1,"b":2},"seq":8,"shared":"module","width":4}})");
}

} // namespace
