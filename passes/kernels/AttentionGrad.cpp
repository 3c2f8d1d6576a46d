//===- AttentionGrad.cpp - Flash attention, backward ----------------------===//
//
// The family "attention_grad". The probabilities are recomputed from `lse`. Two kernels walk the matrix of scores, so
// that every sum has one owner and no atomics are needed: one by blocks of queries, for dq, and one by blocks of keys,
// for dk and dv, on the transposed matrix. With p = softmax, delta = rowsum(dout out) and dp = dout v^T:
//   ds = p (dp - delta) scale,  dq = ds k,  dk = ds^T q,  dv = p^T dout.
// What follows from single elements of the gradients or of out, and largest values of them, are computed with them.
//
//===----------------------------------------------------------------------===//

#include "passes/kernels/AttentionEpilogue.h"
#include "passes/kernels/Families.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace primus;
using namespace primus::kernels;

namespace {

class AttentionGradFamily : public KernelFamily {
public:
  StringRef getName() const override { return "attention_grad"; }
  bool accepts(const Candidate &candidate, std::string &reason) const override {
    return getPlan(candidate, reason).has_value();
  }
  FailureOr<LoweredFusion> lower(graph::FusionOp fusion, OpBuilder &builder, StringRef name,
                                 const kernel::TargetTraits &traits) const override;

private:
  static std::optional<TileEpiloguePlan> getPlan(const Candidate &candidate, std::string &reason);
};

/// What both kernels need.
class GradKernel {
public:
  GradKernel(graph::AttentionGradOp op, const AttentionProblem &problem,
             const AttentionTiling &tiling, AttentionCopies &copies, const TileEpiloguePlan &plan, SmallVectorImpl<PartialResult> &partials)
      : op(op), problem(problem), tiling(tiling), copies(copies), plan(plan), partials(partials) {}

protected:
  /// The rows of a left operand from `row` on, which are the same in all of a loop.
  struct Left {
    const AttentionSource &source;
    Value batch, head, row;
    /// Or null: loaded where it is used.
    Value hoisted;
  };
  Left getLeft(TileBuilder &builder, const AttentionSource &source, Value batch, Value head, Value row);
  /// The products of a block: rows of `lhs` times those of the panel at `column`.
  Value multiply(TileBuilder &builder, const Left &lhs, const AttentionSource &rhs, Value head, Value column);
  /// The factors of a block, from which the three gradients follow.
  struct Factors {
    /// p and, if the derivatives of the weights are given, ds / scale, rounded for the dots to come.
    Value weights, slopes;
  };
  Factors getFactors(TileBuilder &builder, const Scores &scores, Value lse, Value dweights, Value delta);
  SmallVector<Value> getZeros(TileBuilder &builder);
  /// acc + factors rows(source), tile by tile.
  void accumulate(TileBuilder &builder, Value factors, const AttentionSource &source, Value batch, Value head,
                  Value row, ValueRange acc, SmallVector<Value> &next);
  /// Writes scale * tiles as the rows from `row` on of the head `head` of a gradient or of out, with what follows from them.
  void write(TileBuilder &builder, Value tensor, ArrayRef<Value> tiles, double scale, Value batch, Value head, Value row);
  Value getInput(TileBuilder &builder, Value operand, ArrayRef<int64_t> shape) {
    return builder.input(cast<BlockArgument>(operand).getArgNumber(), shape);
  }

  graph::AttentionGradOp op;
  const AttentionProblem &problem;
  const AttentionTiling &tiling;
  AttentionCopies &copies;
  const TileEpiloguePlan &plan;
  SmallVectorImpl<PartialResult> &partials;
};

/// dq, and delta into a temporary. An instance is a block of queries of one head.
struct QueryGradKernel : GradKernel {
  using GradKernel::GradKernel;
  Launch build(unsigned deltaIndex);

private:
  Value computeDelta(TileBuilder &builder, Value batch, Value head, Value row);
};

/// dk, dv or both. An instance is a block of keys of one group.
struct KeyGradKernel : GradKernel {
  using GradKernel::GradKernel;
  Launch build(unsigned deltaIndex, bool hasDk, bool hasDv);
};

} // namespace

//===----------------------------------------------------------------------===//
// Parts of both
//===----------------------------------------------------------------------===//

GradKernel::Left GradKernel::getLeft(TileBuilder &builder, const AttentionSource &source, Value batch, Value head,
                                     Value row) {
  return {source, batch, head, row, tiling.hoists ? source.loadRows(builder, batch, head, row, tiling.rows) : Value()};
}

