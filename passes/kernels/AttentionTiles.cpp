//===- AttentionTiles.cpp - What the kernels of attention share -----------===//

#include "passes/kernels/AttentionTiles.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
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

Band AttentionProblem::getBand(TileBuilder &builder, bool transposed) const {
  std::optional<int64_t> after, before;
  if (causal)
    after = 0;
  if (window)
    before = *window - 1;
  // Seen from a query, keys lie within [query - before, query + after]; seen from a key, it is the reverse.
  auto negated = [](std::optional<int64_t> distance) {
    return distance ? std::optional<int64_t>(-*distance) : std::nullopt;
  };
  Band band;
  band.low = transposed ? negated(after) : negated(before);
  band.high = transposed ? before : after;
  band.count = transposed ? tokens : keys;
  if (queryPositions) {
    int64_t rows = transposed ? keys : tokens;
    unsigned rowInput = transposed ? *keyPositions : *queryPositions;
    band.rowPositions = builder.input(rowInput, {1, rows});
    band.rowColumn = builder.input(rowInput, {rows, 1});
    band.columnPositions = builder.input(transposed ? *queryPositions : *keyPositions, {1, band.count});
  }
  return band;
}

namespace {

/// Least and greatest of `count` positions, i32. Zeros from beyond the last may widen the range; what follows from it is then known of fewer
/// blocks, and no less true.
struct Extremes {
  Value least, greatest;

  Extremes(TileBuilder &builder, Value positions, Value first, int64_t count) {
    Value tile = builder.load(positions, {builder.index(0), first}, {1}, {count});
    Value zero = builder.constant(tile.getType(), 0);
    greatest = builder.reduce(kernel::ReduceKind::Max, tile, 0);
    Value negated = builder.reduce(kernel::ReduceKind::Max, builder.sub(zero, tile), 0);
    least = builder.sub(builder.constant(negated.getType(), 0), negated);
  }
};

/// A conjunction of comparisons of indices, or of i32 scalars.
struct Conditions {
  TileBuilder &builder;
  /// Null: always true.
  Value all;

  /// least + by <= value.
  void require(Value least, int64_t by, Value value) {
    if (by != 0 && isa<IndexType>(least.getType()))
      least = builder.addIndex(least, builder.index(by));
    else if (by != 0)
      least = builder.add(least, builder.constant(least.getType(), by));
    Value holds = arith::CmpIOp::create(builder, arith::CmpIPredicate::sle, least, value);
    all = all ? arith::AndIOp::create(builder, all, holds).getResult() : holds;
  }
};

} // namespace

/// Whether the band holds all of a block; null if it always does.
static Value isWhole(TileBuilder &builder, const Band &band, Value row, Value column, int64_t rows, int64_t columns) {
  Conditions whole{builder, {}};
  Value end = builder.addIndex(column, builder.index(columns - 1));
  if (band.columnPositions) {
    Extremes inRows(builder, band.rowPositions, row, rows), inColumns(builder, band.columnPositions, column, columns);
    if (band.low)
      whole.require(inRows.greatest, *band.low, inColumns.least);
    if (band.high)
      whole.require(inColumns.greatest, -*band.high, inRows.least);
  } else {
    if (band.low)
      whole.require(row, rows - 1 + *band.low, column);
    if (band.high)
      whole.require(end, 0, builder.addIndex(row, builder.index(*band.high)));
  }
  if (band.count % columns != 0)
    whole.require(end, 0, builder.index(band.count - 1));
  return whole.all;
}

