//===- LowerMemory.cpp - Loads and stores of tiles ------------------------===//

#include "codegen/common/Float8.h"
#include "codegen/hip/KernelLowering.h"
#include "codegen/hip/ResidentDot.h"

#include "mlir/Dialect/LLVMIR/ROCDLDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace primus;
using namespace primus::codegen;
using namespace primus::codegen::hip;

Type hip::getStorageType(Type element) {
  return isFloat8(element) ? IntegerType::get(element.getContext(), 8) : element;
}

TypedAttr hip::getStorageAttr(FloatAttr number) {
  if (!isFloat8(number.getType()))
    return number;
  return IntegerAttr::get(getStorageType(number.getType()), number.getValue().bitcastToAPInt());
}

int64_t hip::getElementBytes(Type element) { return llvm::divideCeil(element.getIntOrFloatBitWidth(), 8); }

int64_t hip::getBufferBytes(MemRefType type) { return type.getNumElements() * getElementBytes(type.getElementType()); }

/// Offsets of lanes are 32 bits, and the largest says "outside".
static constexpr int64_t mostBytes = int64_t(1) << 31;

/// The bits of so many bytes as a buffer instruction moves them: up to four words of 32 bits.
static Type getTransferType(OpBuilder &b, int64_t bytes) {
  if (bytes <= 4)
    return b.getIntegerType(bytes * 8);
  return VectorType::get(bytes / 4, b.getI32Type());
}

Value KernelLowering::makeResource(Value pointer, int64_t bytes) {
  // Format and flags of a raw buffer, see AMDGPUToROCDL.
  constexpr int64_t rawBuffer = (7 << 12) | (4 << 15);
  auto resource = LLVM::LLVMPointerType::get(b.getContext(), 8);
  Value stride = LLVM::ConstantOp::create(b, b.getI16Type(), b.getI16IntegerAttr(0));
  Value records = LLVM::ConstantOp::create(b, b.getI64Type(), b.getI64IntegerAttr(std::min(bytes, mostBytes)));
  return ROCDL::MakeBufferRsrcOp::create(b, resource, pointer, stride, records, i32(rawBuffer));
}

//===----------------------------------------------------------------------===//
// Addresses
//===----------------------------------------------------------------------===//

/// Where the registers of a tile lie in memory. They are accessed in runs of neighbours. An address is the resource's
/// base, an offset that is the same in all lanes, and the lane's offset.
class KernelLowering::Addresses {
public:
  Addresses(KernelLowering &lowering, const TileAccess &access, const LaneLayout &layout);

  /// Registers per access; it divides the size of a part.
  int64_t getRun() const { return run; }
  struct Place {
    /// In bytes. The lane's offset is outside of the buffer where the element is.
    Value lane, uniform;
  };
  Place getPlace(TilePosition first);
  /// Whether a run lies inside, or null where it is known to.
  Value getMask(TilePosition first);
  Value getResource() const { return resource; }
  /// Lanes for which this does not hold never access anything; null: all do.
  Value only;

private:
  struct Dim {
    int64_t stride, extent;
    /// In elements: what the tile's position, the wave's and the step add, the same in all lanes, and what the lane
    /// adds; null: nothing.
    Value index, shared, lane;
    /// Positions of lanes from this one on are outside (without what the registers add); null: none are.
    Value limit;
    /// The tile may begin before the buffer.
    bool mayBeNegative;
    bool isChecked() const { return limit != nullptr; }
  };
  void addDim(unsigned number);
  bool isLongEnough(int64_t length) const;
  Value getDimMask(unsigned number, int64_t offset);

  KernelLowering &lowering;
  ImplicitLocOpBuilder &b;
  const TileAccess &access;
  const LaneLayout &layout;
  const int64_t bytes;
  SmallVector<int64_t> strides;
  SmallVector<Dim> dims;
  Value resource, lane, uniform;
  int64_t run = 1;
  DenseMap<std::pair<unsigned, int64_t>, Value> masks;
};

