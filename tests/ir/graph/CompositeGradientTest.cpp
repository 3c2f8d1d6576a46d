//===- CompositeGradientTest.cpp - Derivatives of composites --------------===//
//
// One row per composite and variant. The gradient ops (rms_norm_grad, attention_grad, ...) are what the derivatives
// consist of, so this tests their definitions too.
//
//===----------------------------------------------------------------------===//

#include "tests/ir/graph/GradientCheck.h"

#include "mlir/IR/Builders.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

using namespace mlir;
using namespace primus;
using namespace primus::testing;

namespace {

GradientCase activation(const std::string &kind) {
  return {"activation_" + kind, "%x: tensor<4x8xf32>", "graph.activation " + kind + " %x : tensor<4x8xf32>"};
}

GradientCase glu(const std::string &kind) {
  return {"glu_" + kind, "%g: tensor<4x8xf32>, %u: tensor<4x8xf32>", "graph.glu " + kind + " %g, %u : tensor<4x8xf32>"};
}

/// rope of heads of size 8 with tables of `pairs` columns, which have no gradient.
GradientCase rope(const std::string &style, int pairs, bool inverse = false) {
  std::string table = "tensor<5x" + std::to_string(pairs) + "xf32>";
  return {"rope_" + style + "_" + std::to_string(pairs) + (inverse ? "_inverse" : ""),
          "%x: tensor<2x5x3x8xf32>, %cos: " + table + ", %sin: " + table,
          "graph.rope " + style + (inverse ? " inverse" : "") + " %x, %cos, %sin : tensor<2x5x3x8xf32>, " + table,
          {0},
          {1, 2}};
}

GradientCase attention(const std::string &name, const std::string &attributes, int heads = 2, int groups = 2,
                       const std::string &element = "f32") {
  std::string q = "tensor<2x5x" + std::to_string(heads) + "x4x" + element + ">";
  std::string k = "tensor<2x5x" + std::to_string(groups) + "x4x" + element + ">";
  return {"attention_" + name, "%q: " + q + ", %k: " + k + ", %v: " + k,
          "graph.attention %q, %k, %v scale 0.6 " + attributes + " : " + q + ", " + k + " -> tensor<2x" +
              std::to_string(heads) + "x5xf32>"};
}

/// Tokens and keys in orders of their own.
GradientCase attentionWithPositions() {
  return {"attention_positions", "%q: tensor<2x4x4x4xf32>, %k: tensor<2x5x2x4xf32>, %v: tensor<2x5x2x4xf32>",
          "%i = graph.constant dense<[4, 1, 3, 2]> : tensor<4xi32>\n%j = graph.constant dense<[3, 0, 4, 2, 1]> : tensor<5xi32>\n"
          "graph.attention %q, %k, %v positions %i, %j scale 0.6 {causal, window = 4 : i64} : tensor<2x4x4x4xf32>, "
          "tensor<2x5x2x4xf32>, tensor<4xi32>, tensor<5xi32> -> tensor<2x4x4xf32>"};
}

GradientCase crossEntropy(const std::string &name, const std::string &labels, int rows, int vocabulary,
                          const std::string &element = "f32") {
  std::string x = "tensor<4x3x" + element + ">", weight = "tensor<" + std::to_string(rows) + "x3x" + element + ">";
  return {"cross_entropy_" + name, "%x: " + x + ", %w: " + weight,
          "%labels = graph.constant dense<" + labels + "> : tensor<4xi32>\n" +
              "graph.cross_entropy %x, %w, %labels vocabulary " + std::to_string(vocabulary) + " : (" + x + ", " +
              weight + ", tensor<4xi32>) -> (tensor<f32>, tensor<f32>, tensor<4xf32>)"};
}

} // namespace

