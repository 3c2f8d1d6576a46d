//===- Margins.cpp - Largest values of rows and of columns ----------------===//
//
// The family "margins": maxima along the rows and along the columns of a matrix that is computed element by element, from one reading, and
// the matrix, where it is stored. An instance has some rows of some columns, by tiles; further launches combine what
// the instances find.
//
//===----------------------------------------------------------------------===//

#include "passes/kernels/Elementwise.h"
#include "passes/kernels/Families.h"
#include "passes/kernels/PartialResults.h"

using namespace mlir;
using namespace primus;
using namespace primus::kernels;

/// A matrix is a number of tiles, at least of this size; what is left over is for other families.
static constexpr int64_t kLeastRows = 8, kLeastColumns = 64;

namespace {

/// How a value relates to the matrix: one for each element, each row, each column, or all.
enum class Kind { Full, Row, Column, Scalar };

/// What a candidate computes.
struct Plan {
  int64_t rows = 0, columns = 0;
  /// Maxima with an element per row, and per column.
  SmallVector<graph::ReduceOp> ofRows, ofColumns;
  /// Outputs (number, value) with the matrix' elements, and those that follow from the maxima.
  SmallVector<std::pair<unsigned, Value>> elements, combined;

  static std::optional<Plan> find(const Candidate &candidate, std::string &reason);
  /// The kind of a broadcast's operand where the result is of `kind`; nothing if it repeats something else.
  std::optional<Kind> getSourceKind(graph::BroadcastOp op, Kind kind) const;

private:
  bool addReduction(graph::ReduceOp op);
  bool check(Value value, Kind kind, const SmallPtrSetImpl<Operation *> &ops, DenseSet<std::pair<Value, int>> &known) const;
};

/// Computes values for one tile.
class MarginEvaluator {
public:
  MarginEvaluator(TileBuilder &builder, const Plan &plan, Value row, Value column, ArrayRef<int64_t> tile)
      : builder(builder), plan(plan), row(row), column(column), tile(tile) {}
  Value evaluate(Value value, Kind kind = Kind::Full);

private:
  Value compute(Value value, Kind kind);
  Value load(unsigned input, Kind kind);
  SmallVector<int64_t> getShape(Kind kind) const;

  TileBuilder &builder;
  const Plan &plan;
  Value row, column;
  ArrayRef<int64_t> tile;
  DenseMap<std::pair<Value, int>, Value> memo;
};

class MarginsFamily : public KernelFamily {
public:
  StringRef getName() const override { return "margins"; }
  bool accepts(const Candidate &candidate, std::string &reason) const override { return Plan::find(candidate, reason).has_value(); }
  FailureOr<LoweredFusion> lower(graph::FusionOp fusion, OpBuilder &builder, StringRef name,
                                 const kernel::TargetTraits &traits) const override;
};

} // namespace

//===----------------------------------------------------------------------===//
// Legality
//===----------------------------------------------------------------------===//

std::optional<Kind> Plan::getSourceKind(graph::BroadcastOp op, Kind kind) const {
  int64_t size = numElements(op.getOperand());
  if (size == numElements(op.getResult()))
    return kind;
  if (size == 1)
    return Kind::Scalar;
  bool isMatrix = kind == Kind::Full && llvm::equal(shapeOf(op.getResult()), ArrayRef<int64_t>{rows, columns}) && op.getDims().size() == 1;
  if (!isMatrix)
    return std::nullopt;
  return op.getDims().front() == 0 ? Kind::Row : Kind::Column;
}

bool Plan::addReduction(graph::ReduceOp op) {
  ArrayRef<int64_t> shape = shapeOf(op.getOperand());
  int64_t last = static_cast<int64_t>(shape.size()) - 1;
  if (op.getKind() != graph::ReduceKind::Max || last < 1)
    return false;
  int64_t height = numElements(op.getOperand()) / std::max<int64_t>(shape.back(), 1);
  if (rows == 0)
    rows = height, columns = shape.back();
  bool isOfRows = llvm::equal(op.getDims(), ArrayRef<int64_t>(last)), isOfColumns = llvm::equal(op.getDims(), llvm::seq<int64_t>(0, last));
  (isOfRows ? ofRows : ofColumns).push_back(op);
  return (isOfRows || isOfColumns) && rows == height && columns == shape.back();
}

