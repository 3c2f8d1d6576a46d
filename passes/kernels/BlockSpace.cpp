//===- BlockSpace.cpp - Elements that share scales ------------------------===//

#include "passes/kernels/BlockSpace.h"

#include "passes/kernels/Elementwise.h"

using namespace mlir;
using namespace primus;
using namespace primus::kernels;

/// Longer rows are for the family "rows".
static constexpr int64_t kLongest = 128;

static bool isSide(int64_t size) { return size >= 2 && size <= kLongest && llvm::isPowerOf2_64(size); }

bool kernels::isOverSquares(graph::ReduceOp op) {
  ArrayRef<int64_t> shape = shapeOf(op.getOperand());
  return op.getKind() == graph::ReduceKind::Max && shape.size() == 4 && llvm::equal(op.getDims(), ArrayRef<int64_t>{1, 3}) && isSide(shape[1]) && isSide(shape[3]) &&
         shape[0] * shape[2] > 1;
}

int64_t BlockSpace::count(BlockKind kind, Order order) const {
  int64_t elements = lines * columns, block = getBlock(order);
  switch (kind) {
  case BlockKind::Full:
    return elements;
  case BlockKind::Block:
    return block == 0 ? 0 : elements / block;
  case BlockKind::Square:
    return hasSquares ? elements / (inLine * inColumn) : 0;
  case BlockKind::Scalar:
    return 1;
  }
  llvm_unreachable("all kinds are handled");
}

BlockKind BlockSpace::getKind(Value value) const {
  for (BlockKind kind : {BlockKind::Full, BlockKind::Block, BlockKind::Square})
    if (numElements(value) == count(kind, getOrder(value)))
      return kind;
  return BlockKind::Scalar;
}

std::optional<BlockKind> BlockSpace::getSourceKind(graph::BroadcastOp op, BlockKind kind, Order order) const {
  ArrayRef<int64_t> from = shapeOf(op.getOperand()), to = shapeOf(op.getResult());
  int64_t size = numElements(op.getOperand());
  if (size == numElements(op.getResult()))
    return kind;
  if (size == 1)
    return BlockKind::Scalar;
  bool repeatsLast = op.getDims().empty() || op.getDims().back() != static_cast<int64_t>(to.size()) - 1 || from.back() == 1;
  if (kind == BlockKind::Full && repeatsLast && size == count(BlockKind::Block, order) && to.back() == getBlock(order))
    return BlockKind::Block;
  bool repeatsLines = hasSquares && to.size() == 3 && to[1] == inColumn && to[2] == columns / inLine && llvm::equal(op.getDims(), ArrayRef<int64_t>{0, 2});
  if (kind == BlockKind::Block && repeatsLines && size == count(BlockKind::Square, order))
    return BlockKind::Square;
  return std::nullopt;
}

//===----------------------------------------------------------------------===//
// Legality
//===----------------------------------------------------------------------===//

/// Follows values from the candidate's outputs.
class BlockSpace::Checker {
public:
  Checker(const Candidate &candidate, const BlockSpace &space, std::string &reason)
      : space(space), reason(reason), ops(candidate.ops.begin(), candidate.ops.end()) {}
  bool check(Value value, BlockKind kind, Order order);

private:
  bool fail(const Twine &why) {
    reason = why.str();
    return false;
  }
  bool checkReduction(graph::ReduceOp op, BlockKind kind, Order order);

  const BlockSpace &space;
  std::string &reason;
  SmallPtrSet<Operation *, 16> ops;
  std::set<std::tuple<void *, BlockKind, Order, bool>> known;
  /// The value is an operand of the transpose, whose tiles are cut as suits the result.
  bool belowTranspose = false;
};

bool BlockSpace::Checker::checkReduction(graph::ReduceOp op, BlockKind kind, Order order) {
  ArrayRef<int64_t> shape = shapeOf(op.getOperand());
  bool isOfSquares = kind == BlockKind::Square && isOverSquares(op);
  bool isOfBlocks = kind == BlockKind::Block && !space.hasSquares && op.getDims().size() == 1 && !shape.empty() &&
                    op.getDims().front() == static_cast<int64_t>(shape.size()) - 1 && shape.back() == space.getBlock(order);
  return isOfSquares || isOfBlocks ? check(op.getOperand(), BlockKind::Full, order) : fail("a reduction is not over a block");
}

