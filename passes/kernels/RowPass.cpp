//===- RowPass.cpp - One pass over a row or a block -----------------------===//

#include "passes/kernels/RowPass.h"

using namespace mlir;
using namespace primus;
using namespace primus::kernels;

int64_t kernels::chooseWidth(int64_t numOps, int64_t lanes) {
  return numOps <= 12 ? 4 * lanes : numOps <= 40 ? 2 * lanes : lanes;
}

Blocks Blocks::of(int64_t elements, int64_t width) {
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
    outputs.push_back(evaluator.evaluate(value, position));
  for (auto [output, tile] : llvm::zip_equal(pass.outputs, outputs)) {
    if (space.flat)
      builder.store(tile, builder.output(output.first, {space.columns}), {position.column}, {0}, position.inbounds);
    else
      builder.store(tile, builder.output(output.first, {space.rows, space.columns}), {position.row, position.column}, {1},
                    position.inbounds);
  }
  return next;
}

SmallVector<Value> PassBuilder::buildCut(const RowPass &pass, Value row, const Cut &cut) {
  SmallVector<Value> scalars;
  auto tile = [&](Value column, int64_t width, bool inbounds, ValueRange carried) {
    return buildTile(pass, {row, column, width, true, space.flat, inbounds}, carried);
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
  // A short row is one tile, whose values the next pass still has.
  constexpr int64_t shortTiles = 8;
  int64_t most = space.columns <= shortTiles * lanes ? shortTiles * lanes : width;
  return buildCut(pass, row, Cut::of(space.columns, most, lanes));
}

SmallVector<Value> PassBuilder::buildBlock(const RowPass &pass, const Blocks &blocks) {
  Value row = builder.index(0);
  if (blocks.count == 1)
    return buildCut(pass, row, Cut::of(blocks.elements, width, lanes));
  Value begin = builder.mulIndex(builder.programId(0), blocks.size);
  Value end = builder.addIndex(begin, builder.index(blocks.size));
  if (!blocks.even)
    end = builder.minIndex(end, builder.index(blocks.elements));
  SmallVector<Value> scalars;
  SmallVector<Value> sums = builder.loop(begin, end, width, getNeutral(pass, width), [&](Value column, ValueRange carried) {
    evaluator.setRowScope(builder.getBlock()->getParentOp());
    return buildTile(pass, {row, column, width, true, true, blocks.even}, carried);
  });
  evaluator.setRowScope(nullptr);
  combine(pass, sums, scalars);
  return scalars;
}