bool Plan::check(Value value, Kind kind, const SmallPtrSetImpl<Operation *> &ops, DenseSet<std::pair<Value, int>> &known) const {
  Operation *op = value.getDefiningOp();
  if (!op || !ops.contains(op) || getSplat(op) || !known.insert({value, int(kind)}).second)
    return true;
  auto broadcast = dyn_cast<graph::BroadcastOp>(op);
  std::optional<Kind> source = broadcast ? getSourceKind(broadcast, kind) : std::optional(kind);
  bool isTaken = broadcast || isElementwise(op) || isa<graph::ReshapeOp>(op);
  return isTaken && source && llvm::all_of(op->getOperands(), [&](Value operand) { return check(operand, *source, ops, known); });
}

std::optional<Plan> Plan::find(const Candidate &candidate, std::string &reason) {
  auto refuse = [&](const Twine &why) {
    reason = why.str();
    return std::nullopt;
  };
  Plan plan;
  for (Operation *op : candidate.ops)
    if (auto reduce = dyn_cast<graph::ReduceOp>(op); reduce && !plan.addReduction(reduce))
      return refuse("a reduction is no maximum along rows or columns of the same matrix");
  if (plan.ofColumns.empty())
    return refuse("there are no maxima along columns");
  if (plan.rows % kLeastRows != 0 || plan.columns % kLeastColumns != 0)
    return refuse("the matrix is no number of whole tiles");

  SmallPtrSet<Operation *, 16> ops(candidate.ops.begin(), candidate.ops.end());
  DenseSet<std::pair<Value, int>> known;
  SmallVector<graph::ReduceOp> reductions(plan.ofRows);
  llvm::append_range(reductions, plan.ofColumns);
  for (auto [index, output] : llvm::enumerate(candidate.outputs)) {
    int64_t size = numElements(output);
    if (size == plan.rows * plan.columns)
      plan.elements.push_back({static_cast<unsigned>(index), output});
    else if (size != plan.rows && size != plan.columns)
      return refuse("an output has neither the elements nor the margins of the matrix");
    else if (!followsFromTotals(output, reductions, candidate.ops, reason))
      return std::nullopt;
    else
      plan.combined.push_back({static_cast<unsigned>(index), output});
  }
  auto isComputed = [&](Value value) { return plan.check(value, Kind::Full, ops, known); };
  if (!llvm::all_of(reductions, [&](graph::ReduceOp reduce) { return isComputed(reduce.getOperand()); }) ||
      !llvm::all_of(plan.elements, [&](auto &element) { return isComputed(element.second); }))
    return refuse("the matrix is not computed element by element");
  if (plan.ofRows.empty() && plan.elements.empty())
    return refuse("there are maxima along columns only");
  return plan;
}

//===----------------------------------------------------------------------===//
// The kernels
//===----------------------------------------------------------------------===//

SmallVector<int64_t> MarginEvaluator::getShape(Kind kind) const {
  switch (kind) {
  case Kind::Full:
    return {tile[0], tile[1]};
  case Kind::Row:
    return {tile[0], 1};
  case Kind::Column:
    return {1, tile[1]};
  case Kind::Scalar:
    return {};
  }
  llvm_unreachable("all kinds are handled");
}

Value MarginEvaluator::load(unsigned input, Kind kind) {
  Value zero = builder.index(0);
  if (kind == Kind::Scalar)
    return builder.loadScalar(builder.input(input, {1}), {zero});
  bool hasRows = kind != Kind::Column, hasColumns = kind != Kind::Row;
  Value memref = builder.input(input, {hasRows ? plan.rows : 1, hasColumns ? plan.columns : 1});
  return builder.load(memref, {hasRows ? row : zero, hasColumns ? column : zero}, {0, 1}, getShape(kind), /*inbounds=*/true);
}

Value MarginEvaluator::compute(Value value, Kind kind) {
  if (auto argument = dyn_cast<BlockArgument>(value))
    return load(argument.getArgNumber(), kind);
  Operation *op = value.getDefiningOp();
  if (std::optional<double> splat = getSplat(op))
    return builder.constant(getTileType(getShape(kind), getElementTypeOrSelf(value.getType())), *splat);
  if (auto reshape = dyn_cast<graph::ReshapeOp>(op))
    return evaluate(reshape.getOperand(), kind);
  if (auto broadcast = dyn_cast<graph::BroadcastOp>(op)) {
    Kind source = *plan.getSourceKind(broadcast, kind);
    Value operand = evaluate(broadcast.getOperand(), source);
    return source == kind ? operand : builder.broadcast(operand, getShape(kind));
  }
  SmallVector<Value> operands;
  for (Value operand : op->getOperands())
    operands.push_back(evaluate(operand, kind));
  return emitElementwise(builder, op, operands);
}