bool BlockSpace::Checker::check(Value value, BlockKind kind, Order order) {
  if (numElements(value) != space.count(kind, order))
    return fail("a value does not have the blocks' rows");
  if (belowTranspose && (kind == BlockKind::Block || kind == BlockKind::Square))
    return fail("what is transposed has to be in memory, or follow from it element by element");
  if (known.contains({value.getAsOpaquePointer(), kind, order, belowTranspose}))
    return true;
  Operation *op = value.getDefiningOp();
  bool isFine = true;
  if (!op || !ops.contains(op))
    isFine = true;
  else if (isElementwise(op))
    isFine = llvm::all_of(op->getOperands(), [&](Value operand) { return check(operand, kind, order); });
  else if (isa<graph::ConstantOp>(op))
    isFine = getSplat(op) || fail("a constant with different elements needs memory");
  else if (auto reshape = dyn_cast<graph::ReshapeOp>(op))
    isFine = check(reshape.getOperand(), kind, order);
  else if (auto broadcast = dyn_cast<graph::BroadcastOp>(op)) {
    std::optional<BlockKind> source = space.getSourceKind(broadcast, kind, order);
    isFine = source ? check(broadcast.getOperand(), *source, order) : fail("neither rows nor all elements are broadcast");
  } else if (auto reduce = dyn_cast<graph::ReduceOp>(op))
    isFine = checkReduction(reduce, kind, order);
  else if (auto transpose = dyn_cast<graph::TransposeOp>(op); transpose && order == Order::Turned && kind == BlockKind::Full) {
    belowTranspose = true;
    isFine = check(transpose.getOperand(), BlockKind::Full, Order::Plain);
    belowTranspose = false;
  } else
    isFine = fail(op->getName().getStringRef() + " is not computed by blocks");
  if (isFine)
    known.insert({value.getAsOpaquePointer(), kind, order, belowTranspose});
  return isFine;
}

/// The last dimensions go first: the transpose of a matrix. Says what matrix that is; all transposes must agree.
bool BlockSpace::addTranspose(graph::TransposeOp op) {
  ArrayRef<int64_t> perm = op.getPerm(), shape = shapeOf(op.getOperand());
  int64_t rank = perm.size(), first = perm.front(), leading = 1;
  for (auto [place, dim] : llvm::enumerate(perm)) {
    if (dim != (static_cast<int64_t>(place) + first) % rank)
      return false;
    if (dim < first)
      leading *= shape[dim];
  }
  int64_t trailing = numElements(op.getOperand()) / std::max<int64_t>(leading, 1);
  bool isFirst = lines == 0;
  if (isFirst)
    lines = leading, columns = trailing;
  return isFirst || (lines == leading && columns == trailing);
}

/// Reductions state the blocks.
bool BlockSpace::addReduction(graph::ReduceOp op) {
  ArrayRef<int64_t> shape = shapeOf(op.getOperand());
  if (isOverSquares(op)) {
    bool isOnly = inLine == 0 && inColumn == 0 && lines == 0;
    hasSquares = true;
    lines = shape[0] * shape[1], columns = shape[2] * shape[3];
    inColumn = shape[1], inLine = shape[3];
    return isOnly;
  }
  if (shape.empty() || hasSquares)
    return false;
  int64_t &block = getOrder(op.getResult()) == Order::Turned ? inColumn : inLine;
  if (block == 0)
    block = shape.back();
  return isSide(block) && block == shape.back();
}

std::optional<BlockSpace> BlockSpace::find(const Candidate &candidate, std::string &reason) {
  auto refuse = [&](const Twine &why) {
    reason = why.str();
    return std::nullopt;
  };
  BlockSpace space;
  for (Operation *op : candidate.ops) {
    auto transpose = dyn_cast<graph::TransposeOp>(op);
    if (transpose && !space.addTranspose(transpose))
      return refuse("a transpose of more than two dimensions, or of another matrix");
    if (transpose || llvm::any_of(op->getOperands(), [&](Value operand) { return space.turned.contains(operand.getDefiningOp()); }))
      space.turned.insert(op);
  }
  for (Operation *op : candidate.ops)
    if (auto reduce = dyn_cast<graph::ReduceOp>(op)) {
      if (!space.addReduction(reduce))
        return refuse("there are no blocks of neighbours with a common scale");
      if (space.lines == 0)
        space.lines = numElements(reduce.getOperand()) / space.inLine, space.columns = space.inLine;
    }
  if (space.inLine == 0 && space.inColumn == 0)
    return refuse("there are no blocks of neighbours with a common scale");
  if ((space.inLine != 0 && space.columns % space.inLine != 0) || (space.inColumn != 0 && space.lines % space.inColumn != 0))
    return refuse("blocks cross the rows of a transposed matrix");
  // Squares have no kernel elsewhere.
  if (!space.hasSquares && !llvm::any_of(candidate.outputs, isFloat8))
    return refuse("nothing becomes an 8-bit float");
  Checker checker(candidate, space, reason);
  for (Value output : candidate.outputs) {
    BlockKind kind = space.getKind(output);
    if (kind == BlockKind::Scalar)
      return refuse("an output has one element for all blocks");
    if (!checker.check(output, kind, space.getOrder(output)))
      return std::nullopt;
  }
  return space;
}
