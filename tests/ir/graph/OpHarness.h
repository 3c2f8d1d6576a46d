//===- OpHarness.h - Runs single graph ops in tests --------------*- C++ -*-===//

#pragma once

#include "ir/graph/GraphDialect.h"
#include "ir/interpreter/Interpreter.h"
#include "passes/Passes.h"

#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"

#include <gtest/gtest.h>
#include <random>

namespace primus::graph::test {

using interpreter::Tensor;

/// One op in a function: `arguments` are those of the function, `results` the types of what the op returns.
struct OpCase {
  const char *name;
  const char *arguments;
  const char *op;
  const char *results;
  /// Random floats are positive.
  bool positive = false;
};

inline void PrintTo(const OpCase &opCase, std::ostream *os) { *os << opCase.name; }

class OpHarness : public ::testing::Test {
protected:
  OpHarness() {
    mlir::DialectRegistry registry;
    registerDialects(registry);
    context.appendDialectRegistry(registry);
    context.loadAllAvailableDialects();
  }

  /// The module with `@f`, whose body is the op and a return.
  mlir::OwningOpRef<mlir::ModuleOp> parse(const OpCase &opCase) {
    size_t count = llvm::StringRef(opCase.results).count("tensor<");
    std::string names, uses;
    for (size_t i = 0; i < count; ++i) {
      names += (i ? ", %r" : "%r") + std::to_string(i);
      uses += (i ? ", %r" : "%r") + std::to_string(i);
    }
    std::string text = std::string("func.func @f(") + opCase.arguments + ") -> (" + opCase.results + ") {\n" + names +
                       " = " + opCase.op + "\nreturn " + uses + " : " + opCase.results + "\n}";
    auto module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
    EXPECT_TRUE(module) << text;
    return module;
  }

  static mlir::func::FuncOp getFunction(mlir::ModuleOp module) { return module.lookupSymbol<mlir::func::FuncOp>("f"); }
  static mlir::Operation *getOp(mlir::ModuleOp module) { return &getFunction(module).getBody().front().front(); }

  /// Normally distributed floats, or integers in [-1, 5): -1 is no row of a table and no label. i1 is 0 or 1.
  Tensor makeInput(mlir::Type type, bool positive = false) {
    Tensor tensor(mlir::cast<mlir::RankedTensorType>(type));
    bool isFloat = mlir::isa<mlir::FloatType>(tensor.elementType);
    for (double &value : tensor.values) {
      if (isFloat)
        value = std::normal_distribution<double>()(engine);
      else if (tensor.elementType.isInteger(1))
        value = static_cast<double>(engine() % 2);
      else
        value = static_cast<double>(engine() % 6) - 1;
      if (positive && isFloat)
        value = std::abs(value) + 0.5;
    }
    return tensor;
  }

  llvm::SmallVector<Tensor> makeInputs(mlir::func::FuncOp function, bool positive = false) {
    llvm::SmallVector<Tensor> inputs;
    for (mlir::Type type : function.getArgumentTypes())
      inputs.push_back(makeInput(type, positive));
    return inputs;
  }

  /// Results of a function in f64.
  static llvm::SmallVector<Tensor> run(mlir::ModuleOp module, llvm::StringRef function, llvm::ArrayRef<Tensor> inputs) {
    interpreter::Interpreter interpreter(module);
    auto results = interpreter.run(function, inputs);
    EXPECT_TRUE(mlir::succeeded(results));
    return mlir::succeeded(results) ? *results : llvm::SmallVector<Tensor>();
  }

  static void expectClose(const std::vector<double> &actual, const std::vector<double> &expected, double tolerance,
                          const std::string &what) {
    ASSERT_EQ(actual.size(), expected.size()) << what;
    for (size_t i = 0; i < actual.size(); ++i)
      ASSERT_NEAR(actual[i], expected[i], tolerance * std::max(1.0, std::abs(expected[i]))) << what << ", element " << i;
  }

  mlir::MLIRContext context;
  std::mt19937_64 engine{42};
};

} // namespace primus::graph::test
