//===- LowerMemory.cpp - Loads and stores of tiles ------------------------===//

#include "codegen/cpu/KernelLowering.h"

using namespace mlir;
using namespace primus;
using namespace primus::codegen;

/// Strides of a static memref in elements. `lower` has checked that there are such.
static SmallVector<int64_t> getStrides(MemRefType type) {
  SmallVector<int64_t> strides;
  int64_t offset;
  (void)type.getStridesAndOffset(strides, offset);
  return strides;
}

Value KernelLowering::getPointer(Value memref, ValueRange indices) {
  auto type = cast<MemRefType>(memref.getType());
  int64_t bytes = getElementBytes(type.getElementType()), constant = 0;
  Value sum;
  for (auto [index, stride] : llvm::zip(indices, getStrides(type))) {
    IndexRange range = ranges.get(index);
    if (range.min == range.max) {
      constant += range.min * stride * bytes;
      continue;
    }
    Value term = arith::MulIOp::create(b, scalarOf(index), b.i64(stride * bytes));
    sum = sum ? Value(arith::AddIOp::create(b, sum, term)) : term;
  }
  Value pointer = scalarOf(memref);
  if (sum)
    pointer = b.offset(pointer, sum);
  return b.offset(pointer, constant);
}

TileBounds KernelLowering::getBounds(Value memref, ValueRange indices, int64_t dim, int64_t size) {
  int64_t extent = cast<MemRefType>(memref.getType()).getDimSize(dim);
  IndexRange range = ranges.get(indices[dim]);
  TileBounds bounds;
  if (range.min < 0)
    bounds.first = arith::SubIOp::create(b, b.i64(0), scalarOf(indices[dim]));
  if (range.max > extent - size)
    bounds.last = arith::SubIOp::create(b, b.i64(extent), scalarOf(indices[dim]));
  return bounds;
}

template <typename Access> TileMemory KernelLowering::getTileMemory(Access access, RankedTensorType tile) {
  Value memref = access.getMemref();
  ValueRange indices = access.getIndices();
  ArrayRef<int64_t> dims = access.getDims();
  auto type = cast<MemRefType>(memref.getType());
  SmallVector<int64_t> strides = getStrides(type);
  int64_t bytes = getElementBytes(type.getElementType());
  TileMemory memory;
  memory.pointer = getPointer(memref, indices);
  memory.element = getStorageType(type.getElementType());
  memory.type = type.getElementType();
  int64_t columnDim = dims.back();
  memory.columnStride = strides[columnDim] * bytes;
  if (!access.getInbounds())
    memory.columns = getBounds(memref, indices, columnDim, tile.getShape().back());
  memory.rowStride = 0;
  if (dims.size() == 2) {
    memory.rowStride = strides[dims[0]] * bytes;
    if (!access.getInbounds())
      memory.rows = getBounds(memref, indices, dims[0], tile.getDimSize(0));
  }
  return memory;
}

template TileMemory KernelLowering::getTileMemory(kernel::LoadOp, RankedTensorType);
template TileMemory KernelLowering::getTileMemory(kernel::StoreOp, RankedTensorType);

Value KernelLowering::isInside(const TileBounds &bounds, int64_t index) {
  Value inside;
  if (bounds.last)
    inside = arith::CmpIOp::create(b, arith::CmpIPredicate::slt, b.i64(index), bounds.last);
  if (bounds.first) {
    Value after = arith::CmpIOp::create(b, arith::CmpIPredicate::sge, b.i64(index), bounds.first);
    inside = inside ? Value(arith::AndIOp::create(b, inside, after)) : after;
  }
  return inside;
}

/// An i64 within [0, size] as i32.
static Value narrowBound(VectorBuilder &b, Value bound, int64_t size) {
  bound = arith::MaxSIOp::create(b, arith::MinSIOp::create(b, bound, b.i64(size)), b.i64(0));
  return arith::TruncIOp::create(b, b.getI32Type(), bound);
}

Value KernelLowering::laneMask(const TileBounds &bounds, Value rowInside, int64_t first, int64_t width, int64_t valid) {
  int64_t end = std::min(first + width, valid);
  if (!bounds && !rowInside && end == first + width)
    return {};
  Value lanes = b.laneNumbers(width, first);
  // One comparison does for the end of the tile, of the buffer, and for a whole row outside.
  Value last = bounds.last ? narrowBound(b, bounds.last, end) : b.constantInt(b.getI32Type(), end);
  if (rowInside)
    last = arith::SelectOp::create(b, rowInside, last, b.constantInt(b.getI32Type(), 0));
  Value mask = arith::CmpIOp::create(b, arith::CmpIPredicate::slt, lanes, b.splat(last, width));
  if (bounds.first) {
    Value start = b.splat(narrowBound(b, bounds.first, end), width);
    mask = arith::AndIOp::create(b, mask, arith::CmpIOp::create(b, arith::CmpIPredicate::sge, lanes, start));
  }
  return mask;
}

