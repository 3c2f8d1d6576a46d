//===- LowerShape.cpp - Reductions and changes of shape -------------------===//

#include "codegen/common/Float8.h"
#include "codegen/cpu/KernelLowering.h"

#include <limits>

using namespace mlir;
using namespace primus;
using namespace primus::codegen;

/// Combines two scalars or vectors.
static Value combine(VectorBuilder &b, kernel::ReduceKind kind, Value x, Value y) {
  bool isFloat = isa<FloatType>(getElementTypeOrSelf(x.getType()));
  if (kind == kernel::ReduceKind::Sum)
    return isFloat ? Value(arith::AddFOp::create(b, x, y)) : Value(arith::AddIOp::create(b, x, y));
  return isFloat ? Value(arith::MaximumFOp::create(b, x, y)) : Value(arith::MaxSIOp::create(b, x, y));
}

/// The value that changes nothing.
static Value getNeutral(VectorBuilder &b, kernel::ReduceKind kind, Type type) {
  Type element = getElementTypeOrSelf(type);
  bool isSum = kind == kernel::ReduceKind::Sum;
  if (isa<FloatType>(element))
    return b.constant(type, isSum ? 0.0 : -std::numeric_limits<double>::infinity());
  return b.constantInt(type, isSum ? 0 : llvm::minIntN(element.getIntOrFloatBitWidth()));
}

LogicalResult KernelLowering::lowerReduce(kernel::ReduceOp reduce) {
  Value operand = reduce.getOperand();
  auto type = cast<RankedTensorType>(operand.getType());
  if (type.getElementType().isBF16() || isFloat8(type) || type.getElementType().isInteger(1))
    return reduce.emitOpError() << "of " << type.getElementType()
                                << " has no lowering to the CPU; convert the tile to f32 or i32 first";
  TileLayout layout = layoutOf(operand);
  ArrayRef<Value> parts = partsOf(operand);
  auto join = [&](Value x, Value y) { return combine(b, reduce.getKind(), x, y); };

  // Along the rows of the registers: vectors are combined element by element.
  bool alongRows = type.getRank() == 2 && reduce.getDim() == 0 && !layout.column;
  if (alongRows) {
    Parts result;
    for (int64_t chunk = 0; chunk < layout.chunks; ++chunk) {
      SmallVector<Value> column;
      for (int64_t row = 0; row < layout.rows; ++row)
        column.push_back(parts[row * layout.chunks + chunk]);
      result.push_back(b.combineTree(column, join));
    }
    define(reduce.getResult(), std::move(result));
    return success();
  }
  // A column has one element per row already.
  if (layout.column && reduce.getDim() == 1) {
    define(reduce.getResult(), Parts(parts));
    return success();
  }

  // Along the lanes. What lies beyond the tile in the last chunk must not count.
  Value neutral = getNeutral(b, reduce.getKind(), layout.vectorType());
  SmallVector<Value> rows;
  for (int64_t row = 0; row < layout.rows; ++row) {
    SmallVector<Value> chunks(parts.slice(row * layout.chunks, layout.chunks));
    if (Value mask = laneMask({}, {}, 0, layout.width, layout.validLanes(layout.chunks - 1)))
      chunks.back() = arith::SelectOp::create(b, mask, chunks.back(), neutral);
    rows.push_back(b.combineTree(chunks, join));
  }
  Parts result;
  size_t lanes = target.lanes();
  for (size_t first = 0; first < rows.size(); first += lanes) {
    auto group = ArrayRef(rows).slice(first, std::min(lanes, rows.size() - first));
    Value sums = b.combineLanes(group, join);
    result.push_back(rows.size() > lanes ? b.slice(sums, 0, lanes) : sums);
  }
  if (!isa<RankedTensorType>(reduce.getType()))
    result = {b.extract(result.front(), 0)};
  define(reduce.getResult(), std::move(result));
  return success();
}

LogicalResult KernelLowering::lowerBroadcast(kernel::BroadcastOp broadcast) {
  Value operand = broadcast.getOperand();
  TileLayout to = layoutOf(broadcast);
  ArrayRef<Value> parts = partsOf(operand);
  auto type = dyn_cast<RankedTensorType>(operand.getType());
  if (type == broadcast.getType()) {
    define(broadcast, Parts(parts));
    return success();
  }
  Parts result;
  if (!type || type.getNumElements() == 1) {
    Value vector = type ? b.splatLane(parts[0], 0, to.width) : b.splat(parts[0], to.width);
    define(broadcast, Parts(to.size(), vector));
    return success();
  }
  TileLayout from = layoutOf(operand);
  for (int64_t row = 0; row < to.rows; ++row) {
    if (from.column) {
      Value vector = b.splatLane(parts[row / from.width], row % from.width, to.width);
      result.append(to.chunks, vector);
    } else {
      llvm::append_range(result, parts); // one row, repeated
    }
  }
  define(broadcast, std::move(result));
  return success();
}

LogicalResult KernelLowering::lowerIota(kernel::IotaOp iota) {
  TileLayout layout = layoutOf(iota);
  Value base = arith::TruncIOp::create(b, b.getI32Type(), scalarOf(iota.getBase()));
  auto type = cast<RankedTensorType>(iota.getType());
  bool alongLanes = layout.column ? iota.getDim() == 0 : int64_t(iota.getDim()) == type.getRank() - 1;
  Parts result;
  for (int64_t row = 0; row < layout.rows; ++row) {
    for (int64_t chunk = 0; chunk < layout.chunks; ++chunk) {
      Value start = b.splat(base, layout.width);
      Value index = alongLanes ? b.laneNumbers(layout.width, chunk * layout.width)
                               : b.constantInt(layout.vectorType(), layout.column ? 0 : row);
      result.push_back(arith::AddIOp::create(b, start, index));
    }
  }
  define(iota, std::move(result));
  return success();
}

Parts KernelLowering::transposeParts(ArrayRef<Value> parts, const TileLayout &from, const TileLayout &to) {
  // A row and a column lie alike in registers.
  if (from.column || to.column)
    return Parts(parts);
  Parts result(to.size());
  for (int64_t group = 0; group < to.chunks; ++group) {
    for (int64_t chunk = 0; chunk < from.chunks; ++chunk) {
      SmallVector<Value> rows;
      for (int64_t row = group * to.width; row < std::min((group + 1) * to.width, from.rows); ++row)
        rows.push_back(parts[row * from.chunks + chunk]);
      SmallVector<Value> columns = b.transpose(rows);
      for (int64_t lane = 0; lane < from.validLanes(chunk); ++lane)
        result[(chunk * from.width + lane) * to.chunks + group] = b.slice(columns[lane], 0, to.width);
    }
  }
  return result;
}

LogicalResult KernelLowering::lowerTranspose(kernel::TransposeOp transpose) {
  Value operand = transpose.getOperand();
  define(transpose, transposeParts(partsOf(operand), layoutOf(operand), layoutOf(transpose)));
  return success();
}
