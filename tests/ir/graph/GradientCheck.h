//===- GradientCheck.h - Derivatives against finite differences --*- C++ -*-===//

#pragma once

#include "ir/graph/Decomposition.h"
#include "tests/ir/interpreter/Run.h"

#include <ostream>

namespace primus::testing {

/// An op and how to test its vector-Jacobian product.
struct GradientCase {
  std::string name;
  /// Arguments of the function: the differentiated operands, and `constants` of them that have no gradient.
  std::string arguments;
  /// Ops; the last one is tested.
  std::string body;
  /// Results that get a cotangent.
  std::vector<unsigned> results = {0};
  /// Arguments without a gradient.
  std::vector<unsigned> constants = {};
  /// Draw inputs from [0.5, infinity) instead of both signs, for ops that are undefined elsewhere.
  bool positive = false;
};

/// The cases of PrimitiveGradientTest.cpp and CompositeGradientTest.cpp.
std::vector<GradientCase> getPrimitiveGradientCases();
std::vector<GradientCase> getCompositeGradientCases();

inline void PrintTo(const GradientCase &gradientCase, std::ostream *os) { *os << gradientCase.name; }

/// Compares vector-Jacobian products with central differences in the interpreter's exact mode.
class GradientCheck : public IrTest {
protected:
  /// Five-point central differences of step h err by about h^4 and, from rounding, 1e-16 / h; constants in the IR are
  /// f32.
  static constexpr double step = 1e-3, tolerance = 2e-7;

  /// Builds @f and @gradient of a case. Returns null, and fails the test, if the gradient does not exist or verify.
  mlir::OwningOpRef<mlir::ModuleOp> build(const GradientCase &gradientCase);

  /// The gradients that @gradient computes, per argument of @f (empty for constants).
  std::vector<std::vector<double>> runGradient(mlir::ModuleOp module, const GradientCase &gradientCase);

  /// The same by finite differences of @f.
  std::vector<std::vector<double>> differentiateNumerically(mlir::ModuleOp module, const GradientCase &gradientCase);

  /// Builds a case and compares. A gradient with the wrong sign must fail, so a test of a vanishing gradient does not
  /// count.
  void checkCase(const GradientCase &gradientCase) {
    mlir::OwningOpRef<mlir::ModuleOp> module = build(gradientCase);
    ASSERT_TRUE(module);
    std::vector<std::vector<double>> actual = runGradient(*module, gradientCase);
    std::vector<std::vector<double>> expected = differentiateNumerically(*module, gradientCase);
    EXPECT_LT(compare(actual, expected), tolerance);
    for (auto [argument, gradient] : llvm::enumerate(expected)) {
      if (llvm::is_contained(gradientCase.constants, argument))
        continue;
      EXPECT_GT(maxNorm(gradient), 1e-3) << "argument " << argument;
    }
  }