Value MarginEvaluator::evaluate(Value value, Kind kind) {
  std::pair key(value, int(kind));
  if (Value known = memo.lookup(key))
    return known;
  Value result = compute(value, kind);
  memo[key] = result;
  return result;
}

/// The largest power of two that divides `size`, up to `most`.
static int64_t getTileSize(int64_t size, int64_t most) { return std::min(most, size & -size); }

FailureOr<LoweredFusion> MarginsFamily::lower(graph::FusionOp fusion, OpBuilder &moduleBuilder, StringRef name,
                                              const kernel::TargetTraits &traits) const {
  SmallVector<Operation *> ops = getBodyOps(fusion);
  std::string reason;
  std::optional<Plan> plan = Plan::find({ops, getBodyOutputs(fusion)}, reason);
  if (!plan)
    return fusion.emitOpError("cannot be measured along rows and columns: ") << reason;

  // As much as registers hold; as many instances as keep the chip busy, each of so many rows that what is left to combine is little.
  constexpr int64_t waves = 4, instances = 512, threads = 32;
  SmallVector<int64_t> tile{getTileSize(plan->rows, traits.isGpu() ? 16 : 8), getTileSize(plan->columns, traits.isGpu() ? 512 : 2 * traits.lanes)};
  int64_t across = plan->columns / tile[1], down = plan->rows / tile[0];
  int64_t most = llvm::divideCeil(traits.isGpu() ? instances : threads, across);
  int64_t rowsPerBlock = llvm::divideCeil(down, most) * tile[0], blocks = llvm::divideCeil(plan->rows, rowsPerBlock);

  LoweredFusion lowered;
  SmallVector<PartialResult> ofRows, ofColumns;
  for (graph::ReduceOp reduce : plan->ofRows)
    ofRows.push_back(addPartialResult(lowered, reduce, across));
  for (graph::ReduceOp reduce : plan->ofColumns)
    ofColumns.push_back(addPartialResult(lowered, reduce, blocks));

  TileBuilder builder(moduleBuilder, fusion, name, {blocks, across});
  if (traits.isGpu())
    builder.setWaves(waves, 1);
  Value block = builder.programId(0), part = builder.programId(1), column = builder.mulIndex(part, tile[1]);
  Value begin = builder.mulIndex(block, rowsPerBlock), end = builder.addIndex(begin, builder.index(rowsPerBlock));
  if (plan->rows % rowsPerBlock != 0)
    end = builder.minIndex(end, builder.index(plan->rows));
  SmallVector<Value> initial;
  for (const PartialResult &partial : ofColumns)
    initial.push_back(builder.neutral(kernel::ReduceKind::Max, getTileType(tile, partial.type.getElementType())));
  SmallVector<Value> largest = builder.loop(begin, end, tile[0], initial, [&](Value row, ValueRange carried) {
    MarginEvaluator evaluator(builder, *plan, row, column, tile);
    SmallVector<Value> next, elements;
    auto measure = [&](const PartialResult &partial) {
      return builder.convert(evaluator.evaluate(graph::ReduceOp(partial.reduction).getOperand()), partial.type.getElementType());
    };
    for (auto [index, value] : plan->elements)
      elements.push_back(evaluator.evaluate(value));
    for (auto [partial, sofar] : llvm::zip_equal(ofColumns, carried))
      next.push_back(builder.max(sofar, measure(partial)));
    for (const PartialResult &partial : ofRows) {
      Value found = builder.reduce(kernel::ReduceKind::Max, measure(partial), 1);
      builder.store(found, builder.temporary(partial.temporary, partial.type), {part, row}, {1, 0}, /*inbounds=*/true);
    }
    for (auto [output, element] : llvm::zip_equal(plan->elements, elements))
      builder.store(element, builder.output(output.first, {plan->rows, plan->columns}), {row, column}, {0, 1}, /*inbounds=*/true);
    return next;
  });
  for (auto [partial, found] : llvm::zip_equal(ofColumns, largest))
    builder.store(builder.reduce(kernel::ReduceKind::Max, found, 0), builder.temporary(partial.temporary, partial.type), {block, column}, {0, 1},
                  /*inbounds=*/true);
  lowered.launches.push_back(builder.finish());
  llvm::append_range(ofRows, ofColumns);
  combinePartialResults(fusion, moduleBuilder, name, traits, ofRows, plan->combined, lowered);
  return lowered;
}

const KernelFamily *kernels::getMarginsFamily() {
  static const MarginsFamily family;
  return &family;
}
