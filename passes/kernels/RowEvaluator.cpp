//===- RowEvaluator.cpp - Graph values at a position ----------------------===//

#include "passes/kernels/RowEvaluator.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace primus;
using namespace primus::kernels;


/// For each dimension of a broadcast's result: the operand's dimension with the same elements, or -1.
static SmallVector<int64_t> getBroadcastMap(graph::BroadcastOp op) {
  SmallVector<int64_t> map(shapeOf(op.getResult()).size(), -1);
  for (auto [operandDim, resultDim] : llvm::enumerate(op.getDims()))
    if (shapeOf(op.getOperand())[operandDim] == shapeOf(op.getResult())[resultDim])
      map[resultDim] = operandDim;
  return map;
}

/// Whether tiles along a broadcast's last dimension are tiles along the operand's.
static bool keepsColumns(graph::BroadcastOp op) {
  int64_t rank = shapeOf(op.getOperand()).size();
  return rank > 0 && getBroadcastMap(op).back() == rank - 1;
}

Value kernels::mapIndex(TileBuilder &builder, Value linear, ArrayRef<int64_t> from, ArrayRef<int64_t> to, ArrayRef<int64_t> map,
                        ArrayRef<int64_t> offset) {
  SmallVector<int64_t> stride(to.size(), 1);
  for (int64_t d = static_cast<int64_t>(to.size()) - 2; d >= 0; --d)
    stride[d] = stride[d + 1] * to[d + 1];

  int64_t constant = 0;
  for (auto [d, moved] : llvm::enumerate(offset))
    if (map[d] >= 0)
      constant += moved * stride[map[d]];
  Value result = builder.index(constant);

  // Runs of dimensions that stay neighbours move together: one division and one remainder each.
  int64_t inner = 1, rank = from.size();
  for (int64_t last = rank - 1; last >= 0;) {
    if (map[last] < 0 || from[last] == 1) {
      inner *= from[last--];
      continue;
    }
    int64_t first = last, extent = from[last];
    while (first > 0 && map[first - 1] == map[first] - 1 && map[first - 1] >= 0 && to[map[first]] == from[first])
      extent *= from[--first];
    int64_t outer = std::accumulate(from.begin(), from.begin() + first, int64_t(1), std::multiplies<>());
    Value index = builder.divIndex(linear, inner);
    if (outer != 1)
      index = builder.remIndex(index, extent);
    result = builder.addIndex(result, builder.mulIndex(index, stride[map[last]]));
    inner *= extent;
    last = first - 1;
  }
  return result;
}

//===----------------------------------------------------------------------===//
// RowChecker
//===----------------------------------------------------------------------===//

bool RowChecker::check(Value value, bool tile, bool atRow, bool flat) {
  Operation *op = value.getDefiningOp();
  bool outside = !op || !ops.contains(op) || given.contains(value);
  auto fail = [&](const Twine &why) {
    reason = why.str();
    return false;
  };
  if (tile && !flat && shapeOf(value).empty())
    return fail("a scalar is used where rows are");
  if (outside || !known.insert({value, unsigned(tile) | unsigned(atRow) << 1 | unsigned(flat) << 2}).second)
    return true;
  StringRef name = op->getName().getStringRef();

  if (isElementwise(op))
    return llvm::all_of(op->getOperands(), [&](Value operand) { return check(operand, tile, atRow, flat); });
  if (isa<graph::ConstantOp>(op))
    return getSplat(op) || fail("a constant with different elements needs memory");

  return TypeSwitch<Operation *, bool>(op)
      .Case([&](graph::ReshapeOp reshape) {
        Value operand = reshape.getOperand();
        if (tile && !flat && (shapeOf(operand).empty() || shapeOf(operand).back() != shapeOf(value).back()))
          return fail("a reshape changes the row length");
        return check(operand, tile, atRow, flat);
      })
      .Case([&](graph::BroadcastOp broadcast) {
        Value operand = broadcast.getOperand();
        if (flat) {
          if (numElements(operand) == numElements(value))
            return check(operand, tile, atRow, flat);
          return numElements(operand) == 1 ? check(operand, false, false, false) : fail("rows are broadcast");
        }
        bool keeps = tile && keepsColumns(broadcast);
        // At the same row iff no dimension of the rows is new.
        int64_t operandRows = numElements(operand), resultRows = numElements(value);
        if (keeps)
          operandRows /= shapeOf(operand).back();
        if (tile)
          resultRows /= shapeOf(value).back();
        return check(operand, keeps, atRow && operandRows == resultRows, false);
      })
      .Case([&](graph::ReduceOp reduce) {
        ArrayRef<int64_t> dims = reduce.getDims();
        int64_t rank = shapeOf(reduce.getOperand()).size();
        if (dims.size() != 1 || dims[0] != rank - 1)
          return fail("a reduction is not over the last dimension");
        if (tile || !atRow || flat || numElements(value) != rows)
          return fail("a reduction's result is used at other rows than its own");
        return check(reduce.getOperand(), true, true, false);
      })
      .Case([&](graph::GatherOp gather) {
        if (!tile || flat || shapeOf(gather.getTable()).size() != 2)
          return fail("what is gathered is no row of a matrix");
        return check(gather.getIndices(), false, atRow, false) && check(gather.getTable(), true, false, false);
      })
      .Case([&](graph::SliceOp slice) { return !flat ? check(slice.getOperand(), tile, false, false) : fail("a slice"); })
      .Case([&](graph::TransposeOp transpose) {
        if (flat || (tile && transpose.getPerm().back() != static_cast<int64_t>(transpose.getPerm().size()) - 1))
          return fail("a transpose moves the last dimension");
        return check(transpose.getOperand(), tile, false, false);
      })
      .Case([&](graph::IotaOp) { return !flat || fail("an index"); })
      .Default([&](Operation *) { return fail(name + " is not computed by rows"); });
}

