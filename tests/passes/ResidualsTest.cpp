//===- ResidualsTest.cpp - What forward hands to backward ------------------===//

#include "passes/LayerFunction.h"
#include "passes/autodiff/BackwardFunction.h"
#include "tests/ir/interpreter/Run.h"

using namespace mlir;
using namespace primus;
using namespace primus::testing;

namespace {

class ResidualsTest : public IrTest {
protected:
  /// Differentiates @f into @b, handing over what is chosen where `isCheap` ops may run again. Returns their names.
  std::string buildWith(llvm::function_ref<bool(Operation *)> isCheap) {
    module = parse(R"(
func.func @f(%x: tensor<4x8xf32> {graph.arg = "activation", graph.name = "x"}, %w: tensor<2x8xf32> {graph.arg = "parameter", graph.name = "w"})
    -> (tensor<4x2xf32> {graph.name = "y"}) attributes {graph.layer = {layer = "p", part = "forward"}} {
  %h = graph.matmul "td,vd->tv" %x, %w : (tensor<4x8xf32>, tensor<2x8xf32>) -> tensor<4x2xf32> loc("h")
  %a = graph.exp %h : tensor<4x2xf32> loc("a")
  %b = graph.tanh %a : tensor<4x2xf32> loc("b")
  %c = graph.mul %b, %a : tensor<4x2xf32> loc("c")
  return %c : tensor<4x2xf32>
}
func.func @main(%x: tensor<4x8xf32>, %w: tensor<2x8xf32>) -> tensor<4x2xf32> {
  %0 = graph.call @f(%x, %w) instance "p" : (tensor<4x8xf32>, tensor<2x8xf32>) -> tensor<4x2xf32>
  return %0 : tensor<4x2xf32>
})");
    if (!module)
      return {};
    auto f = module->lookupSymbol<func::FuncOp>("f");
    BackwardBuilder builder(f, "b", "backward", /*accumulates=*/false);
    EXPECT_TRUE(succeeded(builder.buildBackward())) << messages;
    SmallVector<Value> residuals = selectResiduals(builder.getCopy(), isCheap);
    std::string names;
    for (Value value : residuals)
      names += getValueName(value).str() + " ";
    addResiduals(builder.getCopy(), residuals);
    builder.finish();
    EXPECT_TRUE(succeeded(verify(*module))) << messages;
    return names;
  }

  /// The gradients by @b, whose residuals come from @f.
  std::vector<double> getGradients() {
    interpreter::Tensor dy = random({4, 2}, 1), x = random({4, 8}, 2), w = random({2, 8}, 3);
    auto b = module->lookupSymbol<func::FuncOp>("b");
    auto forward = interpreter::Interpreter(*module).run("f", {x, w});
    EXPECT_TRUE(succeeded(forward)) << messages;
    SmallVector<interpreter::Tensor> inputs;
    for (unsigned i = 0; i < b.getNumArguments(); ++i) {
      ArgKind kind = *getArgKind(b, i);
      inputs.push_back(kind == ArgKind::Cotangent  ? dy
                       : kind == ArgKind::Residual ? (*forward)[*getArgOf(b, i)]
                       : kind == ArgKind::Activation ? x
                                                     : w);
    }
    auto results = interpreter::Interpreter(*module).run("b", inputs);
    EXPECT_TRUE(succeeded(results)) << messages;
    std::vector<double> values;
    for (const interpreter::Tensor &result : *results)
      values.insert(values.end(), result.values.begin(), result.values.end());
    return values;
  }

  int64_t countMatmuls() {
    int64_t count = 0;
    module->lookupSymbol<func::FuncOp>("b").walk([&](graph::MatmulOp) { ++count; });
    return count;
  }

  OwningOpRef<ModuleOp> module;
};

TEST_F(ResidualsTest, WhatIsCheapIsComputedAgain) {
  // Nothing may run again: what the gradients read is handed over.
  EXPECT_EQ(buildWith([](Operation *) { return false; }), "a b ");
  std::vector<double> expected = getGradients();
  EXPECT_EQ(countMatmuls(), 2);
  // From one value the rest follows: of `h` and `a`, which are as large, the one that leaves less to compute.
  EXPECT_EQ(buildWith([](Operation *op) { return !isa<graph::MatmulOp>(op); }), "a ");
  EXPECT_LT(relativeError(getGradients(), expected), 1e-12);
  EXPECT_EQ(countMatmuls(), 2);
  // Everything may: nothing is handed over.
  EXPECT_EQ(buildWith([](Operation *) { return true; }), "");
  EXPECT_LT(relativeError(getGradients(), expected), 1e-12);
  EXPECT_EQ(countMatmuls(), 3);
}

TEST_F(ResidualsTest, CallsGetTheNewResults) {
  buildWith([](Operation *) { return false; });
  auto f = module->lookupSymbol<func::FuncOp>("f");
  EXPECT_EQ(f.getNumResults(), 3u);
  EXPECT_EQ(getResultName(f, 1), "a");
  auto main = module->lookupSymbol<func::FuncOp>("main");
  main.walk([&](graph::CallOp call) { EXPECT_EQ(call.getNumResults(), 3u); });
  EXPECT_EQ(main.getNumResults(), 1u);
}

} // namespace
