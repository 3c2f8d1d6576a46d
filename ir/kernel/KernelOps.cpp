//===- KernelOps.cpp - Tile ops --------------------------------------------===//

#include "ir/kernel/KernelDialect.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "mlir/IR/OpImplementation.h"

using namespace mlir;

namespace primus::kernel {
#include "ir/AsmDirectives.h"
} // namespace primus::kernel

using namespace primus::kernel;
#define GET_OP_CLASSES
#include "ir/kernel/KernelOps.cpp.inc"

static ArrayRef<int64_t> shapeOf(Type type) { return cast<RankedTensorType>(type).getShape(); }

/// The element type of a tile, or the type of a scalar.
static Type elementOf(Type type) { return getElementTypeOrSelf(type); }

/// The function that the op is in.
static FuncOp getFunction(Operation *op) { return op->getParentOfType<FuncOp>(); }

//===----------------------------------------------------------------------===//
// program_id
//===----------------------------------------------------------------------===//

LogicalResult ProgramIdOp::verify() {
  FuncOp function = getFunction(*this);
  if (!function)
    return emitOpError("must be in a kernel.func");
  if (getDim() >= function.getGrid().size())
    return emitOpError("dim ") << getDim() << " is not a dimension of the grid, which has "
                               << function.getGrid().size();
  return success();
}

//===----------------------------------------------------------------------===//
// Load and store
//===----------------------------------------------------------------------===//

/// A tile or scalar of type `value` is accessed at `indices` of `memref`, its dimensions along `dims`.
static LogicalResult verifyAccess(Operation *op, MemRefType memref, size_t indices, ArrayRef<int64_t> dims,
                                  Type value) {
  if (!memref.hasStaticShape())
    return op->emitOpError("memref must have a static shape, but is ") << memref;
  int64_t rank = memref.getRank();
  if (static_cast<int64_t>(indices) != rank)
    return op->emitOpError("needs one index per dimension of ") << memref << ", but has " << indices;
  if (memref.getElementType() != elementOf(value))
    return op->emitOpError("memref ") << memref << " and value " << value << " must have one element type";
  auto tile = dyn_cast<RankedTensorType>(value);
  int64_t tileRank = tile ? tile.getRank() : 0;
  if (tile && tileRank == 0)
    return op->emitOpError("a value without dimensions must be a scalar, but is ") << tile;
  if (static_cast<int64_t>(dims.size()) != tileRank)
    return op->emitOpError("dims needs one entry per dimension of ") << value << ", but has " << dims.size();
  SmallVector<bool> seen(rank, false);
  for (int64_t dim : dims) {
    if (dim < 0 || dim >= rank)
      return op->emitOpError("dims entry ") << dim << " is not a dimension of " << memref;
    if (seen[dim])
      return op->emitOpError("dims entry ") << dim << " appears twice";
    seen[dim] = true;
  }
  return success();
}

LogicalResult LoadOp::verify() {
  return verifyAccess(*this, cast<MemRefType>(getMemref().getType()), getIndices().size(), getDims(),
                      getResult().getType());
}

LogicalResult StoreOp::verify() {
  return verifyAccess(*this, cast<MemRefType>(getMemref().getType()), getIndices().size(), getDims(),
                      getValue().getType());
}

//===----------------------------------------------------------------------===//
// Dot
//===----------------------------------------------------------------------===//