/// `scores` with `hidden` outside of the band.
static Value hide(TileBuilder &builder, const Band &band, Value scores, double hidden, Value row, Value column) {
  SmallVector<int64_t> shape(getTileShape(scores));
  int64_t rows = shape[0], columns = shape[1];
  Value columnNumbers = builder.iota(column, 1, shape);
  Value rowPlaces = band.rowColumn ? builder.load(band.rowColumn, {row, builder.index(0)}, {0, 1}, {rows, 1}) : builder.iota(row, 0, {rows, 1});
  Value columnPlaces = columnNumbers;
  if (band.columnPositions)
    columnPlaces = builder.broadcast(builder.load(band.columnPositions, {builder.index(0), column}, {0, 1}, {1, columns}), shape);
  auto shifted = [&](int64_t by) {
    return by == 0 ? rowPlaces : builder.add(rowPlaces, builder.constant(rowPlaces.getType(), by));
  };
  // How far inside of the band an element is, so that one comparison does for all limits.
  Value inside;
  auto require = [&](Value distance) { inside = inside ? builder.min(inside, distance) : distance; };
  if (band.low)
    require(builder.sub(columnPlaces, builder.broadcast(shifted(*band.low), shape)));
  Value last;
  if (band.count % columns != 0)
    last = builder.constant(rowPlaces.getType(), band.count - 1);
  if (band.high && last && !band.columnPositions)
    last = builder.min(last, shifted(*band.high));
  else if (band.high)
    require(builder.sub(builder.broadcast(shifted(*band.high), shape), columnPlaces));
  if (last)
    require(builder.sub(builder.broadcast(last, shape), columnNumbers));
  Value visible = builder.compare(graph::Predicate::GE, inside, builder.constant(inside.getType(), 0));
  return builder.select(visible, scores, builder.constant(scores.getType(), hidden));
}

Value kernels::roundNumbers(TileBuilder &builder, Value tile, Type element) {
  Value rounded = builder.convert(tile, element);
  if (auto op = rounded.getDefiningOp<arith::TruncFOp>(); op && rounded != tile)
    op.setFastmath(arith::FastMathFlags::nnan);
  return rounded;
}

Value kernels::computeExp2(TileBuilder &builder, Value x) {
  return math::Exp2Op::create(builder, x, arith::FastMathFlags::afn);
}

/// tanh(x), on GPUs as 1 - 2 / (e^2x + 1) of their native functions: within 2e-7, which is little beside the rounding of a score.
static Value computeTanh(TileBuilder &builder, const AttentionTiling &tiling, Value x) {
  if (!tiling.direct)
    return builder.tanh(x);
  Type type = x.getType();
  Value one = builder.constant(type, 1), power = computeExp2(builder, builder.mul(x, builder.constant(type, 2 * log2e)));
  auto fast = arith::FastMathFlags::afn | arith::FastMathFlags::arcp;
  Value part = arith::DivFOp::create(builder, builder.constant(type, 2), builder.add(power, one), fast);
  return builder.sub(one, part);
}

