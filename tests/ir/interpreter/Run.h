//===- Run.h - Run IR text in the interpreter --------------------*- C++ -*-===//
//
// Shared by tests that judge IR by running it.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "ir/interpreter/Interpreter.h"
#include "runtime/init/Philox.h"

#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"

#include "gtest/gtest.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace primus::testing {

/// A context with the graph dialect that keeps the diagnostics of a test.
class IrTest : public ::testing::Test {
protected:
  IrTest() {
    context.loadDialect<mlir::func::FuncDialect, graph::GraphDialect>();
    context.getDiagEngine().registerHandler([this](mlir::Diagnostic &diagnostic) {
      messages += diagnostic.str() + "\n";
      return mlir::success();
    });
  }

  /// Parses and verifies a module. The test fails if it is none.
  mlir::OwningOpRef<mlir::ModuleOp> parse(const std::string &text) {
    auto module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
    EXPECT_TRUE(module) << messages << text;
    return module;
  }

  /// Runs @f of a module. The test fails if it does not run.
  llvm::SmallVector<interpreter::Tensor> run(const std::string &text, llvm::ArrayRef<interpreter::Tensor> inputs,
                                             interpreter::Mode mode = interpreter::Mode::Exact) {
    auto module = parse(text);
    if (!module)
      return {};
    auto results = interpreter::Interpreter(*module, mode).run("f", inputs);
    EXPECT_TRUE(mlir::succeeded(results)) << messages << text;
    return mlir::succeeded(results) ? *results : llvm::SmallVector<interpreter::Tensor>();
  }

  /// A tensor of f32 (or another type) with the given values.
  interpreter::Tensor tensor(llvm::ArrayRef<int64_t> shape, std::vector<double> values, mlir::Type elementType = {}) {
    if (!elementType)
      elementType = mlir::Float32Type::get(&context);
    return {mlir::RankedTensorType::get(shape, elementType), std::move(values)};
  }

  /// Normally distributed values; `stream` tells tensors of one test apart.
  interpreter::Tensor random(llvm::ArrayRef<int64_t> shape, uint64_t stream, mlir::Type elementType = {}) {
    interpreter::Tensor result = tensor(shape, {}, elementType);
    result.values.resize(mlir::ShapedType::getNumElements(shape));
    for (auto [index, value] : llvm::enumerate(result.values))
      value = runtime::standardNormal(/*seed=*/1, stream, index);
    return result;
  }

  mlir::MLIRContext context;
  std::string messages;
};

/// Largest absolute value.
inline double maxNorm(llvm::ArrayRef<double> values) {
  double largest = 0;
  for (double value : values)
    largest = std::isnan(value) ? value : std::max(largest, std::abs(value));
  return largest;
}

/// Largest difference, relative to the larger tensor's largest value. Infinity if the shapes differ.
inline double relativeError(llvm::ArrayRef<double> actual, llvm::ArrayRef<double> expected) {
  if (actual.size() != expected.size())
    return HUGE_VAL;
  std::vector<double> difference;
  for (auto [a, e] : llvm::zip(actual, expected))
    difference.push_back(a - e);
  double scale = std::max(maxNorm(actual), maxNorm(expected));
  return scale == 0 ? 0 : maxNorm(difference) / scale;
}

} // namespace primus::testing