LogicalResult DotOp::verify() {
  ArrayRef<int64_t> lhs = shapeOf(getLhs().getType()), rhs = shapeOf(getRhs().getType()),
                    acc = shapeOf(getAcc().getType());
  int64_t group = getGroup();
  if (lhs.size() != 2 || rhs.size() != 2 || acc.size() != 2)
    return emitOpError("operands must be tiles of rank 2");
  if (group < 1)
    return emitOpError("group must be at least 1, but is ") << group;
  if (!isa<FloatType>(elementOf(getLhs().getType())) || !isa<FloatType>(elementOf(getRhs().getType())))
    return emitOpError("operands must be floats");
  if (!elementOf(getAcc().getType()).isF32())
    return emitOpError("acc must be f32, but is ") << getAcc().getType();
  int64_t m = lhs[0], k = lhs[1];
  if (acc[0] != m || rhs[0] != llvm::divideCeilSigned(k, group) || rhs[1] != acc[1] * group)
    return emitOpError("shapes must be [m, k], [k / group, n * group] and [m, n], but are ")
           << getLhs().getType() << ", " << getRhs().getType() << " and " << getAcc().getType() << " with group "
           << group;
  if (!getLhsFactor() && !getRhsFactor())
    return success();
  if (!getLhsFactor() || !getRhsFactor() || group != 1)
    return emitOpError("needs factors of both operands, which are not packed");
  auto isByte = [](Type type) { return isa<FloatType>(type) && type.getIntOrFloatBitWidth() == 8; };
  // Either powers of two for each 32 values of k, or f32 for each 128.
  constexpr int64_t step = 128;
  bool isPower = isa<Float8E8M0FNUType>(elementOf(getLhsFactor().getType()));
  int64_t block = isPower ? 32 : step;
  auto fits = [&](Value factor, std::array<int64_t, 2> shape) {
    Type element = elementOf(factor.getType());
    return (isPower ? isa<Float8E8M0FNUType>(element) : element.isF32()) && shapeOf(factor.getType()) == ArrayRef(shape);
  };
  if (!isByte(elementOf(getLhs().getType())) || !isByte(elementOf(getRhs().getType())) || k % step != 0 ||
      !fits(getLhsFactor(), {m, k / block}) ||
      (!fits(getRhsFactor(), {k / block, acc[1]}) && (isPower || !fits(getRhsFactor(), {k / block, 1}))))
    return emitOpError("factors must be f8E8M0FNU tiles of shapes [m, k / 32] and [k / 32, n], or f32 ones of shapes [m, k / 128] "
                       "and [k / 128, n] or [k / 128, 1], of 8-bit floats, with k a multiple of 128, but are ")
           << getLhsFactor().getType() << " and " << getRhsFactor().getType();
  return success();
}

//===----------------------------------------------------------------------===//
// Reduce, broadcast, iota, transpose
//===----------------------------------------------------------------------===//

LogicalResult ReduceOp::verify() {
  ArrayRef<int64_t> shape = shapeOf(getOperand().getType());
  if (shape.empty() || getDim() >= shape.size())
    return emitOpError("dim ") << getDim() << " is not a dimension of " << getOperand().getType();
  Type element = elementOf(getOperand().getType()), expected = element;
  if (shape.size() > 1) {
    SmallVector<int64_t> reduced(shape);
    reduced[getDim()] = 1;
    expected = RankedTensorType::get(reduced, element);
  }
  if (getResult().getType() != expected)
    return emitOpError("result must be ") << expected << ", but is " << getResult().getType();
  if (getNonan() && (getKind() != ReduceKind::Max || !isa<FloatType>(element)))
    return emitOpError("has nonan, which is for maxima of floats, on a ") << stringifyReduceKind(getKind()) << " of " << element;
  return success();
}

LogicalResult BroadcastOp::verify() {
  Type from = getOperand().getType(), to = getResult().getType();
  if (elementOf(from) != elementOf(to))
    return emitOpError("must keep the element type, but turns ") << from << " into " << to;
  if (!isa<RankedTensorType>(from))
    return success();
  ArrayRef<int64_t> small = shapeOf(from), large = shapeOf(to);
  if (small.size() != large.size())
    return emitOpError("operand and result must have equal ranks, but are ") << from << " and " << to;
  for (auto [dim, a, b] : llvm::enumerate(small, large))
    if (a != 1 && a != b)
      return emitOpError("dimension ") << dim << " of size " << a << " cannot become " << b;
  return success();
}

LogicalResult IotaOp::verify() {
  if (getDim() >= shapeOf(getResult().getType()).size())
    return emitOpError("dim ") << getDim() << " is not a dimension of " << getResult().getType();
  if (!elementOf(getResult().getType()).isInteger(32))
    return emitOpError("result must have element type i32, but is ") << getResult().getType();
  return success();
}

LogicalResult TransposeOp::verify() {
  auto from = cast<RankedTensorType>(getOperand().getType()), to = cast<RankedTensorType>(getResult().getType());
  if (from.getRank() != 2)
    return emitOpError("operand must have rank 2, but is ") << from;
  auto expected = RankedTensorType::get({from.getDimSize(1), from.getDimSize(0)}, from.getElementType());
  if (to != expected)
    return emitOpError("result must be ") << expected << ", but is " << to;
  return success();
}