std::vector<GradientCase> primus::testing::getCompositeGradientCases() {
  return {
      {"rms_norm", "%x: tensor<2x3x8xf32>, %w: tensor<8xf32>",
       "graph.rms_norm %x, %w eps 1.0e-5 : (tensor<2x3x8xf32>, tensor<8xf32>) -> (tensor<2x3x8xf32>, tensor<2x3xf32>)"},
      {"rms_norm_offset", "%x: tensor<4x6xf32>, %w: tensor<6xf32>",
       "graph.rms_norm %x, %w eps 0.1 {offset = 1.0 : f64} : (tensor<4x6xf32>, tensor<6xf32>) -> "
       "(tensor<4x6xf32>, tensor<4xf32>)"},
      {"rms_norm_no_weight", "%x: tensor<4x6xf32>",
       "graph.rms_norm %x eps 1.0e-5 : (tensor<4x6xf32>) -> (tensor<4x6xf32>, tensor<4xf32>)"},
      {"rms_norm_bf16", "%x: tensor<4x6xbf16>, %w: tensor<6xf32>",
       "graph.rms_norm %x, %w eps 1.0e-5 : (tensor<4x6xbf16>, tensor<6xf32>) -> (tensor<4x6xbf16>, tensor<4xf32>)"},
      {"rms_norm_heads", "%x: tensor<2x3x2x6xf32>, %w: tensor<6xf32>",
       "graph.rms_norm %x, %w eps 1.0e-5 : (tensor<2x3x2x6xf32>, tensor<6xf32>) -> "
       "(tensor<2x3x2x6xf32>, tensor<2x3x2xf32>)"},
      {"rms_norm_rstd", "%x: tensor<4x6xf32>, %w: tensor<6xf32>",
       "graph.rms_norm %x, %w eps 1.0e-5 : (tensor<4x6xf32>, tensor<6xf32>) -> (tensor<4x6xf32>, tensor<4xf32>)",
       {0, 1}},

      {"layer_norm", "%x: tensor<2x3x8xf32>, %w: tensor<8xf32>, %b: tensor<8xf32>",
       "graph.layer_norm %x, %w, %b eps 1.0e-5 : (tensor<2x3x8xf32>, tensor<8xf32>, tensor<8xf32>) -> "
       "(tensor<2x3x8xf32>, tensor<2x3xf32>, tensor<2x3xf32>)"},
      {"layer_norm_no_bias", "%x: tensor<4x6xf32>, %w: tensor<6xf32>",
       "graph.layer_norm %x, %w eps 0.1 : (tensor<4x6xf32>, tensor<6xf32>) -> "
       "(tensor<4x6xf32>, tensor<4xf32>, tensor<4xf32>)"},
      {"layer_norm_no_weight", "%x: tensor<4x6xf32>",
       "graph.layer_norm %x eps 1.0e-5 : (tensor<4x6xf32>) -> (tensor<4x6xf32>, tensor<4xf32>, tensor<4xf32>)"},
      {"layer_norm_bias_only", "%x: tensor<4x6xf32>, %b: tensor<6xf32>",
       "graph.layer_norm %x, none, %b eps 1.0e-5 : (tensor<4x6xf32>, tensor<6xf32>) -> "
       "(tensor<4x6xf32>, tensor<4xf32>, tensor<4xf32>)"},
      {"layer_norm_offset", "%x: tensor<4x6xbf16>, %w: tensor<6xf32>, %b: tensor<6xf32>",
       "graph.layer_norm %x, %w, %b eps 1.0e-5 {offset = 1.0 : f64} "
       ": (tensor<4x6xbf16>, tensor<6xf32>, tensor<6xf32>) -> (tensor<4x6xbf16>, tensor<4xf32>, tensor<4xf32>)"},
      {"layer_norm_statistics", "%x: tensor<4x6xf32>, %w: tensor<6xf32>, %b: tensor<6xf32>",
       "graph.layer_norm %x, %w, %b eps 1.0e-5 : (tensor<4x6xf32>, tensor<6xf32>, tensor<6xf32>) -> (tensor<4x6xf32>, "
       "tensor<4xf32>, tensor<4xf32>)",
       {0, 1, 2}},

      activation("silu"),
      activation("gelu"),
      activation("gelu_tanh"),
      activation("quick_gelu"),
      activation("relu"),
      activation("squared_relu"),
      activation("sigmoid"),
      glu("silu"),
      glu("gelu"),
      glu("gelu_tanh"),
      glu("quick_gelu"),
      glu("relu"),
      glu("squared_relu"),
      glu("sigmoid"),
      {"glu_bf16", "%g: tensor<4x8xbf16>, %u: tensor<4x8xbf16>", "graph.glu silu %g, %u : tensor<4x8xbf16>"},

      rope("half", 4),
      rope("half", 3),
      rope("half", 4, /*inverse=*/true),
      rope("interleaved", 4),
      rope("interleaved", 2),
      rope("interleaved", 2, /*inverse=*/true),

      attention("full", ""),
      attention("causal", "{causal}"),
      attention("window", "{causal, window = 2 : i64}"),
      attention("softcap", "{softcap = 1.5 : f64}"),
      attention("grouped", "{causal}", /*heads=*/6, /*groups=*/2),
      attention("one_group", "{causal}", /*heads=*/3, /*groups=*/1),
      attention("everything", "{causal, window = 3 : i64, softcap = 0.8 : f64}", /*heads=*/4, /*groups=*/2),
      attention("bf16", "{causal}", /*heads=*/4, /*groups=*/2, "bf16"),
      attentionWithPositions(),

      crossEntropy("plain", "[1, 6, 0, 3]", 7, 7),
      crossEntropy("ignored", "[1, -1, 0, -100]", 7, 7),
      crossEntropy("padded_vocabulary", "[1, 4, -1, 3]", 8, 5),
      crossEntropy("bf16", "[1, 6, -1, 3]", 7, 7, "bf16"),
      {"cross_entropy_sequences", "%x: tensor<2x2x3xf32>, %w: tensor<7x3xf32>",
       "%labels = graph.constant dense<[[1, 6], [-1, 3]]> : tensor<2x2xi32>\n"
       "graph.cross_entropy %x, %w, %labels vocabulary 6 : (tensor<2x2x3xf32>, tensor<7x3xf32>, tensor<2x2xi32>) -> "
       "(tensor<f32>, tensor<f32>, tensor<2x2xf32>)"},
  };
}

