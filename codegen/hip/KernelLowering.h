//===- KernelLowering.h - One tile program for one workgroup -----*- C++ -*-===//
//
// Translates a kernel.func op by op. A tile becomes the vectors of registers that each lane holds of it (LaneLayout.h),
// so elementwise arithmetic stays what it was on other types. Memory is accessed through buffer resources: an access
// whose offset lies outside reads zero or is dropped, which makes masked edges a select of offsets and no branch.
// Scalars are the same in all lanes. Indices are i32, or i64 where their range needs it.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "codegen/cpu/IndexRange.h"
#include "codegen/hip/LaneLayout.h"
#include "ir/kernel/GpuArchitecture.h"
#include "ir/kernel/KernelDialect.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

#include <memory>

namespace primus::codegen::hip {

using mlir::LogicalResult;
using mlir::Value;

/// What stands for a value: the vectors of a tile, in the order of its layout's registers, or one scalar.
using Parts = llvm::SmallVector<Value>;

/// The type in which an element is kept in registers: 8-bit floats as their bits, everything else as it is.
mlir::Type getStorageType(mlir::Type element);
mlir::TypedAttr getStorageAttr(mlir::FloatAttr number);

/// Bytes of an element or a buffer in memory; truth values are bytes there.
int64_t getElementBytes(mlir::Type element);
int64_t getBufferBytes(mlir::MemRefType type);

/// A tile in memory, as a load or store states it.
struct TileAccess {
  mlir::TypedValue<mlir::MemRefType> memref;
  mlir::ValueRange indices;
  llvm::ArrayRef<int64_t> dims, shape;
  bool inbounds;
  double pad = 0;
  /// Moves the tile along its dimension `stepDim` by `step` (i32, the same in all lanes), a multiple of `stepDivisor`;
  /// null: not at all. Elements beyond the tile's shape in this dimension read as zero.
  Value step = {};
  int64_t stepDim = 0, stepDivisor = 0;
};

struct Mfma;
struct StagedTile;

class KernelLowering {
public:
  /// `chip` is gfx942 or gfx950.
  KernelLowering(kernel::FuncOp kernel, llvm::StringRef chip, mlir::OpBuilder &builder)
      : b(kernel.getLoc(), builder), kernel(kernel), chip(chip), shape(KernelShape::of(kernel)) {}

  /// Builds an llvm.func before the kernel, which stays. Emits a located error where the kernel needs what is not
  /// supported.
  LogicalResult lower();

private:
  // LowerKernels.cpp
  LogicalResult checkArguments();
  void startFunction();
  LogicalResult checkTypes(mlir::Operation *op);
  LogicalResult lowerBlock(mlir::Block &block);
  LogicalResult lowerOp(mlir::Operation &op);
  LogicalResult lowerFor(mlir::scf::ForOp op);
  LogicalResult lowerIf(mlir::scf::IfOp op);
  LogicalResult lowerProgramId(kernel::ProgramIdOp op);
  /// The parts of values one after the other, as they become those of `to`: indices take the width that they have there.
  Parts flatten(mlir::ValueRange values, mlir::ValueRange to);
  /// Defines `values` from their parts one after the other.
  void distribute(mlir::ValueRange parts, mlir::ValueRange values);
  /// Types of the parts that stand for a value.
  llvm::SmallVector<mlir::Type> getPartTypes(Value value);

  // LowerElementwise.cpp
  LogicalResult lowerConstant(mlir::arith::ConstantOp op);
  LogicalResult lowerElementwise(mlir::Operation &op);
  /// A product whose second factor is mostly one: waves branch around it where it is one in all lanes.
  void lowerMostlyOne(mlir::arith::MulFOp op);
  LogicalResult lowerIndexArithmetic(mlir::Operation &op);
  mlir::FailureOr<Value> lowerElement(mlir::Operation &op, mlir::ValueRange operands, mlir::Type result);
  /// The same where 8-bit floats take part: what does not only move them computes in f32.
  Value lowerFloat8Element(mlir::Operation &op, mlir::ValueRange operands, mlir::Type result);

  // Float8.cpp: a scalar or vector of 8-bit floats, as bits, to f32, and back as graph.convert does
  Value float8ToF32(Value bits, mlir::FloatType format);
  Value f32ToFloat8(Value value, mlir::FloatType format);