Value GradKernel::multiply(TileBuilder &builder, const Left &lhs, const AttentionSource &rhs, Value head,
                           Value column) {
  Value rows = lhs.hoisted ? lhs.hoisted : lhs.source.loadRows(builder, lhs.batch, lhs.head, lhs.row, tiling.rows);
  Value panel = rhs.loadPanel(builder, lhs.batch, head, column, tiling.columns);
  Type type = getTileType({tiling.rows, tiling.columns}, builder.getF32Type());
  return builder.dot(rows, panel, builder.constant(type, 0), tiling.group);
}

GradKernel::Factors GradKernel::getFactors(TileBuilder &builder, const Scores &scores, Value lse, Value dweights,
                                           Value delta) {
  SmallVector<int64_t> shape{tiling.rows, tiling.columns};
  Value base = builder.mul(lse, builder.constant(lse.getType(), log2e));
  Value weights = computeExp2(builder, builder.sub(scores.getExponents(builder), builder.broadcast(base, shape)));
  if (!dweights)
    return {roundNumbers(builder, weights, tiling.element), {}};
  Value slopes = builder.mul(weights, builder.sub(dweights, builder.broadcast(delta, shape)));
  if (scores.slope)
    slopes = builder.mul(slopes, scores.slope);
  return {roundNumbers(builder, weights, tiling.element), roundNumbers(builder, slopes, tiling.element)};
}

SmallVector<Value> GradKernel::getZeros(TileBuilder &builder) {
  SmallVector<Value> zeros;
  for (auto [first, width] : tiling.headTiles)
    zeros.push_back(builder.constant(getTileType({tiling.rows, width}, builder.getF32Type()), 0));
  return zeros;
}

void GradKernel::accumulate(TileBuilder &builder, Value factors, const AttentionSource &source, Value batch, Value head,
                            Value row, ValueRange acc, SmallVector<Value> &next) {
  for (auto [tile, sum] : llvm::zip_equal(tiling.headTiles, acc)) {
    Value rhs = source.load(builder, batch, head, row, tile.first, tiling.columns, tile.second);
    next.push_back(builder.dot(factors, rhs, sum, tiling.group));
  }
}

void GradKernel::write(TileBuilder &builder, Value tensor, ArrayRef<Value> tiles, double scale, Value batch, Value head,
                       Value row) {
  if (!plan.uses(tensor))
    return;
  AttentionEpilogue epilogue(plan, tensor, tiling, copies.getLowered());
  SmallVector<Value> rounded;
  for (Value tile : tiles) {
    Value scaled = scale == 1 ? tile : builder.mul(tile, builder.constant(tile.getType(), scale));
    rounded.push_back(builder.convert(scaled, epilogue.getElement()));
  }
  epilogue.write(builder, batch, row, head, rounded);
  llvm::append_range(partials, epilogue.getPartials());
}

//===----------------------------------------------------------------------===//
// By queries
//===----------------------------------------------------------------------===//

Value QueryGradKernel::computeDelta(TileBuilder &builder, Value batch, Value head, Value row) {
  ArrayRef<int64_t> shape = op.getOut().getType().getShape();
  Value dout = getInput(builder, op.getDout(), shape), out = getInput(builder, op.getOut(), shape);
  Value delta;
  SmallVector<Value> outTiles;
  for (auto [first, width] : tiling.headTiles) {
    bool inbounds = problem.tokens % tiling.rows == 0 && first + width <= problem.headSize;
    auto load = [&](Value memref) {
      return builder.load(memref, {batch, row, head, builder.index(first)}, {1, 3}, {tiling.rows, width}, inbounds);
    };
    auto widen = [&](Value tile) { return builder.convert(tile, builder.getF32Type()); };
    Value doutTile = load(dout);
    outTiles.push_back(load(out));
    Value part = builder.reduce(kernel::ReduceKind::Sum, builder.mul(widen(doutTile), widen(outTiles.back())), 1);
    delta = delta ? builder.add(delta, part) : part;
  }
  write(builder, op.getOut(), outTiles, 1, batch, head, row);
  return delta;
}