namespace {

class CompositeGradient : public GradientCheck, public ::testing::WithParamInterface<GradientCase> {};

TEST_P(CompositeGradient, MatchesFiniteDifferences) { checkCase(GetParam()); }

INSTANTIATE_TEST_SUITE_P(Ops, CompositeGradient, ::testing::ValuesIn(getCompositeGradientCases()),
                         [](const auto &info) { return info.param.name; });

/// Changes the sign of one term at a time of a derivative's definition, and expects the check to fail each time.
class SeededError : public GradientCheck, public ::testing::WithParamInterface<GradientCase> {};

TEST_P(SeededError, IsFound) {
  OwningOpRef<ModuleOp> module = build(GetParam());
  ASSERT_TRUE(module);
  std::vector<std::vector<double>> expected = differentiateNumerically(*module, GetParam());
  auto gradient = module->lookupSymbol<func::FuncOp>("gradient");
  ASSERT_TRUE(succeeded(graph::decomposeComposites(gradient))) << messages;
  // The forward op's results that the derivative does not use.
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(gradient.getBody().front())))
    if (isOpTriviallyDead(&op))
      op.erase();
  SmallVector<graph::SubOp> differences;
  gradient.walk([&](graph::SubOp op) { differences.push_back(op); });
  ASSERT_FALSE(differences.empty());
  for (auto [index, difference] : llvm::enumerate(differences)) {
    OpBuilder builder(difference);
    Value wrong = graph::AddOp::create(builder, difference.getLoc(), difference.getType(), difference.getLhs(),
                                       difference.getRhs());
    difference.getResult().replaceAllUsesWith(wrong);
    EXPECT_GT(compare(runGradient(*module, GetParam()), expected), 1e-3)
        << "with the sign of difference #" << index << " changed";
    wrong.replaceAllUsesWith(difference.getResult());
    wrong.getDefiningOp()->erase();
  }
  EXPECT_LT(compare(runGradient(*module, GetParam()), expected), tolerance);
}

INSTANTIATE_TEST_SUITE_P(Signs, SeededError,
                         ::testing::ValuesIn([] {
                           std::vector<GradientCase> cases = getCompositeGradientCases();
                           llvm::erase_if(cases, [](const GradientCase &gradientCase) {
                             return gradientCase.name != "rms_norm" && gradientCase.name != "layer_norm" &&
                                    gradientCase.name != "glu_silu" && gradientCase.name != "attention_everything" &&
                                    gradientCase.name != "cross_entropy_ignored";
                           });
                           return cases;
                         }()),
                         [](const auto &info) { return info.param.name; });

} // namespace
