//===- DifferentiableTest.cpp - Derivatives against finite differences ----===//
//
// In the interpreter's exact mode every float is an f64, also where a type is narrower, so that central differences have about ten digits.
//
//===----------------------------------------------------------------------===//

#include "OpHarness.h"

#include "mlir/IR/Builders.h"

using namespace mlir;
using namespace primus::graph;
using namespace primus::graph::test;

namespace {

class DifferentiableTest : public OpHarness {
protected:
  /// Adds `@vjp`: the arguments of `@f` and one cotangent per differentiable result to the gradients of the arguments. The
  /// first `results` results have cotangents. Returns the arguments that have a gradient.
  SmallVector<unsigned> addVjp(ModuleOp module, unsigned results) {
    func::FuncOp source = getFunction(module);
    SmallVector<Type> types(source.getArgumentTypes());
    for (unsigned i = 0; i < results; ++i)
      types.push_back(source.getResultTypes()[i]);
    OpBuilder builder(module.getBodyRegion());
    auto function = func::FuncOp::create(builder, module.getLoc(), "vjp", builder.getFunctionType(types, {}));
    Block *block = function.addEntryBlock();
    builder.setInsertionPointToStart(block);
    IRMapping mapping;
    for (auto [from, to] : llvm::zip(source.getArguments(), block->getArguments()))
      mapping.map(from, to);
    Operation *op = builder.clone(*getOp(module), mapping);
    SmallVector<Value> cotangents(op->getNumResults());
    for (unsigned i = 0; i < results; ++i)
      cotangents[i] = block->getArgument(source.getNumArguments() + i);

    SmallVector<Value> gradients = cast<Differentiable>(op).buildVjp(builder, cotangents), returned;
    EXPECT_EQ(gradients.size(), op->getNumOperands());
    SmallVector<unsigned> arguments;
    for (auto [operand, gradient] : llvm::zip(op->getOperands(), gradients)) {
      if (!gradient)
        continue;
      auto type = cast<RankedTensorType>(operand.getType());
      EXPECT_TRUE(gradient.getType() == type || gradient.getType() == type.clone(builder.getF32Type()))
          << "gradient has neither the operand's type nor f32";
      arguments.push_back(cast<BlockArgument>(operand).getArgNumber());
      returned.push_back(gradient);
    }
    func::ReturnOp::create(builder, module.getLoc(), returned);
    function.setType(builder.getFunctionType(types, TypeRange(ValueRange(returned))));
    EXPECT_TRUE(succeeded(verify(module)));
    return arguments;
  }