/// The memory of a tile as its registers see it: a column is one row.
static TileMemory asRegisters(TileMemory memory, const TileLayout &layout) {
  if (layout.column) {
    std::swap(memory.rows, memory.columns);
    std::swap(memory.rowStride, memory.columnStride);
  }
  return memory;
}

static TileMemory transposed(TileMemory memory) {
  std::swap(memory.rows, memory.columns);
  std::swap(memory.rowStride, memory.columnStride);
  return memory;
}

Parts KernelLowering::loadTile(const TileMemory &tileMemory, const TileLayout &layout, Value pad) {
  TileMemory memory = asRegisters(tileMemory, layout);
  int64_t bytes = getElementBytes(memory.element);
  // Rows of the tile run along memory: load them as columns and exchange in registers.
  if (memory.columnStride != bytes && memory.rowStride == bytes && layout.rows > 1) {
    auto type = RankedTensorType::get({layout.columns, layout.rows}, memory.element);
    TileLayout other = TileLayout::get(type, target.lanes());
    return transposeParts(loadTile(transposed(memory), other, pad), other, layout);
  }
  Parts parts;
  Value padding = pad ? b.splat(pad, layout.width) : b.poison(layout.vectorType());
  for (int64_t row = 0; row < layout.rows; ++row) {
    Value rowInside = isInside(memory.rows, row);
    for (int64_t chunk = 0; chunk < layout.chunks; ++chunk) {
      int64_t first = chunk * layout.width;
      Value mask = laneMask(memory.columns, rowInside, first, layout.width, layout.columns);
      Value pointer = b.offset(memory.pointer, row * memory.rowStride + first * memory.columnStride);
      parts.push_back(memory.columnStride == bytes || layout.columns == 1
                          ? b.load(layout.vectorType(), pointer, mask, mask ? padding : Value())
                          : b.gather(layout.vectorType(), pointer, memory.columnStride, mask, mask ? padding : Value()));
    }
  }
  return parts;
}

void KernelLowering::storeTile(ArrayRef<Value> parts, const TileMemory &tileMemory, const TileLayout &layout) {
  TileMemory memory = asRegisters(tileMemory, layout);
  int64_t bytes = getElementBytes(memory.element);
  if (memory.columnStride != bytes && memory.rowStride == bytes && layout.rows > 1) {
    auto type = RankedTensorType::get({layout.columns, layout.rows}, memory.element);
    TileLayout other = TileLayout::get(type, target.lanes());
    return storeTile(transposeParts(parts, layout, other), transposed(memory), other);
  }
  for (int64_t row = 0; row < layout.rows; ++row) {
    Value rowInside = isInside(memory.rows, row);
    for (int64_t chunk = 0; chunk < layout.chunks; ++chunk) {
      int64_t first = chunk * layout.width;
      Value mask = laneMask(memory.columns, rowInside, first, layout.width, layout.columns);
      Value pointer = b.offset(memory.pointer, row * memory.rowStride + first * memory.columnStride);
      Value part = parts[row * layout.chunks + chunk];
      if (memory.columnStride == bytes || layout.columns == 1)
        b.store(part, pointer, mask);
      else
        b.scatter(part, pointer, memory.columnStride, mask);
    }
  }
}

LogicalResult KernelLowering::lowerLoad(kernel::LoadOp load) {
  auto tile = dyn_cast<RankedTensorType>(load.getType());
  if (!tile) {
    define(load, {b.load(getStorageType(load.getType()), getPointer(load.getMemref(), load.getIndices()))});
    return success();
  }
  // What only dots read where it lies needs no registers.
  bool isDeferred = !load->use_empty() && llvm::all_of(load->getUses(), [&](OpOperand &use) {
    auto dot = dyn_cast<kernel::DotOp>(use.getOwner());
    return dot && readsInPlace(dot, use);
  });
  if (isDeferred)
    return success();
  if (failed(checkTypes(load)))
    return failure();
  TileLayout layout = layoutOf(load);
  Value pad;
  double number = load.getPad() ? load.getPad()->convertToDouble() : 0.0;
  if (isa<FloatType>(tile.getElementType()) && isa<IntegerType>(layout.element))
    pad = b.fromF32(b.constant(b.getF32Type(), number), tile.getElementType());
  else if (isa<FloatType>(tile.getElementType()))
    pad = b.constant(layout.element, number);
  else
    pad = b.constantInt(layout.element, int64_t(number));
  define(load, loadTile(getTileMemory(load, tile), layout, pad));
  return success();
}

LogicalResult KernelLowering::lowerStore(kernel::StoreOp store) {
  Value value = store.getValue();
  auto tile = dyn_cast<RankedTensorType>(value.getType());
  if (!tile) {
    b.store(scalarOf(value), getPointer(store.getMemref(), store.getIndices()));
    return success();
  }
  TileMemory memory = getTileMemory(store, tile);
  storeTile(partsOf(value), memory, layoutOf(value));
  return success();
}
