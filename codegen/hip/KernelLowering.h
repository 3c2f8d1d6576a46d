//===- KernelLowering.h - One tile program for one wave ----------*- C++ -*-===//
//
// Translates a kernel.func op by op. A tile becomes a vector of the registers that each lane holds of it
// (LaneLayout.h), so elementwise arithmetic stays what it was on another type. Memory is accessed through buffer
// resources: an access whose offset lies outside reads zero or is dropped, which makes masked edges a select of offsets
// and no branch.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "codegen/cpu/IndexRange.h"
#include "codegen/hip/LaneLayout.h"
#include "ir/kernel/KernelDialect.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace primus::codegen::hip {

using mlir::LogicalResult;
using mlir::Value;

/// A tile in memory, as a load or store states it.
struct TileAccess {
  mlir::TypedValue<mlir::MemRefType> memref;
  mlir::ValueRange indices;
  llvm::ArrayRef<int64_t> dims, shape;
  bool inbounds;
  double pad = 0;
  /// Moves the tile along its dimension `stepDim` by `step` (i32), a multiple of `stepDivisor`; null: not at all.
  /// Elements beyond the tile's shape in this dimension read as zero.
  Value step = {};
  int64_t stepDim = 0, stepDivisor = 0;
};

class KernelLowering {
public:
  KernelLowering(kernel::FuncOp kernel, mlir::OpBuilder &builder) : b(kernel.getLoc(), builder), kernel(kernel) {}

  /// Builds an llvm.func before the kernel, which stays. Emits a located error where the kernel needs what is not
  /// supported.
  LogicalResult lower();

private:
  // LowerKernels.cpp
  LogicalResult checkArguments();
  void startFunction(mlir::LLVM::LLVMFuncOp function);
  LogicalResult lowerBlock(mlir::Block &block);
  LogicalResult lowerOp(mlir::Operation &op);
  LogicalResult lowerFor(mlir::scf::ForOp op);
  LogicalResult lowerIf(mlir::scf::IfOp op);
  LogicalResult lowerElementwise(mlir::Operation &op);
  void lowerRsqrt(mlir::Operation &op);
  LogicalResult lowerProgramId(kernel::ProgramIdOp op);
  /// The type of what stands for a value of that type; null after an error at `op`.
  mlir::Type convert(mlir::Type type, mlir::Operation *op);
  mlir::FailureOr<LaneLayout> getLayout(mlir::Type type, mlir::Operation *op);

  // LowerMemory.cpp
  LogicalResult lowerLoad(kernel::LoadOp op);
  LogicalResult lowerStore(kernel::StoreOp op);
  Value load(const TileAccess &access, const LaneLayout &layout);
  void store(Value value, const TileAccess &access, const LaneLayout &layout);
  Value loadScalar(const TileAccess &access);
  class Addresses;

  // LowerShape.cpp
  LogicalResult lowerReduce(kernel::ReduceOp op);
  LogicalResult lowerBroadcast(kernel::BroadcastOp op);
  LogicalResult lowerIota(kernel::IotaOp op);
  /// The value of the lane whose number differs in one bit.
  Value exchange(Value scalar, unsigned bit);
  Value combine(kernel::ReduceKind kind, Value a, Value b);

  // LowerDot.cpp
  LogicalResult lowerDot(kernel::DotOp op);

  // Building blocks
  Value i32(int64_t value);
  Value extract(Value vector, int64_t position);
  Value slice(Value vector, int64_t first, int64_t count);
  Value fromElements(llvm::ArrayRef<Value> scalars);
  /// What the lane's number adds to a coordinate.
  Value getLaneCoordinate(const LaneLayout &layout, unsigned coordinate);

  mlir::ImplicitLocOpBuilder b;
  kernel::FuncOp kernel;
  mlir::IRMapping values;
  IndexRanges ranges;
  /// The number of this lane, and of this program instance, as i32.
  Value lane, instance;
};

/// Replaces every kernel of a module by an llvm.func, in the LLVM and ROCDL dialects, that one wave runs per program
/// instance.
LogicalResult lowerKernels(mlir::ModuleOp module);

} // namespace primus::codegen::hip
