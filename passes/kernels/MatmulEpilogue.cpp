//===- MatmulEpilogue.cpp - What a product's kernel computes from its result ===//

#include "passes/kernels/MatmulEpilogue.h"

#include "passes/kernels/Elementwise.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

#include <numeric>

using namespace mlir;
using namespace primus;
using namespace primus::kernels;

SmallVector<int64_t> Epilogue::getShape(EpilogueKind kind) const {
  switch (kind) {
  case EpilogueKind::Full:
    return {rows, columns};
  case EpilogueKind::Row:
  case EpilogueKind::Block:
    return {rows, 1};
  case EpilogueKind::Column:
    return {1, columns};
  case EpilogueKind::Scalar:
    return {};
  }
  llvm_unreachable("all kinds are handled");
}

Value Epilogue::load(BlockArgument argument, EpilogueKind kind) {
  unsigned input = argument.getArgNumber();
  kinds[input] |= 1u << unsigned(kind);
  Value zero = builder.index(0);
  switch (kind) {
  case EpilogueKind::Full:
    return builder.load(builder.input(input, {problem.batch, problem.m, problem.n}), {at.batch, at.row, at.column}, {1, 2},
                        {rows, columns}, hasWholeRows() && hasWholeColumns());
  case EpilogueKind::Row:
    return builder.load(builder.input(input, {problem.batch, problem.m, 1}), {at.batch, at.row, zero}, {1, 2}, {rows, 1},
                        hasWholeRows());
  case EpilogueKind::Block:
    return builder.load(builder.input(input, {problem.batch, problem.m, problem.n / plan.block}), {at.batch, at.row, at.panel}, {1, 2},
                        {rows, 1}, hasWholeRows());
  case EpilogueKind::Column:
    return builder.load(builder.input(input, {1, problem.n}), {zero, at.column}, {0, 1}, {1, columns}, hasWholeColumns());
  case EpilogueKind::Scalar:
    return builder.loadScalar(builder.input(input, {1}), {zero});
  }
  llvm_unreachable("all kinds are handled");
}

/// What evaluateReduced gives, after the reduction.
static Value asNumber(TileBuilder &builder, Value tile) {
  if (!getElementTypeOrSelf(tile.getType()).isInteger())
    return tile;
  return arith::BitcastOp::create(builder, withElement(tile.getType(), builder.getF32Type()), tile);
}

Value Epilogue::evaluate(Value value, EpilogueKind kind) {
  if (Value known = memo.lookup({value, unsigned(kind)}))
    return known;
  Value result;
  Operation *op = value.getDefiningOp();
  if (!op) {
    result = load(cast<BlockArgument>(value), kind);
  } else if (std::optional<double> splat = getSplat(op)) {
    result = builder.constant(getTileType(getShape(kind), getElementTypeOrSelf(value.getType())), *splat);
  } else if (auto reshape = dyn_cast<graph::ReshapeOp>(op)) {
    result = evaluate(reshape.getOperand(), kind);
  } else if (auto broadcast = dyn_cast<graph::BroadcastOp>(op)) {
    result = builder.broadcast(evaluate(broadcast.getOperand(), *getSourceKind(broadcast, kind, problem)), getShape(kind));
  } else if (auto reduce = dyn_cast<graph::ReduceOp>(op)) {
    Value largest = builder.reduce(getKind(reduce), evaluateReduced(reduce.getOperand()), 1);
    result = builder.convert(asNumber(builder, largest), getElementTypeOrSelf(value.getType()));
  } else {
    SmallVector<Value> operands;
    for (Value operand : op->getOperands())
      operands.push_back(evaluate(operand, kind));
    result = emitElementwise(builder, op, operands);
  }
  memo[{value, unsigned(kind)}] = result;
  return result;
}

Value Epilogue::neutraliseOutside(Value tile, kernel::ReduceKind reduce, EpilogueKind kind) {
  auto neutralise = [&](Value first, int64_t dim, int64_t extent) {
    // Neighbours that are inside or outside together have one mask: of many masks, scalar registers would be full.
    int64_t together = std::gcd(extent, int64_t(4));
    Value places = builder.iota(first, dim, {rows, columns});
    places = arith::ShRUIOp::create(builder, places, builder.constant(places.getType(), llvm::Log2_64(together)));
    Value inside = builder.compare(graph::Predicate::LT, places, builder.constant(places.getType(), extent / together));
    tile = builder.select(inside, tile, builder.neutral(reduce, tile.getType()));
  };
  // What belongs to no row or column is not stored.
  if (kind != EpilogueKind::Row && !hasWholeRows())
    neutralise(at.row, 0, problem.m);
  if (kind != EpilogueKind::Column && !hasWholeColumns())
    neutralise(at.column, 1, problem.n);
  return tile;
}

Value Epilogue::evaluateReduced(Value operand) {
  Value value = getSigned(operand);
  Value tile = evaluate(value ? value : operand, EpilogueKind::Full);
  tile = builder.convert(tile, getAccumulatorType(getElementTypeOrSelf(tile.getType())));
  if (!value || !getElementTypeOrSelf(tile.getType()).isF32())
    return tile;
  // Bits of magnitudes are ordered as they are, and what is no number comes last: targets have no cheaper maximum that keeps it.
  Type bits = withElement(tile.getType(), builder.getI32Type());
  return arith::AndIOp::create(builder, arith::BitcastOp::create(builder, bits, tile),
                               builder.constant(bits, std::numeric_limits<int32_t>::max()));
}