void KernelLowering::Addresses::addDim(unsigned number) {
  unsigned coordinate = getCoordinate(access.dims.size(), number);
  Dim dim;
  int64_t inMemory = access.dims[number];
  dim.stride = strides[inMemory];
  dim.extent = access.memref.getType().getShape()[inMemory];
  Value index = access.indices[inMemory];
  IndexRange range = lowering.ranges.get(index);
  dim.lane = lowering.getLaneCoordinate(layout, coordinate);
  dim.shared = lowering.getWaveCoordinate(layout, coordinate);
  bool stepped = access.step && access.stepDim == number;
  if (stepped)
    dim.shared = lowering.add(dim.shared, access.step);
  dim.mayBeNegative = !access.inbounds && range.min < 0;

  // What is left of the tile and of the buffer, from where the wave begins.
  int64_t size = access.shape[number];
  bool leavesBuffer = !access.inbounds && (range.min < 0 || range.max + size > dim.extent);
  bool leavesTile = stepped ? size % access.stepDivisor != 0 : layout.getExtent()[coordinate] > size;
  if (leavesBuffer) {
    unsigned bits = llvm::isInt<32>(dim.extent - range.min) ? lowering.getIndexBits(index) : 64;
    Value extent = arith::ConstantIntOp::create(b, dim.extent, bits);
    dim.limit = arith::SubIOp::create(b, extent, lowering.getIndex(index, bits));
    Value most = arith::ConstantIntOp::create(b, leavesTile ? size : mostBytes - 1, bits);
    if (leavesTile || bits > 32)
      dim.limit = arith::MinSIOp::create(b, dim.limit, most);
    dim.limit = lowering.cast(dim.limit, 32);
  } else if (leavesTile) {
    dim.limit = lowering.i32(size);
  }
  if (dim.limit && dim.shared)
    dim.limit = arith::SubIOp::create(b, dim.limit, dim.shared);
  dims.push_back(dim);
}

KernelLowering::Addresses::Addresses(KernelLowering &lowering, const TileAccess &access, const LaneLayout &layout)
    : lowering(lowering), b(lowering.b), access(access), layout(layout),
      bytes(getElementBytes(access.memref.getType().getElementType())),
      strides(access.memref.getType().getStridesAndOffset().first) {
  bool mayBeNegative = false;
  for (unsigned number = 0; number < access.dims.size(); ++number) {
    addDim(number);
    mayBeNegative |= dims.back().mayBeNegative;
  }

  // Offsets of a scalar register count upwards from the base, and have 32 bits; beyond that the base moves.
  bool moves = mayBeNegative || getBufferBytes(access.memref.getType()) > mostBytes;
  unsigned bits = moves ? 64 : 32;
  for (auto [index, stride] : llvm::zip_equal(access.indices, strides))
    uniform = lowering.add(uniform, lowering.mul(lowering.getIndex(index, bits), stride * bytes));
  for (const Dim &dim : dims) {
    if (dim.shared)
      uniform = lowering.add(uniform, lowering.mul(lowering.cast(dim.shared, bits), dim.stride * bytes));
    if (dim.lane)
      lane = lowering.add(lane, lowering.mul(dim.lane, dim.stride * bytes));
  }
  if (!lane)
    lane = lowering.i32(0);
  resource = lowering.getScalar(access.memref);
  if (moves) {
    Value pointer = lowering.pointers.lookup(access.memref);
    pointer = LLVM::GEPOp::create(b, pointer.getType(), b.getI8Type(), pointer, ArrayRef<LLVM::GEPArg>{uniform});
    resource = lowering.makeResource(pointer, mostBytes);
    uniform = lowering.i32(0);
  }
  while (2 * run * bytes <= 16 && isLongEnough(2 * run))
    run *= 2;
}

/// Whether registers can be accessed in runs of `length` elements that are neighbours in memory, aligned, and inside or
/// outside together.
bool KernelLowering::Addresses::isLongEnough(int64_t length) const {
  int64_t last = access.memref.getType().getRank() - 1;
  auto found = llvm::find(access.dims, last);
  if (found == access.dims.end() || layout.partSize % length != 0)
    return false;
  unsigned number = found - access.dims.begin(), coordinate = getCoordinate(access.dims.size(), number);
  auto isAligned = [&](int64_t value) { return value % length == 0; };
  for (size_t first = 0; first < layout.registers.size(); first += length) {
    TilePosition expected = layout.registers[first];
    if (!isAligned(expected[coordinate]))
      return false;
    for (int64_t offset = 0; offset < length; ++offset, ++expected[coordinate])
      if (layout.registers[first + offset] != expected)
        return false;
  }
  bool threadsAligned = llvm::all_of(layout.threads, [&](TilePosition bit) { return isAligned(bit[coordinate]); });
  bool rowsAligned = llvm::all_of(ArrayRef(strides).drop_back(), isAligned);
  bool stepAligned = !access.step || access.stepDim != number || isAligned(access.stepDivisor);
  bool edgesAligned = !dims[number].isChecked() || (isAligned(dims[number].extent) && isAligned(access.shape[number]));
  return threadsAligned && rowsAligned && stepAligned && edgesAligned &&
         isAligned(lowering.ranges.get(access.indices[last]).divisor);
}