//===----------------------------------------------------------------------===//
// RowEvaluator
//===----------------------------------------------------------------------===//

Value RowEvaluator::evaluate(Value value, Position position) {
  bool tile = position.column != nullptr;
  if (!tile && position.atRow)
    if (Value known = rowValues.lookup(value))
      return known;
  Key key{value, position.row, position.column};
  auto &memo = tile ? tiles : scalars;
  if (Value known = memo.lookup(key))
    return known;
  OpBuilder::InsertionGuard guard(builder);
  if (!tile && rowScope)
    builder.setInsertionPoint(rowScope);
  Value result = compute(value, position);
  memo[key] = result;
  return result;
}

Value RowEvaluator::compute(Value value, Position position) {
  if (auto argument = dyn_cast<BlockArgument>(value))
    return load(argument, position);
  Operation *op = value.getDefiningOp();
  if (isElementwise(op)) {
    SmallVector<Value> operands;
    for (Value operand : op->getOperands())
      operands.push_back(evaluate(operand, position));
    return emitElementwise(builder, op, operands);
  }
  if (std::optional<double> splat = getSplat(op)) {
    Type element = getElementTypeOrSelf(value.getType());
    return builder.constant(position.column ? getTileType(getTile(position), element) : element, *splat);
  }
  return TypeSwitch<Operation *, Value>(op)
      .Case([&](graph::ReshapeOp reshape) { return evaluate(reshape.getOperand(), position); })
      .Case([&](graph::BroadcastOp op) { return broadcast(op, position); })
      .Case([&](graph::ReduceOp op) {
        // Over blocks: those over rows are known.
        position.blocks = Position::Elements;
        Value tile = evaluate(op.getOperand(), position);
        Type element = getElementTypeOrSelf(tile.getType());
        kernel::ReduceKind kind = op.getKind() == graph::ReduceKind::Sum ? kernel::ReduceKind::Sum : kernel::ReduceKind::Max;
        bool isNarrow = isa<FloatType>(element) && element.getIntOrFloatBitWidth() < 32;
        return builder.convert(builder.reduce(kind, isNarrow ? builder.convert(tile, builder.getF32Type()) : tile, 1), element);
      })
      .Case([&](graph::GatherOp op) { return gather(op, position); })
      .Case([&](graph::SliceOp op) { return slice(op, position); })
      .Case([&](graph::TransposeOp op) { return transpose(op, position); })
      .Case([&](graph::IotaOp op) { return iota(op, position); });
}

SmallVector<int64_t> RowEvaluator::getTile(const Position &position) const {
  if (position.blocks == Position::None)
    return {position.width};
  return {position.width / blockSize, position.blocks == Position::Elements ? blockSize : 1};
}

RowEvaluator::Place RowEvaluator::getPlace(const Position &position, int64_t elements, int64_t columns) {
  if (position.blocks == Position::None)
    return {{elements / columns, columns}, {position.row, position.column}, {1}};
  int64_t blocks = rowLength / blockSize, size = position.blocks == Position::Elements ? blockSize : 1;
  return {{elements / (blocks * size), blocks, size}, {position.row, builder.divIndex(position.column, blockSize), builder.index(0)}, {1, 2}};
}

Value RowEvaluator::load(BlockArgument argument, Position position) {
  unsigned number = argument.getArgNumber();
  int64_t elements = numElements(argument);
  InputUse &use = uses[number];
  use.isRead = true;
  use.lastPass = std::max(use.lastPass, pass);
  if (!position.column) {
    use.elsewhere = true;
    return builder.loadScalar(builder.input(number, {elements}), position.row);
  }
  if (position.flat)
    return builder.load(builder.input(number, {elements}), position.column, {0}, {position.width}, position.inbounds);
  use.elsewhere |= !position.atRow || position.blocks == Position::Blocks;
  Place place = getPlace(position, elements, shapeOf(argument).back());
  return builder.load(builder.input(number, place.shape), place.indices, place.dims, getTile(position), position.inbounds);
}

