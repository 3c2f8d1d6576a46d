//===- LowerMemory.cpp - Loads and stores of tiles ------------------------===//

#include "codegen/hip/KernelLowering.h"

#include "mlir/Dialect/LLVMIR/ROCDLDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace primus;
using namespace primus::codegen;
using namespace primus::codegen::hip;

static int64_t getBytes(Type element) { return llvm::divideCeil(element.getIntOrFloatBitWidth(), 8); }

/// The bits of `count` elements as a buffer instruction moves them: up to four words of 32 bits.
static Type getTransferType(OpBuilder &b, int64_t bytes) {
  if (bytes <= 4)
    return b.getIntegerType(bytes * 8);
  return VectorType::get(bytes / 4, b.getI32Type());
}

//===----------------------------------------------------------------------===//
// Addresses
//===----------------------------------------------------------------------===//

/// Where the registers of a tile lie in memory. Registers are accessed in runs of neighbours.
class KernelLowering::Addresses {
public:
  Addresses(KernelLowering &lowering, const TileAccess &access, const LaneLayout &layout);

  /// Registers per access.
  int64_t getRun() const { return run; }
  /// The byte offset of a run; outside of the buffer where the element is.
  Value getOffset(TilePosition first);
  /// Whether a run lies inside, or null where it is known to.
  Value getMask(TilePosition first);
  /// Lanes for which this does not hold never access anything.
  Value only;

private:
  int64_t getStride(unsigned dim) const { return strides[access.dims[dim]]; }
  int64_t getExtent(unsigned dim) const { return access.memref.getType().getShape()[access.dims[dim]]; }
  bool isLongEnough(int64_t length) const;
  Value getDimMask(unsigned dim, int64_t offset);

  KernelLowering &lowering;
  ImplicitLocOpBuilder &b;
  const TileAccess &access;
  const LaneLayout &layout;
  SmallVector<int64_t> strides;
  /// Per tile dimension: position of the lane's first element within the tile and within memory, and what has to be
  /// checked.
  SmallVector<Value> within, position;
  SmallVector<bool> checkTile, checkMemory;
  /// In elements, for the lane's position without its register's.
  Value base;
  int64_t run = 1;
  DenseMap<std::pair<unsigned, int64_t>, Value> masks;
};

KernelLowering::Addresses::Addresses(KernelLowering &lowering, const TileAccess &access, const LaneLayout &layout)
    : lowering(lowering), b(lowering.b), access(access), layout(layout),
      strides(access.memref.getType().getStridesAndOffset().first) {
  base = lowering.i32(0);
  SmallVector<Value> indices;
  for (auto [index, stride] : llvm::zip_equal(access.indices, strides)) {
    indices.push_back(arith::IndexCastOp::create(b, b.getI32Type(), lowering.values.lookup(index)));
    base = arith::AddIOp::create(b, base, arith::MulIOp::create(b, indices.back(), lowering.i32(stride)));
  }
  unsigned rank = access.dims.size();
  for (unsigned dim = 0; dim < rank; ++dim) {
    Value inTile = lowering.getLaneCoordinate(layout, getCoordinate(rank, dim));
    bool stepped = access.step && access.stepDim == dim;
    if (stepped)
      inTile = arith::AddIOp::create(b, inTile, access.step);
    within.push_back(inTile);
    position.push_back(arith::AddIOp::create(b, indices[access.dims[dim]], inTile));
    base = arith::AddIOp::create(b, base, arith::MulIOp::create(b, inTile, lowering.i32(getStride(dim))));
    // A step may lead beyond the tile's end, where the layout is longer than what is left.
    checkTile.push_back(stepped && access.shape[dim] % access.stepDivisor != 0);
    IndexRange range = lowering.ranges.get(access.indices[access.dims[dim]]);
    checkMemory.push_back(!access.inbounds && (range.min < 0 || range.max + access.shape[dim] > getExtent(dim)));
  }
  int64_t most = 16 / getBytes(access.memref.getType().getElementType());
  while (run < most && isLongEnough(2 * run))
    run *= 2;
}