void Epilogue::store(LoweredFusion &lowered) {
  // All loads come before the stores, so that outputs may lie over inputs.
  SmallVector<Value> tiles, blockTiles, reduced;
  for (auto [index, output] : plan.outputs)
    tiles.push_back(evaluate(output, EpilogueKind::Full));
  for (auto [index, output] : plan.blockOutputs)
    blockTiles.push_back(evaluate(output, EpilogueKind::Block));
  for (const EpiloguePlan::Totals &totals : plan.totals)
    for (auto [reduction, operand] : llvm::zip_equal(totals.reductions, totals.operands))
      reduced.push_back(neutraliseOutside(evaluateReduced(operand), getKind(reduction), totals.kind));
  for (auto [output, tile] : llvm::zip_equal(plan.outputs, tiles))
    builder.store(tile, builder.output(output.first, {problem.batch, problem.m, problem.n}), {at.batch, at.row, at.column}, {1, 2},
                  hasWholeRows() && hasWholeColumns());

  // Right behind the stores: targets take what is stored and what is reduced part by part.
  auto next = reduced.begin();
  for (const EpiloguePlan::Totals &totals : plan.totals)
    for (graph::ReduceOp reduction : totals.reductions) {
      *next = builder.reduce(getKind(reduction), *next, totals.kind == EpilogueKind::Column ? 0 : 1);
      ++next;
    }
  for (auto [output, tile] : llvm::zip_equal(plan.blockOutputs, blockTiles))
    builder.store(tile, builder.output(output.first, {problem.batch, problem.m, problem.n / plan.block}), {at.batch, at.row, at.panel}, {1, 2},
                  hasWholeRows());
  next = reduced.begin();
  for (auto [totals, partials] : llvm::zip_equal(plan.totals, partials))
    for (graph::ReduceOp reduction : totals.reductions)
      partials.push_back(storePart(*next++, reduction, totals.kind, lowered));
}

PartialResult Epilogue::storePart(Value tile, graph::ReduceOp reduction, EpilogueKind kind, LoweredFusion &lowered) {
  ArrayRef<int64_t> grid = builder.getKernel().getGrid();
  int64_t batches = grid[0], panels = grid[1], blocks = grid[2];
  Type element = getElementTypeOrSelf(tile.getType());
  PartialResult partial{reduction, static_cast<unsigned>(lowered.temporaries.size()), {}};
  auto store = [&](ArrayRef<int64_t> shape, ValueRange place, ArrayRef<int64_t> dims, bool inbounds) {
    builder.store(tile, builder.temporary(partial.temporary, MemRefType::get(shape, element)), place, dims, inbounds);
  };
  switch (kind) {
  case EpilogueKind::Row:
    partial.type = MemRefType::get({panels, batches * problem.m}, element);
    store({panels, batches, problem.m}, {at.panel, at.batch, at.row}, {2, 0}, hasWholeRows());
    break;
  case EpilogueKind::Column:
    partial.type = MemRefType::get({batches * blocks, problem.n}, element);
    store({batches, blocks, problem.n}, {at.batch, at.block, at.column}, {1, 2}, hasWholeColumns());
    break;
  default:
    tile = builder.reduce(getKind(reduction), tile, 0);
    partial.type = MemRefType::get({batches * panels * blocks}, element);
    store({batches, panels, blocks}, {at.batch, at.panel, at.block}, {1, 2}, /*inbounds=*/true);
  }
  lowered.temporaries.push_back(partial.type);
  return partial;
}

void Epilogue::addTotals(graph::FusionOp fusion, OpBuilder &moduleBuilder, StringRef name, const kernel::TargetTraits &traits,
                         LoweredFusion &lowered) {
  for (auto [totals, partials] : llvm::zip_equal(plan.totals, partials)) {
    if (partials.empty())
      continue;
    bool isScalar = totals.kind == EpilogueKind::Scalar;
    int64_t elements = isScalar ? 1 : partials.front().type.getDimSize(1);
    TotalTiles tiles = TotalTiles::of(elements, getBodyOps(fusion), traits);
    TileBuilder combine(moduleBuilder, fusion, kernelName(name, lowered.launches.size()), {isScalar ? 1 : tiles.getCount()});
    RowEvaluator evaluator(combine);
    Position position{combine.index(0), {}, 0, true};
    SmallVector<Value> values;
    if (isScalar) {
      values = combineScalars(combine, partials, traits);
    } else {
      Value first = combine.mulIndex(combine.programId(0), tiles.width);
      position = {combine.index(0), first, tiles.width, true, /*flat=*/true, tiles.isInbounds()};
      values = combineColumns(combine, partials, first, tiles, traits);
    }
    for (Value &value : values)
      value = asNumber(combine, value);
    storeFromTotals(combine, evaluator, totals.reductions, values, totals.outputs, position, elements);
    for (unsigned input = 0; input < fusion.getInputs().size(); ++input)
      if (evaluator.getUse(input).isRead)
        kinds[input] |= 1u << unsigned(totals.kind);
    lowered.launches.push_back(combine.finish());
  }
}
