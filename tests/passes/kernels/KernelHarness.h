//===- KernelHarness.h - Compiled functions against the interpreter -*- C++ -*-===//
//
// Takes a module with a layer function through fusion, packing, the kernel families and a code generator, runs the compiled kernels on each
// target, and compares their results with what the interpreter makes of the function as it was.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "ir/interpreter/Interpreter.h"
#include "passes/kernels/KernelFamily.h"
#include "tests/codegen/cpu/RunKernel.h"
#include "tests/passes/kernels/KernelRunner.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

#include <functional>

namespace primus::test {

using interpreter::Tensor;

/// A tensor in memory: f32, f16, bf16, 8-bit floats or i32, and back.
void writeTensor(const Tensor &tensor, emulator::Buffer &buffer);
Tensor readTensor(mlir::RankedTensorType type, const emulator::Buffer &buffer, int64_t offset = 0);

/// The largest difference, relative to the largest element; infinite where a number is missing.
double getError(const Tensor &actual, const Tensor &expected);

/// Names in the environment variable PRIMUS_TEST_TARGETS, separated by commas; without it cpu, gfx942 and gfx950.
std::vector<std::string> getTestTargets();

struct HarnessOptions {
  /// Largest difference from the exact result, relative to the largest element.
  double tolerance = 1e-5;
  /// How the interpreter computes what is expected.
  interpreter::Mode mode = interpreter::Mode::Exact;
  /// Bound of random integers.
  int64_t integerBound = 16;
  /// Element `index` of an integer input of `size` elements; random ones if there is no such function.
  std::function<int64_t(int64_t index, int64_t size)> integers;
  /// Which of cpu, gfx942 and gfx950 the function is compiled for.
  std::vector<std::string> targets = getTestTargets();
  /// What cpu means.
  codegen::CpuTarget target = hostTarget();
  /// Limit of graph-expand-cross-entropy.
  int64_t logitsBytes = 32 << 20;
  /// Deliberate defects: changes of the tile programs, and of a GPU kernel's code.
  std::function<void(mlir::ModuleOp)> changeTiles;
  KernelRunner::ChangeCode changeCode;
};

/// A layer function in its fused form, compiled.
class CompiledFunction {
public:
  /// For one of the options' targets: cpu, gfx942 or gfx950.
  CompiledFunction(mlir::ModuleOp module, mlir::StringRef name, mlir::StringRef target, const HarnessOptions &options);

  /// Whether it could be compiled; if not, the test has failed.
  bool isCompiled() const { return runner != nullptr; }

  /// `order` is as for KernelRunner::run.
  std::vector<Tensor> run(mlir::ArrayRef<Tensor> inputs, unsigned order);

private:
  void compile(mlir::StringRef target, const HarnessOptions &options);

  bool isCpu;
  mlir::func::FuncOp function;
  mlir::OwningOpRef<mlir::ModuleOp> code;
  llvm::DenseMap<mlir::Operation *, kernels::LoweredFusion> lowered;
  std::unique_ptr<KernelRunner> runner;
};

/// Checks @f of `source`, whose header is `func.func @f(...) -> ... attributes {graph.layer = {}}`.
void checkFunction(const std::string &source, const HarnessOptions &options = {});

} // namespace primus::test
