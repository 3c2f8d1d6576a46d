//===- BackwardFunctionTest.cpp - Functions of gradients -------------------===//

#include "passes/autodiff/BackwardFunction.h"
#include "tests/ir/interpreter/Run.h"

#include <fmt/format.h>

using namespace mlir;
using namespace primus;
using namespace primus::testing;

namespace {

class BackwardFunctionTest : public IrTest {
protected:
  func::FuncOp parseFunction(const std::string &text) {
    module = parse(text);
    return module ? module->lookupSymbol<func::FuncOp>("f") : func::FuncOp();
  }

  /// Kinds and places of the arguments of @b.
  std::string describeArguments() {
    auto b = module->lookupSymbol<func::FuncOp>("b");
    std::string text;
    for (unsigned i = 0; i < b.getNumArguments(); ++i)
      text += fmt::format("{}{} ", stringifyArgKind(*getArgKind(b, i)).str(), *getArgOf(b, i));
    return text;
  }

  OwningOpRef<ModuleOp> module;
};

const char kProduct[] = R"(
func.func @f(%x: tensor<4xf32> {graph.arg = "activation", graph.name = "x"}, %c: tensor<4xf32> {graph.arg = "constant", graph.name = "c"},
             %w: tensor<4xf32> {graph.arg = "parameter", graph.name = "w"}) -> (tensor<4xf32>, tensor<4xf32>) attributes {graph.layer = {layer = "p", part = "forward"}} {
  %y = graph.mul %x, %w : tensor<4xf32>
  %z = graph.mul %x, %c : tensor<4xf32>
  return %y, %z : tensor<4xf32>, tensor<4xf32>
})";

TEST_F(BackwardFunctionTest, TakesCotangentsAndAddsToAccumulators) {
  func::FuncOp f = parseFunction(kProduct);
  ASSERT_TRUE(f);
  BackwardBuilder builder(f, "b", "backward", /*accumulates=*/true);
  ASSERT_TRUE(succeeded(builder.buildBackward())) << messages;
  builder.finish();
  ASSERT_TRUE(succeeded(verify(*module))) << messages;
  EXPECT_EQ(f->getAttrOfType<FlatSymbolRefAttr>(kBackwardAttr).getValue(), "b");
  EXPECT_EQ(describeArguments(), "cotangent0 cotangent1 activation0 constant1 parameter2 accumulator2 ");
  interpreter::Tensor dy = random({4}, 1), dz = random({4}, 2), x = random({4}, 3), c = random({4}, 4),
                      w = random({4}, 5), sum = random({4}, 6);
  auto results = interpreter::Interpreter(*module).run("b", {dy, dz, x, c, w, sum});
  ASSERT_TRUE(succeeded(results)) << messages;
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_NEAR((*results)[0].values[i], dy.values[i] * w.values[i] + dz.values[i] * c.values[i], 1e-12);
    EXPECT_NEAR((*results)[1].values[i], sum.values[i] + dy.values[i] * x.values[i], 1e-12);
  }
  auto b = module->lookupSymbol<func::FuncOp>("b");
  EXPECT_EQ(b.getResultAttrOfType<IntegerAttr>(1, graph::kInplaceAttr).getInt(), 5);
}

TEST_F(BackwardFunctionTest, GradientsMayBeResults) {
  func::FuncOp f = parseFunction(kProduct);
  ASSERT_TRUE(f);
  BackwardBuilder builder(f, "b", "backward", /*accumulates=*/false);
  ASSERT_TRUE(succeeded(builder.buildBackward())) << messages;
  builder.finish();
  EXPECT_EQ(describeArguments(), "cotangent0 cotangent1 activation0 constant1 parameter2 ");
  auto b = module->lookupSymbol<func::FuncOp>("b");
  EXPECT_EQ(getResultOf(b, 1), 2u);
  EXPECT_FALSE(b.getResultAttr(1, graph::kInplaceAttr));
}

TEST_F(BackwardFunctionTest, LayersWithoutGradientsHaveNone) {
  func::FuncOp f = parseFunction(R"(func.func @f(%x: tensor<4xi32> {graph.arg = "activation", graph.name = "x"}) -> tensor<4xi32> attributes {graph.layer = {layer = "p", part = "forward"}} {
    return %x : tensor<4xi32>
  })");
  ASSERT_TRUE(f);
  BackwardBuilder builder(f, "b", "backward", /*accumulates=*/true);
  ASSERT_TRUE(succeeded(builder.buildBackward())) << messages;
  builder.finish();
  EXPECT_FALSE(module->lookupSymbol("b"));
  EXPECT_FALSE(f->hasAttr(kBackwardAttr));
}

/// The loss of 4 sequences of 3 tokens, in groups of two; groups differ in how many labels are ignored.
TEST_F(BackwardFunctionTest, MeansOfGroupsCountAlike) {
  for (bool perGroup : {false, true}) {
    SCOPED_TRACE(perGroup);
    std::string text = R"(
func.func @f(%x: tensor<4x3x2xf32> {graph.arg = "activation", graph.name = "x"}, %labels: tensor<4x3xi32> {graph.arg = "activation", graph.name = "labels"},
             %w: tensor<5x2xf32> {graph.arg = "parameter", graph.name = "w"})
    -> (tensor<2xf32> {graph.name = "loss_sum"}, tensor<2xf32> {graph.name = "valid_tokens"}) attributes {graph.layer = {layer = "head", part = "forward"}} {
  %loss, %valid, %lse = graph.cross_entropy %x, %w, %labels vocabulary 5 : (tensor<4x3x2xf32>, tensor<5x2xf32>, tensor<4x3xi32>) -> (tensor<2xf32>, tensor<2xf32>, tensor<4x3xf32>)
  return %loss, %valid : tensor<2xf32>, tensor<2xf32>
})";
    func::FuncOp f = parseFunction(text);
    ASSERT_TRUE(f);
    BackwardBuilder builder(f, "b", "forward_backward", /*accumulates=*/false);
    ASSERT_TRUE(succeeded(builder.buildForwardBackward(0, 1, perGroup))) << messages;
    builder.finish();
    ASSERT_TRUE(succeeded(verify(*module))) << messages;
    interpreter::Tensor x = random({4, 3, 2}, 1), w = random({5, 2}, 2);
    interpreter::Tensor labels = tensor({4, 3}, {0, 1, 2, 3, 4, 0, -1, -1, 1, -1, 2, -1}, IntegerType::get(&context, 32));
    auto results = interpreter::Interpreter(*module).run("b", {x, labels, w});
    ASSERT_TRUE(succeeded(results)) << messages;
    auto evaluate = [&](const interpreter::Tensor &weight) {
      auto sums = run(text, {x, labels, weight});
      const std::vector<double> &loss = sums[0].values, &valid = sums[1].values;
      EXPECT_EQ(valid, (std::vector<double>{6, 2}));
      return perGroup ? loss[0] / valid[0] + loss[1] / valid[1] : loss[0] + loss[1];
    };
    EXPECT_NEAR((*results)[0].values[0], evaluate(w), 1e-12);
    EXPECT_EQ((*results)[1].values, std::vector<double>(1, perGroup ? 2 : 8));
    const std::vector<double> &gradient = results->back().values;
    for (size_t i = 0; i < gradient.size(); ++i) {
      interpreter::Tensor above = w, below = w;
      above.values[i] += 1e-6;
      below.values[i] -= 1e-6;
      EXPECT_NEAR(gradient[i], (evaluate(above) - evaluate(below)) / 2e-6, 1e-8);
    }
  }
}

} // namespace