/// Whether registers can be accessed in runs of `length` elements that are neighbours in memory, aligned, and inside or
/// outside together.
bool KernelLowering::Addresses::isLongEnough(int64_t length) const {
  int64_t last = access.memref.getType().getRank() - 1;
  auto found = llvm::find(access.dims, last);
  if (found == access.dims.end() || layout.registers.size() % length != 0)
    return false;
  unsigned dim = found - access.dims.begin(), coordinate = getCoordinate(access.dims.size(), dim);
  auto isAligned = [&](int64_t number) { return number % length == 0; };
  for (size_t first = 0; first < layout.registers.size(); first += length) {
    TilePosition expected = layout.registers[first];
    if (!isAligned(expected[coordinate]))
      return false;
    for (int64_t offset = 0; offset < length; ++offset, ++expected[coordinate])
      if (layout.registers[first + offset] != expected)
        return false;
  }
  bool lanesAligned = llvm::all_of(layout.lanes, [&](TilePosition bit) { return isAligned(bit[coordinate]); });
  bool rowsAligned = llvm::all_of(ArrayRef(strides).drop_back(), isAligned);
  bool stepAligned = !access.step || access.stepDim != dim || isAligned(access.stepDivisor);
  bool edgesAligned = (!checkMemory[dim] || isAligned(getExtent(dim))) &&
      (!checkTile[dim] || isAligned(access.shape[dim]));
  return lanesAligned && rowsAligned && stepAligned && edgesAligned &&
      isAligned(lowering.ranges.get(access.indices[last]).divisor);
}

Value KernelLowering::Addresses::getDimMask(unsigned dim, int64_t offset) {
  if (!checkTile[dim] && !checkMemory[dim])
    return {};
  Value &mask = masks[{dim, offset}];
  if (mask)
    return mask;
  auto isBelow = [&](Value number, int64_t limit) -> Value {
    // Unsigned, so that positions before the first element are outside as well.
    Value shifted = arith::AddIOp::create(b, number, lowering.i32(offset));
    return arith::CmpIOp::create(b, arith::CmpIPredicate::ult, shifted, lowering.i32(limit));
  };
  if (checkMemory[dim])
    mask = isBelow(position[dim], getExtent(dim));
  if (checkTile[dim]) {
    Value inTile = isBelow(within[dim], access.shape[dim]);
    mask = mask ? arith::AndIOp::create(b, mask, inTile).getResult() : inTile;
  }
  return mask;
}

Value KernelLowering::Addresses::getMask(TilePosition first) {
  Value mask = only;
  unsigned rank = access.dims.size();
  for (unsigned dim = 0; dim < rank; ++dim)
    if (Value holds = getDimMask(dim, first[getCoordinate(rank, dim)]))
      mask = mask ? arith::AndIOp::create(b, mask, holds).getResult() : holds;
  return mask;
}

Value KernelLowering::Addresses::getOffset(TilePosition first) {
  int64_t constant = 0;
  unsigned rank = access.dims.size();
  for (unsigned dim = 0; dim < rank; ++dim)
    constant += first[getCoordinate(rank, dim)] * getStride(dim);
  int64_t bytes = getBytes(access.memref.getType().getElementType());
  Value offset = arith::MulIOp::create(b, base, lowering.i32(bytes));
  offset = arith::AddIOp::create(b, offset, lowering.i32(constant * bytes));
  if (Value mask = getMask(first))
    offset = arith::SelectOp::create(b, mask, offset, lowering.i32(-1));
  return offset;
}

//===----------------------------------------------------------------------===//
// Loads and stores
//===----------------------------------------------------------------------===//

/// Truth values are bytes in memory.
static bool isTruth(Type element) { return element.isInteger(1); }

