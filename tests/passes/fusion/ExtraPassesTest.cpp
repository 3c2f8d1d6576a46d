//===- ExtraPassesTest.cpp - What 8-bit products cost beside themselves ----===//

#include "passes/fusion/ExtraPasses.h"
#include "tests/ir/interpreter/Run.h"

using namespace mlir;
using namespace primus;
using namespace primus::testing;

namespace {

class ExtraPassesTest : public IrTest {
protected:
  /// What is said of each kernel of `text`, the body of a layer's function of the weight %w and the activation %x.
  std::vector<std::string> explain(const std::string &text) {
    module = parse(R"(func.func @f(%w: tensor<8x256xf32> {graph.arg = "parameter", graph.name = "w"}, %s: tensor<f32> {graph.arg = "scalar", graph.name = "s"},
        %x: tensor<8x256xf32> {graph.arg = "activation", graph.name = "x"}) attributes {graph.layer = {}} {)" +
                   text + "return\n}");
    std::vector<std::string> reasons;
    if (module)
      module->walk([&](graph::FusionOp fusion) { reasons.push_back(fusion::explainExtraPass(fusion).value_or("").str()); });
    EXPECT_TRUE(module) << messages;
    return reasons;
  }

  /// Rounds `from` to bf16 and then to 8 bits.
  static std::string quantise(const std::string &from, const std::string &name) {
    return name + R"( = graph.fusion "rows" (%a = )" + from + R"(, %b = %s) : (tensor<8x256xf32>, tensor<f32>) -> tensor<8x256xf8E4M3FN> {
      %narrow = graph.convert %a : tensor<8x256xf32> -> tensor<8x256xbf16>
      %wide = graph.convert %narrow : tensor<8x256xbf16> -> tensor<8x256xf32>
      %all = graph.broadcast %b dims [] : tensor<f32> -> tensor<8x256xf32>
      %scaled = graph.mul %wide, %all : tensor<8x256xf32>
      %q = graph.convert %scaled : tensor<8x256xf32> -> tensor<8x256xf8E4M3FN>
      graph.yield %q : tensor<8x256xf8E4M3FN>
    }
    )";
  }
  /// Rounds `from` to bf16 and measures its rows; `copies` says whether the copy is written.
  static std::string measure(const std::string &from, const std::string &name, bool copies) {
    std::string result = copies ? "(tensor<8xf32>, tensor<8x256xbf16>)" : "tensor<8xf32>";
    return name + (copies ? ":2" : "") + R"( = graph.fusion "rows" (%a = )" + from + ") : (tensor<8x256xf32>) -> " + result + R"( {
      %narrow = graph.convert %a : tensor<8x256xf32> -> tensor<8x256xbf16>
      %wide = graph.convert %narrow : tensor<8x256xbf16> -> tensor<8x256xf32>
      %negative = graph.neg %wide : tensor<8x256xf32>
      %size = graph.maximum %wide, %negative : tensor<8x256xf32>
      %m = graph.reduce max %size dims [1] : tensor<8x256xf32> -> tensor<8xf32>
      graph.yield %m)" + (copies ? ", %narrow : tensor<8xf32>, tensor<8x256xbf16>" : " : tensor<8xf32>") + "\n}\n";
  }

  OwningOpRef<ModuleOp> module;
};

constexpr const char *kQuantises = "quantises a tensor that another kernel has computed";
constexpr const char *kMeasures = "measures a tensor whose scale comes from its largest value";

TEST_F(ExtraPassesTest, FirstNarrowCopyOfAWeightIsNone) {
  EXPECT_EQ(explain(quantise("%w", "%0")), std::vector<std::string>{""});
  EXPECT_EQ(explain(measure("%w", "%0", true)), std::vector<std::string>{""});
  // Seen through a view.
  std::string view = "%v = graph.reshape %w : tensor<8x256xf32> -> tensor<2x4x256xf32>\n%u = graph.reshape %v : tensor<2x4x256xf32> -> tensor<8x256xf32>\n";
  EXPECT_EQ(explain(view + quantise("%u", "%0")), std::vector<std::string>{""});
}

TEST_F(ExtraPassesTest, FurtherReadingsOfAWeightAre) {
  EXPECT_EQ(explain(quantise("%w", "%0") + quantise("%w", "%1")), (std::vector<std::string>{"", kQuantises}));
  EXPECT_EQ(explain(measure("%w", "%0", true) + quantise("%w", "%1")), (std::vector<std::string>{"", kQuantises}));
  // What makes no copy leaves the reading to the one that does.
  EXPECT_EQ(explain(measure("%w", "%0", false) + quantise("%w", "%1")), (std::vector<std::string>{kMeasures, ""}));
}

TEST_F(ExtraPassesTest, ActivationsAndProductsOfTheWeightsTypeHaveNoSuchCopy) {
  EXPECT_EQ(explain(quantise("%x", "%0")), std::vector<std::string>{kQuantises});
  // Not rounded to 16 bits: without 8-bit products the weight would be read as it is.
  std::string direct = R"(%0 = graph.fusion "rows" (%a = %w) : (tensor<8x256xf32>) -> tensor<8x256xf8E4M3FN> {
    %q = graph.convert %a : tensor<8x256xf32> -> tensor<8x256xf8E4M3FN>
    graph.yield %q : tensor<8x256xf8E4M3FN>
  }
  )";
  EXPECT_EQ(explain(direct), std::vector<std::string>{kQuantises});
}

} // namespace