Launch QueryGradKernel::build(unsigned deltaIndex) {
  const AttentionProblem &p = problem;
  int64_t rows = tiling.rows, columns = tiling.columns;
  AttentionSource q = copies.getRows(op.getQ()), dout = copies.getRows(op.getDout());
  AttentionSource kPanels = copies.getPanels(op.getK()), vPanels = copies.getPanels(op.getV());
  AttentionSource kStack = copies.getStack(op.getK());

  TileBuilder builder = copies.startKernel({p.batch, p.heads, llvm::divideCeilSigned(p.tokens, rows)}, tiling.waves);
  Band band = p.getBand(builder, /*transposed=*/false);
  Value batch = builder.programId(0), head = builder.programId(1);
  Value row = tiling.getFirstRow(builder, band, builder.programId(2), llvm::divideCeilSigned(p.tokens, rows));
  Value group = builder.divIndex(head, p.heads / p.groups);
  SmallVector<int64_t> statistics{p.batch, p.heads, p.tokens, 1};
  SmallVector<Value> position{batch, head, row, builder.index(0)};
  bool wholeRows = p.tokens % rows == 0;
  Value delta = computeDelta(builder, batch, head, row);
  builder.store(delta, builder.temporary(deltaIndex, MemRefType::get(statistics, builder.getF32Type())), position,
                {2, 3}, wholeRows);
  Value lse = builder.load(getInput(builder, op.getLse(), statistics), position, {2, 3}, {rows, 1}, wholeRows);

  Left qRows = getLeft(builder, q, batch, head, row), doutRows = getLeft(builder, dout, batch, head, row);
  SmallVector<Value> zeros = getZeros(builder);
  SmallVector<Value> dq = loopVisible(builder, band, row, rows, columns, zeros, [&](Value column, ValueRange acc) {
    Value products = multiply(builder, qRows, kPanels, group, column);
    Scores scores = computeScores(builder, p, tiling, band, products, row, column);
    Value dweights = multiply(builder, doutRows, vPanels, group, column);
    Factors factors = getFactors(builder, scores, lse, dweights, delta);
    SmallVector<Value> next;
    accumulate(builder, factors.slopes, kStack, batch, group, column, acc, next);
    return next;
  });
  write(builder, op.getDq(), dq, p.scale, batch, head, row);
  return builder.finish();
}

//===----------------------------------------------------------------------===//
// By keys
//===----------------------------------------------------------------------===//

Launch KeyGradKernel::build(unsigned deltaIndex, bool hasDk, bool hasDv) {
  const AttentionProblem &p = problem;
  int64_t rows = tiling.rows, columns = tiling.columns, headsPerGroup = p.heads / p.groups;
  // Copies that no product reads are not made.
  std::optional<AttentionSource> v, doutPanels, qStack, doutStack;
  AttentionSource k = copies.getRows(op.getK());
  if (hasDk)
    v = copies.getRows(op.getV());
  AttentionSource qPanels = copies.getPanels(op.getQ());
  if (hasDk) {
    doutPanels = copies.getPanels(op.getDout());
    qStack = copies.getStack(op.getQ());
  }
  if (hasDv)
    doutStack = copies.getStack(op.getDout());

  TileBuilder builder = copies.startKernel({p.batch, p.groups, llvm::divideCeilSigned(p.keys, rows)}, tiling.waves);
  Band band = p.getBand(builder, /*transposed=*/true);
  Value batch = builder.programId(0), group = builder.programId(1);
  Value row = tiling.getFirstRow(builder, band, builder.programId(2), llvm::divideCeilSigned(p.keys, rows));
  SmallVector<int64_t> statistics{p.batch, p.heads, 1, p.tokens};
  Value lses = getInput(builder, op.getLse(), statistics);
  Value deltas = hasDk ? builder.temporary(deltaIndex, MemRefType::get(statistics, builder.getF32Type())) : Value();
  size_t dvTiles = hasDv ? tiling.headTiles.size() : 0;

  Left kRows = getLeft(builder, k, batch, group, row);
  std::optional<Left> vRows;
  if (hasDk)
    vRows.emplace(getLeft(builder, *v, batch, group, row));
  auto addHead = [&](Value head, ValueRange sums) {
    return loopVisible(builder, band, row, rows, columns, sums, [&](Value column, ValueRange acc) {
      auto loadStatistic = [&](Value memref) {
        return builder.load(memref, {batch, head, builder.index(0), column}, {2, 3}, {1, columns},
                            p.tokens % columns == 0);
      };
      Value products = multiply(builder, kRows, qPanels, head, column);
      Scores scores = computeScores(builder, p, tiling, band, products, row, column);
      Value dweights = hasDk ? multiply(builder, *vRows, *doutPanels, head, column) : Value();
      Factors factors = getFactors(builder, scores, loadStatistic(lses), dweights, hasDk ? loadStatistic(deltas) : Value());
      SmallVector<Value> next;
      if (hasDv)
        accumulate(builder, factors.weights, *doutStack, batch, head, column, acc.take_front(dvTiles), next);
      if (hasDk)
        accumulate(builder, factors.slopes, *qStack, batch, head, column, acc.drop_front(dvTiles), next);
      return next;
    });
  };
  SmallVector<Value> sums;
  for (bool has : {hasDv, hasDk})
    if (has)
      llvm::append_range(sums, getZeros(builder));
  Value firstHead = builder.mulIndex(group, headsPerGroup);
  if (headsPerGroup == 1)
    sums = addHead(firstHead, sums);
  else
    sums = builder.loop(builder.index(0), builder.index(headsPerGroup), 1, sums, [&](Value member, ValueRange acc) {
      return addHead(builder.addIndex(firstHead, member), acc);
    });
  if (hasDv)
    write(builder, op.getDv(), ArrayRef<Value>(sums).take_front(dvTiles), 1, batch, group, row);
  if (hasDk)
    write(builder, op.getDk(), ArrayRef<Value>(sums).drop_front(dvTiles), p.scale, batch, group, row);
  return builder.finish();
}

