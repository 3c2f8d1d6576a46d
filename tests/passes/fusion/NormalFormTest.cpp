//===- NormalFormTest.cpp - Normal forms compute the same ------------------===//

#include "passes/fusion/NormalForm.h"
#include "passes/kernels/Elementwise.h"
#include "tests/ir/interpreter/Run.h"

using namespace mlir;
using namespace primus;
using namespace primus::testing;

namespace {

class NormalFormTest : public IrTest {
protected:
  /// The result of @f before and after, which must agree; returns the module in normal form.
  OwningOpRef<ModuleOp> normalise(const std::string &text, ArrayRef<interpreter::Tensor> inputs) {
    auto expected = run(text, inputs);
    auto module = parse(text);
    if (!module)
      return module;
    EXPECT_TRUE(succeeded(fusion::normalise(module->lookupSymbol<func::FuncOp>("f")))) << messages;
    EXPECT_TRUE(succeeded(verify(*module))) << messages;
    auto actual = interpreter::Interpreter(*module).run("f", inputs);
    EXPECT_TRUE(succeeded(actual)) << messages;
    if (failed(actual))
      return module;
    for (auto [a, e] : llvm::zip_equal(*actual, expected))
      EXPECT_LT(relativeError(a.values, e.values), 1e-12) << text;
    return module;
  }

  static bool isFlat(Value value) { return cast<RankedTensorType>(value.getType()).getRank() <= 2; }
};

TEST_F(NormalFormTest, ElementwiseOpsHaveTwoDimensions) {
  auto module = normalise(R"(func.func @f(%x: tensor<2x3x4xf32>, %w: tensor<4xf32>, %s: tensor<f32>) -> tensor<2x3x4xf32> {
    %b = graph.broadcast %w dims [2] : tensor<4xf32> -> tensor<2x3x4xf32>
    %c = graph.broadcast %s dims [] : tensor<f32> -> tensor<2x3x4xf32>
    %0 = graph.mul %x, %b : tensor<2x3x4xf32>
    %1 = graph.tanh %0 : tensor<2x3x4xf32>
    %2 = graph.add %1, %c : tensor<2x3x4xf32>
    return %2 : tensor<2x3x4xf32>
  })",
                          {random({2, 3, 4}, 1), random({4}, 2), random({}, 3)});
  ASSERT_TRUE(module);
  unsigned count = 0;
  module->walk([&](Operation *op) {
    if (!kernels::isElementwise(op) && !isa<graph::BroadcastOp>(op))
      return;
    EXPECT_TRUE(isFlat(op->getResult(0)));
    ++count;
  });
  EXPECT_EQ(count, 5u);
}

/// Sums over the first, the last, the middle, several and all dimensions.
TEST_F(NormalFormTest, ReductionsHaveOneDimension) {
  struct {
    const char *dims, *result;
  } cases[] = {{"[0]", "3x4x5"}, {"[3]", "2x3x4"},    {"[1]", "2x4x5"}, {"[0, 1]", "4x5"},
               {"[2, 3]", "2x3"}, {"[1, 3]", "2x4"}, {"[0, 1, 2, 3]", ""}};
  for (const auto &[dims, result] : cases)
    for (const char *kind : {"sum", "max"}) {
      SCOPED_TRACE(std::string(kind) + dims);
      std::string type = std::string("tensor<") + result + (*result ? "x" : "") + "f32>";
      auto module = normalise("func.func @f(%x: tensor<2x3x4x5xf32>) -> " + type + " {\n%0 = graph.reduce " + kind +
                                  " %x dims " + dims + " : tensor<2x3x4x5xf32> -> " + type + "\nreturn %0 : " + type + "\n}",
                              {random({2, 3, 4, 5}, 1)});
      ASSERT_TRUE(module);
      unsigned count = 0;
      module->walk([&](graph::ReduceOp reduce) {
        ++count;
        EXPECT_TRUE(isFlat(reduce.getOperand()));
        EXPECT_TRUE(reduce.getDims().size() == 1 || *result == 0);
      });
      // The largest of rows come first, so that what computes these finds them.
      bool isInTwo = StringRef(kind) == "max" && StringRef(dims).ends_with(", 3]");
      EXPECT_EQ(count, isInTwo ? 2u : 1u);
    }
}

TEST_F(NormalFormTest, CompositesAreTheirDefinitions) {
  auto module = normalise(R"(func.func @f(%x: tensor<2x3x8xf32>, %w: tensor<8xf32>) -> (tensor<2x3x8xf32>, tensor<2x3xf32>) {
    %y, %rstd = graph.rms_norm %x, %w eps 1.0e-05 : (tensor<2x3x8xf32>, tensor<8xf32>) -> (tensor<2x3x8xf32>, tensor<2x3xf32>)
    return %y, %rstd : tensor<2x3x8xf32>, tensor<2x3xf32>
  })",
                          {random({2, 3, 8}, 1), random({8}, 2)});
  ASSERT_TRUE(module);
  module->walk([&](graph::RmsNormOp op) { ADD_FAILURE() << "is left"; });
}

/// Attention has a kernel of its own; what is computed twice is computed once.
TEST_F(NormalFormTest, KernelsStayAndDoublesGo) {
  auto module = normalise(R"(func.func @f(%q: tensor<1x4x2x4xf32>) -> tensor<1x4x2x4xf32> {
    %o, %lse = graph.attention %q, %q, %q scale 0.5 : tensor<1x4x2x4xf32>, tensor<1x4x2x4xf32> -> tensor<1x2x4xf32>
    %a = graph.exp %o : tensor<1x4x2x4xf32>
    %b = graph.exp %o : tensor<1x4x2x4xf32>
    %c = graph.mul %a, %b : tensor<1x4x2x4xf32>
    return %c : tensor<1x4x2x4xf32>
  })",
                          {random({1, 4, 2, 4}, 1)});
  ASSERT_TRUE(module);
  unsigned attentions = 0, powers = 0;
  module->walk([&](graph::AttentionOp) { ++attentions; });
  module->walk([&](graph::ExpOp) { ++powers; });
  EXPECT_EQ(attentions, 1u);
  EXPECT_EQ(powers, 1u);
}

} // namespace
