//===- QuantisedBlocks.cpp - Neighbours with a common scale ---------------===//
//
// The family "blocks": quantisation by blocks of neighbours, along the lines of a matrix, along its columns (then what is stored is
// transposed), or both; and by squares. What is stored is an 8-bit float or belongs to one. An instance computes a part of the matrix, which
// has whole blocks in each order, by tiles of many blocks: these come from memory once, from the caches where the two orders want
// different tiles.
//
//===----------------------------------------------------------------------===//

#include "passes/kernels/BlockSpace.h"
#include "passes/kernels/Elementwise.h"
#include "passes/kernels/Families.h"
#include "passes/kernels/RowPass.h"

#include <map>

using namespace mlir;
using namespace primus;
using namespace primus::kernels;

namespace {

/// A part of the matrix, which is one tile.
struct Area {
  Value line, column;
  int64_t lines, columns;
};

/// Computes values for areas. Blocks have values in areas as wide as they are.
class BlockEvaluator {
public:
  BlockEvaluator(TileBuilder &builder, const BlockSpace &space) : builder(builder), space(space) {}
  Value evaluate(Value value, BlockKind kind, Order order, const Area &area);
  void store(Value tile, unsigned output, BlockKind kind, Order order, const Area &area);
  /// States a square's value in all areas.
  void give(Value value, Value tile) { squares[value] = tile; }

private:
  /// Where the values of a kind lie in memory, and where those of an area begin.
  struct Place {
    SmallVector<int64_t> shape, tile;
    SmallVector<Value> begin;
    bool inbounds;
  };
  Place getPlace(BlockKind kind, Order order, const Area &area);
  Value compute(Value value, BlockKind kind, Order order, const Area &area);
  Value load(BlockArgument argument, BlockKind kind, Order order, const Area &area);

  TileBuilder &builder;
  const BlockSpace &space;
  DenseMap<Value, Value> squares;
  std::map<std::tuple<void *, BlockKind, Order, void *, void *, int64_t, int64_t>, Value> memo;
};

/// How a kernel goes over the matrix: an instance computes [lines, columns] of it. Tiles are `length` blocks at most.
struct Tiling {
  int64_t lines, columns, length, waves;
  static Tiling of(const BlockSpace &space, const kernel::TargetTraits &traits);
};

/// Builds the kernel's body.
class BlockKernel {
public:
  BlockKernel(TileBuilder &builder, const BlockSpace &space, const Tiling &tiling, ArrayRef<Value> outputs)
      : builder(builder), space(space), tiling(tiling), outputs(outputs), whole(builder, space) {}
  void build(ArrayRef<Operation *> ops);

private:
  /// Calls `body` for each tile of the instance's part that has blocks of `order`, with what has computed values of that tile.
  void forEachTile(Order order, function_ref<void(BlockEvaluator &, const Area &)> body);
  void forEachPart(Value begin, int64_t extent, int64_t part, int64_t size, function_ref<void(Value)> body);
  void findSquare(graph::ReduceOp op);
  void storeAll(Order order);

  TileBuilder &builder;
  const BlockSpace &space;
  const Tiling tiling;
  ArrayRef<Value> outputs;
  /// The evaluator of the whole part, where that is one tile.
  BlockEvaluator whole;
  Value line, column;
  /// The value of the square, and its maximum over tiles so far.
  std::pair<Value, Value> square;
};

class BlocksFamily : public KernelFamily {
public:
  StringRef getName() const override { return "blocks"; }
  bool accepts(const Candidate &candidate, std::string &reason) const override {
    return BlockSpace::find(candidate, reason).has_value();
  }
  FailureOr<LoweredFusion> lower(graph::FusionOp fusion, OpBuilder &builder, StringRef name,
                                 const kernel::TargetTraits &traits) const override;
};

} // namespace

//===----------------------------------------------------------------------===//
// Values
//===----------------------------------------------------------------------===//

BlockEvaluator::Place BlockEvaluator::getPlace(BlockKind kind, Order order, const Area &area) {
  if (kind == BlockKind::Square)
    return {{space.lines / space.inColumn, space.columns / space.inLine},
            {1, 1},
            {builder.divIndex(area.line, space.inColumn), builder.divIndex(area.column, space.inLine)},
            true};
  Place place = {{space.lines, space.columns}, {area.lines, area.columns}, {area.line, area.column}, true};
  place.inbounds = space.lines % area.lines == 0 && space.columns % area.columns == 0;
  if (order == Order::Turned)
    for (auto *pair : {&place.shape, &place.tile})
      std::swap(pair->front(), pair->back());
  if (order == Order::Turned)
    std::swap(place.begin.front(), place.begin.back());
  if (kind == BlockKind::Block) {
    place.shape.back() /= space.getBlock(order);
    place.tile.back() = 1;
    place.begin.back() = builder.divIndex(place.begin.back(), space.getBlock(order));
  }
  return place;
}

