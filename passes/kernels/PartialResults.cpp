//===- PartialResults.cpp - Reductions that a second launch ends ----------===//

#include "passes/kernels/PartialResults.h"

using namespace mlir;
using namespace primus;
using namespace primus::kernels;

TotalTiles TotalTiles::of(int64_t columns, ArrayRef<Operation *> ops, const kernel::TargetTraits &traits) {
  Cut cut = traits.isGpu() ? Cut::exact(columns, 4 * traits.lanes)
                           : Cut::of(columns, RowTiling::of(columns, ops, traits).width, traits.lanes);
  return {columns, cut.chunks ? cut.width : cut.tail};
}

SmallVector<Value> kernels::combineColumns(TileBuilder &builder, ArrayRef<PartialResult> partials, Value column, const TotalTiles &tiles,
                                           const kernel::TargetTraits &traits) {
  SmallVector<Value> initial;
  for (const PartialResult &partial : partials)
    initial.push_back(builder.neutral(getKind(partial.reduction), getTileType({tiles.width}, partial.type.getElementType())));
  // On a GPU, many loads are on their way together.
  int64_t unroll = traits.isGpu() ? 16 : 1, blocks = partials.front().type.getDimSize(0);
  return builder.unrolledLoop(builder.index(0), builder.index(blocks), unroll, initial, [&](Value block, ValueRange carried, bool) {
    SmallVector<Value> next;
    for (auto [partial, accumulator] : llvm::zip_equal(partials, carried)) {
      Value memref = builder.temporary(partial.temporary, partial.type);
      Value tile = builder.load(memref, {block, column}, {1}, {tiles.width}, tiles.isInbounds());
      next.push_back(builder.combine(getKind(partial.reduction), accumulator, tile));
    }
    return next;
  });
}

/// One after the other: there are at most some thousand blocks.
static SmallVector<Value> combineInOrder(TileBuilder &builder, ArrayRef<PartialResult> partials) {
  SmallVector<Value> initial;
  for (const PartialResult &partial : partials)
    initial.push_back(builder.neutral(getKind(partial.reduction), partial.type.getElementType()));
  int64_t blocks = partials.front().type.getNumElements();
  return builder.loop(builder.index(0), builder.index(blocks), 1, initial, [&](Value block, ValueRange carried) {
    SmallVector<Value> next;
    for (auto [partial, total] : llvm::zip_equal(partials, carried)) {
      Value scalar = builder.loadScalar(builder.temporary(partial.temporary, partial.type), {block});
      next.push_back(builder.combine(getKind(partial.reduction), total, scalar));
    }
    return next;
  });
}

/// The same by tiles, for GPUs, where a load after the other takes long.
static SmallVector<Value> combineTiles(TileBuilder &builder, ArrayRef<PartialResult> partials) {
  constexpr int64_t waves = 4, perLane = 4, width = 64 * waves * perLane;
  builder.setWaves(1, waves);
  SmallVector<Value> totals;
  int64_t blocks = partials.front().type.getNumElements();
  Cut cut = Cut::exact(blocks, width);
  for (const PartialResult &partial : partials) {
    Value memref = builder.temporary(partial.temporary, partial.type);
    kernel::ReduceKind kind = getKind(partial.reduction);
    Value total;
    auto addTile = [&](Value tile) {
      Value scalar = builder.reduce(kind, tile, 0);
      total = total ? builder.combine(kind, total, scalar) : scalar;
    };
    auto load = [&](Value first, int64_t size) { return builder.load(memref, {first}, {0}, {size}, /*inbounds=*/true); };
    if (cut.chunks > 0) {
      Value start = builder.neutral(kind, getTileType({width}, partial.type.getElementType()));
      addTile(builder.loop(builder.index(0), builder.index(cut.covered()), width, start, [&](Value first, ValueRange carried) {
        return SmallVector<Value>{builder.combine(kind, carried.front(), load(first, width))};
      }).front());
    }
    if (cut.tail > 0)
      addTile(load(builder.index(cut.covered()), cut.tail));
    totals.push_back(total);
  }
  return totals;
}

SmallVector<Value> kernels::combineScalars(TileBuilder &builder, ArrayRef<PartialResult> partials, const kernel::TargetTraits &traits) {
  return traits.isGpu() ? combineTiles(builder, partials) : combineInOrder(builder, partials);
}

