//===- AttentionEpilogue.cpp - What follows from attention ----------------===//

#include "passes/kernels/AttentionEpilogue.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace primus;
using namespace primus::kernels;

AttentionEpilogue::AttentionEpilogue(const TileEpiloguePlan &plan, Value base, const AttentionTiling &tiling, LoweredFusion &lowered)
    : plan(plan), base(base), tiling(tiling) {
  ArrayRef<int64_t> shape = shapeOf(base);
  int64_t blocks = llvm::divideCeilSigned(shape[1], tiling.rows);
  for (const Measure &measure : plan.measures) {
    if (measure.base != base)
      continue;
    int64_t parts = measure.extent == Extent::Row ? shape[2] : shape[0] * blocks * (measure.extent == Extent::All ? shape[2] : 1);
    partials.push_back(addPartialResult(lowered, measure.reduce, parts));
  }
}

/// Replaces what lies outside of [from, end) along a dimension of the tile, whose first position there is `first`, for a maximum.
static Value hide(TileBuilder &builder, Value tile, int64_t dim, Value first, int64_t from, int64_t end) {
  ArrayRef<int64_t> shape = getTileShape(tile);
  std::optional<int64_t> start = getConstantIntValue(first);
  bool isWhole = start ? *start >= from && *start + shape[dim] <= end : from == 0 && end % shape[dim] == 0;
  if (isWhole)
    return tile;
  Value positions = builder.iota(first, dim, shape), neutral = builder.neutral(kernel::ReduceKind::Max, tile.getType());
  auto compare = [&](graph::Predicate predicate, int64_t limit) {
    return builder.compare(predicate, positions, builder.constant(positions.getType(), limit));
  };
  if (!start || *start < from)
    tile = from == 0 ? tile : builder.select(compare(graph::Predicate::GE, from), tile, neutral);
  return builder.select(compare(graph::Predicate::LT, end), tile, neutral);
}

void AttentionEpilogue::write(TileBuilder &builder, Value batch, Value row, Value head, ArrayRef<Value> tiles) const {
  ArrayRef<int64_t> shape = shapeOf(base);
  int64_t blocks = llvm::divideCeilSigned(shape[1], tiling.rows);
  bool wholeRows = shape[1] % tiling.rows == 0;
  Value block = builder.divIndex(row, tiling.rows), zero = builder.index(0);
  TileEpilogue epilogue(builder, plan, base);
  auto start = [&](std::pair<int64_t, int64_t> headTile, Value tile) {
    auto [first, width] = headTile;
    bool inbounds = wholeRows && first + width <= shape[3];
    epilogue.start({SmallVector<int64_t>(shape), {batch, row, head, builder.index(first)}, {1, 3}, {tiling.rows, width}, inbounds}, tile);
  };
  for (graph::ReduceOp reduce : epilogue.getOfBlocks()) {
    int64_t size = shapeOf(reduce.getOperand()).back();
    SmallVector<Value> largest(shape[3] / size);
    for (auto [headTile, tile] : llvm::zip_equal(tiling.headTiles, tiles)) {
      start(headTile, tile);
      Value operand = epilogue.getOperand(reduce);
      auto [first, width] = headTile;
      for (int64_t block = first / size; block * size < std::min(first + width, shape[3]); ++block) {
        Value part = hide(builder, operand, 1, builder.index(first), block * size, (block + 1) * size);
        part = builder.reduce(kernel::ReduceKind::Max, part, 1);
        largest[block] = largest[block] ? builder.max(largest[block], part) : part;
      }
    }
    for (auto [block, value] : llvm::enumerate(largest))
      epilogue.setLargest(reduce, block, builder.convert(value, getElementTypeOrSelf(reduce.getType())));
  }
  SmallVector<Value> ofRows(partials.size());
  for (auto [headTile, tile] : llvm::zip_equal(tiling.headTiles, tiles)) {
    auto [first, width] = headTile;
    Value column = builder.index(first);
    bool wholeColumns = first + width <= shape[3];
    start(headTile, tile);
    epilogue.store();
    if (first == 0)
      epilogue.storeBlocks();
    for (auto [index, measure] : llvm::enumerate(epilogue.getMeasures())) {
      kernel::ReduceKind kind = getKind(measure.reduce);
      Value measured = epilogue.getMeasured(measure);
      if (measure.extent == Extent::Column) {
        Value memref = partials[index].getView(builder, {shape[0], blocks, shape[2], shape[3]});
        measured = hide(builder, measured, 0, row, 0, shape[1]);
        builder.store(builder.reduce(kind, measured, 0), memref, {batch, block, head, column}, {1, 3}, wholeColumns);
        continue;
      }
      Value part = builder.reduce(kind, hide(builder, measured, 1, column, 0, shape[3]), 1);
      ofRows[index] = ofRows[index] ? builder.combine(kind, ofRows[index], part) : part;
    }
  }
  for (auto [index, measure] : llvm::enumerate(epilogue.getMeasures())) {
    kernel::ReduceKind kind = getKind(measure.reduce);
    if (measure.extent == Extent::Row)
      builder.store(ofRows[index], partials[index].getView(builder, {shape[2], shape[0], shape[1], 1}), {head, batch, row, zero}, {2, 3}, wholeRows);
    if (measure.extent == Extent::All) {
      Value all = builder.reduce(kind, hide(builder, ofRows[index], 0, row, 0, shape[1]), 0);
      builder.store(all, partials[index].getView(builder, {shape[0], shape[2], blocks, 1}), {batch, head, block, zero}, {2, 3}, /*inbounds=*/true);
    }
  }
}
