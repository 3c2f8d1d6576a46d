//===- EdgeCasesTest.cpp - Definitions and derivatives at their edges -----===//

#include "OpHarness.h"

#include "mlir/IR/Builders.h"

using namespace mlir;
using namespace primus::graph;
using namespace primus::testing;

namespace {

using EdgeCases = OpHarness;

/// Token 2 is further than the window from the only key.
constexpr const char *kBlindToken = R"(
  func.func @f(%q: tensor<1x3x2x2xf32>, %k: tensor<1x1x2x2xf32>, %v: tensor<1x1x2x2xf32>, %do: tensor<1x3x2x2xf32>)
      -> (tensor<1x3x2x2xf32>, tensor<1x2x3xf32>, tensor<1x3x2x2xf32>, tensor<1x1x2x2xf32>) {
    %o, %lse = graph.attention %q, %k, %v scale 0.5 {window = 2 : i64}
        : tensor<1x3x2x2xf32>, tensor<1x1x2x2xf32> -> tensor<1x2x3xf32>
    %dq, %dk, %dv = graph.attention_grad %do, %q, %k, %v, %o, %lse scale 0.5 {window = 2 : i64}
        : tensor<1x3x2x2xf32>, tensor<1x1x2x2xf32>, tensor<1x2x3xf32> -> tensor<1x3x2x2xf32>, tensor<1x1x2x2xf32>
    return %o, %lse, %dq, %dv : tensor<1x3x2x2xf32>, tensor<1x2x3xf32>, tensor<1x3x2x2xf32>, tensor<1x1x2x2xf32>
  })";

TEST_F(EdgeCases, TokenThatSeesNoKeyHasOutputZero) {
  auto q = random({1, 3, 2, 2}, 0), k = random({1, 1, 2, 2}, 1), v = random({1, 1, 2, 2}, 2);
  auto dout = random({1, 3, 2, 2}, 3);
  for (auto mode : {primus::interpreter::Mode::Exact, primus::interpreter::Mode::Faithful}) {
    auto results = run(kBlindToken, {q, k, v, dout}, mode);
    ASSERT_EQ(results.size(), 4u);
    // Tokens 0 and 1 see one key, whose value they copy.
    for (int token = 0; token < 3; ++token)
      for (int i = 0; i < 4; ++i)
        EXPECT_NEAR(results[0].values[token * 4 + i], token == 2 ? 0 : v.values[i], 1e-6) << "token " << token;
    EXPECT_LT(results[1].values[2], -1e6);
    for (double gradient : results[2].values)
      EXPECT_NEAR(gradient, 0, 1e-6);
    for (int i = 0; i < 4; ++i)
      EXPECT_NEAR(results[3].values[i], dout.values[i] + dout.values[4 + i], 1e-6);
  }
}

TEST_F(EdgeCases, MoreKeysThanTokens) {
  auto module = build({"attention", "%q: tensor<1x1x1x1xf32>, %k: tensor<1x3x1x1xf32>, %v: tensor<1x3x1x1xf32>",
                       "graph.attention %q, %k, %v scale 1.0 : tensor<1x1x1x1xf32>, tensor<1x3x1x1xf32> -> "
                       "tensor<1x1x1xf32>",
                       "tensor<1x1x1x1xf32>, tensor<1x1x1xf32>"});
  auto results = runModule(*module, {tensor({1, 1, 1, 1}, {1}),
                                     tensor({1, 3, 1, 1}, {0, std::log(2.0), std::log(5.0)}),
                                     tensor({1, 3, 1, 1}, {8, 4, 2})});
  ASSERT_EQ(results.size(), 2u);
  EXPECT_NEAR(results[0].values[0], (8 + 2 * 4 + 5 * 2) / 8.0, 1e-12);
}

/// Builds the derivative of the op of `@f` instead of its results; null cotangents where `cotangents` says so.
SmallVector<Value> buildVjp(Operation *op, ArrayRef<Value> cotangents) {
  OpBuilder builder(op->getBlock()->getTerminator());
  return cast<Differentiable>(op).buildVjp(builder, cotangents);
}

TEST_F(EdgeCases, MaximumSharesItsGradientAmongEqualElements) {
  auto module = build({"reduce max", "%x: tensor<4xf32>, %dy: tensor<f32>",
                       "graph.reduce max %x dims [0] : tensor<4xf32> -> tensor<f32>", "tensor<f32>"});
  func::FuncOp function = getFunction(*module);
  SmallVector<Value> gradients = buildVjp(getOp(*module), {function.getArgument(1)});
  function.getBody().front().getTerminator()->setOperands(gradients);
  function.setType(FunctionType::get(&context, function.getArgumentTypes(), gradients[0].getType()));
  EXPECT_EQ(runModule(*module, {tensor({4}, {1, 3, 3, 2}), tensor({}, {5})})[0].values,
            (std::vector<double>{0, 2.5, 2.5, 0}));
}

TEST_F(EdgeCases, NoCotangentNoGradient) {
  auto module = build({"glu", "%x: tensor<4xf32>", "graph.glu silu %x, %x : tensor<4xf32>", "tensor<4xf32>"});
  EXPECT_EQ(buildVjp(getOp(*module), {Value()}), (SmallVector<Value>{Value(), Value()}));
}

TEST_F(EdgeCases, DerivativesOfLseAreRefused) {
  auto attention =
      build({"attention", "%q: tensor<1x2x2x2xf32>",
             "graph.attention %q, %q, %q scale 1.0 : tensor<1x2x2x2xf32>, tensor<1x2x2x2xf32> -> tensor<1x2x2xf32>",
             "tensor<1x2x2x2xf32>, tensor<1x2x2xf32>"});
  Operation *op = getOp(*attention);
  EXPECT_TRUE(buildVjp(op, {Value(), op->getResult(1)}).empty());
  EXPECT_EQ(messages, "'graph.attention' op has no gradient with respect to lse\n");

  messages.clear();
  auto loss = build({"cross_entropy", "%x: tensor<4x2xf32>, %l: tensor<4xi32>",
                     "graph.cross_entropy %x, %x, %l vocabulary 4 : (tensor<4x2xf32>, tensor<4x2xf32>, tensor<4xi32>) "
                     "-> (tensor<f32>, tensor<f32>, tensor<4xf32>)",
                     "tensor<f32>, tensor<f32>, tensor<4xf32>"});
  op = getOp(*loss);
  EXPECT_TRUE(buildVjp(op, {Value(), Value(), op->getResult(2)}).empty());
  EXPECT_EQ(messages, "'graph.cross_entropy' op has no gradient with respect to lse\n");
}

/// A wide cotangent is rounded to the operands' type: the products of a gradient run in the precision of the forward
/// product.
TEST_F(EdgeCases, MatmulGradientsRunInTheOperandsPrecision) {
  auto module = build({"matmul", "%x: tensor<4x8xbf16>, %w: tensor<6x8xbf16>",
                       "graph.matmul \"mk,nk->mn\" %x, %w : (tensor<4x8xbf16>, tensor<6x8xbf16>) -> tensor<4x6xf32>",
                       "tensor<4x6xf32>"});
  Operation *op = getOp(*module);
  for (Value gradient : buildVjp(op, {op->getResult(0)})) {
    auto product = gradient.getDefiningOp<MatmulOp>();
    ASSERT_TRUE(product);
    EXPECT_TRUE(getElementTypeOrSelf(product.getLhs()).isBF16());
    EXPECT_TRUE(getElementTypeOrSelf(product.getRhs()).isBF16());
    EXPECT_TRUE(getElementTypeOrSelf(product.getResult()).isF32());
  }
}

} // namespace
