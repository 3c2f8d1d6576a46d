//===- Columns.cpp - Sums over rows ---------------------------------------===//
//
// The family "columns": reductions over all dimensions but the last (gradients of biases and of norms' weights), of anything that is
// computed row by row, and what is computed from their results. Rows are cut into blocks by their number only; where there
// are several blocks, a second kernel combines their results.
//
//===----------------------------------------------------------------------===//

#include "passes/kernels/Families.h"
#include "passes/kernels/RowPass.h"

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
  Cut cut = traits.isGpu() ? Cut::exact(space->columns, 4 * traits.lanes)
                           : Cut::of(space->columns, RowTiling::of(space->columns, ops, traits).width, traits.lanes);
  int64_t width = cut.chunks ? cut.width : cut.tail;
  int64_t leastRows = traits.isGpu() ? 32 : 64;
  int64_t mostBlocks = traits.isGpu() ? llvm::divideCeil(waves, llvm::divideCeil(space->columns, width)) : threads;
  int64_t rowsPerBlock = std::max<int64_t>(leastRows, llvm::divideCeil(space->rows, mostBlocks));
  int64_t blocks = llvm::divideCeil(space->rows, rowsPerBlock);
  // On a GPU, loads of several rows are on their way together.
  int64_t unroll = !traits.isGpu() ? 1 : ops.size() <= 12 ? 8 : 4;
  int64_t columnBlocks = llvm::divideCeil(space->columns, width);
  bool inbounds = space->columns % width == 0;

  LoweredFusion lowered;
  SmallVector<Type> elements;
  for (graph::ReduceOp reduce : reductions) {
    elements.push_back(getAccumulatorType(getElementTypeOrSelf(reduce.getOperand().getType())));
    if (blocks > 1)
      lowered.temporaries.push_back(MemRefType::get({blocks, space->columns}, elements.back()));
  }

  // Outputs from the sums, one tile a reduction.
  SmallVector<unsigned> readWithSums;
  auto finish = [&](TileBuilder &builder, Value column, ValueRange sums) {
    RowEvaluator evaluator(builder);
    Position position{builder.index(0), column, width, true, false, inbounds};
    for (auto [reduce, sum] : llvm::zip_equal(reductions, sums)) {
      Value result = graph::ReduceOp(reduce).getResult();
      evaluator.setTile(result, position, builder.convert(sum, getElementTypeOrSelf(result.getType())));
    }
    SmallVector<Value> values;
    for (Value output : outputs)
      values.push_back(evaluator.evaluate(output, position));
    for (auto [index, value] : llvm::enumerate(values))
      builder.store(value, builder.output(index, {space->columns}), {column}, {0}, inbounds);
    for (unsigned input = 0; input < fusion.getInputs().size(); ++input)
      if (InputUse use = evaluator.getUse(input); use.isRead && !use.elsewhere)
        readWithSums.push_back(input);
  };

  TileBuilder sum(moduleBuilder, fusion, name, {blocks, columnBlocks});
  Value block = sum.programId(0), column = sum.mulIndex(sum.programId(1), width);
  Value begin = sum.mulIndex(block, rowsPerBlock);
  Value end = sum.minIndex(sum.addIndex(begin, sum.index(rowsPerBlock)), sum.index(space->rows));
  SmallVector<Value> initial;
  for (auto [reduce, element] : llvm::zip_equal(reductions, elements))
    initial.push_back(sum.neutral(getKind(reduce), getTileType({width}, element)));
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
    for (auto [index, tile] : llvm::enumerate(sums))
      sum.store(tile, sum.temporary(index, lowered.temporaries[index]), {block, column}, {1}, inbounds);
  lowered.launches.push_back(sum.finish());

  if (blocks > 1) {
    TileBuilder combine(moduleBuilder, fusion, kernelName(name, 1), {columnBlocks});
    Value column = combine.mulIndex(combine.programId(0), width);
    SmallVector<Value> initial;
    for (auto [reduce, element] : llvm::zip_equal(reductions, elements))
      initial.push_back(combine.neutral(getKind(reduce), getTileType({width}, element)));
    SmallVector<Value> totals =
        combine.unrolledLoop(combine.index(0), combine.index(blocks), traits.isGpu() ? 16 : 1, initial, [&](Value block, ValueRange carried, bool) {
          SmallVector<Value> next;
          for (auto [index, accumulator] : llvm::enumerate(carried)) {
            Value partial = combine.load(combine.temporary(index, lowered.temporaries[index]), {block, column}, {1}, {width}, inbounds);
            next.push_back(combine.combine(getKind(reductions[index]), accumulator, partial));
          }
          return next;
        });
    finish(combine, column, totals);
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
