//===- RowPass.cpp - One pass over a row or a block -----------------------===//

#include "passes/kernels/RowPass.h"

using namespace mlir;
using namespace primus;
using namespace primus::kernels;

RowTiling RowTiling::of(int64_t columns, ArrayRef<Operation *> ops, const kernel::TargetTraits &traits) {
  int64_t lanes = traits.lanes, few = ops.size() <= 12 ? 4 : ops.size() <= 40 ? 2 : 1;
  if (!traits.isGpu()) {
    constexpr int64_t shortTiles = 8;
    return {few * lanes, shortTiles * lanes, 1, lanes, false};
  }
  // Four times as many registers as a CPU's lane has; twice that in a short row, whose values live in them.
  constexpr int64_t mostWaves = 8;
  // Truth values take two scalar registers for each of a lane's elements. There are a hundred, of which functions like exp
  // need some; in a short row more of them live at a time.
  constexpr int64_t mostScalars = 24, mostInShortRow = 48;
  int64_t truths = llvm::count_if(ops, [](Operation *op) { return getElementTypeOrSelf(op->getResult(0).getType()).isInteger(1); });
  auto countScalars = [&](int64_t elementsPerLane) { return 2 * truths * elementsPerLane; };
  while (few > 1 && countScalars(4 * few) > mostScalars)
    few /= 2;
  int64_t tilesOfShortRow = countScalars(2 * 4 * few) > mostInShortRow ? 1 : 2;
  int64_t perWave = 4 * few * lanes, waves = llvm::PowerOf2Ceil(llvm::divideCeil(columns, perWave));
  waves = std::min(waves, mostWaves);
  return {perWave * waves, tilesOfShortRow * perWave * waves, waves, lanes, true};
}

bool RowTiling::leavesWaves(int64_t columns) const {
  int64_t tail = cutRow(columns).tail;
  return waves > 1 && tail > 0 && tail < lanes * waves;
}

Blocks Blocks::of(int64_t elements, const RowTiling &tiling, bool reduces) {
  int64_t width = tiling.width;
  if (tiling.isGpu) {
    constexpr int64_t tilesPerSum = 16;
    int64_t size = reduces ? width * tilesPerSum : width;
    if (elements <= size)
      return {elements, elements, 1, false};
    return {elements, size, static_cast<int64_t>(llvm::divideCeil(elements, size)), elements % size == 0};
  }
  constexpr int64_t least = 2048, most = 16384;
  if (elements <= most)
    return {elements, elements, 1, false};
  for (int64_t size = most; size >= least; size -= width)
    if (elements % size == 0)
      return {elements, size, elements / size, true};
  int64_t size = most / 2 / width * width;
  return {elements, size, static_cast<int64_t>(llvm::divideCeil(elements, size)), false};
}

Type kernels::getAccumulatorType(Type type) {
  bool narrow = isa<FloatType>(type) && type.getIntOrFloatBitWidth() < 32;
  return narrow ? Type(Float32Type::get(type.getContext())) : type;
}

SmallVector<Operation *> kernels::getBodyOps(graph::FusionOp fusion) {
  SmallVector<Operation *> ops;
  for (Operation &op : fusion.getBody().front().without_terminator())
    ops.push_back(&op);
  return ops;
}

SmallVector<Value> kernels::getBodyOutputs(graph::FusionOp fusion) {
  return llvm::to_vector(fusion.getBody().front().getTerminator()->getOperands());
}

void kernels::addInplace(LoweredFusion &lowered, graph::FusionOp fusion, unsigned output, unsigned input) {
  auto from = cast<RankedTensorType>(fusion.getInputs()[input].getType());
  auto to = cast<RankedTensorType>(fusion.getResult(output).getType());
  if (from.getNumElements() == to.getNumElements() && from.getElementType() == to.getElementType())
    lowered.inplace.push_back({output, input});
}

//===----------------------------------------------------------------------===//
// PassBuilder
//===----------------------------------------------------------------------===//

SmallVector<Value> PassBuilder::getNeutral(const RowPass &pass, int64_t width) {
  SmallVector<Value> initial;
  for (graph::ReduceOp op : pass.reductions) {
    Type element = getAccumulatorType(getElementTypeOrSelf(op.getOperand().getType()));
    initial.push_back(builder.neutral(getKind(op), getTileType({width}, element)));
  }
  return initial;
}

void PassBuilder::combine(const RowPass &pass, ValueRange accumulators, SmallVectorImpl<Value> &scalars) {
  bool isFirst = scalars.empty();
  for (auto [index, op, tile] : llvm::enumerate(pass.reductions, accumulators)) {
    Value scalar = builder.reduce(getKind(op), tile, 0);
    if (isFirst)
      scalars.push_back(scalar);
    else
      scalars[index] = builder.combine(getKind(op), scalars[index], scalar);
  }
}