Value KernelLowering::load(const TileAccess &access, const LaneLayout &layout) {
  Addresses addresses(*this, access, layout);
  Type element = access.memref.getType().getElementType();
  int64_t run = addresses.getRun(), count = layout.registers.size();
  Value resource = values.lookup(access.memref), zero = i32(0);
  auto runType = VectorType::get(run, element);
  Value result = arith::ConstantOp::create(b, b.getZeroAttr(VectorType::get(count, element)));
  for (int64_t first = 0; first < count; first += run) {
    Value offset = addresses.getOffset(layout.registers[first]);
    Type transfer = getTransferType(b, run * getBytes(element));
    Value part = ROCDL::RawPtrBufferLoadOp::create(b, transfer, resource, offset, zero, zero, ArrayAttr(), ArrayAttr(),
                                                   ArrayAttr());
    if (isTruth(element))
      part = arith::TruncIOp::create(b, element, part);
    part = LLVM::BitcastOp::create(b, runType, part);
    Value mask = access.pad != 0 ? addresses.getMask(layout.registers[first]) : Value();
    if (mask) {
      Attribute pad = isa<FloatType>(element) ? Attribute(b.getFloatAttr(element, access.pad))
                                              : Attribute(b.getIntegerAttr(element, static_cast<int64_t>(access.pad)));
      part = arith::SelectOp::create(b, mask, part, arith::ConstantOp::create(b, DenseElementsAttr::get(runType, pad)));
    }
    result = vector::InsertStridedSliceOp::create(b, part, result, first, int64_t(1));
  }
  return result;
}

void KernelLowering::store(Value value, const TileAccess &access, const LaneLayout &layout) {
  Addresses addresses(*this, access, layout);
  // Of lanes with copies, the one with the lowest number writes.
  int64_t copies = 0;
  for (auto [bit, added] : llvm::enumerate(layout.lanes))
    copies |= added == TilePosition{0, 0} ? int64_t(1) << bit : 0;
  if (copies != 0)
    addresses.only = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, arith::AndIOp::create(b, lane, i32(copies)),
                                           i32(0));

  Type element = access.memref.getType().getElementType();
  int64_t run = addresses.getRun(), count = layout.registers.size();
  Value resource = values.lookup(access.memref), zero = i32(0);
  for (int64_t first = 0; first < count; first += run) {
    Value part = slice(value, first, run);
    if (isTruth(element))
      part = arith::ExtUIOp::create(b, VectorType::get(run, b.getI8Type()), part);
    part = LLVM::BitcastOp::create(b, getTransferType(b, run * getBytes(element)), part);
    ROCDL::RawPtrBufferStoreOp::create(b, part, resource, addresses.getOffset(layout.registers[first]), zero, zero,
                                       ArrayAttr(), ArrayAttr(), ArrayAttr());
  }
}

template <typename Op> static TileAccess getAccess(Op op, Type tile) {
  TileAccess access{cast<TypedValue<MemRefType>>(op.getMemref()), op.getIndices(), op.getDims(), {}, op.getInbounds()};
  if (auto type = dyn_cast<RankedTensorType>(tile))
    access.shape = type.getShape();
  return access;
}

/// A scalar is the same in all lanes.
static LaneLayout getScalarLayout() {
  LaneLayout layout;
  layout.registers.push_back({0, 0});
  return layout;
}

LogicalResult KernelLowering::lowerLoad(kernel::LoadOp op) {
  // Operands of dots are read where they are multiplied.
  auto isDotOperand = [](OpOperand &use) { return isa<kernel::DotOp>(use.getOwner()) && use.getOperandNumber() < 2; };
  if (!op->use_empty() && llvm::all_of(op->getUses(), isDotOperand))
    return success();
  TileAccess access = getAccess(op, op.getType());
  access.pad = op.getPad() ? op.getPad()->convertToDouble() : 0;
  if (access.dims.empty()) {
    values.map(op.getResult(), extract(load(access, getScalarLayout()), 0));
    return success();
  }
  FailureOr<LaneLayout> layout = getLayout(op.getType(), op);
  if (failed(layout))
    return failure();
  values.map(op.getResult(), load(access, *layout));
  return success();
}

LogicalResult KernelLowering::lowerStore(kernel::StoreOp op) {
  TileAccess access = getAccess(op, op.getValue().getType());
  Value value = values.lookup(op.getValue());
  if (access.dims.empty()) {
    store(fromElements(value), access, getScalarLayout());
    return success();
  }
  FailureOr<LaneLayout> layout = getLayout(op.getValue().getType(), op);
  if (failed(layout))
    return failure();
  store(value, access, *layout);
  return success();
}
