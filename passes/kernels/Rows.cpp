//===- Rows.cpp - Kernels that work row by row ----------------------------===//
//
// The family "rows": elementwise ops, broadcasts and reductions over the last dimension. An instance computes one row. Each chain of reductions
// is a number of passes over the row, which stays in the cache (in registers, where it is short). Without anything that
// distinguishes rows, the elements are one long row that is cut into blocks. What has been computed for a row may be quantised by blocks of it
// (see RowBlocks.h).
//
//===----------------------------------------------------------------------===//

#include "passes/kernels/Families.h"
#include "passes/kernels/RowBlocks.h"

using namespace mlir;
using namespace primus;
using namespace primus::kernels;

namespace {

/// What is computed in which pass over a row.
struct Passes {
  Passes(ArrayRef<Operation *> ops, ArrayRef<Value> outputs, const Space &space);

  SmallVector<RowPass> passes;
  /// Outputs with one element a row.
  SmallVector<std::pair<unsigned, Value>> rowOutputs;

private:
  RowPass &at(unsigned number) {
    if (passes.size() <= number)
      passes.resize(number + 1);
    return passes[number];
  }
};

class RowsFamily : public KernelFamily {
public:
  StringRef getName() const override { return "rows"; }
  bool accepts(const Candidate &candidate, std::string &reason) const override {
    return getSpace(candidate.ops, candidate.outputs, reason).has_value();
  }
  FailureOr<LoweredFusion> lower(graph::FusionOp fusion, OpBuilder &builder, StringRef name,
                                 const kernel::TargetTraits &traits) const override;

private:
  static std::optional<Space> getSpace(ArrayRef<Operation *> ops, ArrayRef<Value> outputs, std::string &reason);
};

} // namespace


std::optional<Space> RowsFamily::getSpace(ArrayRef<Operation *> ops, ArrayRef<Value> outputs, std::string &reason) {
  SmallPtrSet<Operation *, 16> set(ops.begin(), ops.end());
  auto largest = *llvm::max_element(outputs, [](Value a, Value b) { return numElements(a) < numElements(b); });
  int64_t elements = numElements(largest);

  bool reduces = llvm::any_of(ops, llvm::IsaPred<graph::ReduceOp>);
  if (!reduces && llvm::all_of(outputs, [&](Value output) { return numElements(output) == elements; })) {
    RowChecker checker(set, /*rows=*/1, reason);
    if (llvm::all_of(outputs, [&](Value output) { return checker.check(output, true, false, /*flat=*/true); }))
      return Space{true, 1, elements};
  }

  // Reductions state the row length, the longest where others are over blocks of a row; else the largest output does.
  Value whole = largest;
  int64_t longest = -1;
  for (Operation *op : ops)
    if (auto reduce = dyn_cast<graph::ReduceOp>(op);
        reduce && !shapeOf(reduce.getOperand()).empty() && shapeOf(reduce.getOperand()).back() > longest) {
      whole = reduce.getOperand();
      longest = shapeOf(whole).back();
    }
  if (shapeOf(whole).empty()) {
    reason = "scalars and tensors are computed together";
    return std::nullopt;
  }
  int64_t columns = shapeOf(whole).back(), rows = numElements(whole) / std::max<int64_t>(columns, 1);
  Space space{false, rows, columns};
  for (Operation *op : ops)
    if (auto reduce = dyn_cast<graph::ReduceOp>(op)) {
      int64_t size = shapeOf(reduce.getOperand()).empty() ? 0 : shapeOf(reduce.getOperand()).back();
      bool isOfBlock = isOverBlocks(reduce, columns) && (space.block == 0 || space.block == size);
      if ((size != columns && !isOfBlock) || numElements(reduce.getOperand()) != rows * columns) {
        reason = "reductions over rows of different lengths";
        return std::nullopt;
      }
      if (size != columns)
        space.block = size;
    }

  RowChecker checker(set, rows, reason);
  RowBlockChecker blockChecker(set, space, checker, reason);
  DenseSet<Value> ofBlocks = findValuesOfBlocks(ops, columns);
  for (Value output : outputs) {
    if (ofBlocks.contains(output)) {
      if (!blockChecker.check(output))
        return std::nullopt;
      continue;
    }
    bool tile = numElements(output) == rows * columns;
    if (tile && (shapeOf(output).empty() || shapeOf(output).back() != columns)) {
      reason = "outputs have rows of different lengths";
      return std::nullopt;
    }
    if (!tile && numElements(output) != rows) {
      reason = "outputs have different numbers of rows";
      return std::nullopt;
    }
    if (!checker.check(output, tile, true, false))
      return std::nullopt;
  }
  return space;
}

