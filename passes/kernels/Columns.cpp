//===- Columns.cpp - Sums over rows ---------------------------------------===//
//
// The family "columns": reductions over all dimensions but the last (gradients of biases and of norms' weights), of anything that is
// computed row by row, and what is computed from their results. Rows are cut into blocks by their number only; where there
// are several blocks, a second kernel combines their results.
//
//===----------------------------------------------------------------------===//

#include "passes/kernels/Families.h"
#include "passes/kernels/PartialResults.h"

using namespace mlir;
using namespace primus;
using namespace primus::kernels;

namespace {

class ColumnsFamily : public KernelFamily {
public:
  StringRef getName() const override { return "columns"; }
  bool accepts(const Candidate &candidate, std::string &reason) const override {
    return getSpace(candidate.ops, candidate.outputs, reason).has_value();
  }
  FailureOr<LoweredFusion> lower(graph::FusionOp fusion, OpBuilder &builder, StringRef name,
                                 const kernel::TargetTraits &traits) const override;

private:
  static std::optional<Space> getSpace(ArrayRef<Operation *> ops, ArrayRef<Value> outputs, std::string &reason);
};

} // namespace


static bool isOverRows(graph::ReduceOp op) {
  int64_t rank = shapeOf(op.getOperand()).size();
  return rank >= 2 && llvm::equal(op.getDims(), llvm::seq<int64_t>(0, rank - 1));
}

static SmallVector<graph::ReduceOp> getReductions(ArrayRef<Operation *> ops) {
  SmallVector<graph::ReduceOp> reductions;
  for (Operation *op : ops)
    if (auto reduce = dyn_cast<graph::ReduceOp>(op))
      reductions.push_back(reduce);
  return reductions;
}

std::optional<Space> ColumnsFamily::getSpace(ArrayRef<Operation *> ops, ArrayRef<Value> outputs, std::string &reason) {
  SmallVector<graph::ReduceOp> reductions = getReductions(ops);
  if (reductions.empty() || !llvm::all_of(reductions, isOverRows)) {
    reason = reductions.empty() ? "nothing is summed over rows" : "a reduction is not over all dimensions but the last";
    return std::nullopt;
  }
  Value first = reductions.front().getOperand();
  int64_t columns = shapeOf(first).back(), rows = numElements(first) / std::max<int64_t>(columns, 1);

  SmallPtrSet<Operation *, 16> set(ops.begin(), ops.end());
  RowChecker checker(set, rows, reason);
  for (graph::ReduceOp reduce : reductions) {
    if (shapeOf(reduce.getOperand()).back() != columns || numElements(reduce.getOperand()) != rows * columns) {
      reason = "sums over different numbers of rows or columns";
      return std::nullopt;
    }
    if (!checker.check(reduce.getOperand(), true, true, false))
      return std::nullopt;
  }
  // From the sums on there is one row.
  RowChecker epilogue(set, /*rows=*/1, reason);
  for (graph::ReduceOp reduce : reductions)
    epilogue.give(reduce.getResult());
  for (Value output : outputs) {
    if (numElements(output) != columns || shapeOf(output).empty() || shapeOf(output).back() != columns) {
      reason = "an output is no sum over rows";
      return std::nullopt;
    }
    if (!epilogue.check(output, true, true, false))
      return std::nullopt;
  }
  return Space{false, rows, columns};
}

