//===- AttentionTiles.cpp - What the kernels of attention share -----------===//

#include "passes/kernels/AttentionTiles.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace primus;
using namespace primus::kernels;

std::optional<unsigned> kernels::findOutput(graph::FusionOp fusion, Value value) {
  for (OpOperand &yielded : fusion.getBody().front().getTerminator()->getOpOperands())
    if (yielded.get() == value)
      return yielded.getOperandNumber();
  return std::nullopt;
}

//===----------------------------------------------------------------------===//
// Scores
//===----------------------------------------------------------------------===//

Band AttentionProblem::getBand(bool transposed) const {
  std::optional<int64_t> after, before;
  if (causal)
    after = 0;
  if (window)
    before = *window - 1;
  // Seen from a query, keys lie within [query - before, query + after]; seen from a key, it is the reverse.
  auto negated = [](std::optional<int64_t> distance) {
    return distance ? std::optional<int64_t>(-*distance) : std::nullopt;
  };
  if (transposed)
    return {negated(after), before, tokens};
  return {negated(before), after, keys};
}

/// Whether the band holds all of a block.
static Value isWhole(TileBuilder &builder, const Band &band, Value row, Value column, int64_t rows, int64_t columns) {
  Value whole;
  auto require = [&](Value least, Value value) {
    Value holds = arith::CmpIOp::create(builder, arith::CmpIPredicate::sle, least, value);
    whole = whole ? arith::AndIOp::create(builder, whole, holds).getResult() : holds;
  };
  Value end = builder.addIndex(column, builder.index(columns - 1));
  if (band.low)
    require(builder.addIndex(row, builder.index(rows - 1 + *band.low)), column);
  if (band.high)
    require(end, builder.addIndex(row, builder.index(*band.high)));
  if (band.count % columns != 0)
    require(end, builder.index(band.count - 1));
  return whole;
}

/// `scores` with those outside of the band hidden.
static Value hide(TileBuilder &builder, const Band &band, Value scores, Value row, Value column) {
  int64_t rows = getTileShape(scores)[0], columns = getTileShape(scores)[1];
  Value rowNumbers = builder.iota(row, 0, {rows, 1});
  Value columnNumbers = builder.iota(column, 1, {rows, columns});
  Value hidden = builder.constant(scores.getType(), hiddenScore);
  auto shifted = [&](int64_t by) {
    return by == 0 ? rowNumbers : builder.add(rowNumbers, builder.constant(rowNumbers.getType(), by));
  };
  auto keep = [&](graph::Predicate predicate, Value limit) {
    Value visible = builder.compare(predicate, columnNumbers, builder.broadcast(limit, {rows, columns}));
    scores = builder.select(visible, scores, hidden);
  };
  if (band.low)
    keep(graph::Predicate::GE, shifted(*band.low));
  Value last;
  if (band.count % columns != 0)
    last = builder.constant(rowNumbers.getType(), band.count - 1);
  if (band.high)
    last = last ? builder.min(last, shifted(*band.high)) : shifted(*band.high);
  if (last)
    keep(graph::Predicate::LE, last);
  return scores;
}