Value KernelLowering::Addresses::getDimMask(unsigned number, int64_t offset) {
  const Dim &dim = dims[number];
  if (!dim.isChecked())
    return {};
  Value &mask = masks[{number, offset}];
  if (mask)
    return mask;
  Value position = dim.lane ? dim.lane : lowering.i32(0);
  Value limit = offset == 0 ? dim.limit : lowering.add(dim.limit, lowering.i32(-offset));
  mask = arith::CmpIOp::create(b, arith::CmpIPredicate::slt, position, limit);
  if (dim.mayBeNegative) {
    // What the tile's own position lacks to zero.
    Value begin = lowering.getIndex(access.indices[access.dims[number]], 32);
    if (dim.shared)
      begin = lowering.add(begin, dim.shared);
    Value least = arith::SubIOp::create(b, lowering.i32(-offset), begin);
    mask = arith::AndIOp::create(b, mask, arith::CmpIOp::create(b, arith::CmpIPredicate::sge, position, least));
  }
  return mask;
}

Value KernelLowering::Addresses::getMask(TilePosition first) {
  Value mask = only;
  for (unsigned number = 0; number < dims.size(); ++number)
    if (Value holds = getDimMask(number, first[getCoordinate(dims.size(), number)]))
      mask = mask ? arith::AndIOp::create(b, mask, holds).getResult() : holds;
  return mask;
}

KernelLowering::Addresses::Place KernelLowering::Addresses::getPlace(TilePosition first) {
  // An instruction holds 12 bits of constant offset; what is beyond goes into the scalar register.
  constexpr int64_t held = 4096;
  int64_t constant = 0;
  for (auto [number, dim] : llvm::enumerate(dims))
    constant += first[getCoordinate(dims.size(), number)] * dim.stride * bytes;
  Place place{lane, uniform ? uniform : lowering.i32(0)};
  if (constant % held != 0)
    place.lane = lowering.add(lane, lowering.i32(constant % held));
  if (constant / held != 0)
    place.uniform = lowering.add(place.uniform, lowering.i32(constant / held * held));
  if (Value mask = getMask(first))
    place.lane = arith::SelectOp::create(b, mask, place.lane, lowering.i32(-1));
  return place;
}

//===----------------------------------------------------------------------===//
// Loads and stores
//===----------------------------------------------------------------------===//

/// Truth values are bytes in memory.
static bool isTruth(Type element) { return element.isInteger(1); }

Parts KernelLowering::load(const TileAccess &access, const LaneLayout &layout) {
  Addresses addresses(*this, access, layout);
  Type stated = access.memref.getType().getElementType(), element = getStorageType(stated);
  int64_t run = addresses.getRun();
  auto runType = VectorType::get(run, element);
  auto loadRun = [&](TilePosition first) -> Value {
    Addresses::Place place = addresses.getPlace(first);
    Type transfer = getTransferType(b, run * getElementBytes(element));
    Value bits = ROCDL::RawPtrBufferLoadOp::create(b, transfer, addresses.getResource(), place.lane, place.uniform,
                                                   i32(0), ArrayAttr(), ArrayAttr(), ArrayAttr());
    if (isTruth(element)) {
      Value truths = LLVM::BitcastOp::create(b, VectorType::get(run, b.getI8Type()), bits);
      return arith::TruncIOp::create(b, runType, truths);
    }
    Value loaded = LLVM::BitcastOp::create(b, runType, bits);
    Value mask = access.pad != 0 ? addresses.getMask(first) : Value();
    if (!mask)
      return loaded;
    Attribute pad = isa<FloatType>(stated) ? Attribute(getStorageAttr(b.getFloatAttr(stated, access.pad)))
                                           : Attribute(b.getIntegerAttr(element, static_cast<int64_t>(access.pad)));
    return arith::SelectOp::create(b, mask, loaded,
                                   arith::ConstantOp::create(b, DenseElementsAttr::get(runType, pad)));
  };

  Parts parts;
  for (int64_t part = 0; part < layout.getParts(); ++part) {
    SmallVector<Value> elements;
    for (int64_t first = 0; first < layout.partSize; first += run) {
      Value loaded = loadRun(layout.registers[part * layout.partSize + first]);
      if (run == layout.partSize) {
        parts.push_back(loaded);
        break;
      }
      for (int64_t number = 0; number < run; ++number)
        elements.push_back(extract(loaded, number));
    }
    if (!elements.empty())
      parts.push_back(fromElements(elements));
  }
  return parts;
}

template <typename Op> static TileAccess getAccess(Op op, Type tile) {
  TileAccess access{cast<TypedValue<MemRefType>>(op.getMemref()), op.getIndices(), op.getDims(), {}, op.getInbounds()};
  if (auto type = dyn_cast<RankedTensorType>(tile))
    access.shape = type.getShape();
  return access;
}

