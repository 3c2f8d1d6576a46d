//===- Lowering.h - From graph functions to step functions --------*- C++ -*-===//
//
// The two halves of LowerToStep: layer functions become launch lists (LowerFunction.cpp), programs become call lists
// (LowerProgram.cpp). Values become buffers without offsets; PlanMemory places them.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "ir/graph/GraphDialect.h"
#include "ir/kernel/KernelDialect.h"
#include "ir/kernel/TargetTraits.h"
#include "ir/step/StepDialect.h"

#include "mlir/IR/Builders.h"
#include "llvm/ADT/StringSet.h"

#include <map>

namespace primus::step {

/// A lowered layer function.
struct LoweredFunction {
  FunctionOp function;
  /// Per result: the argument whose buffer the caller may pass for it too, or -1.
  llvm::SmallVector<int64_t> inplace;
};

/// What the lowering of one module shares: the target, and kernels and functions by content and name.
class LoweringContext {
public:
  explicit LoweringContext(mlir::ModuleOp module);

  /// Lowers a layer function, once.
  mlir::FailureOr<LoweredFunction> getFunction(mlir::func::FuncOp function);
  /// The layer function of that name; null if there is none.
  mlir::func::FuncOp lookup(llvm::StringRef name) const { return layerFunctions.lookup(name); }
  /// Lowers a program.
  mlir::LogicalResult lowerProgram(mlir::func::FuncOp program);
  /// A function that adds its second half of arguments to its first half, in place; sums the results of microbatches.
  mlir::FailureOr<LoweredFunction> getAccumulate(mlir::TypeRange types, mlir::Location loc);

  mlir::ModuleOp module;
  const kernel::TargetTraits traits;

private:
  friend class FunctionLowering;
  /// The kernel itself, or an equal one that exists already (`kernel` is then erased).
  kernel::FuncOp unique(kernel::FuncOp kernel);

  std::map<std::string, kernel::FuncOp> kernelsByText;
  std::map<std::string, LoweredFunction> functions;
  /// Not a symbol table: while the pass runs, lowered functions have the names of their sources.
  llvm::StringMap<mlir::func::FuncOp> layerFunctions;
  llvm::StringSet<> usedNames;
};

/// The buffer type of a tensor: packed and row-major, without its layout.
mlir::MemRefType getBufferType(mlir::Type tensor);
/// The buffer that a chain of views starts from.
mlir::Value getRoot(mlir::Value buffer);
/// `buffer` as another type from a byte offset on; itself if nothing changes.
mlir::Value getView(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value buffer, mlir::MemRefType type, int64_t offset = 0);
/// A readable name from a location, or `fallback`.
std::string getName(mlir::Location loc, llvm::StringRef fallback);
/// The constant is zero everywhere.
bool isZero(graph::ConstantOp constant);

} // namespace primus::step