Position PassBuilder::getOutputPosition(Value value, Position position) const {
  if (position.blocks != Position::None && numElements(value) != space.rows * space.columns)
    position.blocks = Position::Blocks;
  return position;
}

SmallVector<Value> PassBuilder::buildTile(const RowPass &pass, const Position &position, ValueRange accumulators) {
  SmallVector<Value> next, outputs;
  for (auto [reduce, accumulator] : llvm::zip_equal(pass.reductions, accumulators)) {
    graph::ReduceOp op = reduce;
    Value tile = evaluator.evaluate(op.getOperand(), position);
    tile = builder.convert(tile, getElementTypeOrSelf(accumulator.getType()));
    if (!position.inbounds) {
      // What overruns the row takes no part.
      Value columns = builder.iota(position.column, 0, {position.width});
      Value inside = builder.compare(graph::Predicate::LT, columns, builder.constant(columns.getType(), space.columns));
      tile = builder.select(inside, tile, builder.neutral(getKind(op), tile.getType()));
    }
    next.push_back(builder.combine(getKind(op), accumulator, tile));
  }
  // All loads come before the stores, so that outputs may lie over inputs.
  for (auto [index, value] : pass.outputs)
    outputs.push_back(evaluator.evaluate(value, getOutputPosition(value, position)));
  for (auto [output, tile] : llvm::zip_equal(pass.outputs, outputs)) {
    if (space.flat) {
      builder.store(tile, builder.output(output.first, {space.columns}), {position.column}, {0}, position.inbounds);
      continue;
    }
    RowEvaluator::Place place = evaluator.getPlace(getOutputPosition(output.second, position), numElements(output.second), space.columns);
    builder.store(tile, builder.output(output.first, place.shape), place.indices, place.dims, position.inbounds);
  }
  return next;
}

SmallVector<Value> PassBuilder::buildCut(const RowPass &pass, Value row, const Cut &cut) {
  SmallVector<Value> scalars;
  auto tile = [&](Value column, int64_t width, bool inbounds, ValueRange carried) {
    Position position{row, column, width, true, space.flat, inbounds};
    if (pass.isOfBlocks)
      position.blocks = Position::Elements;
    return buildTile(pass, position, carried);
  };
  if (cut.chunks == 1) {
    combine(pass, tile(builder.index(0), cut.width, true, getNeutral(pass, cut.width)), scalars);
  } else if (cut.chunks > 1) {
    evaluator.startTiles();
    SmallVector<Value> sums = builder.loop(builder.index(0), builder.index(cut.covered()), cut.width, getNeutral(pass, cut.width),
                                           [&](Value column, ValueRange carried) {
                                             evaluator.setRowScope(builder.getBlock()->getParentOp());
                                             return tile(column, cut.width, true, carried);
                                           });
    evaluator.setRowScope(nullptr);
    evaluator.startTiles();
    combine(pass, sums, scalars);
  }
  if (cut.tail > 0) {
    bool inbounds = cut.covered() + cut.tail <= space.columns;
    combine(pass, tile(builder.index(cut.covered()), cut.tail, inbounds, getNeutral(pass, cut.tail)), scalars);
  }
  return scalars;
}

SmallVector<Value> PassBuilder::buildRow(const RowPass &pass, Value row) {
  return buildCut(pass, row, pass.isOfBlocks ? tiling.cutBlocks(space.columns, space.block) : tiling.cutRow(space.columns));
}

SmallVector<Value> PassBuilder::buildBlock(const RowPass &pass, const Blocks &blocks) {
  Value row = builder.index(0);
  int64_t width = tiling.width;
  if (blocks.count == 1)
    return buildCut(pass, row, tiling.cut(blocks.elements, width));
  Value begin = builder.mulIndex(builder.programId(0), blocks.size);
  SmallVector<Value> scalars;
  if (blocks.size == width) {
    combine(pass, buildTile(pass, {row, begin, width, true, true, blocks.even}, getNeutral(pass, width)), scalars);
    return scalars;
  }
  Value end = builder.addIndex(begin, builder.index(blocks.size));
  if (!blocks.even)
    end = builder.minIndex(end, builder.index(blocks.elements));
  SmallVector<Value> sums = builder.loop(begin, end, width, getNeutral(pass, width), [&](Value column, ValueRange carried) {
    evaluator.setRowScope(builder.getBlock()->getParentOp());
    return buildTile(pass, {row, column, width, true, true, blocks.even}, carried);
  });
  evaluator.setRowScope(nullptr);
  combine(pass, sums, scalars);
  return scalars;
}