  /// Largest relative error over all arguments.
  static double compare(const std::vector<std::vector<double>> &actual,
                        const std::vector<std::vector<double>> &expected) {
    double error = actual.size() == expected.size() ? 0 : HUGE_VAL;
    for (auto [a, e] : llvm::zip(actual, expected)) {
      double one = relativeError(a, e);
      error = std::isnan(one) ? HUGE_VAL : std::max(error, one);
    }
    return error;
  }

private:
  llvm::SmallVector<interpreter::Tensor> makeInputs(mlir::ModuleOp module, const GradientCase &gradientCase);
  llvm::SmallVector<interpreter::Tensor> makeCotangents(mlir::ModuleOp module, const GradientCase &gradientCase);
};

inline mlir::OwningOpRef<mlir::ModuleOp> GradientCheck::build(const GradientCase &gradientCase) {
  using namespace mlir;
  OwningOpRef<ModuleOp> module =
      parse("func.func @f(" + gradientCase.arguments + ") {\n" + gradientCase.body + "\nreturn\n}");
  if (!module)
    return {};
  // Return the last op's results.
  auto forward = module->lookupSymbol<func::FuncOp>("f");
  Operation *terminator = forward.getBody().front().getTerminator(), *op = terminator->getPrevNode();
  terminator->setOperands(op->getResults());
  forward.setFunctionType(FunctionType::get(&context, forward.getArgumentTypes(), op->getResultTypes()));

  // @gradient takes the cotangents after the arguments and returns one value per operand with a gradient, which the
  // attribute `arguments` maps to the arguments of @f.
  func::FuncOp backward = forward.clone();
  backward.setName("gradient");
  module->push_back(backward);
  Block &block = backward.getBody().front();
  terminator = block.getTerminator();
  op = terminator->getPrevNode();
  SmallVector<Value> cotangents(op->getNumResults());
  for (unsigned result : gradientCase.results)
    cotangents[result] = block.addArgument(op->getResult(result).getType(), op->getLoc());
  auto differentiable = dyn_cast<graph::Differentiable>(op);
  EXPECT_TRUE(differentiable) << gradientCase.body;
  if (!differentiable)
    return {};
  OpBuilder builder(terminator);
  SmallVector<Value> gradients = differentiable.buildVjp(builder, cotangents);
  EXPECT_EQ(gradients.size(), op->getNumOperands());

  SmallVector<Value> returned;
  SmallVector<int64_t> owners;
  for (auto [gradient, operand] : llvm::zip(gradients, op->getOperands())) {
    auto argument = dyn_cast<BlockArgument>(operand);
    if (!gradient || !argument)
      continue;
    auto type = cast<RankedTensorType>(gradient.getType()), operandType = cast<RankedTensorType>(operand.getType());
    EXPECT_EQ(type.getShape(), operandType.getShape());
    EXPECT_TRUE(type.getElementType() == operandType.getElementType() || type.getElementType().isF32());
    returned.push_back(gradient);
    owners.push_back(argument.getArgNumber());
  }
  terminator->setOperands(returned);
  backward.setFunctionType(FunctionType::get(&context, block.getArgumentTypes(), ValueRange(returned).getTypes()));
  backward->setAttr("arguments", builder.getDenseI64ArrayAttr(owners));
  EXPECT_TRUE(succeeded(verify(*module))) << messages;
  return module;
}

inline llvm::SmallVector<interpreter::Tensor> GradientCheck::makeInputs(mlir::ModuleOp module,
                                                                        const GradientCase &gradientCase) {
  llvm::SmallVector<interpreter::Tensor> inputs;
  for (mlir::Type type : module.lookupSymbol<mlir::func::FuncOp>("f").getArgumentTypes()) {
    auto tensorType = mlir::cast<mlir::RankedTensorType>(type);
    inputs.push_back(random(tensorType.getShape(), inputs.size(), tensorType.getElementType()));
    // Stay clear of kinks at zero and of singularities.
    for (double &value : inputs.back().values)
      value = gradientCase.positive ? std::abs(value) + 0.5 : value + std::copysign(0.02, value);
  }
  return inputs;
}

inline llvm::SmallVector<interpreter::Tensor> GradientCheck::makeCotangents(mlir::ModuleOp module,
                                                                            const GradientCase &gradientCase) {
  llvm::SmallVector<interpreter::Tensor> cotangents;
  mlir::TypeRange types = module.lookupSymbol<mlir::func::FuncOp>("f").getResultTypes();
  for (unsigned result : gradientCase.results) {
    auto type = mlir::cast<mlir::RankedTensorType>(types[result]);
    cotangents.push_back(random(type.getShape(), 100 + result, type.getElementType()));
  }
  return cotangents;
}

inline std::vector<std::vector<double>> GradientCheck::runGradient(mlir::ModuleOp module,
                                                                   const GradientCase &gradientCase) {
  llvm::SmallVector<interpreter::Tensor> inputs = makeInputs(module, gradientCase);
  std::vector<std::vector<double>> sums(inputs.size());
  inputs.append(makeCotangents(module, gradientCase));
  auto gradients = interpreter::Interpreter(module).run("gradient", inputs);
  EXPECT_TRUE(mlir::succeeded(gradients)) << messages;
  if (mlir::failed(gradients))
    return {};
  auto function = module.lookupSymbol<mlir::func::FuncOp>("gradient");
  auto owners = function->getAttrOfType<mlir::DenseI64ArrayAttr>("arguments").asArrayRef();
  for (auto [owner, gradient] : llvm::zip_equal(owners, *gradients)) {
    sums[owner].resize(gradient.size(), 0.0);
    for (auto [sum, value] : llvm::zip_equal(sums[owner], gradient.values))
      sum += value;
  }
  return sums;
}

inline std::vector<std::vector<double>> GradientCheck::differentiateNumerically(mlir::ModuleOp module,
                                                                                const GradientCase &gradientCase) {
  llvm::SmallVector<interpreter::Tensor> inputs = makeInputs(module, gradientCase);
  llvm::SmallVector<interpreter::Tensor> cotangents = makeCotangents(module, gradientCase);
  interpreter::Interpreter interpreter(module);
  // The scalar whose gradient the vector-Jacobian product is: cotangents times results.
  auto evaluate = [&] {
    auto results = interpreter.run("f", inputs);
    EXPECT_TRUE(mlir::succeeded(results)) << messages;
    double sum = 0;
    if (mlir::succeeded(results))
      for (auto [result, cotangent] : llvm::zip_equal(gradientCase.results, cotangents))
        for (auto [value, weight] : llvm::zip_equal((*results)[result].values, cotangent.values))
          sum += value * weight;
    return sum;
  };
  std::vector<std::vector<double>> gradients(inputs.size());
  for (unsigned argument = 0; argument < inputs.size(); ++argument) {
    if (llvm::is_contained(gradientCase.constants, argument))
      continue;
    for (double &value : inputs[argument].values) {
      double centre = value;
      auto at = [&](double offset) {
        value = centre + offset;
        return evaluate();
      };
      gradients[argument].push_back((8 * (at(step) - at(-step)) - (at(2 * step) - at(-2 * step))) / (12 * step));
      value = centre;
    }
  }
  return gradients;
}

} // namespace primus::testing