Passes::Passes(ArrayRef<Operation *> ops, ArrayRef<Value> outputs, const Space &space) {
  // A value's depth is the number of reductions that come before it.
  DenseMap<Value, unsigned> depths;
  for (Operation *op : ops) {
    unsigned depth = 0;
    for (Value operand : op->getOperands())
      depth = std::max(depth, depths.lookup(operand));
    if (auto reduce = dyn_cast<graph::ReduceOp>(op); reduce && !isOverBlocks(reduce, space.columns))
      at(depth++).reductions.push_back(reduce);
    for (Value result : op->getResults())
      depths[result] = depth;
  }
  DenseSet<Value> valuesOfBlocks = findValuesOfBlocks(ops, space.columns);
  RowPass ofBlocks;
  ofBlocks.isOfBlocks = true;
  for (auto [index, output] : llvm::enumerate(outputs)) {
    if (valuesOfBlocks.contains(output))
      ofBlocks.outputs.push_back({static_cast<unsigned>(index), output});
    else if (numElements(output) == space.rows * space.columns)
      at(depths.lookup(output)).outputs.push_back({static_cast<unsigned>(index), output});
    else
      rowOutputs.push_back({static_cast<unsigned>(index), output});
  }
  if (ofBlocks.outputs.empty())
    return;
  // With them all that the last pass would compute otherwise, if tiles of blocks can.
  SmallPtrSet<Operation *, 16> set(ops.begin(), ops.end());
  std::string ignored;
  RowChecker rows(set, space.rows, ignored);
  RowBlockChecker checker(set, space, rows, ignored);
  if (!passes.empty() && passes.back().reductions.empty() &&
      llvm::all_of(passes.back().outputs, [&](auto output) { return checker.check(output.second); })) {
    llvm::append_range(ofBlocks.outputs, passes.back().outputs);
    passes.pop_back();
  }
  passes.push_back(std::move(ofBlocks));
}

FailureOr<LoweredFusion> RowsFamily::lower(graph::FusionOp fusion, OpBuilder &moduleBuilder, StringRef name,
                                           const kernel::TargetTraits &traits) const {
  SmallVector<Operation *> ops = getBodyOps(fusion);
  SmallVector<Value> outputs = getBodyOutputs(fusion);
  std::string reason;
  std::optional<Space> space = getSpace(ops, outputs, reason);
  if (!space)
    return fusion.emitOpError("cannot be computed by rows: ") << reason;

  Passes passes(ops, outputs, *space);
  RowTiling tiling = RowTiling::of(space->columns, ops, traits);
  Blocks blocks = Blocks::of(space->columns, tiling, /*reduces=*/false);
  TileBuilder builder(moduleBuilder, fusion, name, {space->flat ? blocks.count : space->rows});
  // Blocks lie one below the other.
  if (space->block)
    builder.setWaves(tiling.waves, 1);
  else
    builder.setWaves(1, tiling.waves);
  RowEvaluator evaluator(builder);
  evaluator.setBlocks(space->columns, space->block);
  PassBuilder passBuilder(builder, evaluator, *space, tiling);

  auto storeScalars = [&](ArrayRef<std::pair<unsigned, Value>> outputs, Value row, int64_t rows) {
    SmallVector<Value> values;
    for (auto [index, value] : outputs)
      values.push_back(evaluator.evaluate(value, {row, {}, 0, true}));
    for (auto [output, value] : llvm::zip_equal(outputs, values))
      builder.store(value, builder.output(output.first, {rows}), {row}, {});
  };
  bool scalar = space->flat && space->columns == 1;
  if (scalar) {
    storeScalars(passes.passes.front().outputs, builder.index(0), 1);
  } else if (space->flat) {
    passBuilder.buildBlock(passes.passes.front(), blocks);
  } else {
    Value row = builder.programId(0);
    for (auto [number, pass] : llvm::enumerate(passes.passes)) {
      if (pass.reductions.empty() && pass.outputs.empty())
        continue;
      evaluator.startPass(number);
      if (pass.isOfBlocks)
        evaluator.startTiles();
      SmallVector<Value> sums = passBuilder.buildRow(pass, row);
      for (auto [reduce, sum] : llvm::zip_equal(pass.reductions, sums)) {
        Value result = graph::ReduceOp(reduce).getResult();
        evaluator.setRowValue(result, builder.convert(sum, getElementTypeOrSelf(result.getType())));
      }
    }
    storeScalars(passes.rowOutputs, row, space->rows);
  }

  // An output may lie over what is read at the same element, no later than it is written. Of waves that hold copies one may be ahead, and
  // the sums of others would be of what it has written.
  LoweredFusion lowered;
  bool mayShare = space->flat || tiling.waves == 1 || !(space->block || tiling.leavesWaves(space->columns));
  for (auto [number, pass] : llvm::enumerate(passes.passes))
    for (auto [output, value] : pass.outputs)
      for (unsigned input = 0; input < fusion.getInputs().size(); ++input) {
        InputUse use = evaluator.getUse(input);
        if (mayShare && use.lastPass <= number && (scalar || !use.elsewhere))
          addInplace(lowered, fusion, output, input);
      }
  lowered.launches.push_back(builder.finish());
  return lowered;
}

const KernelFamily *kernels::getRowsFamily() {
  static const RowsFamily family;
  return &family;
}