/// The first input that has the same elements under some shape: what both orders read comes from memory once.
static BlockArgument findSource(BlockArgument argument) {
  auto fusion = cast<graph::FusionOp>(argument.getOwner()->getParentOp());
  auto skipReshapes = [&](unsigned input) {
    Value value = fusion.getInputs()[input];
    while (auto reshape = value.getDefiningOp<graph::ReshapeOp>())
      value = reshape.getOperand();
    return value;
  };
  Value source = skipReshapes(argument.getArgNumber());
  for (BlockArgument other : fusion.getBody().getArguments())
    if (skipReshapes(other.getArgNumber()) == source)
      return other;
  llvm_unreachable("an argument has its own elements");
}

Value BlockEvaluator::load(BlockArgument argument, BlockKind kind, Order order, const Area &area) {
  unsigned input = argument.getArgNumber();
  if (kind == BlockKind::Scalar)
    return builder.loadScalar(builder.input(input, {1}), {builder.index(0)});
  Place place = getPlace(kind, order, area);
  return builder.load(builder.input(input, place.shape), place.begin, {0, 1}, place.tile, place.inbounds);
}

void BlockEvaluator::store(Value tile, unsigned output, BlockKind kind, Order order, const Area &area) {
  Place place = getPlace(kind, order, area);
  builder.store(tile, builder.output(output, place.shape), place.begin, {0, 1}, place.inbounds);
}

Value BlockEvaluator::compute(Value value, BlockKind kind, Order order, const Area &area) {
  Operation *op = value.getDefiningOp();
  if (!op) {
    BlockArgument source = findSource(cast<BlockArgument>(value));
    return source == value ? load(source, kind, order, area) : evaluate(source, kind, order, area);
  }
  auto getShape = [&] { return kind == BlockKind::Scalar ? SmallVector<int64_t>() : getPlace(kind, order, area).tile; };
  if (std::optional<double> splat = getSplat(op))
    return builder.constant(getTileType(getShape(), getElementTypeOrSelf(value.getType())), *splat);
  if (auto reshape = dyn_cast<graph::ReshapeOp>(op))
    return evaluate(reshape.getOperand(), kind, order, area);
  if (auto broadcast = dyn_cast<graph::BroadcastOp>(op)) {
    BlockKind source = *space.getSourceKind(broadcast, kind, order);
    Value tile = evaluate(broadcast.getOperand(), source, order, area);
    return source == kind ? tile : builder.broadcast(tile, getShape());
  }
  if (auto reduce = dyn_cast<graph::ReduceOp>(op)) {
    Value tile = evaluate(reduce.getOperand(), BlockKind::Full, order, area);
    Type element = getElementTypeOrSelf(tile.getType());
    return builder.convert(builder.reduce(getKind(reduce), builder.convert(tile, getAccumulatorType(element)), 1), element);
  }
  if (auto transpose = dyn_cast<graph::TransposeOp>(op))
    return builder.transpose(evaluate(transpose.getOperand(), BlockKind::Full, Order::Plain, area));
  SmallVector<Value> operands;
  for (Value operand : op->getOperands())
    operands.push_back(evaluate(operand, kind, order, area));
  return emitElementwise(builder, op, operands);
}

Value BlockEvaluator::evaluate(Value value, BlockKind kind, Order order, const Area &area) {
  if (Value square = squares.lookup(value))
    return square;
  std::tuple key(value.getAsOpaquePointer(), kind, order, area.line.getAsOpaquePointer(), area.column.getAsOpaquePointer(), area.lines, area.columns);
  if (auto found = memo.find(key); found != memo.end())
    return found->second;
  Value tile = compute(value, kind, order, area);
  memo[key] = tile;
  return tile;
}

//===----------------------------------------------------------------------===//
// The kernel
//===----------------------------------------------------------------------===//

Tiling Tiling::of(const BlockSpace &space, const kernel::TargetTraits &traits) {
  // As many elements as a workgroup's lanes, or a processor's cache of the first level, have room for. Both orders want the same
  // part of the matrix, in which either has as many blocks as memory moves bytes at a time.
  constexpr int64_t fewWaves = 4, manyWaves = 8, perLane = 32, side = 128;
  int64_t longest = std::max(space.inLine, space.inColumn), length = traits.lanes;
  bool hasBoth = space.inLine != 0 && space.inColumn != 0;
  if (traits.isGpu())
    length = hasBoth ? side : std::min(fewWaves * traits.lanes * perLane / longest, side);
  int64_t waves = hasBoth && longest * length > fewWaves * traits.lanes * perLane ? manyWaves : fewWaves;
  if (space.hasSquares)
    return {space.inColumn, space.inLine, std::min(length, space.inColumn), waves};
  if (hasBoth)
    return {side, side, length, waves};
  return {space.inColumn == 0 ? length : space.inColumn, space.inLine == 0 ? length : space.inLine, length, waves};
}

void BlockKernel::forEachPart(Value begin, int64_t extent, int64_t part, int64_t size, function_ref<void(Value)> body) {
  if (part >= extent)
    return body(begin);
  Value end = builder.addIndex(begin, builder.index(extent));
  if (size % extent != 0)
    end = builder.minIndex(end, builder.index(size));
  builder.loop(begin, end, part, {}, [&](Value index, ValueRange) {
    body(index);
    return SmallVector<Value>();
  });
}

