//===- LowerDot.cpp - Dots by MFMA ----------------------------------------===//

#include "codegen/hip/ResidentDot.h"
#include "codegen/hip/StreamedDot.h"

using namespace mlir;
using namespace primus;
using namespace primus::codegen;
using namespace primus::codegen::hip;

LogicalResult KernelLowering::lowerDot(kernel::DotOp op) {
  if (isResidentDot(op))
    return lowerResidentDot(op);
  auto lhs = op.getLhs().getDefiningOp<kernel::LoadOp>(), rhs = op.getRhs().getDefiningOp<kernel::LoadOp>();
  if (!lhs || !rhs || lhs.getPad() || rhs.getPad())
    return op.emitOpError("must multiply tiles that come straight from memory, padded with zeros, on AMD GPUs");
  auto lhsType = mlir::cast<RankedTensorType>(lhs.getType()), rhsType = mlir::cast<RankedTensorType>(rhs.getType());
  const Mfma *mfma = findMfma(chip, rhsType.getElementType(), lhsType.getElementType(), 32);
  if (!mfma)
    return op.emitOpError("multiplies ") << lhsType.getElementType() << " with " << rhsType.getElementType()
                                         << "; matrix instructions multiply f32, f16 or bf16 with the same type, and 8-bit "
                                            "floats, fnuz on gfx942 and OCP's on gfx950, with each other";
  auto isLoad = [](Value factor) { return factor.getDefiningOp<kernel::LoadOp>() != nullptr; };
  if (op.getLhsFactor() && (!isLoad(op.getLhsFactor()) || !isLoad(op.getRhsFactor())))
    return op.emitOpError("must have factors that come straight from memory, on AMD GPUs");
  bool sumsStages = op.getLhsFactor() && mlir::cast<RankedTensorType>(op.getLhsFactor().getType()).getElementType().isF32();
  if (op.getLhsFactor() && !sumsStages && !mfma->isScaled)
    return op.emitOpError("with factors that are powers of two needs a chip whose matrix instructions take them (gfx950)");
  auto fits = [](int64_t size) { return size >= 32 && llvm::isPowerOf2_64(size); };
  if (op.getGroup() != 1 || !fits(lhsType.getDimSize(0)) || !fits(rhsType.getDimSize(1)))
    return op.emitOpError("must have rows and columns that are powers of two from 32 on, and no packed operand, on AMD "
                          "GPUs");
  int64_t rows = lhsType.getDimSize(0), columns = rhsType.getDimSize(1);
  int64_t depthBytes = lhsType.getDimSize(1) * lhsType.getElementTypeBitWidth() / 8;
  const auto &gpu = *kernel::GpuArchitecture::find(chip);
  int64_t lineBytes = kernel::getStageBytes(gpu, {rows, columns}, shape.getThreads(), depthBytes,
                                            gpu.getMultiplyBytes(lhsType.getElementType()));
  if (lineBytes == 0)
    return op.emitOpError("has ") << rows << " rows and " << columns << " columns, which " << shape.getThreads()
                                  << " lanes cannot bring into the LDS of " << chip << " in two stages";
  if (sumsStages && lineBytes != 128)
    return op.emitOpError("has a tile of ") << rows << " x " << columns << ", of which " << chip
                                            << " cannot hold stages of 128 values, which a factor belongs to";
  StreamedDot(*this, op, *mfma, lineBytes).lower();
  return success();
}
