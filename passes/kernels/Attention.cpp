//===- Attention.cpp - Flash attention, forward ---------------------------===//
//
// The family "attention". An instance computes a block of queries of one head: it goes through the blocks of keys that
// the mask lets it see, with a running maximum and sum of each row, and rescales what it has whenever a maximum grows
// (Dao et al. 2022, arXiv 2205.14135). Exponents are to base 2 inside. What follows from single elements of the
// output, and largest values of it, are computed with it.
//
//===----------------------------------------------------------------------===//

#include "passes/kernels/AttentionCost.h"
#include "passes/kernels/AttentionEpilogue.h"
#include "passes/kernels/Families.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace primus;
using namespace primus::kernels;

namespace {

class AttentionFamily : public KernelFamily {
public:
  StringRef getName() const override { return "attention"; }
  bool accepts(const Candidate &candidate, std::string &reason) const override {
    return getPlan(candidate, reason).has_value();
  }
  FailureOr<LoweredFusion> lower(graph::FusionOp fusion, OpBuilder &builder, StringRef name,
                                 const kernel::TargetTraits &traits) const override;

private:
  static std::optional<TileEpiloguePlan> getPlan(const Candidate &candidate, std::string &reason);
};

/// Builds the kernel.
struct ForwardKernel {
  const AttentionProblem &problem;
  const AttentionTiling &tiling;
  AttentionSource queries, keys, values;
  const AttentionEpilogue &out;
  std::optional<unsigned> lse;

  void build(TileBuilder &builder) const;

private:
  /// What is carried from block to block: maximum and sum of each row, then the output's tiles.
  SmallVector<Value> getStart(TileBuilder &builder) const;
  /// The maximum of each row that weights are relative to from here on: `most` so far, and `greatest` in this block.
  Value grow(TileBuilder &builder, Value most, Value greatest) const;
  void finish(TileBuilder &builder, Value batch, Value head, Value row, ArrayRef<Value> carried) const;
};

} // namespace

SmallVector<Value> ForwardKernel::getStart(TileBuilder &builder) const {
  Type f32 = builder.getF32Type();
  Type column = getTileType({tiling.rows, 1}, f32);
  SmallVector<Value> start{builder.constant(column, lowestScore), builder.constant(column, 0)};
  for (auto [first, width] : tiling.headTiles)
    start.push_back(builder.constant(getTileType({tiling.rows, width}, f32), 0));
  return start;
}

Value ForwardKernel::grow(TileBuilder &builder, Value most, Value greatest) const {
  if (!tiling.direct)
    return builder.max(most, greatest);
  // GPUs leave it where it is as long as no weight exceeds a number that f16 holds, too: then most blocks leave the sums
  // as they are. Results are the same but for rounding.
  constexpr double slack = 8;
  Value beyond = builder.add(most, builder.constant(most.getType(), slack));
  Value grows = arith::CmpFOp::create(builder, arith::CmpFPredicate::OGT, greatest, beyond);
  return arith::SelectOp::create(builder, grows, greatest, most);
}

void ForwardKernel::build(TileBuilder &builder) const {
  Type f32 = builder.getF32Type();
  int64_t rows = tiling.rows, columns = tiling.columns;
  Band band = problem.getBand(builder, /*transposed=*/false);
  Value batch = builder.programId(0), head = builder.programId(1);
  Value row = tiling.getFirstRow(builder, band, builder.programId(2), llvm::divideCeilSigned(problem.tokens, rows));
  Value group = builder.divIndex(head, problem.heads / problem.groups);
  SmallVector<Value> start = getStart(builder);
  auto loadQueries = [&] { return queries.loadRows(builder, batch, head, row, rows); };
  Value hoisted = tiling.hoists ? loadQueries() : Value();
  SmallVector<Value> carried = loopVisible(builder, band, row, rows, columns, start, [&](Value column, ValueRange state) {
    Value q = hoisted ? hoisted : loadQueries();
    Value k = keys.loadPanel(builder, batch, group, column, columns);
    Value products = builder.dot(q, k, builder.constant(getTileType({rows, columns}, f32), 0), tiling.group);
    Scores scores = computeScores(builder, problem, tiling, band, products, row, column);

    Value greatest = builder.reduce(kernel::ReduceKind::Max, scores.values, 1);
    // A score that is no number shows in the sum.
    greatest.getDefiningOp<kernel::ReduceOp>().setNonan(true);
    Value most = grow(builder, state[0], builder.mul(greatest, builder.constant(greatest.getType(), scores.factor)));
    Value shrink = computeExp2(builder, builder.sub(state[0], most));
    Value weights = computeExp2(builder, builder.sub(scores.getExponents(builder), builder.broadcast(most, {rows, columns})));
    Value sum = builder.add(builder.mul(state[1], shrink), builder.reduce(kernel::ReduceKind::Sum, weights, 1));
    Value rounded = roundNumbers(builder, weights, tiling.element);

    SmallVector<Value> next{most, sum};
    for (auto [index, tile] : llvm::enumerate(tiling.headTiles)) {
      auto [first, width] = tile;
      Value v = values.load(builder, batch, group, column, first, columns, width);
      Value scaled = builder.mul(state[2 + index], builder.broadcast(shrink, {rows, width}));
      if (tiling.direct)
        scaled.getDefiningOp()->setAttr(kernel::kMostlyOneAttr, builder.getUnitAttr());
      next.push_back(builder.dot(rounded, v, scaled, tiling.group));
    }
    return next;
  });
  finish(builder, batch, head, row, carried);
}