void BlockKernel::forEachTile(Order order, function_ref<void(BlockEvaluator &, const Area &)> body) {
  bool isPlain = order == Order::Plain;
  int64_t lines = isPlain ? tiling.length : space.inColumn, columns = isPlain ? space.inLine : tiling.length;
  bool isOne = lines >= tiling.lines && columns >= tiling.columns;
  forEachPart(line, tiling.lines, lines, space.lines, [&](Value firstLine) {
    forEachPart(column, tiling.columns, columns, space.columns, [&](Value firstColumn) {
      // What a loop computes is not known outside of it.
      BlockEvaluator inner(builder, space);
      if (square.first)
        inner.give(square.first, square.second);
      body(isOne ? whole : inner, {firstLine, firstColumn, lines, columns});
    });
  });
}

void BlockKernel::findSquare(graph::ReduceOp op) {
  Type element = getElementTypeOrSelf(op.getType());
  auto reduceTile = [&](BlockEvaluator &evaluator, Value firstLine) {
    Value tile = evaluator.evaluate(op.getOperand(), BlockKind::Full, Order::Plain, {firstLine, column, tiling.length, space.inLine});
    tile = builder.convert(tile, getAccumulatorType(element));
    return builder.reduce(getKind(op), builder.reduce(getKind(op), tile, 1), 0);
  };
  Value largest;
  if (tiling.length >= tiling.lines) {
    largest = reduceTile(whole, line);
  } else {
    Value neutral = builder.neutral(getKind(op), getTileType({1, 1}, getAccumulatorType(element)));
    Value end = builder.addIndex(line, builder.index(tiling.lines));
    largest = builder.loop(line, end, tiling.length, neutral, [&](Value firstLine, ValueRange carried) {
      BlockEvaluator inner(builder, space);
      return SmallVector<Value>{builder.combine(getKind(op), carried.front(), reduceTile(inner, firstLine))};
    }).front();
  }
  square = {op.getResult(), builder.convert(largest, element)};
  whole.give(square.first, square.second);
}

void BlockKernel::storeAll(Order order) {
  // In the tiles of the other order where this one has no blocks.
  auto isHere = [&](Value value) {
    Order own = space.getOrder(value);
    return space.getKind(value) != BlockKind::Square && (own == order || space.getBlock(own) == 0);
  };
  if (space.getBlock(order) == 0 || llvm::none_of(outputs, isHere))
    return;
  forEachTile(order, [&](BlockEvaluator &evaluator, const Area &area) {
    SmallVector<std::pair<unsigned, Value>> tiles;
    for (auto [index, value] : llvm::enumerate(outputs))
      if (isHere(value))
        tiles.push_back({index, evaluator.evaluate(value, space.getKind(value), space.getOrder(value), area)});
    for (auto [index, tile] : tiles)
      evaluator.store(tile, index, space.getKind(outputs[index]), space.getOrder(outputs[index]), area);
  });
}

void BlockKernel::build(ArrayRef<Operation *> ops) {
  line = builder.mulIndex(builder.programId(0), tiling.lines);
  column = builder.mulIndex(builder.programId(1), tiling.columns);
  if (space.hasSquares)
    for (Operation *op : ops)
      if (auto reduce = dyn_cast<graph::ReduceOp>(op))
        findSquare(reduce);
  storeAll(Order::Plain);
  if (!space.hasSquares)
    return storeAll(Order::Turned);
  Area area = {line, column, tiling.lines, tiling.columns};
  for (auto [index, value] : llvm::enumerate(outputs))
    if (space.getKind(value) == BlockKind::Square)
      whole.store(whole.evaluate(value, BlockKind::Square, Order::Plain, area), index, BlockKind::Square, Order::Plain, area);
}

FailureOr<LoweredFusion> BlocksFamily::lower(graph::FusionOp fusion, OpBuilder &moduleBuilder, StringRef name,
                                             const kernel::TargetTraits &traits) const {
  SmallVector<Operation *> ops = getBodyOps(fusion);
  SmallVector<Value> outputs = getBodyOutputs(fusion);
  std::string reason;
  std::optional<BlockSpace> space = BlockSpace::find({ops, outputs}, reason);
  if (!space)
    return fusion.emitOpError("cannot be computed by blocks: ") << reason;
  Tiling tiling = Tiling::of(*space, traits);
  TileBuilder builder(moduleBuilder, fusion, name,
                      {llvm::divideCeilSigned(space->lines, tiling.lines), llvm::divideCeilSigned(space->columns, tiling.columns)});
  if (traits.isGpu())
    builder.setWaves(tiling.waves, 1);
  BlockKernel(builder, *space, tiling, outputs).build(ops);
  LoweredFusion lowered;
  lowered.launches.push_back(builder.finish());
  return lowered;
}

const KernelFamily *kernels::getBlocksFamily() {
  static const BlocksFamily family;
  return &family;
}
