//===- ReverseWalkTest.cpp - Gradients of straight-line code ---------------===//

#include "passes/autodiff/ReverseWalk.h"
#include "tests/ir/interpreter/Run.h"

#include <fmt/format.h>

using namespace mlir;
using namespace primus;
using namespace primus::testing;

namespace {

class ReverseWalkTest : public IrTest {
protected:
  /// Makes @f return the gradients of its result, whose cotangent is its last argument, instead.
  void differentiate(func::FuncOp f) {
    Block &block = f.front();
    Operation *terminator = block.getTerminator();
    Value result = terminator->getOperand(0);
    terminator->remove();
    SmallVector<Operation *> ops;
    for (Operation &op : block)
      ops.push_back(&op);
    auto sources = block.getArguments().drop_back();
    ReverseWalk walk(&block, SmallVector<Value>(sources.begin(), sources.end()));
    walk.contribute(result, block.getArguments().back());
    ASSERT_TRUE(succeeded(walk.visit(ops))) << messages;
    SmallVector<Value> gradients;
    for (BlockArgument source : sources)
      gradients.push_back(walk.getGradient(source, getElementTypeOrSelf(source)));
    ASSERT_FALSE(llvm::is_contained(gradients, Value()));
    terminator->setOperands(gradients);
    block.push_back(terminator);
    f.setType(FunctionType::get(&context, f.getArgumentTypes(), terminator->getOperandTypes()));
    ASSERT_TRUE(succeeded(verify(f->getParentOfType<ModuleOp>()))) << messages;
  }
};

/// Random ops on values of one shape, which are used several times or not at all.
TEST_F(ReverseWalkTest, GradientsEqualDifferences) {
  constexpr const char *binary[] = {"add", "sub", "mul", "maximum"};
  constexpr const char *unary[] = {"tanh", "sigmoid", "erf", "neg"};
  for (uint64_t seed = 0; seed < 30; ++seed) {
    SCOPED_TRACE(seed);
    std::string body;
    unsigned values = 2;
    auto pick = [&, draw = 0u]() mutable { return runtime::philox(seed, values, draw++)[0]; };
    for (; values < 10; ++values) {
      // The latest value always counts, so that both arguments reach the result.
      unsigned other = pick() % values, kind = pick() % 4;
      if (values == 2 || pick() % 3)
        body += fmt::format("%v{} = graph.{} %v{}, %v{} : tensor<2x3xf32>\n", values, binary[kind], values - 1,
                            values == 2 ? 0 : other);
      else
        body += fmt::format("%v{} = graph.{} %v{} : tensor<2x3xf32>\n", values, unary[kind], values - 1);
    }
    std::string text = fmt::format("func.func @f(%v0: tensor<2x3xf32>, %v1: tensor<2x3xf32>, %d: tensor<2x3xf32>) -> tensor<2x3xf32> {{\n{}"
                                   "return %v{} : tensor<2x3xf32>\n}}",
                                   body, values - 1);
    auto module = parse(text);
    ASSERT_TRUE(module);
    differentiate(module->lookupSymbol<func::FuncOp>("f"));
    SmallVector<interpreter::Tensor> inputs = {random({2, 3}, 3 * seed), random({2, 3}, 3 * seed + 1),
                                               random({2, 3}, 3 * seed + 2)};
    for (interpreter::Tensor &input : inputs)
      for (double &value : input.values)
        value *= 0.4;
    auto gradients = interpreter::Interpreter(*module).run("f", inputs);
    ASSERT_TRUE(succeeded(gradients)) << messages;
    auto evaluate = [&](ArrayRef<interpreter::Tensor> at) {
      return std::inner_product(inputs[2].values.begin(), inputs[2].values.end(), run(text, at)[0].values.begin(), 0.0);
    };
    for (unsigned argument : {0, 1}) {
      std::vector<double> numeric;
      for (size_t i = 0; i < 6; ++i) {
        constexpr double h = 1e-6;
        SmallVector<interpreter::Tensor> above = inputs, below = inputs;
        above[argument].values[i] += h;
        below[argument].values[i] -= h;
        numeric.push_back((evaluate(above) - evaluate(below)) / (2 * h));
      }
      // A factor such as erf's is an f32.
      EXPECT_LT(relativeError((*gradients)[argument].values, numeric), 1e-6) << text;
    }
  }
}

/// Several narrow contributions are summed in f32 as soon as one of them is f32.
TEST_F(ReverseWalkTest, SumsAreWideWhereAPartIs) {
  auto module = parse(R"(func.func @f(%x: tensor<4xbf16>, %a: tensor<4xbf16>, %b: tensor<4xf32>) {
    return
  })");
  ASSERT_TRUE(module);
  Block &block = module->lookupSymbol<func::FuncOp>("f").front();
  block.getTerminator()->erase();
  Value x = block.getArgument(0), narrow = block.getArgument(1), wide = block.getArgument(2);
  ReverseWalk alone(&block, x);
  EXPECT_FALSE(alone.getGradient(x, Float32Type::get(&context)));
  alone.contribute(x, narrow);
  alone.contribute(x, narrow);
  Value sum = alone.getGradient(x, BFloat16Type::get(&context));
  EXPECT_TRUE(getElementTypeOrSelf(sum.getDefiningOp<graph::AddOp>().getLhs()).isBF16());
  ReverseWalk mixed(&block, x);
  mixed.contribute(x, narrow);
  mixed.contribute(x, wide);
  sum = mixed.getGradient(x, BFloat16Type::get(&context));
  auto rounded = sum.getDefiningOp<graph::ConvertOp>();
  ASSERT_TRUE(rounded);
  EXPECT_TRUE(getElementTypeOrSelf(rounded.getOperand()).isF32());
}

TEST_F(ReverseWalkTest, OpsWithoutADerivativeAreErrors) {
  auto module = parse(R"(func.func @f(%x: tensor<4xf32>, %d: tensor<4xf32>) {
    %y = graph.all_reduce sum %x over ["tp"] : tensor<4xf32> -> tensor<4xf32>
    return
  })");
  ASSERT_TRUE(module);
  Block &block = module->lookupSymbol<func::FuncOp>("f").front();
  Operation *op = &block.front();
  ReverseWalk walk(&block, block.getArgument(0));
  walk.contribute(op->getResult(0), block.getArgument(1));
  EXPECT_TRUE(failed(walk.visit(ArrayRef<Operation *>(op))));
  EXPECT_NE(messages.find("has neither a derivative nor a decomposition"), std::string::npos) << messages;
}

} // namespace