Scores kernels::computeScores(TileBuilder &builder, const AttentionProblem &problem, const Band &band, Value products,
                              Value row, Value column) {
  Type type = products.getType();
  int64_t rows = getTileShape(products)[0], columns = getTileShape(products)[1];
  Scores scores;
  if (problem.softcap == 0) {
    scores.exponents = builder.mul(products, builder.constant(type, problem.scale * log2e));
  } else {
    Value capped = builder.tanh(builder.mul(products, builder.constant(type, problem.scale / problem.softcap)));
    scores.exponents = builder.mul(capped, builder.constant(type, problem.softcap * log2e));
    scores.slope = builder.sub(builder.constant(type, 1), builder.mul(capped, capped));
  }

  // Most blocks lie within the band.
  Value whole = isWhole(builder, band, row, column, rows, columns);
  if (!whole)
    return scores;
  auto conditional = scf::IfOp::create(builder, TypeRange(type), whole, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(conditional.thenBlock());
  scf::YieldOp::create(builder, scores.exponents);
  builder.setInsertionPointToStart(conditional.elseBlock());
  scf::YieldOp::create(builder, hide(builder, band, scores.exponents, row, column));
  scores.exponents = conditional.getResult(0);
  return scores;
}

std::pair<Value, Value> kernels::getVisibleRange(TileBuilder &builder, const Band &band, Value row, int64_t rows,
                                                 int64_t columns) {
  Value begin = builder.index(0), end = builder.index(band.count);
  if (band.low) {
    begin = builder.addIndex(row, builder.index(*band.low));
    begin = arith::MaxSIOp::create(builder, begin, builder.index(0));
    begin = builder.mulIndex(builder.divIndex(begin, columns), columns);
  }
  if (band.high)
    end = builder.minIndex(end, builder.addIndex(row, builder.index(rows + *band.high)));
  return {begin, end};
}

//===----------------------------------------------------------------------===//
// Reading
//===----------------------------------------------------------------------===//

AttentionTiling AttentionTiling::get(const AttentionProblem &problem, Type element,
                                     const kernel::TargetTraits &traits) {
  AttentionTiling tiling;
  tiling.rows = traits.dotRows;
  tiling.columns = traits.dotColumns;
  tiling.lanes = traits.lanes;
  // Pairs along the head size are moved as one i32.
  bool pairs = element.isBF16() && traits.bf16Dot && problem.headSize % 2 == 0;
  tiling.group = pairs ? 2 : 1;
  tiling.element = pairs ? element : Float32Type::get(element.getContext());
  Cut cut = Cut::of(problem.headSize, traits.dotColumns, traits.lanes);
  for (int64_t chunk = 0; chunk < cut.chunks; ++chunk)
    tiling.headTiles.push_back({chunk * cut.width, cut.width});
  if (cut.tail)
    tiling.headTiles.push_back({cut.covered(), cut.tail});
  return tiling;
}

Value AttentionSource::load(TileBuilder &builder, Value batch, Value head, Value row, int64_t column, int64_t height,
                            int64_t width) const {
  Value memref = builder.operand(kind, index, type);
  ArrayRef<int64_t> shape = type.getShape();
  bool inbounds = (column + width) * group <= shape[3] && (copied || shape[1] % height == 0);
  Value first = builder.index(column * group);
  if (!copied)
    return builder.load(memref, {batch, row, head, first}, {1, 3}, {height, width}, inbounds);
  return builder.load(memref, {batch, head, builder.divIndex(row, group), first}, {2, 3},
                      {height / group, width * group}, inbounds);
}

Value AttentionSource::loadPanel(TileBuilder &builder, Value batch, Value head, Value row, int64_t columns) const {
  Value memref = builder.operand(kind, index, type), zero = builder.index(0);
  return builder.load(memref, {batch, head, builder.divIndex(row, columns), zero, zero}, {3, 4},
                      type.getShape().take_back(2), /*inbounds=*/true);
}

//===----------------------------------------------------------------------===//
// Copies
//===----------------------------------------------------------------------===//

AttentionSource AttentionCopies::getRows(Value operand) {
  auto type = cast<RankedTensorType>(operand.getType());
  if (type.getElementType() != tiling.element)
    return copy(operand, Order::Rows);
  return {Operand::Input, cast<BlockArgument>(operand).getArgNumber(), MemRefType::get(type.getShape(), tiling.element),
          false, 1};
}

AttentionSource AttentionCopies::getStack(Value operand) {
  if (tiling.group > 1)
    return copy(operand, Order::Pairs);
  // Beyond the last row a contraction must read zeros.
  if (cast<RankedTensorType>(operand.getType()).getShape()[1] % tiling.columns != 0)
    return copy(operand, Order::Rows);
  return getRows(operand);
}

AttentionSource AttentionCopies::getPanels(Value operand) { return copy(operand, Order::Panels); }

AttentionSource AttentionCopies::copy(Value operand, Order order) {
  unsigned input = cast<BlockArgument>(operand).getArgNumber();
  auto found = known.find({input, order});
  if (found != known.end())
    return found->second;

  ArrayRef<int64_t> shape = cast<RankedTensorType>(operand.getType()).getShape();
  int64_t panels = llvm::divideCeilSigned(shape[1], tiling.columns), group = order == Order::Rows ? 1 : tiling.group;
  SmallVector<int64_t> target{shape[0], shape[2]};
  if (order == Order::Panels)
    target.append({panels, shape[3] / group, tiling.columns * group});
  else
    target.append({panels * tiling.columns / group, shape[3] * group});
  AttentionSource source{Operand::Temporary, static_cast<unsigned>(lowered.temporaries.size()),
                         MemRefType::get(target, tiling.element), true, group};
  lowered.temporaries.push_back(source.type);

  TileBuilder tiles = startKernel({shape[0], shape[2], panels});
  // Groups are written as one i32 each.
  target.back() /= group;
  Type element = group > 1 ? Type(tiles.getI32Type()) : tiling.element;
  Value memref = tiles.temporary(source.index, MemRefType::get(target, element));
  if (order == Order::Rows)
    copyRows(tiles, input, shape, memref);
  else if (order == Order::Pairs)
    copyPairs(tiles, input, shape, memref);
  else
    copyPanels(tiles, input, shape, memref);
  lowered.launches.push_back(tiles.finish());
  known.insert({{input, order}, source});
  return source;
}

/// Rows per tile where columns are whole vectors.
static constexpr int64_t copiedRows = 8;

void AttentionCopies::copyRows(TileBuilder &tiles, unsigned input, ArrayRef<int64_t> shape, Value target) {
  Value source = tiles.input(input, shape);
  Value batch = tiles.programId(0), head = tiles.programId(1);
  Value first = tiles.mulIndex(tiles.programId(2), tiling.columns);
  tiles.loop(tiles.index(0), tiles.index(tiling.columns), copiedRows, {}, [&](Value step, ValueRange) {
    Value row = tiles.addIndex(first, step);
    for (auto [column, width] : tiling.headTiles) {
      Value tile = tiles.load(source, {batch, row, head, tiles.index(column)}, {1, 3}, {copiedRows, width});
      tiles.store(tiles.convert(tile, tiling.element), target, {batch, head, row, tiles.index(column)}, {2, 3},
                  column + width <= shape[3]);
    }
    return SmallVector<Value>();
  });
}

void AttentionCopies::copyPairs(TileBuilder &tiles, unsigned input, ArrayRef<int64_t> shape, Value target) {
  Value source = tiles.input(input, shape);
  Value batch = tiles.programId(0), head = tiles.programId(1);
  Value first = tiles.mulIndex(tiles.programId(2), tiling.columns);
  tiles.loop(tiles.index(0), tiles.index(tiling.columns), 2, {}, [&](Value step, ValueRange) {
    Value row = tiles.addIndex(first, step);
    for (auto [column, width] : tiling.headTiles) {
      // The bits of one row's element as i32.
      auto loadBits = [&](int64_t offset) {
        Value tile = tiles.load(source, {batch, tiles.addIndex(row, tiles.index(offset)), head, tiles.index(column)},
                                {1, 3}, {1, width});
        Value bits = arith::BitcastOp::create(tiles, withElement(tile.getType(), tiles.getI16Type()), tile);
        return arith::ExtUIOp::create(tiles, withElement(tile.getType(), tiles.getI32Type()), bits).getResult();
      };
      Value even = loadBits(0), odd = loadBits(1);
      Value shifted = arith::ShLIOp::create(tiles, odd, tiles.constant(odd.getType(), 16));
      tiles.store(arith::OrIOp::create(tiles, even, shifted), target,
                  {batch, head, tiles.divIndex(row, 2), tiles.index(column)}, {2, 3}, column + width <= shape[3]);
    }
    return SmallVector<Value>();
  });
}

void AttentionCopies::copyPanels(TileBuilder &tiles, unsigned input, ArrayRef<int64_t> shape, Value target) {
  // Pairs along the head size stay together.
  SmallVector<int64_t> view(shape);
  view.back() /= tiling.group;
  auto type = cast<MemRefType>(target.getType());
  Value source = tiling.group > 1 ? tiles.operand(Operand::Input, input, MemRefType::get(view, type.getElementType()))
                                  : tiles.input(input, view);
  Value batch = tiles.programId(0), head = tiles.programId(1), panel = tiles.programId(2);
  Value first = tiles.mulIndex(panel, tiling.columns);
  int64_t side = tiling.lanes;
  tiles.loop(tiles.index(0), tiles.index(tiling.columns), side, {}, [&](Value step, ValueRange) {
    tiles.loop(tiles.index(0), tiles.index(view.back()), side, {}, [&](Value column, ValueRange) {
      Value tile = tiles.load(source, {batch, tiles.addIndex(first, step), head, column}, {1, 3}, {side, side},
                              shape[1] % tiling.columns == 0 && view.back() % side == 0);
      Value turned = kernel::TransposeOp::create(tiles, tile.getType(), tile);
      tiles.store(tiles.convert(turned, type.getElementType()), target, {batch, head, panel, column, step}, {3, 4},
                  view.back() % side == 0);
      return SmallVector<Value>();
    });
    return SmallVector<Value>();
  });
}