std::optional<TileEpiloguePlan> AttentionGradFamily::getPlan(const Candidate &candidate, std::string &reason) {
  auto op = getOnlyOp<graph::AttentionGradOp>(candidate.ops);
  if (op) {
    Value bases[] = {op.getDq(), op.getDk(), op.getDv(), op.getOut()};
    return TileEpiloguePlan::get(candidate, op, bases, /*hasHeads=*/true, reason);
  }
  reason = "it is not computed with the gradients of one attention";
  return std::nullopt;
}

FailureOr<LoweredFusion> AttentionGradFamily::lower(graph::FusionOp fusion, OpBuilder &moduleBuilder, StringRef name,
                                                    const kernel::TargetTraits &traits) const {
  SmallVector<Operation *> ops = getBodyOps(fusion);
  std::string reason;
  std::optional<TileEpiloguePlan> plan = getPlan({ops, getBodyOutputs(fusion)}, reason);
  if (!plan)
    return fusion.emitOpError("cannot be computed as the gradients of one attention: ") << reason;
  auto op = getOnlyOp<graph::AttentionGradOp>(ops);
  AttentionProblem problem = AttentionProblem::of(op);
  Type element = op.getQ().getType().getElementType();
  AttentionTiling byQueries = AttentionTiling::get(problem, element, traits,
                                                   {.rows = problem.tokens, .left = 2, .sums = 1, .right = 3});
  AttentionTiling byKeys = AttentionTiling::get(problem, element, traits,
                                                {.rows = problem.keys, .left = 2, .sums = 2, .right = 4});

  LoweredFusion lowered;
  unsigned delta = lowered.temporaries.size();
  lowered.temporaries.push_back(
      MemRefType::get({problem.batch, problem.heads, problem.tokens}, Float32Type::get(fusion.getContext())));
  AttentionCopies copies(fusion, moduleBuilder, name, byQueries, lowered);
  SmallVector<PartialResult> partials;
  lowered.launches.push_back(QueryGradKernel(op, problem, byQueries, copies, *plan, partials).build(delta));
  auto addKeyGrad = [&](const AttentionTiling &tiling, bool hasDk, bool hasDv) {
    lowered.launches.push_back(KeyGradKernel(op, problem, tiling, copies, *plan, partials).build(delta, hasDk, hasDv));
  };
  if (byKeys.hoists || !byKeys.direct) {
    addKeyGrad(byKeys, true, true);
  } else {
    // On a GPU the sums of wide heads leave no registers: one kernel for each, which both compute the probabilities.
    addKeyGrad(AttentionTiling::get(problem, element, traits, {.rows = problem.keys, .left = 1, .sums = 1, .right = 2}), false, true);
    addKeyGrad(AttentionTiling::get(problem, element, traits, {.rows = problem.keys, .left = 2, .sums = 1, .right = 3}), true, false);
  }
  combinePartialResults(fusion, moduleBuilder, name, traits, partials, plan->combined, lowered);
  return lowered;
}

const KernelFamily *kernels::getAttentionGradFamily() {
  static const AttentionGradFamily family;
  return &family;
}