Value RowEvaluator::broadcast(graph::BroadcastOp op, Position position) {
  Value operand = op.getOperand();
  ArrayRef<int64_t> from = shapeOf(op.getResult()), to = shapeOf(operand);
  if (position.flat) {
    if (numElements(operand) == numElements(op.getResult()))
      return evaluate(operand, position);
    return builder.broadcast(evaluate(operand, {builder.index(0)}), {position.width});
  }
  if (position.column && position.blocks != Position::None && from.back() != rowLength)
    return broadcastBlocks(op, position);

  SmallVector<int64_t> map = getBroadcastMap(op);
  bool tile = position.column != nullptr, keeps = tile && keepsColumns(op);
  if (tile) {
    from = from.drop_back();
    map.pop_back();
  }
  if (keeps)
    to = to.drop_back();
  Position source = position;
  source.row = mapRow(position.row, from, to, map);
  source.atRow = position.atRow && source.row == position.row;
  if (keeps || !tile)
    return evaluate(operand, source);
  source.column = {};
  return builder.broadcast(evaluate(operand, source), getTile(position));
}

Value RowEvaluator::broadcastBlocks(graph::BroadcastOp op, Position position) {
  Value operand = op.getOperand();
  if (numElements(operand) == numElements(op.getResult()))
    return evaluate(operand, position);
  if (numElements(operand) == 1)
    return builder.broadcast(evaluate(operand, {builder.index(0)}), getTile(position));
  Position source = position;
  source.blocks = Position::Blocks;
  return builder.broadcast(evaluate(operand, source), getTile(position));
}

Value RowEvaluator::mapRow(Value row, ArrayRef<int64_t> from, ArrayRef<int64_t> to, ArrayRef<int64_t> map, ArrayRef<int64_t> offset) {
  OpBuilder::InsertionGuard guard(builder);
  if (rowScope)
    builder.setInsertionPoint(rowScope);
  return mapIndex(builder, row, from, to, map, offset);
}

Value RowEvaluator::gather(graph::GatherOp op, Position position) {
  Value index = evaluate(op.getIndices(), {position.row, {}, 0, position.atRow});
  Position source = position;
  source.atRow = false;
  Value inside;
  {
    OpBuilder::InsertionGuard scope(builder);
    if (rowScope)
      builder.setInsertionPoint(rowScope);
    Value first = builder.constant(index.getType(), 0);
    Value last = builder.constant(index.getType(), shapeOf(op.getTable())[0] - 1);
    Value clamped = builder.max(first, builder.min(index, last));
    inside = builder.compare(graph::Predicate::EQ, index, clamped);
    source.row = arith::IndexCastOp::create(builder, builder.getIndexType(), clamped);
  }
  Value tile = evaluate(op.getTable(), source);
  return builder.select(inside, tile, builder.constant(tile.getType(), 0));
}

Value RowEvaluator::slice(graph::SliceOp op, Position position) {
  ArrayRef<int64_t> from = shapeOf(op.getResult()), to = shapeOf(op.getOperand()), offset = op.getOffsets();
  Position source = position;
  source.atRow = false;
  if (position.column) {
    source.column = builder.addIndex(position.column, builder.index(offset.back()));
    from = from.drop_back();
    to = to.drop_back();
    offset = offset.drop_back();
  }
  source.row = mapRow(position.row, from, to, llvm::to_vector(llvm::seq<int64_t>(0, from.size())), offset);
  return evaluate(op.getOperand(), source);
}

Value RowEvaluator::transpose(graph::TransposeOp op, Position position) {
  ArrayRef<int64_t> from = shapeOf(op.getResult()), to = shapeOf(op.getOperand()), map = op.getPerm();
  if (position.column) {
    from = from.drop_back();
    to = to.drop_back();
    map = map.drop_back();
  }
  Position source = position;
  source.atRow = false;
  source.row = mapRow(position.row, from, to, map);
  return evaluate(op.getOperand(), source);
}

Value RowEvaluator::iota(graph::IotaOp op, Position position) {
  ArrayRef<int64_t> shape = shapeOf(op.getResult());
  Type element = getElementTypeOrSelf(op.getType());
  int64_t dim = op.getDim(), last = static_cast<int64_t>(shape.size()) - 1;
  if (position.column && dim == last)
    return builder.convert(builder.iota(position.column, 0, {position.width}), element);
  ArrayRef<int64_t> from = position.column ? shape.drop_back() : shape;
  SmallVector<int64_t> map(from.size(), -1);
  map[dim] = 0;
  Value index = mapRow(position.row, from, shape[dim], map);
  Value scalar = arith::IndexCastOp::create(builder, builder.getI32Type(), index);
  scalar = builder.convert(scalar, element);
  return position.column ? builder.broadcast(scalar, {position.width}) : scalar;
}
