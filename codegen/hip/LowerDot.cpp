//===- LowerDot.cpp - Dots by MFMA ----------------------------------------===//

#include "codegen/hip/KernelLowering.h"
#include "codegen/hip/Mfma.h"
#include "ir/kernel/TargetTraits.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace primus;
using namespace primus::codegen;
using namespace primus::codegen::hip;

/// `layout` of the block of a tile that starts at `first`.
static LaneLayout shift(LaneLayout layout, TilePosition first) {
  for (TilePosition &position : layout.registers)
    for (unsigned coordinate = 0; coordinate < 2; ++coordinate)
      position[coordinate] += first[coordinate];
  return layout;
}

LogicalResult KernelLowering::lowerDot(kernel::DotOp op) {
  auto lhs = op.getLhs().getDefiningOp<kernel::LoadOp>(), rhs = op.getRhs().getDefiningOp<kernel::LoadOp>();
  if (!lhs || !rhs || lhs.getPad() || rhs.getPad())
    return op.emitOpError("must multiply tiles that come straight from memory, padded with zeros, on AMD GPUs");
  auto lhsType = cast<RankedTensorType>(lhs.getType()), rhsType = cast<RankedTensorType>(rhs.getType());
  int64_t rows = lhsType.getShape()[0], depth = lhsType.getShape()[1], columns = rhsType.getShape()[1];
  std::string chip = kernel::TargetTraits::get(op->getParentOfType<ModuleOp>()).name;
  const Mfma *mfma = findMfma(chip, lhsType.getElementType(), 32);
  if (!mfma || rhsType.getElementType() != lhsType.getElementType())
    return op.emitOpError("multiplies ") << lhsType.getElementType() << " with " << rhsType.getElementType()
                                         << "; matrix instructions multiply f32, f16 or bf16 with the same type";
  if (op.getGroup() != 1 || rows % 32 != 0 || columns % 32 != 0)
    return op.emitOpError("must have rows and columns in multiples of 32, and no packed operand, on AMD GPUs");

  // Each lane loads 16 bytes of a row at a time: several instructions' share.
  int64_t perLane = 128 / lhsType.getElementTypeBitWidth(), chunk = 2 * perLane;
  Value acc = values.lookup(op.getAcc());
  int64_t rowBlocks = rows / 32, columnBlocks = columns / 32;
  SmallVector<Value> blocks;
  for (int64_t block = 0; block < rowBlocks * columnBlocks; ++block)
    blocks.push_back(slice(acc, 16 * block, 16));

  auto addChunk = [&](Value step, ValueRange sums) {
    auto loadBlock = [&](kernel::LoadOp load, RankedTensorType type, int64_t stepDim, const LaneLayout &layout) {
      TileAccess access{cast<TypedValue<MemRefType>>(load.getMemref()), load.getIndices(), load.getDims(),
                        type.getShape(), load.getInbounds()};
      access.step = step;
      access.stepDim = stepDim;
      access.stepDivisor = chunk;
      return this->load(access, layout);
    };
    SmallVector<Value> left, right, next;
    for (int64_t block = 0; block < rowBlocks; ++block)
      left.push_back(loadBlock(lhs, lhsType, 1, shift(LaneLayout::getMfmaLeft(chunk), {32 * block, 0})));
    for (int64_t block = 0; block < columnBlocks; ++block)
      right.push_back(loadBlock(rhs, rhsType, 0, shift(LaneLayout::getMfmaRight(chunk), {0, 32 * block})));
    for (auto [number, sum] : llvm::enumerate(sums)) {
      Value product = sum;
      for (int64_t first = 0; first < perLane; first += mfma->perLane())
        product = emitMfma(b, *mfma, slice(left[number / columnBlocks], first, mfma->perLane()),
                           slice(right[number % columnBlocks], first, mfma->perLane()), product);
      next.push_back(product);
    }
    return next;
  };

  // The first chunk comes before the loop: accumulators that start as constants would be carried in pieces and
  // reassembled for every instruction.
  blocks = addChunk(i32(0), blocks);
  if (depth > chunk) {
    auto at = [&](int64_t number) -> Value { return arith::ConstantIndexOp::create(b, number); };
    auto loop = scf::ForOp::create(b, at(chunk), at(llvm::alignTo(depth, chunk)), at(chunk), blocks);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    Value step = arith::IndexCastOp::create(b, b.getI32Type(), loop.getInductionVar());
    scf::YieldOp::create(b, addChunk(step, loop.getRegionIterArgs()));
    blocks = SmallVector<Value>(loop.getResults());
  }
  for (auto [block, sum] : llvm::enumerate(blocks))
    acc = vector::InsertStridedSliceOp::create(b, sum, acc, static_cast<int64_t>(16 * block), int64_t(1));
  values.map(op.getResult(), acc);
  return success();
}