  /// Compares the derivative with differences, for the sum over results of cotangent times result.
  void check(const OpCase &opCase, unsigned results = 1) {
    SCOPED_TRACE(opCase.name);
    OwningOpRef<ModuleOp> module = parse(opCase);
    ASSERT_TRUE(module);
    SmallVector<Tensor> inputs = makeInputs(getFunction(*module), opCase.positive);
    SmallVector<unsigned> arguments = addVjp(*module, results);
    SmallVector<Tensor> vjpInputs = inputs, cotangents;
    for (unsigned i = 0; i < results; ++i)
      cotangents.push_back(makeInput(getFunction(*module).getResultTypes()[i]));
    vjpInputs.append(cotangents.begin(), cotangents.end());
    SmallVector<Tensor> gradients = run(*module, "vjp", vjpInputs);
    ASSERT_EQ(gradients.size(), arguments.size());

    auto evaluate = [&]() {
      SmallVector<Tensor> values = run(*module, "f", inputs);
      double sum = 0;
      for (unsigned i = 0; i < results; ++i)
        for (auto [cotangent, value] : llvm::zip_equal(cotangents[i].values, values[i].values))
          sum += cotangent * value;
      return sum;
    };
    constexpr double step = 1e-5;
    for (auto [argument, gradient] : llvm::zip_equal(arguments, gradients)) {
      std::vector<double> expected;
      for (double &value : inputs[argument].values) {
        double middle = value;
        value = middle + step;
        double high = evaluate();
        value = middle - step;
        double low = evaluate();
        value = middle;
        expected.push_back((high - low) / (2 * step));
      }
      expectClose(gradient.values, expected, 1e-6, "argument " + std::to_string(argument));
    }
  }
};

#define UNARY(OP, POSITIVE)                                                                                            \
  { #OP, "%x: tensor<2x3xbf16>", "graph." #OP " %x : tensor<2x3xbf16>", "tensor<2x3xbf16>", POSITIVE }
#define BINARY(OP)                                                                                                     \
  {                                                                                                                    \
    #OP, "%x: tensor<2x3xf32>, %y: tensor<2x3xf32>", "graph." #OP " %x, %y : tensor<2x3xf32>", "tensor<2x3xf32>", true \
  }

TEST_F(DifferentiableTest, Elementwise) {
  const OpCase cases[] = {
      UNARY(neg, false),
      UNARY(exp, false),
      UNARY(log, true),
      UNARY(sqrt, true),
      UNARY(rsqrt, true),
      UNARY(tanh, false),
      UNARY(erf, false),
      UNARY(sigmoid, false),
      BINARY(add),
      BINARY(sub),
      BINARY(mul),
      BINARY(div),
      BINARY(maximum),
      BINARY(minimum),
      {"select", "%m: tensor<4x4xi1>, %a: tensor<4x4xf32>, %b: tensor<4x4xf32>",
       "graph.select %m, %a, %b : tensor<4x4xi1>, tensor<4x4xf32>", "tensor<4x4xf32>"},
      {"narrowing", "%x: tensor<3xf32>", "graph.convert %x : tensor<3xf32> -> tensor<3xbf16>", "tensor<3xbf16>"},
      {"widening", "%x: tensor<3xbf16>", "graph.convert %x : tensor<3xbf16> -> tensor<3xf32>", "tensor<3xf32>"}};
  for (const OpCase &opCase : cases)
      check(opCase);
}

TEST_F(DifferentiableTest, Shape) {
  const OpCase cases[] = {
      {"broadcast", "%x: tensor<3xf32>", "graph.broadcast %x dims [1] : tensor<3xf32> -> tensor<2x3x4xf32>",
       "tensor<2x3x4xf32>"},
      {"broadcast of size one", "%x: tensor<2x1xbf16>",
       "graph.broadcast %x dims [0, 2] : tensor<2x1xbf16> -> tensor<2x3x4xbf16>", "tensor<2x3x4xbf16>"},
      {"broadcast that adds ones", "%x: tensor<3xf32>", "graph.broadcast %x dims [1] : tensor<3xf32> -> tensor<1x3xf32>",
       "tensor<1x3xf32>"},
      {"reshape", "%x: tensor<2x6xf32>", "graph.reshape %x : tensor<2x6xf32> -> tensor<3x4xf32>", "tensor<3x4xf32>"},
      {"transpose", "%x: tensor<2x3x4xf32>",
       "graph.transpose %x perm [2, 0, 1] : tensor<2x3x4xf32> -> tensor<4x2x3xf32>", "tensor<4x2x3xf32>"},
      {"slice", "%x: tensor<4x5xf32>", "graph.slice %x at [1, 2] : tensor<4x5xf32> -> tensor<2x3xf32>",
       "tensor<2x3xf32>"},
      {"pad", "%x: tensor<2x3xf32>", "graph.pad %x at [1, 2] : tensor<2x3xf32> -> tensor<4x5xf32>", "tensor<4x5xf32>"},
      {"concat", "%x: tensor<2x3xf32>, %y: tensor<2x1xf32>, %z: tensor<2x2xf32>",
       "graph.concat %x, %y, %z dim 1 : (tensor<2x3xf32>, tensor<2x1xf32>, tensor<2x2xf32>) -> tensor<2x6xf32>",
       "tensor<2x6xf32>"}};
  for (const OpCase &opCase : cases)
    check(opCase);
}

TEST_F(DifferentiableTest, Contraction) {
  const OpCase cases[] = {
      {"reduce sum", "%x: tensor<2x3x4xbf16>", "graph.reduce sum %x dims [0, 2] : tensor<2x3x4xbf16> -> tensor<3xf32>",
       "tensor<3xf32>"},
      {"reduce sum, narrow result", "%x: tensor<2x3xf32>",
       "graph.reduce sum %x dims [1] : tensor<2x3xf32> -> tensor<2xbf16>", "tensor<2xbf16>"},
      {"reduce max", "%x: tensor<3x4xf32>", "graph.reduce max %x dims [1] : tensor<3x4xf32> -> tensor<3xf32>",
       "tensor<3xf32>"},
      {"linear layer", "%x: tensor<2x3x4xbf16>, %w: tensor<5x4xbf16>",
       "graph.matmul \"bsh,fh->bsf\" %x, %w : (tensor<2x3x4xbf16>, tensor<5x4xbf16>) -> tensor<2x3x5xf32>",
       "tensor<2x3x5xf32>"},
      {"batch of products, transposed result", "%x: tensor<2x3x4xf32>, %y: tensor<2x4x5xf32>",
       "graph.matmul \"bij,bjk->kib\" %x, %y : (tensor<2x3x4xf32>, tensor<2x4x5xf32>) -> tensor<5x3x2xf32>",
       "tensor<5x3x2xf32>"},
      {"two contracted letters", "%x: tensor<2x3x4xf32>, %y: tensor<4x2x5xf32>",
       "graph.matmul \"aic,cak->ik\" %x, %y : (tensor<2x3x4xf32>, tensor<4x2x5xf32>) -> tensor<3x5xf32>",
       "tensor<3x5xf32>"},
      {"outer product", "%x: tensor<3xf32>, %y: tensor<2xf32>",
       "graph.matmul \"i,j->ij\" %x, %y : (tensor<3xf32>, tensor<2xf32>) -> tensor<3x2xf32>", "tensor<3x2xf32>"},
      {"gather", "%t: tensor<4x3xf32>, %i: tensor<2x5xi32>",
       "graph.gather %t, %i : (tensor<4x3xf32>, tensor<2x5xi32>) -> tensor<2x5x3xf32>", "tensor<2x5x3xf32>"},
      {"scatter", "%i: tensor<2x5xi32>, %u: tensor<2x5x3xf32>",
       "graph.scatter %i, %u : (tensor<2x5xi32>, tensor<2x5x3xf32>) -> tensor<4x3xf32>", "tensor<4x3xf32>"}};
  for (const OpCase &opCase : cases)
    check(opCase);
}

TEST_F(DifferentiableTest, MaximumSharesItsGradientAmongEqualElements) {
  OwningOpRef<ModuleOp> module = parse({"reduce max", "%x: tensor<4xf32>",
                                        "graph.reduce max %x dims [0] : tensor<4xf32> -> tensor<f32>", "tensor<f32>"});
  addVjp(*module, 1);
  Tensor x(cast<RankedTensorType>(getFunction(*module).getArgumentTypes()[0]), {1, 3, 3, 2});
  Tensor dy(cast<RankedTensorType>(getFunction(*module).getResultTypes()[0]), {5});
  expectClose(run(*module, "vjp", {x, dy})[0].values, {0, 2.5, 2.5, 0}, 1e-12, "dx");
}

TEST_F(DifferentiableTest, Norms) {
  // Statistics have derivatives of their own.
  check({"rms_norm", "%x: tensor<2x3x4xbf16>, %w: tensor<4xf32>",
         "graph.rms_norm %x, %w eps 1.0e-3 {offset = 1.0} : (tensor<2x3x4xbf16>, tensor<4xf32>) -> "
         "(tensor<2x3x4xbf16>, tensor<2x3xf32>)",
         "tensor<2x3x4xbf16>, tensor<2x3xf32>"},
        2);
  check({"rms_norm without weight", "%x: tensor<3x4xf32>",
         "graph.rms_norm %x eps 1.0e-3 : (tensor<3x4xf32>) -> (tensor<3x4xf32>, tensor<3xf32>)",
         "tensor<3x4xf32>, tensor<3xf32>"},
        1);
  const char *results = "tensor<3x4xf32>, tensor<3xf32>, tensor<3xf32>";
  check({"layer_norm", "%x: tensor<3x4xf32>, %w: tensor<4xf32>, %b: tensor<4xf32>",
         "graph.layer_norm %x, %w, %b eps 1.0e-3 : (tensor<3x4xf32>, tensor<4xf32>, tensor<4xf32>) -> "
         "(tensor<3x4xf32>, tensor<3xf32>, tensor<3xf32>)",
         results},
        3);
  check({"layer_norm without weight", "%x: tensor<3x4xf32>, %b: tensor<4xf32>",
         "graph.layer_norm %x, none, %b eps 1.0e-3 : (tensor<3x4xf32>, tensor<4xf32>) -> "
         "(tensor<3x4xf32>, tensor<3xf32>, tensor<3xf32>)",
         results},
        1);
  check({"layer_norm without bias", "%x: tensor<3x4xf32>, %w: tensor<4xf32>",
         "graph.layer_norm %x, %w eps 1.0e-3 {offset = 1.0} : (tensor<3x4xf32>, tensor<4xf32>) -> "
         "(tensor<3x4xf32>, tensor<3xf32>, tensor<3xf32>)",
         results},
        1);
}

TEST_F(DifferentiableTest, Activations) {
  for (const char *kind : {"silu", "gelu", "gelu_tanh", "quick_gelu", "relu", "squared_relu", "sigmoid"}) {
    std::string activation = std::string("graph.activation ") + kind + " %x : tensor<4x4xf32>";
    check({kind, "%x: tensor<4x4xf32>", activation.c_str(), "tensor<4x4xf32>"});
    std::string glu = std::string("graph.glu ") + kind + " %x, %y : tensor<4x4xf32>";
    check({kind, "%x: tensor<4x4xf32>, %y: tensor<4x4xf32>", glu.c_str(), "tensor<4x4xf32>"});
  }
}

TEST_F(DifferentiableTest, Rope) {
  for (const char *style : {"half", "interleaved", "half inverse"}) {
    std::string op = std::string("graph.rope ") + style + " %x, %cos, %sin : tensor<2x3x2x6xf32>, tensor<3x2xf32>";
    check({style, "%x: tensor<2x3x2x6xf32>, %cos: tensor<3x2xf32>, %sin: tensor<3x2xf32>", op.c_str(),
           "tensor<2x3x2x6xf32>"});
  }
}

TEST_F(DifferentiableTest, Attention) {
  for (const char *attributes : {"", "{causal}", "{causal, window = 2 : i64}", "{window = 2 : i64}", "{causal, softcap = 2.0}"}) {
    std::string op = std::string("graph.attention %q, %k, %v scale 0.7 ") + attributes +
                     " : tensor<2x3x4x3xf32>, tensor<2x3x2x3xf32> -> tensor<2x4x3xf32>";
    check({attributes, "%q: tensor<2x3x4x3xf32>, %k: tensor<2x3x2x3xf32>, %v: tensor<2x3x2x3xf32>", op.c_str(),
           "tensor<2x3x4x3xf32>, tensor<2x4x3xf32>"});
  }
}

TEST_F(DifferentiableTest, AttentionWithTokensThatSeeNothing) {
  // Token 2 is further than the window from the only key.
  check({"attention", "%q: tensor<1x3x2x3xf32>, %k: tensor<1x1x2x3xf32>, %v: tensor<1x1x2x3xf32>",
         "graph.attention %q, %k, %v scale 0.7 {window = 2 : i64} : tensor<1x3x2x3xf32>, tensor<1x1x2x3xf32> -> "
         "tensor<1x2x3xf32>",
         "tensor<1x3x2x3xf32>, tensor<1x2x3xf32>"});
}

TEST_F(DifferentiableTest, CrossEntropy) {
  check({"cross_entropy", "%x: tensor<6x3xf32>, %w: tensor<7x3xf32>, %labels: tensor<6xi32>",
         "graph.cross_entropy %x, %w, %labels vocabulary 5 : (tensor<6x3xf32>, tensor<7x3xf32>, tensor<6xi32>) -> "
         "(tensor<f32>, tensor<f32>, tensor<6xf32>)",
         "tensor<f32>, tensor<f32>, tensor<6xf32>"});
}

TEST_F(DifferentiableTest, RefusesCotangentsOfLse) {
  OwningOpRef<ModuleOp> module =
      parse({"attention", "%q: tensor<1x2x2x2xf32>, %k: tensor<1x2x2x2xf32>",
             "graph.attention %q, %k, %k scale 1.0 : tensor<1x2x2x2xf32>, tensor<1x2x2x2xf32> -> tensor<1x2x2xf32>",
             "tensor<1x2x2x2xf32>, tensor<1x2x2xf32>"});
  auto op = cast<AttentionOp>(getOp(*module));
  std::string message;
  ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) { message = diagnostic.str(); });
  OpBuilder builder(op->getBlock()->getTerminator());
  Value null;
  EXPECT_TRUE(cast<Differentiable>(op.getOperation()).buildVjp(builder, {null, op.getLse()}).empty());
  EXPECT_EQ(message, "'graph.attention' op has no gradient with respect to lse");
}

} // namespace
