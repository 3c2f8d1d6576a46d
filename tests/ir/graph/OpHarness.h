//===- OpHarness.h - Runs single graph ops in tests --------------*- C++ -*-===//

#pragma once

#include "tests/ir/interpreter/Run.h"

namespace primus::testing {

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

class OpHarness : public IrTest {
protected:
  /// The module with `@f`, whose body is the op and a return.
  mlir::OwningOpRef<mlir::ModuleOp> build(const OpCase &opCase) {
    size_t count = llvm::StringRef(opCase.results).count("tensor<");
    std::string names;
    for (size_t i = 0; i < count; ++i)
      names += (i ? ", %r" : "%r") + std::to_string(i);
    return parse(std::string("func.func @f(") + opCase.arguments + ") -> (" + opCase.results + ") {\n" + names + " = " +
                 opCase.op + "\nreturn " + names + " : " + opCase.results + "\n}");
  }

  static mlir::func::FuncOp getFunction(mlir::ModuleOp module) { return module.lookupSymbol<mlir::func::FuncOp>("f"); }
  static mlir::Operation *getOp(mlir::ModuleOp module) { return &getFunction(module).getBody().front().front(); }

  /// Normally distributed floats, or integers in [-1, 5): -1 is no row of a table and no label. i1 is 0 or 1.
  interpreter::Tensor makeInput(mlir::Type type, uint64_t stream, bool positive = false) {
    auto tensorType = mlir::cast<mlir::RankedTensorType>(type);
    mlir::Type element = tensorType.getElementType();
    interpreter::Tensor result = random(tensorType.getShape(), stream, element);
    for (auto [i, value] : llvm::enumerate(result.values)) {
      uint32_t bits = runtime::philox(/*seed=*/1, stream, i)[0];
      if (element.isInteger(1))
        value = bits % 2;
      else if (mlir::isa<mlir::IntegerType>(element))
        value = bits % 6 - 1.0;
      else if (positive)
        value = std::abs(value) + 0.5;
    }
    return result;
  }

  llvm::SmallVector<interpreter::Tensor> makeInputs(mlir::func::FuncOp function, bool positive = false) {
    llvm::SmallVector<interpreter::Tensor> inputs;
    for (auto [index, type] : llvm::enumerate(function.getArgumentTypes()))
      inputs.push_back(makeInput(type, index, positive));
    return inputs;
  }

  /// Results of `@f` in f64.
  llvm::SmallVector<interpreter::Tensor> runModule(mlir::ModuleOp module, llvm::ArrayRef<interpreter::Tensor> inputs) {
    auto results = interpreter::Interpreter(module).run("f", inputs);
    EXPECT_TRUE(mlir::succeeded(results)) << messages;
    return mlir::succeeded(results) ? *results : llvm::SmallVector<interpreter::Tensor>();
  }
};

} // namespace primus::testing
