//===- Indexing.cpp - Gather and scatter ----------------------------------===//

#include "ir/graph/GraphBuilder.h"
#include "ir/graph/Localizer.h"
#include "ir/graph/Rules.h"

using namespace mlir;
using namespace primus::graph;

/// `rows` has the shape of `indices` and then that of a row of `table`.
static LogicalResult verifyRows(Operation *op, Value table, Value indices, Value rows) {
  RankedTensorType tableType = getTensorType(table), indexType = getTensorType(indices), rowType = getTensorType(rows);
  if (tableType.getRank() < 1)
    return op->emitOpError("table must have at least one dimension");
  SmallVector<int64_t> expected(indexType.getShape());
  llvm::append_range(expected, tableType.getShape().drop_front());
  if (rowType.getShape() != ArrayRef<int64_t>(expected)) {
    InFlightDiagnostic error = op->emitOpError("rows of type ") << rowType << " must have shape [";
    llvm::interleaveComma(expected, error);
    return error << "]: the indices' and then a row's of the table " << tableType;
  }
  return success();
}

/// Indices into a rank's rows of a table that is split: what lies in other ranks' rows is outside.
static Value buildLocalIndices(OpBuilder &builder, Location loc, Value indices, RankedTensorType table,
                               Localizer &localizer) {
  RankedTensorType type = getTensorType(indices);
  Value offset = buildBlockOffset(builder, loc, table, 0, type.getElementType(), localizer);
  Value spread = BroadcastOp::create(builder, loc, type, offset, ArrayRef<int64_t>{});
  return GraphBuilder(builder, loc).sub(indices, spread);
}

//===----------------------------------------------------------------------===//
// Gather
//===----------------------------------------------------------------------===//

LogicalResult GatherOp::verify() {
  if (getTensorType(getTable()).getElementType() != getTensorType(getResult()).getElementType())
    return emitOpError("result must have the table's element type");
  return verifyRows(*this, getTable(), getIndices(), getResult());
}

SmallVector<Value> GatherOp::buildVjp(OpBuilder &builder, ValueRange cotangents) {
  RankedTensorType table = getTensorType(getTable());
  if (!cotangents[0] || !isa<FloatType>(table.getElementType()))
    return {Value(), Value()};
  Value indices = getIndices();
  if (std::optional<uint64_t> row = getUntrained()) {
    // Rows outside the table are dropped.
    GraphBuilder b(builder, getLoc());
    Value isUntrained = b.compare(Predicate::EQ, indices, static_cast<double>(*row));
    indices = b.select(isUntrained, b.splatLike(indices, -1), indices);
  }
  RankedTensorType type = table.clone(builder.getF32Type());
  return {ScatterOp::create(builder, getLoc(), type, indices, cotangents[0]), Value()};
}

ShardingRule GatherOp::getShardingRule() {
  std::string indices = leadingLetters(getIndices(), 0), row = letters(getTensorType(getTable()).getRank() - 1, 'A');
  return makeRule(*this, {"V" + row, indices}, {indices + row}, {0});
}

SmallVector<Value> GatherOp::localize(OpBuilder &builder, ValueRange operands, TypeRange types, Localizer &localizer) {
  RankedTensorType table = getTensorType(operands[0]);
  if (getSplitAxes(table, 0).empty())
    return cloneLocally(*this, builder, operands, types);
  Value indices = buildLocalIndices(builder, getLoc(), operands[1], table, localizer);
  return {GatherOp::create(builder, getLoc(), types[0], operands[0], indices)};
}

/// Only the rows that are asked for are read.
Cost GatherOp::getCost() {
  Cost cost = makeCost(*this, 0);
  int64_t elementBytes = (getTensorType(getTable()).getElementTypeBitWidth() + 7) / 8;
  cost.bytes += (countElements(getResult()) - countElements(getTable())) * elementBytes;
  return cost;
}

//===----------------------------------------------------------------------===//
// Scatter
//===----------------------------------------------------------------------===//

LogicalResult ScatterOp::verify() {
  if (isa<FloatType>(getTensorType(getUpdates()).getElementType()) !=
      isa<FloatType>(getTensorType(getResult()).getElementType()))
    return emitOpError("updates and result must both be floats or both integers");
  return verifyRows(*this, getResult(), getIndices(), getUpdates());
}

SmallVector<Value> ScatterOp::buildVjp(OpBuilder &builder, ValueRange cotangents) {
  RankedTensorType updates = getTensorType(getUpdates());
  if (!cotangents[0] || !isa<FloatType>(updates.getElementType()))
    return {Value(), Value()};
  GraphBuilder b(builder, getLoc());
  Value rows = GatherOp::create(builder, getLoc(), updates.clone(getTensorType(cotangents[0]).getElementType()),
                                cotangents[0], getIndices());
  return {Value(), b.convert(rows, updates.getElementType())};
}

ShardingRule ScatterOp::getShardingRule() {
  std::string indices = leadingLetters(getIndices(), 0), row = letters(getTensorType(getResult()).getRank() - 1, 'A');
  return makeRule(*this, {indices, indices + row}, {"V" + row}, {1});
}

SmallVector<Value> ScatterOp::localize(OpBuilder &builder, ValueRange operands, TypeRange types, Localizer &localizer) {
  auto table = cast<RankedTensorType>(types[0]);
  if (getSplitAxes(table, 0).empty())
    return cloneLocally(*this, builder, operands, types);
  Value indices = buildLocalIndices(builder, getLoc(), operands[0], table, localizer);
  return {ScatterOp::create(builder, getLoc(), table, indices, operands[1])};
}

Cost ScatterOp::getCost() { return makeCost(*this, countElements(getUpdates())); }