/// A scalar is the same in all lanes.
static LaneLayout getScalarLayout(const KernelShape &shape) {
  LaneLayout layout;
  layout.threads.resize(shape.getThreadBits());
  layout.registers.push_back({0, 0});
  return layout;
}

LogicalResult KernelLowering::lowerLoad(kernel::LoadOp op) {
  // Operands of dots are read where they are multiplied, but for left ones that stay in registers.
  auto isReadByDot = [](OpOperand &use) {
    auto dot = dyn_cast<kernel::DotOp>(use.getOwner());
    return dot && (use.getOperandNumber() == 1 || (use.getOperandNumber() != 2 && !isResidentDot(dot)));
  };
  if (!op->use_empty() && llvm::all_of(op->getUses(), isReadByDot))
    return success();
  TileAccess access = getAccess(op, op.getType());
  access.pad = op.getPad() ? op.getPad()->convertToDouble() : 0;
  if (access.dims.empty()) {
    define(op, {makeUniform(extract(load(access, getScalarLayout(shape)).front(), 0))});
    return success();
  }
  if (failed(checkTypes(op)))
    return failure();
  if (std::optional<LaneLayout> layout = findBroadcastLayout(op))
    layouts[op.getResult()] = *layout;
  define(op, load(access, getLayout(op.getResult())));
  return success();
}

/// A store with what its parts need in common.
struct KernelLowering::TileStore {
  TileStore(KernelLowering &lowering, kernel::StoreOp op)
      : access(getAccess(op, op.getValue().getType())),
        layout(access.dims.empty() ? getScalarLayout(lowering.shape) : lowering.getLayout(op.getValue().getType())),
        parts(lowering.getParts(op.getValue())), addresses(lowering, access, layout) {
    if (access.dims.empty())
      parts.front() = lowering.fromElements(parts.front());
    addresses.only = lowering.isFirstCopy(layout.getCopyBits());
  }
  TileStore(const TileStore &) = delete;

  TileAccess access;
  LaneLayout layout;
  Parts parts;
  Addresses addresses;
};

void KernelLowering::storePart(ArrayRef<std::unique_ptr<TileStore>> stores, size_t number) {
  struct Run {
    Value bits, resource;
    Addresses::Place place;
  };
  SmallVector<Run> runs;
  for (const std::unique_ptr<TileStore> &store : stores) {
    const LaneLayout &layout = store->layout;
    Type element = store->access.memref.getType().getElementType();
    int64_t run = store->addresses.getRun();
    for (int64_t first = 0; first < layout.partSize; first += run) {
      Value bits = slice(store->parts[number], first, run);
      if (isTruth(element))
        bits = arith::ExtUIOp::create(b, VectorType::get(run, b.getI8Type()), bits);
      bits = LLVM::BitcastOp::create(b, getTransferType(b, run * getElementBytes(element)), bits);
      runs.push_back({bits, store->addresses.getResource(),
                      store->addresses.getPlace(layout.registers[number * layout.partSize + first])});
    }
  }
  // With nothing between them: see sinkToUsers.
  Value flags = i32(0);
  for (const Run &run : runs)
    ROCDL::RawPtrBufferStoreOp::create(b, run.bits, run.resource, run.place.lane, run.place.uniform, flags,
                                       ArrayAttr(), ArrayAttr(), ArrayAttr());
}

LogicalResult KernelLowering::lowerStores(ArrayRef<kernel::StoreOp> ops, ArrayRef<kernel::ReduceOp> reductions) {
  SmallVector<std::unique_ptr<TileStore>> stores;
  for (kernel::StoreOp op : ops)
    stores.push_back(std::make_unique<TileStore>(*this, op));
  SmallVector<OpenReduction, 0> open;
  for (kernel::ReduceOp op : reductions) {
    FailureOr<OpenReduction> reduction = startReduce(op);
    if (failed(reduction))
      return failure();
    open.push_back(std::move(*reduction));
  }
  const LaneLayout &layout = stores.empty() ? open.front().source : stores.front()->layout;
  SmallVector<int64_t> order = llvm::to_vector(llvm::seq<int64_t>(0, layout.getParts()));
  // Parts of the same columns have the same masks there, too many to be kept beside those of reductions.
  if (!open.empty())
    llvm::sort(order, [&](int64_t a, int64_t b) {
      return std::pair(layout.registers[a * layout.partSize][1], a) < std::pair(layout.registers[b * layout.partSize][1], b);
    });
  for (int64_t number : order) {
    // First, since a store may overwrite what its part is read from.
    for (OpenReduction &reduction : open)
      reducePart(reduction, number);
    storePart(stores, number);
  }
  for (OpenReduction &reduction : open)
    finishReduce(reduction);
  return success();
}