void ForwardKernel::finish(TileBuilder &builder, Value batch, Value head, Value row, ArrayRef<Value> carried) const {
  const AttentionProblem &p = problem;
  // A row that sees a key has a sum of at least 1: the weight of its largest element is no less. One that sees none gives
  // zeros.
  Value most = carried[0], sum = builder.max(carried[1], builder.constant(carried[1].getType(), 1));
  if (out.isNeeded()) {
    Value inverse = builder.div(builder.constant(sum.getType(), 1), sum);
    SmallVector<Value> tiles;
    for (auto [tile, value] : llvm::zip_equal(tiling.headTiles, carried.drop_front(2))) {
      Value scaled = builder.mul(value, builder.broadcast(inverse, {tiling.rows, tile.second}));
      tiles.push_back(builder.convert(scaled, out.getElement()));
    }
    out.write(builder, batch, row, head, tiles);
  }
  if (lse) {
    Value memref = builder.output(*lse, {p.batch, p.heads, p.tokens, 1});
    Value natural = builder.mul(most, builder.constant(most.getType(), 1 / log2e));
    builder.store(builder.add(natural, builder.log(sum)), memref, {batch, head, row, builder.index(0)}, {2, 3},
                  p.tokens % tiling.rows == 0);
  }
}

static AttentionSize getSize(const AttentionProblem &problem, Type element) {
  AttentionSize size{problem.batch, problem.heads, problem.tokens, problem.keys, problem.headSize, element};
  double visible = 0;
  for (int64_t token = 0; token < problem.tokens; ++token) {
    int64_t end = problem.causal ? std::min(token + 1, problem.keys) : problem.keys;
    int64_t begin = problem.window ? std::max<int64_t>(token + 1 - *problem.window, 0) : 0;
    visible += std::max<int64_t>(end - begin, 0);
  }
  size.visible = visible / (double(problem.tokens) * problem.keys);
  size.hasPositions = problem.queryPositions.has_value();
  return size;
}

std::optional<TileEpiloguePlan> AttentionFamily::getPlan(const Candidate &candidate, std::string &reason) {
  auto op = getOnlyOp<graph::AttentionOp>(candidate.ops);
  if (op)
    return TileEpiloguePlan::get(candidate, op, Value(op.getOut()), /*hasHeads=*/true, reason);
  reason = "it is not computed with one attention";
  return std::nullopt;
}

FailureOr<LoweredFusion> AttentionFamily::lower(graph::FusionOp fusion, OpBuilder &builder, StringRef name,
                                                const kernel::TargetTraits &traits) const {
  SmallVector<Operation *> ops = getBodyOps(fusion);
  std::string reason;
  std::optional<TileEpiloguePlan> plan = getPlan({ops, getBodyOutputs(fusion)}, reason);
  if (!plan)
    return fusion.emitOpError("cannot be computed as one attention: ") << reason;
  auto op = getOnlyOp<graph::AttentionOp>(ops);
  AttentionProblem problem = AttentionProblem::of(op);
  AttentionTiling tiling = AttentionTiling::get(problem, op.getQ().getType().getElementType(), traits,
                                                {.rows = problem.tokens, .left = 1, .sums = 1, .right = 2});
  std::optional<TilePrediction> prediction;
  if (traits.gpu) {
    AttentionSize size = getSize(problem, tiling.element);
    AttentionTile tile = chooseAttentionTile(size, traits);
    tiling.rows = tile.getRows();
    tiling.columns = tile.columns;
    tiling.waves = tile.waves;
    prediction = predictAttention(size, tile, traits);
  }

  LoweredFusion lowered;
  AttentionCopies copies(fusion, builder, name, tiling, lowered);
  AttentionEpilogue out(*plan, op.getOut(), tiling, lowered);
  ForwardKernel kernel{problem,
                       tiling,
                       copies.getRows(op.getQ()),
                       copies.getPanels(op.getK()),
                       copies.getStack(op.getV()),
                       out,
                       findOutput(fusion, op.getLse())};
  int64_t blocks = llvm::divideCeilSigned(problem.tokens, tiling.rows);
  TileBuilder tiles = copies.startKernel({problem.batch, problem.heads, blocks}, tiling.waves);
  if (prediction)
    tiles.setPrediction(prediction->seconds, prediction->bound);
  kernel.build(tiles);
  lowered.launches.push_back(tiles.finish());
  combinePartialResults(fusion, builder, name, traits, out.getPartials(), plan->combined, lowered);
  return lowered;
}

const KernelFamily *kernels::getAttentionFamily() {
  static const AttentionFamily family;
  return &family;
}
