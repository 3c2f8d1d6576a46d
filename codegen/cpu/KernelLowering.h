//===- KernelLowering.h - One tile program to scalars and vectors -*- C++ -*-===//
//
// The state of lowering one kernel.func and its methods, which are spread over files by subject: structure and arguments
// (LowerKernels.cpp), element-wise arithmetic (LowerElementwise.cpp), loads and stores (LowerMemory.cpp), reductions and changes of shape
// (LowerShape.cpp), and kernel.dot (LowerDot.cpp).
//
//===----------------------------------------------------------------------===//

#pragma once

#include "codegen/cpu/CpuTarget.h"
#include "codegen/cpu/IndexRange.h"
#include "codegen/cpu/TileLayout.h"
#include "codegen/cpu/VectorBuilder.h"
#include "ir/kernel/KernelDialect.h"

namespace primus::codegen {

/// Where a dimension of a tile ends within its buffer; null where the whole tile is known to be inside.
struct TileBounds {
  /// Elements before this index of the tile are outside (only for negative positions); i64.
  mlir::Value first;
  /// Elements from this index on are outside; i64, possibly beyond the tile or negative.
  mlir::Value last;

  explicit operator bool() const { return first || last; }
};

/// A tile in memory: element (i, j) is at pointer + i rowStride + j columnStride (in bytes).
struct TileMemory {
  mlir::Value pointer;
  int64_t rowStride, columnStride;
  TileBounds rows, columns;
  /// Element type as stored, and what it stands for.
  mlir::Type element, type;
};

class KernelLowering {
public:
  KernelLowering(kernel::FuncOp function, const CpuTarget &target, mlir::ModuleOp module);

  /// Adds `llvm.func @symbol(!llvm.ptr, i64, i64)` to the module. Errors are located at the op that cannot be lowered.
  mlir::LogicalResult lower();

private:
  // LowerKernels.cpp
  mlir::LogicalResult lowerBlock(mlir::Block &block);
  mlir::LogicalResult lowerOp(mlir::Operation *op);
  mlir::LogicalResult lowerFor(mlir::scf::ForOp loop);
  mlir::LogicalResult lowerIf(mlir::scf::IfOp branch);
  /// Every tile that an op makes must be one that registers can hold.
  mlir::LogicalResult checkTypes(mlir::Operation *op);

  // LowerElementwise.cpp
  mlir::LogicalResult lowerElementwise(mlir::Operation *op);
  mlir::LogicalResult lowerConstant(mlir::arith::ConstantOp op);
  mlir::FailureOr<mlir::Value> lowerElement(mlir::Operation *op, mlir::ValueRange operands, mlir::Type result);

  // LowerMemory.cpp
  mlir::LogicalResult lowerLoad(kernel::LoadOp load);
  mlir::LogicalResult lowerStore(kernel::StoreOp store);
  mlir::Value getPointer(mlir::Value memref, mlir::ValueRange indices);
  TileBounds getBounds(mlir::Value memref, mlir::ValueRange indices, int64_t dim, int64_t size);
  /// The memory that a load or store of a tile touches.
  template <typename Access> TileMemory getTileMemory(Access access, mlir::RankedTensorType tile);
  /// Whether element `index` lies within the bounds, as i1; null where that is known.
  mlir::Value isInside(const TileBounds &bounds, int64_t index);
  /// Lanes [first, first + width) within the bounds and before `valid`; null where all are.
  mlir::Value laneMask(const TileBounds &bounds, mlir::Value rowInside, int64_t first, int64_t width, int64_t valid);
  Parts loadTile(const TileMemory &memory, const TileLayout &layout, mlir::Value pad);
  void storeTile(llvm::ArrayRef<mlir::Value> parts, const TileMemory &memory, const TileLayout &layout);

  // LowerShape.cpp
  mlir::LogicalResult lowerReduce(kernel::ReduceOp reduce);
  mlir::LogicalResult lowerBroadcast(kernel::BroadcastOp broadcast);
  mlir::LogicalResult lowerIota(kernel::IotaOp iota);
  mlir::LogicalResult lowerTranspose(kernel::TransposeOp transpose);
  Parts transposeParts(llvm::ArrayRef<mlir::Value> parts, const TileLayout &from, const TileLayout &to);

  // LowerDot.cpp
  mlir::LogicalResult lowerDot(kernel::DotOp dot);
  mlir::LogicalResult lowerMatrixVector(kernel::DotOp dot);
  mlir::Value getZeros(int64_t bytes);
  bool readsInPlace(kernel::DotOp dot, mlir::OpOperand &operand);
  bool needsSpill(mlir::Value tile);
  void spill(mlir::Value tile);
  TileMemory getDotOperand(kernel::DotOp dot, mlir::OpOperand &operand);

  TileLayout layoutOf(mlir::Value tile) {
    return TileLayout::get(mlir::cast<mlir::RankedTensorType>(tile.getType()), target.lanes());
  }
  llvm::SmallVector<mlir::Type> partTypes(mlir::Type type);
  /// Sets a value's registers, and spills the value where a dot will read it from memory.
  void define(mlir::Value value, Parts parts);
  llvm::ArrayRef<mlir::Value> partsOf(mlir::Value value) { return values.find(value)->second; }
  mlir::Value scalarOf(mlir::Value value) { return partsOf(value).front(); }
  /// A stack slot of the function, allocated once.
  mlir::Value allocate(int64_t bytes);

  kernel::FuncOp function;
  const CpuTarget &target;
  mlir::ModuleOp module;
  VectorBuilder b;
  mlir::LLVM::LLVMFuncOp lowered;
  IndexRanges ranges;
  llvm::DenseMap<mlir::Value, Parts> values;
  /// Stack slots of tiles that dots read.
  llvm::DenseMap<mlir::Value, TileMemory> spilled;
  llvm::SmallVector<mlir::Value> programIds;
};

} // namespace primus::codegen
