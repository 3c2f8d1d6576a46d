//===- StreamedDot.h - Dots whose operands stream through LDS ----*- C++ -*-===//
//
// A product of two tiles that are loaded over the whole depth of the contraction. The depth is cut into stages. The
// waves of a workgroup load a stage together, global memory -> registers -> LDS, while they multiply the one before
// from LDS; two stages lie in LDS, so that one barrier per stage is enough.
//
// In LDS an operand's stage is a matrix of lines (rows of the left operand, columns of the right one), each with its
// values of k as neighbours, whatever their order in memory is. Both are read in 16 bytes per lane, a lane's line being
// its number % 32: lanes 0 to 31 hold one chunk of 16 bytes and lanes 32 to 63 the next one, which several MFMA
// instructions use up. The chunks of 128 bytes change places by the number of their 128 bytes (swizzle), so that the
// eight lanes that are served at once, be they eight lines' readers or writers, meet different banks.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "codegen/hip/KernelLowering.h"
#include "codegen/hip/Mfma.h"

namespace primus::codegen::hip {

/// One operand. A stage has `depth` values of k, starting at `step`.
class KernelLowering::StagedOperand {
public:
  /// `contracted` is the operand's contracted dimension, `result` the layout of the dot's result, `offset` the place of
  /// the first stage in LDS.
  StagedOperand(KernelLowering &lowering, kernel::LoadOp load, unsigned contracted, int64_t depth,
                const LaneLayout &result, int64_t offset);

  /// This thread's share of a stage; a `partial` one ends where the contracted dimension does.
  Parts load(Value step, bool partial);
  /// What `load` returns is written unit by unit, each by so many instructions, to LDS, `stage` bytes (i32) behind the
  /// first stage.
  void storeUnit(llvm::ArrayRef<Value> parts, int64_t number, Value stage);
  int64_t getUnits() const { return layout.getParts() / std::max<int64_t>(transposed, 1); }
  int64_t getWrites() const { return transposed ? perChunk : 1; }
  /// Two chunks of a block of 32 lines of this wave, one in each half of the wave; `count` (1 or 2) times, one
  /// after the other.
  Value read(int64_t block, int64_t chunks, int64_t count, Value stage);

  int64_t getBlocks() const { return blocks; }
  /// Of what `load` returns.
  int64_t getLoadedParts() const { return layout.getParts(); }

private:
  /// Exchanges chunks within 128 bytes. Linear over the bits of the address, and it keeps those from bit 7 on.
  int64_t swizzleAddress(int64_t address) const {
    return address ^ (((address >> 7) ^ (address >> swizzledFrom)) & 7) << 4;
  }
  int64_t getBytes(TilePosition position) const { return position[line] * lineBytes + position[1 - line] * bytes; }
  /// The address of a chunk at `position` from a thread's own first one, whose swizzled address is `base`.
  Value getAddress(Value base, TilePosition position, Value stage, llvm::DenseMap<int64_t, Value> &bases);
  Value swizzle(Value address);
  Value transposeBytes(llvm::ArrayRef<Value> vectors, int64_t number);
  void storeTransposed(llvm::ArrayRef<Value> parts, int64_t first, Value stage);

  KernelLowering &lowering;
  mlir::ImplicitLocOpBuilder &b;
  TileAccess access;
  llvm::SmallVector<int64_t> whole, shape;
  /// Coordinates of a position: which of the two is the line.
  unsigned line;
  int64_t bytes, perChunk, depth, lineBytes, blocks, offset;
  /// Of a stage in the registers that `load` fills.
  LaneLayout layout;
  /// Neighbours along k that a thread has of a line, where the lines are neighbours in memory; else 0.
  int64_t transposed = 0;
  /// Where the bits of an address are that tell apart lanes that write at once what they have transposed.
  int64_t swizzledFrom;
  Value storeBase, readBase;
  llvm::DenseMap<int64_t, Value> storeBases, readBases;
};

/// The factors of one operand's rows or columns of a stage of `depth` values of k: powers of two, one for each 32 values, or
/// f32, one for all. A lane has those of its own line, which instructions multiply, or of its own sums.
class KernelLowering::LineFactors {
public:
  /// As StagedOperand's, with so many blocks of lines.
  LineFactors(KernelLowering &lowering, kernel::LoadOp load, unsigned contracted, int64_t depth, const LaneLayout &result,
              int64_t blocks);
  Parts load(Value step);
  int64_t getLoadedParts() const { return layout.getParts(); }
  /// What `load` returns, one for each block of lines: f32, as many as a block of sums has of these, or words as instructions take them, in which multiplication n of
  /// a stage has byte 2 n.
  llvm::SmallVector<Value> getFactors(llvm::ArrayRef<Value> parts);

private:
  KernelLowering &lowering;
  mlir::ImplicitLocOpBuilder &b;
  TileAccess access;
  LaneLayout layout;
  /// Values of k of a factor.
  int64_t block;
};

class KernelLowering::StreamedDot {
public:
  /// A stage has `lineBytes` of each line.
  StreamedDot(KernelLowering &lowering, kernel::DotOp op, const Mfma &mfma, int64_t lineBytes);
  void lower();

private:
  using Fragments = llvm::SmallVector<Value>;

  /// Keeps the registers of many sums apart from the others.
  void reserveAccumulators();
  Parts loadStage(Value step, bool partial);
  /// Writes one of so many shares of a stage to LDS. Returns the number of instructions.
  int64_t storeShare(llvm::ArrayRef<Value> parts, Value stage, int64_t share, int64_t shares);
  /// What one multiplication needs of a stage: chunks for each block of both operands.
  Fragments readFragments(int64_t number, Value stage);
  /// Matrix instructions of one multiplication.
  int64_t countInstructions() const;
  /// Some of those of multiplication `number` of a stage.
  void multiply(const Fragments &fragments, int64_t number, int64_t begin, int64_t end);
  /// The factors of a stage that was loaded.
  llvm::SmallVector<Value> getFactors(llvm::ArrayRef<Value> parts);
  /// Adds the sums of a stage, which has factors of its own, to those of the stages before.
  void addScaled(llvm::ArrayRef<Value> before);

  /// Accesses to LDS and memory beside some matrix instructions.
  struct Accesses {
    int64_t reads = 0, writes = 0, loads = 0;
  };
  /// Asks LLVM to spread accesses, in this order, over the matrix instructions since the region began.
  void interleave(const Accesses &accesses, int64_t instructions);
  /// Multiplies stage `number`, which is at `stage`, and of which `fragments` are the first. `work` does a share of what the next stages need
  /// (its number, of how many). `readAhead` reads the first of the next stage, before the last are multiplied.
  Fragments multiplyStage(Fragments fragments, Value stage, Value number, llvm::function_ref<Accesses(int64_t, int64_t)> work,
                          llvm::function_ref<Fragments()> readAhead);

  KernelLowering &lowering;
  mlir::ImplicitLocOpBuilder &b;
  kernel::DotOp op;
  const Mfma &mfma;
  /// The contracted dimension's size, that of a stage, and that of one multiplication.
  int64_t k, depth, perMultiply;
  /// Chunks of a lane, and of one block, that a multiplication takes.
  int64_t chunks;
  int64_t ldsOffset, stageBytes;
  std::optional<StagedOperand> left, right;
  std::optional<LineFactors> leftFactors, rightFactors;
  /// Factors are of whole stages, not operands of instructions.
  bool sumsStages = false;
  Parts sums;
  /// Of the stage that is multiplied; one for each block of rows, then of columns, or a common one of all columns.
  llvm::SmallVector<Value> factors;
};

} // namespace primus::codegen::hip
