//===- TileEpilogue.cpp - What follows from a composite's results ---------===//

#include "passes/kernels/TileEpilogue.h"

using namespace mlir;
using namespace primus;
using namespace primus::kernels;

TileEpilogue::TileEpilogue(TileBuilder &builder, const TileEpiloguePlan &plan, Value base)
    : builder(builder), base(base) {
  DenseSet<Value> seen;
  for (const TileEpiloguePlan::Element &element : plan.elements)
    if (element.base == base) {
      elements.push_back(element);
      findScalars(element.value, seen);
    }
  for (const Measure &measure : plan.measures)
    if (measure.base == base) {
      measures.push_back(measure);
      findScalars(measure.measured, seen);
    }
  for (auto [reduce, of] : plan.ofBlocks)
    if (of == base)
      ofBlocks.push_back(reduce);
}

void TileEpilogue::findScalars(Value value, DenseSet<Value> &seen) {
  Operation *op = value.getDefiningOp();
  if (!op || value == base || !seen.insert(value).second)
    return;
  auto broadcast = dyn_cast<graph::BroadcastOp>(op);
  if (broadcast && numElements(broadcast.getOperand()) == 1)
    evaluateScalar(broadcast.getOperand());
  else
    llvm::for_each(op->getOperands(), [&](Value operand) { findScalars(operand, seen); });
}

Value TileEpilogue::evaluateScalar(Value value) {
  if (Value known = scalars.lookup(value))
    return known;
  Value result;
  if (auto argument = dyn_cast<BlockArgument>(value)) {
    result = builder.loadScalar(builder.input(argument.getArgNumber(), {1}), {builder.index(0)});
  } else if (std::optional<double> splat = getSplat(value.getDefiningOp())) {
    result = builder.constant(getElementTypeOrSelf(value.getType()), *splat);
  } else {
    SmallVector<Value> operands;
    for (Value operand : value.getDefiningOp()->getOperands())
      operands.push_back(evaluateScalar(operand));
    bool isView = isa<graph::ReshapeOp, graph::BroadcastOp>(value.getDefiningOp());
    result = isView ? operands.front() : emitElementwise(builder, value.getDefiningOp(), operands);
  }
  return scalars[value] = result;
}

Value TileEpilogue::evaluate(Value value) {
  if (Value known = tiles.lookup(value))
    return known;
  Value result;
  Operation *op = value.getDefiningOp();
  if (auto argument = dyn_cast<BlockArgument>(value)) {
    if (isReadAs(argument, base))
      result = tiles.lookup(base);
    else
      result = builder.load(builder.input(argument.getArgNumber(), place.shape), place.indices, place.dims, place.tile, place.inbounds);
  } else if (std::optional<double> splat = getSplat(op)) {
    result = builder.constant(getTileType(place.tile, getElementTypeOrSelf(value.getType())), *splat);
  } else if (auto broadcast = dyn_cast<graph::BroadcastOp>(op); broadcast && numElements(broadcast.getOperand()) != numElements(value)) {
    Value operand = broadcast.getOperand();
    result = scalars.contains(operand) ? builder.broadcast(scalars.lookup(operand), place.tile) : repeat(operand);
  } else {
    SmallVector<Value> operands;
    for (Value operand : op->getOperands())
      operands.push_back(evaluate(operand));
    result = isa<graph::ReshapeOp, graph::BroadcastOp>(op) ? operands.front() : emitElementwise(builder, op, operands);
  }
  return tiles[value] = result;
}

Value TileEpilogue::evaluateBlock(Value value, int64_t block) {
  // Also what reductions gave.
  if (Value known = ofBlock.lookup({value, block}))
    return known;
  Value result;
  Operation *op = value.getDefiningOp();
  SmallVector<int64_t> shape{place.tile.front(), 1};
  if (std::optional<double> splat = getSplat(op)) {
    result = builder.constant(getTileType(shape, getElementTypeOrSelf(value.getType())), *splat);
  } else if (auto broadcast = dyn_cast<graph::BroadcastOp>(op); broadcast && scalars.contains(broadcast.getOperand())) {
    result = builder.broadcast(scalars.lookup(broadcast.getOperand()), shape);
  } else {
    SmallVector<Value> operands;
    for (Value operand : op->getOperands())
      operands.push_back(evaluateBlock(operand, block));
    result = isa<graph::ReshapeOp, graph::BroadcastOp>(op) ? operands.front() : emitElementwise(builder, op, operands);
  }
  return ofBlock[{value, block}] = result;
}

Value TileEpilogue::repeat(Value value) {
  int64_t size = shapeOf(base).back() / countBlocks(value), first = *getConstantIntValue(place.indices.back());
  int64_t last = std::min(first + place.tile.back(), shapeOf(base).back()) - 1;
  Value result = builder.broadcast(evaluateBlock(value, first / size), place.tile);
  for (int64_t block = first / size + 1; block <= last / size; ++block) {
    Value columns = builder.iota(place.indices.back(), 1, place.tile);
    Value isBefore = builder.compare(graph::Predicate::LT, columns, builder.constant(columns.getType(), block * size));
    result = builder.select(isBefore, result, builder.broadcast(evaluateBlock(value, block), place.tile));
  }
  return result;
}

void TileEpilogue::start(const TilePlace &where, Value tile) {
  place = where;
  tiles.clear();
  tiles[base] = tile;
}

Value TileEpilogue::getOperand(graph::ReduceOp reduce) {
  Value tile = evaluate(reduce.getOperand());
  return builder.convert(tile, getAccumulatorType(getElementTypeOrSelf(tile)));
}

void TileEpilogue::store() {
  // All loads come before the stores, so that outputs may lie over inputs.
  for (const TileEpiloguePlan::Element &element : elements)
    if (!element.isOfBlocks())
      evaluate(element.value);
  for (const Measure &measure : measures)
    evaluate(measure.measured);
  for (const TileEpiloguePlan::Element &element : elements)
    if (!element.isOfBlocks())
      builder.store(evaluate(element.value), builder.output(element.output, place.shape), place.indices, place.dims, place.inbounds);
}

void TileEpilogue::storeBlocks() {
  for (const TileEpiloguePlan::Element &element : elements) {
    if (!element.isOfBlocks())
      continue;
    TilePlace at = place;
    at.shape.back() = countBlocks(element.value);
    at.tile.back() = 1;
    Value memref = builder.output(element.output, at.shape);
    for (int64_t block = 0; block < at.shape.back(); ++block) {
      at.indices.back() = builder.index(block);
      builder.store(evaluateBlock(element.value, block), memref, at.indices, at.dims, at.inbounds);
    }
  }
}

Value TileEpilogue::getMeasured(const Measure &measure) {
  Value tile = evaluate(measure.measured);
  return builder.convert(tile, getAccumulatorType(getElementTypeOrSelf(tile)));
}