FailureOr<LoweredFusion> ColumnsFamily::lower(graph::FusionOp fusion, OpBuilder &moduleBuilder, StringRef name,
                                              const kernel::TargetTraits &traits) const {
  SmallVector<Operation *> ops = getBodyOps(fusion);
  SmallVector<Value> outputs = getBodyOutputs(fusion);
  std::string reason;
  std::optional<Space> space = getSpace(ops, outputs, reason);
  if (!space)
    return fusion.emitOpError("cannot be computed by columns: ") << reason;
  SmallVector<graph::ReduceOp> reductions = getReductions(ops);

  // Enough blocks for some dozens of threads, or some thousand waves of a GPU, none so short that the second kernel counts.
  constexpr int64_t threads = 32, waves = 2048;
  TotalTiles tiles = TotalTiles::of(space->columns, ops, traits);
  int64_t width = tiles.width;
  int64_t leastRows = traits.isGpu() ? 32 : 64;
  int64_t mostBlocks = traits.isGpu() ? llvm::divideCeil(waves, tiles.getCount()) : threads;
  int64_t rowsPerBlock = std::max<int64_t>(leastRows, llvm::divideCeil(space->rows, mostBlocks));
  int64_t blocks = llvm::divideCeil(space->rows, rowsPerBlock);
  // On a GPU, loads of several rows are on their way together.
  int64_t unroll = !traits.isGpu() ? 1 : ops.size() <= 12 ? 8 : 4;
  bool inbounds = tiles.isInbounds();

  LoweredFusion lowered;
  SmallVector<PartialResult> partials;
  for (graph::ReduceOp reduce : reductions) {
    Type element = getAccumulatorType(getElementTypeOrSelf(reduce.getOperand().getType()));
    partials.push_back({reduce, static_cast<unsigned>(partials.size()), MemRefType::get({blocks, space->columns}, element)});
    if (blocks > 1)
      lowered.temporaries.push_back(partials.back().type);
  }

  // Outputs from the sums, one tile a reduction.
  SmallVector<std::pair<unsigned, Value>> numbered;
  for (auto [index, output] : llvm::enumerate(outputs))
    numbered.push_back({static_cast<unsigned>(index), output});
  SmallVector<unsigned> readWithSums;
  auto finish = [&](TileBuilder &builder, Value column, ValueRange sums) {
    RowEvaluator evaluator(builder);
    storeFromTotals(builder, evaluator, reductions, sums, numbered, {builder.index(0), column, width, true, false, inbounds}, space->columns);
    for (unsigned input = 0; input < fusion.getInputs().size(); ++input)
      if (InputUse use = evaluator.getUse(input); use.isRead && !use.elsewhere)
        readWithSums.push_back(input);
  };

  TileBuilder sum(moduleBuilder, fusion, name, {blocks, tiles.getCount()});
  Value block = sum.programId(0), column = sum.mulIndex(sum.programId(1), width);
  Value begin = sum.mulIndex(block, rowsPerBlock);
  Value end = sum.minIndex(sum.addIndex(begin, sum.index(rowsPerBlock)), sum.index(space->rows));
  SmallVector<Value> initial;
  for (const PartialResult &partial : partials)
    initial.push_back(sum.neutral(getKind(partial.reduction), getTileType({width}, partial.type.getElementType())));
  // What one loop computes is not known in the other.
  RowEvaluator evaluator(sum), restEvaluator(sum);
  SmallVector<Value> sums = sum.unrolledLoop(begin, end, unroll, initial, [&](Value row, ValueRange carried, bool isRest) {
    SmallVector<Value> next;
    for (auto [reduce, accumulator] : llvm::zip_equal(reductions, carried)) {
      graph::ReduceOp op = reduce;
      Value tile = (isRest ? restEvaluator : evaluator).evaluate(op.getOperand(), {row, column, width, true, false, inbounds});
      next.push_back(sum.combine(getKind(op), accumulator, sum.convert(tile, getElementTypeOrSelf(accumulator.getType()))));
    }
    return next;
  });
  if (blocks == 1)
    finish(sum, column, sums);
  else
    for (auto [partial, tile] : llvm::zip_equal(partials, sums))
      sum.store(tile, sum.temporary(partial.temporary, partial.type), {block, column}, {1}, inbounds);
  lowered.launches.push_back(sum.finish());

  if (blocks > 1) {
    TileBuilder combine(moduleBuilder, fusion, kernelName(name, 1), {tiles.getCount()});
    Value column = combine.mulIndex(combine.programId(0), width);
    finish(combine, column, combineColumns(combine, partials, column, tiles, traits));
    lowered.launches.push_back(combine.finish());
  }

  for (unsigned input : readWithSums)
    if (!evaluator.getUse(input).isRead && !restEvaluator.getUse(input).isRead)
      for (unsigned output = 0; output < outputs.size(); ++output)
        addInplace(lowered, fusion, output, input);
  return lowered;
}

const KernelFamily *kernels::getColumnsFamily() {
  static const ColumnsFamily family;
  return &family;
}