Scores kernels::computeScores(TileBuilder &builder, const AttentionProblem &problem, const AttentionTiling &tiling, const Band &band,
                              Value products, Value row, Value column) {
  Type type = products.getType();
  int64_t rows = getTileShape(products)[0], columns = getTileShape(products)[1];
  Scores scores{products, problem.scale * log2e, {}};
  if (problem.softcap != 0) {
    Value capped = computeTanh(builder, tiling, builder.mul(products, builder.constant(type, problem.scale / problem.softcap)));
    scores.values = capped;
    scores.factor = problem.softcap * log2e;
    scores.slope = builder.sub(builder.constant(type, 1), builder.mul(capped, capped));
  }
  // A hidden score has to stay a number when it is divided by the factor.
  constexpr double leastFactor = 1e-6;
  if (scores.factor < leastFactor) {
    scores.values = builder.mul(scores.values, builder.constant(type, scores.factor));
    scores.factor = 1;
  }

  // Most blocks lie within the band.
  Value whole = isWhole(builder, band, row, column, rows, columns);
  if (!whole)
    return scores;
  auto conditional = scf::IfOp::create(builder, TypeRange(type), whole, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(conditional.thenBlock());
  scf::YieldOp::create(builder, scores.values);
  builder.setInsertionPointToStart(conditional.elseBlock());
  scf::YieldOp::create(builder, hide(builder, band, scores.values, hiddenScore / scores.factor, row, column));
  scores.values = conditional.getResult(0);
  return scores;
}

Value Scores::getExponents(TileBuilder &builder) const {
  return factor == 1 ? values : builder.mul(values, builder.constant(values.getType(), factor));
}

/// First and last + 1 column that the rows may see by their numbers; the first is rounded down to a multiple of `columns`.
static std::pair<Value, Value> getVisibleRange(TileBuilder &builder, const Band &band, Value row, int64_t rows, int64_t columns) {
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

SmallVector<Value> kernels::loopVisible(TileBuilder &builder, const Band &band, Value row, int64_t rows, int64_t columns, ValueRange carried,
                                        function_ref<SmallVector<Value>(Value, ValueRange)> body) {
  if (!band.columnPositions) {
    auto [begin, end] = getVisibleRange(builder, band, row, rows, columns);
    return builder.loop(begin, end, columns, carried, body);
  }
  // Positions may come in any order, but neighbours are mostly consecutive, so that many blocks are hidden as a whole.
  return builder.loop(builder.index(0), builder.index(band.count), columns, carried, [&](Value column, ValueRange state) {
    Extremes inRows(builder, band.rowPositions, row, rows), inColumns(builder, band.columnPositions, column, columns);
    Conditions visible{builder, {}};
    if (band.low)
      visible.require(inRows.least, *band.low, inColumns.greatest);
    if (band.high)
      visible.require(inColumns.least, -*band.high, inRows.greatest);
    auto conditional = scf::IfOp::create(builder, state.getTypes(), visible.all, /*withElseRegion=*/true);
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointToStart(conditional.thenBlock());
    scf::YieldOp::create(builder, body(column, state));
    builder.setInsertionPointToStart(conditional.elseBlock());
    scf::YieldOp::create(builder, state);
    return SmallVector<Value>(conditional.getResults());
  });
}

//===----------------------------------------------------------------------===//
// Reading
//===----------------------------------------------------------------------===//

AttentionTiling AttentionTiling::getForGpu(const AttentionProblem &problem, Type element, const Work &work) {
  // Rows and columns of an MFMA instruction; most waves of a workgroup.
  constexpr int64_t block = 32, mostWaves = 4;
  // Of 512 registers of a lane, and of the sums among them. The rest holds scores, masks and addresses.
  constexpr int64_t mostRegisters = 340, mostSums = 128;
  AttentionTiling tiling;
  int64_t bytes = element.getIntOrFloatBitWidth() / 8, width = llvm::alignTo(problem.headSize, block);
  tiling.waves = std::min<int64_t>(mostWaves, llvm::PowerOf2Ceil(llvm::divideCeil(work.rows, block)));
  // Gradients hold two blocks of scores at a time, which leaves room for narrow ones only.
  tiling.columns = block;
  tiling.lanes = 64;
  tiling.direct = true;
  // Left operands and sums of the wave's rows, and the workgroup's next right operands, of which more waves hold less each.
  auto fits = [&] {
    int64_t next = work.right * tiling.columns * width * bytes / (256 * tiling.waves), sums = work.sums * width / 2;
    return sums <= mostSums && work.left * width * bytes / 8 + sums + next <= mostRegisters;
  };
  while (tiling.waves < mostWaves && !fits())
    tiling.waves *= 2;
  tiling.rows = block * tiling.waves;
  tiling.hoists = fits();
  tiling.group = 1;
  tiling.element = element;
  tiling.headTiles.push_back({0, width});
  return tiling;
}

AttentionTiling AttentionTiling::get(const AttentionProblem &problem, Type element, const kernel::TargetTraits &traits, const Work &work) {
  if (traits.name != "cpu")
    return getForGpu(problem, element, work);
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

Value AttentionTiling::getFirstRow(TileBuilder &builder, const Band &band, Value block, int64_t blocks) const {
  if (direct && band.high && !band.low)
    block = builder.addIndex(builder.mulIndex(block, -1), builder.index(blocks - 1));
  return builder.mulIndex(block, rows);
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
  if (!copied) {
    ArrayRef<int64_t> shape = type.getShape();
    return builder.load(memref, {batch, row, head, zero}, {3, 1}, {width, columns}, width == shape[3] && shape[1] % columns == 0);
  }
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
  int64_t headSize = type.getShape().back();
  return {Operand::Input, cast<BlockArgument>(operand).getArgNumber(), MemRefType::get(type.getShape(), tiling.element),
          false, 1, tiling.direct ? tiling.headTiles.back().second : headSize};
}

AttentionSource AttentionCopies::getStack(Value operand) {
  if (tiling.direct)
    return getRows(operand);
  if (tiling.group > 1)
    return copy(operand, Order::Pairs);
  // Beyond the last row a contraction must read zeros.
  if (cast<RankedTensorType>(operand.getType()).getShape()[1] % tiling.columns != 0)
    return copy(operand, Order::Rows);
  return getRows(operand);
}

AttentionSource AttentionCopies::getPanels(Value operand) { return tiling.direct ? getRows(operand) : copy(operand, Order::Panels); }

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
                         MemRefType::get(target, tiling.element), true, group, shape[3]};
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