  // LowerMemory.cpp
  LogicalResult lowerLoad(kernel::LoadOp op);
  /// Tiles of one shape into different buffers and reductions of such tiles, part by part.
  LogicalResult lowerStores(llvm::ArrayRef<kernel::StoreOp> ops, llvm::ArrayRef<kernel::ReduceOp> reductions);
  Parts load(const TileAccess &access, const LaneLayout &layout);
  struct TileStore;
  void storePart(llvm::ArrayRef<std::unique_ptr<TileStore>> stores, size_t number);
  /// A resource for `bytes` bytes from `pointer` on.
  Value makeResource(Value pointer, int64_t bytes);
  class Addresses;

  // LowerShape.cpp
  /// A reduction while parts of its operand are combined.
  struct OpenReduction {
    kernel::ReduceOp op;
    unsigned coordinate;
    LaneLayout source, target;
    Parts operand;
    /// Of the parts up to now: one per part of the target's layout, null before the first.
    Parts sums;
  };
  mlir::FailureOr<OpenReduction> startReduce(kernel::ReduceOp op);
  void reducePart(OpenReduction &reduction, size_t number);
  /// A sum's elements that fall on each other, combined.
  Value collapse(const OpenReduction &reduction, Value sum);
  Value combineHeld(kernel::ReduceOp op, Value x, Value y);
  void finishReduce(OpenReduction &reduction);
  LogicalResult lowerBroadcast(kernel::BroadcastOp op);
  /// The layout in which all users of a row or column broadcast it, if there is one: it is loaded in that layout.
  std::optional<LaneLayout> findBroadcastLayout(Value tile);
  LogicalResult lowerIota(kernel::IotaOp op);
  LogicalResult lowerTranspose(kernel::TransposeOp op);
  /// The value of the lane whose number differs in one bit, of any type of up to 64 bits.
  Value exchange(Value scalar, unsigned bit);
  /// The values of the two lanes whose numbers differ in one bit, in an order that both may see differently.
  std::pair<Value, Value> getPair(Value scalar, unsigned bit);
  Value combine(kernel::ReduceKind kind, Value a, Value b);
  /// Replaces elements beyond the tile's shape by the neutral element.
  Parts neutralisePadding(kernel::ReduceOp op, const LaneLayout &layout, Parts parts);
  /// Combines scalars over the lanes of a wave that differ in the bits `bits` of their number.
  Value combineLanes(kernel::ReduceKind kind, Value scalar, int64_t bits);
  /// Combines the scalars of all lanes of a wave; the result is in a scalar register.
  Value combineWave(kernel::ReduceKind kind, Value scalar);
  /// Combines scalars over the waves that differ in the bits `bits` of their number, through LDS.
  Parts combineWaves(kernel::ReduceKind kind, llvm::ArrayRef<Value> scalars, int64_t bits, bool uniform);

  // ConvertLayout.cpp
  /// The same tile in another layout.
  Parts convertLayout(llvm::ArrayRef<Value> parts, const LaneLayout &from, const LaneLayout &to);
  /// Where every lane has the elements that it needs; nothing elsewhere.
  std::optional<Parts> permuteRegisters(llvm::ArrayRef<Value> parts, const LaneLayout &from, const LaneLayout &to);

  // LowerDot.cpp
  LogicalResult lowerDot(kernel::DotOp op);
  // StreamedDot.cpp
  class StagedOperand;
  class LineFactors;
  class StreamedDot;

  // ResidentDot.cpp
  LogicalResult lowerResidentDot(kernel::DotOp dot);
  struct StagedLoad;
  class LoadsAhead;
  Value getStagedBase(const StagedTile &tile, llvm::ArrayRef<TilePosition> threads);
  Value getStagedPointer(const StagedLoad &staged, Value base, int64_t atDepth, int64_t column);
  /// Keeps room in LDS.
  StagedLoad startStaging(kernel::LoadOp load);
  Parts loadStaged(const StagedLoad &staged);
  void writeStaged(const StagedLoad &staged, mlir::ValueRange parts);
  Parts multiplyStaged(const StagedLoad &staged, const Mfma &mfma, llvm::ArrayRef<Value> lhs, Parts acc);

