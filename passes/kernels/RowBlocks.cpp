//===- RowBlocks.cpp - Blocks of rows with a scale each -------------------===//

#include "passes/kernels/RowBlocks.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace primus;
using namespace primus::kernels;

/// Longer ones do not fit in the registers of a tile.
static constexpr int64_t kLongestBlock = 128;

bool kernels::isOverBlocks(graph::ReduceOp op, int64_t columns) {
  ArrayRef<int64_t> shape = shapeOf(op.getOperand());
  if (op.getKind() != graph::ReduceKind::Max || shape.empty() || op.getDims().size() != 1 ||
      op.getDims().front() != static_cast<int64_t>(shape.size()) - 1)
    return false;
  return shape.back() < columns && columns % shape.back() == 0 && shape.back() > 1 && shape.back() <= kLongestBlock &&
         llvm::isPowerOf2_64(shape.back());
}

DenseSet<Value> kernels::findValuesOfBlocks(ArrayRef<Operation *> ops, int64_t columns) {
  DenseSet<Value> found;
  for (Operation *op : ops) {
    auto reduce = dyn_cast<graph::ReduceOp>(op);
    if ((reduce && isOverBlocks(reduce, columns)) || llvm::any_of(op->getOperands(), [&](Value operand) { return found.contains(operand); }))
      found.insert(op->result_begin(), op->result_end());
  }
  return found;
}

bool RowBlockChecker::checkOperand(graph::BroadcastOp op) {
  Value operand = op.getOperand();
  ArrayRef<int64_t> shape = shapeOf(op.getResult());
  if (numElements(operand) == numElements(op.getResult()))
    return check(operand);
  if (numElements(operand) == 1)
    return rows.check(operand, /*tile=*/false, /*atRow=*/false, /*flat=*/false);
  if (shape.back() != space.columns) {
    // The blocks' elements have the same value.
    bool isOfBlock = shape.back() == space.block && numElements(operand) * space.block == numElements(op.getResult()) &&
                     (op.getDims().empty() || op.getDims().back() != static_cast<int64_t>(shape.size()) - 1 || shapeOf(operand).back() == 1);
    return isOfBlock ? check(operand) : fail("some of the blocks are broadcast");
  }
  bool keepsColumns = !op.getDims().empty() && op.getDims().back() == static_cast<int64_t>(shape.size()) - 1 &&
                      shapeOf(operand).back() == space.columns;
  if (!keepsColumns)
    return rows.check(op.getResult(), /*tile=*/true, /*atRow=*/true, /*flat=*/false);
  // The same columns of other rows: what a kernel reads, perhaps rounded.
  Operation *source = operand.getDefiningOp();
  while (source && ops.contains(source) && isa<graph::ConvertOp>(source))
    source = source->getOperand(0).getDefiningOp();
  return !source || !ops.contains(source) || fail("rows are broadcast that are computed");
}

bool RowBlockChecker::check(Value value) {
  int64_t elements = space.rows * space.columns;
  if (numElements(value) != elements && numElements(value) * space.block != elements)
    return fail("a value has no element for each block or each column");
  Operation *op = value.getDefiningOp();
  if (!op || !ops.contains(op) || !known.insert(value).second)
    return true;
  if (isElementwise(op))
    return llvm::all_of(op->getOperands(), [&](Value operand) { return check(operand); });
  if (isa<graph::ConstantOp>(op))
    return getSplat(op) || fail("a constant with different elements needs memory");
  if (auto reshape = dyn_cast<graph::ReshapeOp>(op))
    return check(reshape.getOperand());
  if (auto broadcast = dyn_cast<graph::BroadcastOp>(op))
    return checkOperand(broadcast);
  if (auto reduce = dyn_cast<graph::ReduceOp>(op);
      reduce && isOverBlocks(reduce, space.columns) && shapeOf(reduce.getOperand()).back() == space.block)
    return check(reduce.getOperand());
  return fail(op->getName().getStringRef() + " is not computed by blocks of a row");
}
