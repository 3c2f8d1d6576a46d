//===- LowerDot.cpp - Dots by MFMA ----------------------------------------===//

#include "codegen/hip/KernelLowering.h"
#include "codegen/hip/Mfma.h"
#include "codegen/hip/ResidentDot.h"

using namespace mlir;
using namespace primus;
using namespace primus::codegen;
using namespace primus::codegen::hip;

/// Operand blocks of successive MFMA 32x32, 32 rows (left, `fast` 0) or columns (right, 1) of `depth` elements of the
/// contraction: bits 0 to 4 of the lane are the row or column, and bit 5 chooses the half of the depth. (Same source as
/// LaneLayout's, A i = lane % 32, A k = 4 floor(lane / 32) + j. The order along k is free as long as both operands
/// agree, so a lane holds as many neighbours as it loads at once.)
static LaneLayout getOperand(unsigned fast, int64_t depth, TilePosition first, const LaneLayout &result) {
  LaneLayout layout;
  layout.threads.resize(result.threads.size());
  for (unsigned bit = 0; bit < 5; ++bit)
    layout.threads[bit][fast] = int64_t(1) << bit;
  layout.threads[5][1 - fast] = depth / 2;
  for (unsigned bit = kWaveBits; bit < result.threads.size(); ++bit)
    layout.threads[bit][fast] = result.threads[bit][fast];
  for (int64_t k = 0; k < depth / 2; ++k) {
    TilePosition position{0, 0};
    position[fast] = first[fast];
    position[1 - fast] = k;
    layout.registers.push_back(position);
  }
  layout.partSize = depth / 2;
  return layout;
}

LogicalResult KernelLowering::lowerDot(kernel::DotOp op) {
  if (isResidentDot(op))
    return lowerResidentDot(op);
  auto lhs = op.getLhs().getDefiningOp<kernel::LoadOp>(), rhs = op.getRhs().getDefiningOp<kernel::LoadOp>();
  if (!lhs || !rhs || lhs.getPad() || rhs.getPad())
    return op.emitOpError("must multiply tiles that come straight from memory, padded with zeros, on AMD GPUs");
  auto lhsType = cast<RankedTensorType>(lhs.getType()), rhsType = cast<RankedTensorType>(rhs.getType());
  int64_t rows = lhsType.getShape()[0], depth = lhsType.getShape()[1], columns = rhsType.getShape()[1];
  const Mfma *mfma = findMfma(chip, lhsType.getElementType(), 32);
  if (!mfma || rhsType.getElementType() != lhsType.getElementType())
    return op.emitOpError("multiplies ") << lhsType.getElementType() << " with " << rhsType.getElementType()
                                         << "; matrix instructions multiply f32, f16 or bf16 with the same type";
  if (op.getGroup() != 1 || rows % 32 != 0 || columns % 32 != 0)
    return op.emitOpError("must have rows and columns in multiples of 32, and no packed operand, on AMD GPUs");

  // Each lane loads 16 bytes of a row at a time: several instructions' share.
  int64_t perLane = 128 / lhsType.getElementTypeBitWidth(), chunk = 2 * perLane;
  LaneLayout result = getLayout(op.getType());
  Parts blocks(getParts(op.getAcc()));
  SmallVector<TilePosition> rowBlocks, columnBlocks;
  for (size_t number = 0; number < result.registers.size(); number += 16) {
    TilePosition first = result.registers[number];
    if (first[1] == 0)
      rowBlocks.push_back(first);
    if (first[0] == 0)
      columnBlocks.push_back(first);
  }

  auto addChunk = [&](Value step, ValueRange sums) {
    auto loadBlock = [&](kernel::LoadOp load, RankedTensorType type, int64_t stepDim, const LaneLayout &layout) {
      TileAccess access{cast<TypedValue<MemRefType>>(load.getMemref()), load.getIndices(), load.getDims(),
                        type.getShape(), load.getInbounds()};
      access.step = step;
      access.stepDim = stepDim;
      access.stepDivisor = chunk;
      return this->load(access, layout).front();
    };
    SmallVector<Value> left, right, next;
    for (TilePosition first : rowBlocks)
      left.push_back(loadBlock(lhs, lhsType, 1, getOperand(0, chunk, first, result)));
    for (TilePosition first : columnBlocks)
      right.push_back(loadBlock(rhs, rhsType, 0, getOperand(1, chunk, first, result)));
    // The transposed product: operands change places.
    for (auto [number, sum] : llvm::enumerate(sums)) {
      Value product = sum;
      for (int64_t first = 0; first < perLane; first += mfma->perLane())
        product = emitMfma(b, *mfma, slice(right[number % columnBlocks.size()], first, mfma->perLane()),
                           slice(left[number / columnBlocks.size()], first, mfma->perLane()), product);
      next.push_back(product);
    }
    return next;
  };

  // The first chunk comes before the loop: accumulators that start as constants would be carried in pieces and
  // reassembled for every instruction.
  blocks = addChunk(i32(0), blocks);
  if (depth > chunk) {
    auto loop = scf::ForOp::create(b, i32(chunk), i32(llvm::alignTo(depth, chunk)), i32(chunk), blocks);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    scf::YieldOp::create(b, addChunk(loop.getInductionVar(), loop.getRegionIterArgs()));
    blocks = Parts(loop.getResults());
  }
  define(op, std::move(blocks));
  return success();
}