  // Lds.cpp: memory that the waves of a workgroup share, one array per kernel. What was allocated later is released
  // earlier.
  /// The offset of so many bytes, aligned to 16.
  int64_t allocateLds(int64_t bytes);
  /// Of a workgroup.
  int64_t getLdsLimit() const { return kernel::GpuArchitecture::find(chip)->ldsBytes; }
  void releaseLds(int64_t offset);
  /// The address `offset` + `bytes` (i32, optional).
  Value getLdsPointer(int64_t offset, Value bytes = {});
  /// Waits until all waves are here and what they wrote to LDS can be read. Every user of a region puts one between its
  /// writes and its reads, and, since others may still read what it overwrites, one before the first write
  /// (startLds does, where that may be for a region at `offset` or behind it).
  void ldsBarrier();
  void startLds(int64_t offset = 0);
  /// Whether what is built now may run more than once, or not at all.
  bool isInRegion();
  LogicalResult finishLds();

  // Building blocks
  Value i32(int64_t value);
  Value i64(int64_t value);
  /// An index, as lowered, with 32 or 64 bits.
  Value getIndex(Value index, unsigned bits);
  /// How many bits all values of an index need: 32 or 64.
  unsigned getIndexBits(Value index);
  Value cast(Value integer, unsigned bits);
  /// A scalar that is the same in all lanes, in scalar registers.
  Value makeUniform(Value scalar);
  Value add(Value x, Value y);
  Value mul(Value x, int64_t factor);
  Value extract(Value vector, int64_t position);
  Value slice(Value vector, int64_t first, int64_t count);
  Value fromElements(llvm::ArrayRef<Value> scalars);
  /// Element `number` of a tile in registers.
  Value getElement(llvm::ArrayRef<Value> parts, const LaneLayout &layout, int64_t number);
  /// A tile from its elements in the order of a layout's registers.
  Parts makeParts(llvm::ArrayRef<Value> elements, const LaneLayout &layout);
  LaneLayout getLayout(mlir::Type type) {
    return LaneLayout::get(mlir::cast<mlir::RankedTensorType>(type), shape);
  }
  /// The layout of a tile: that of its type, unless `layouts` has another.
  LaneLayout getLayout(Value tile) {
    auto found = layouts.find(tile);
    return found != layouts.end() ? found->second : getLayout(tile.getType());
  }
  /// What the bits from `firstBit` to before `endBit` of the thread's number add to a coordinate; null: nothing. Those
  /// of the wave's number give a value that is the same in all lanes.
  Value getThreadCoordinate(const LaneLayout &layout, unsigned coordinate, unsigned firstBit, unsigned endBit);
  Value getLaneCoordinate(const LaneLayout &layout, unsigned coordinate) {
    return getThreadCoordinate(layout, coordinate, 0, kWaveBits);
  }
  Value getWaveCoordinate(const LaneLayout &layout, unsigned coordinate) {
    return getThreadCoordinate(layout, coordinate, kWaveBits, layout.threads.size());
  }
  /// True in the one lane (of lanes that hold copies, which `copies` has the bits of) with the lowest number; null if
  /// there are no others.
  Value isFirstCopy(int64_t copies);

  void define(Value value, Parts parts) { values[value] = std::move(parts); }
  llvm::ArrayRef<Value> getParts(Value value) { return values.find(value)->second; }
  Value getScalar(Value value) { return values.find(value)->second.front(); }

  mlir::ImplicitLocOpBuilder b;
  kernel::FuncOp kernel;
  /// What the kernel becomes.
  mlir::LLVM::LLVMFuncOp function;
  llvm::StringRef chip;
  const KernelShape shape;
  llvm::DenseMap<Value, Parts> values;
  /// Right operands of dots that lie in LDS.
  llvm::DenseMap<mlir::Operation *, const StagedLoad *> staged;
  llvm::DenseMap<Value, LaneLayout> layouts;
  /// Where a part ends in a reduction: what comes before it in the block may move to it, but it stays.
  llvm::SmallPtrSet<mlir::Operation *, 16> anchors;
  IndexRanges ranges;
  /// The pointers of arguments. Their resources are the arguments' parts.
  llvm::DenseMap<Value, Value> pointers;
  /// The numbers of this lane in its wave, of the wave in the workgroup (the same in all lanes), and of this program
  /// instance, as i32.
  Value lane, wave, instance;
  mlir::LLVM::GlobalOp lds;
  /// The end of what is allocated, the most that was, and the end of what has been written.
  int64_t ldsTop = 0, ldsSize = 0, ldsUsed = 0;
};

/// Replaces every kernel of a module by an llvm.func, in the LLVM and ROCDL dialects, that a workgroup runs per program
/// instance. The module's `primus.target` is the chip; without it the first that is known.
LogicalResult lowerKernels(mlir::ModuleOp module);

} // namespace primus::codegen::hip