void kernels::storeFromTotals(TileBuilder &builder, RowEvaluator &evaluator, ArrayRef<graph::ReduceOp> reductions, ValueRange totals,
                              ArrayRef<std::pair<unsigned, Value>> outputs, const Position &position, int64_t elements) {
  for (auto [reduce, total] : llvm::zip_equal(reductions, totals)) {
    Value result = graph::ReduceOp(reduce).getResult(), value = builder.convert(total, getElementTypeOrSelf(result.getType()));
    if (position.column)
      evaluator.setTile(result, position, value);
    else
      evaluator.setRowValue(result, value);
  }
  SmallVector<Value> values;
  for (auto [index, value] : outputs)
    values.push_back(evaluator.evaluate(value, position));
  for (auto [output, value] : llvm::zip_equal(outputs, values)) {
    Value memref = builder.output(output.first, {elements});
    if (position.column)
      builder.store(value, memref, {position.column}, {0}, position.inbounds);
    else
      builder.store(value, memref, {position.row}, {});
  }
}

PartialResult kernels::addPartialResult(LoweredFusion &lowered, graph::ReduceOp reduce, int64_t parts) {
  SmallVector<int64_t> shape{parts};
  if (int64_t columns = numElements(reduce.getResult()); columns != 1)
    shape.push_back(columns);
  lowered.temporaries.push_back(MemRefType::get(shape, getAccumulatorType(getElementTypeOrSelf(reduce.getOperand().getType()))));
  return {reduce, static_cast<unsigned>(lowered.temporaries.size() - 1), lowered.temporaries.back()};
}

bool kernels::followsFromTotals(Value output, ArrayRef<graph::ReduceOp> reductions, ArrayRef<Operation *> ops, std::string &reason) {
  SmallPtrSet<Operation *, 16> set(ops.begin(), ops.end());
  RowChecker checker(set, /*rows=*/1, reason);
  for (graph::ReduceOp reduce : reductions)
    if (numElements(reduce.getResult()) == numElements(output))
      checker.give(reduce.getResult());
  bool isScalar = numElements(output) == 1;
  return checker.check(output, /*tile=*/!isScalar, /*atRow=*/isScalar, /*flat=*/!isScalar);
}

void kernels::combinePartialResults(graph::FusionOp fusion, OpBuilder &moduleBuilder, StringRef name, const kernel::TargetTraits &traits,
                                    ArrayRef<PartialResult> partials, ArrayRef<std::pair<unsigned, Value>> outputs, LoweredFusion &lowered) {
  // Those of as many blocks are combined by one loop.
  struct Totals {
    llvm::MapVector<int64_t, SmallVector<PartialResult>> byBlocks;
    SmallVector<std::pair<unsigned, Value>> outputs;
  };
  llvm::MapVector<int64_t, Totals> byColumns;
  for (const PartialResult &partial : partials)
    byColumns[numElements(graph::ReduceOp(partial.reduction).getResult())].byBlocks[partial.type.getDimSize(0)].push_back(partial);
  for (auto [index, output] : outputs)
    byColumns[numElements(output)].outputs.push_back({index, output});

  SmallVector<Operation *> ops = getBodyOps(fusion);
  for (auto &[columns, totals] : byColumns) {
    TotalTiles tiles = columns == 1 ? TotalTiles{1, 1} : TotalTiles::of(columns, ops, traits);
    TileBuilder builder(moduleBuilder, fusion, kernelName(name, lowered.launches.size()), {tiles.getCount()});
    Position position{builder.index(0), {}, 0, true};
    if (columns != 1)
      position = {builder.index(0), builder.mulIndex(builder.programId(0), tiles.width), tiles.width, true, /*flat=*/true, tiles.isInbounds()};
    SmallVector<graph::ReduceOp> reductions;
    SmallVector<Value> values;
    for (auto &[blocks, members] : totals.byBlocks) {
      llvm::append_range(values, columns == 1 ? combineScalars(builder, members, traits)
                                              : combineColumns(builder, members, position.column, tiles, traits));
      for (const PartialResult &member : members)
        reductions.push_back(member.reduction);
    }
    RowEvaluator evaluator(builder);
    storeFromTotals(builder, evaluator, reductions, values, totals.outputs, position, columns);
    lowered.launches.push_back(builder.finish());
  }
}
