//===- QuantisedBlocks.cpp - Short rows with a scale each -----------------===//
//
// The family "blocks": quantisation by blocks of neighbours. Values are [rows, block] or have one element a row, and what is stored is an 8-bit float
// or belongs to one. An instance computes a tile of many rows, whose largest values, scales and rounded elements all come
// from the same registers. The elements may be those of a transposed matrix: then tiles change their order on the way.
//
//===----------------------------------------------------------------------===//

#include "passes/kernels/Elementwise.h"
#include "passes/kernels/Families.h"
#include "passes/kernels/RowPass.h"

using namespace mlir;
using namespace primus;
using namespace primus::kernels;

/// Longer rows are for the family "rows".
static constexpr int64_t kLongest = 128;

namespace {

/// How a value relates to the elements [rows, block].
enum class Kind { Full, Row, Scalar };

struct BlockSpace {
  int64_t rows, block;
  /// The rows are those of a matrix with so many rows, each of several blocks; `transposed` is where it has that order.
  int64_t lines;
  graph::TransposeOp transposed;

  int64_t perLine() const { return rows / lines; }
};

class BlockChecker {
public:
  BlockChecker(const Candidate &candidate, BlockSpace &space, std::string &reason)
      : space(space), reason(reason), ops(candidate.ops.begin(), candidate.ops.end()) {}
  bool check(Value value, Kind kind);

private:
  bool fail(const Twine &why) {
    reason = why.str();
    return false;
  }
  bool fits(Value value, Kind kind) const;
  bool checkTranspose(graph::TransposeOp op);

  BlockSpace &space;
  std::string &reason;
  SmallPtrSet<Operation *, 16> ops;
  /// Elements are read where they lie.
  bool isPlain = false;
};

/// Computes values for one tile.
class BlockEvaluator {
public:
  BlockEvaluator(TileBuilder &builder, const BlockSpace &space, int64_t tileRows);
  Value evaluate(Value value, Kind kind);
  void store(Value value, unsigned output);

private:
  Value load(BlockArgument argument, Kind kind);
  Value loadTransposed(BlockArgument argument);
  SmallVector<int64_t> getShape(Kind kind) const;

  TileBuilder &builder;
  const BlockSpace &space;
  int64_t tileRows;
  bool inbounds;
  /// First line, and the block in a line.
  Value line, number;
  DenseMap<std::pair<Value, unsigned>, Value> memo;
};

class BlocksFamily : public KernelFamily {
public:
  StringRef getName() const override { return "blocks"; }
  bool accepts(const Candidate &candidate, std::string &reason) const override {
    return getSpace(candidate, reason).has_value();
  }
  FailureOr<LoweredFusion> lower(graph::FusionOp fusion, OpBuilder &builder, StringRef name,
                                 const kernel::TargetTraits &traits) const override;

private:
  static std::optional<BlockSpace> getSpace(const Candidate &candidate, std::string &reason);
};

} // namespace

/// For a broadcast to `Full`, the kind of its operand; nothing if neither rows nor all elements have one value.
static std::optional<Kind> getSourceKind(graph::BroadcastOp op, Kind kind) {
  ArrayRef<int64_t> from = shapeOf(op.getOperand()), to = shapeOf(op.getResult());
  if (numElements(op.getOperand()) == numElements(op.getResult()))
    return kind;
  if (numElements(op.getOperand()) == 1)
    return Kind::Scalar;
  int64_t rows = numElements(op.getResult()) / to.back();
  bool isOfRows = kind == Kind::Full && numElements(op.getOperand()) == rows &&
                  (op.getDims().empty() || op.getDims().back() != static_cast<int64_t>(to.size()) - 1 || from.back() == 1);
  return isOfRows ? std::optional(Kind::Row) : std::nullopt;
}

//===----------------------------------------------------------------------===//
// Legality
//===----------------------------------------------------------------------===//

bool BlockChecker::fits(Value value, Kind kind) const {
  switch (kind) {
  case Kind::Full:
    return !shapeOf(value).empty() && numElements(value) == space.rows * space.block;
  case Kind::Row:
    return numElements(value) == space.rows;
  case Kind::Scalar:
    return numElements(value) == 1;
  }
  llvm_unreachable("all kinds are handled");
}

/// The last dimensions go first: the transpose of a matrix.
bool BlockChecker::checkTranspose(graph::TransposeOp op) {
  ArrayRef<int64_t> perm = op.getPerm(), shape = shapeOf(op.getOperand());
  int64_t rank = perm.size(), lines = 1;
  for (auto [place, dim] : llvm::enumerate(perm)) {
    if (dim != (static_cast<int64_t>(place) + perm.front()) % rank)
      return fail("a transpose of more than two dimensions");
    if (dim >= perm.front())
      lines *= shape[dim];
  }
  if (space.rows % lines != 0)
    return fail("blocks cross the rows of a transposed matrix");
  if (space.transposed && space.transposed != op)
    return fail("two tensors are transposed");
  space.transposed = op;
  space.lines = lines;
  return !ops.contains(op.getOperand().getDefiningOp()) || fail("what is transposed has to be in memory");
}

bool BlockChecker::check(Value value, Kind kind) {
  Operation *op = value.getDefiningOp();
  if (!fits(value, kind))
    return fail("a value does not have the blocks' rows");
  if (!op || !ops.contains(op)) {
    isPlain |= kind == Kind::Full;
    return !(space.transposed && isPlain) || fail("only some elements are transposed");
  }
  if (isElementwise(op))
    return llvm::all_of(op->getOperands(), [&](Value operand) { return check(operand, kind); });
  if (isa<graph::ConstantOp>(op))
    return getSplat(op) || fail("a constant with different elements needs memory");
  if (auto reshape = dyn_cast<graph::ReshapeOp>(op))
    return check(reshape.getOperand(), kind);
  if (auto broadcast = dyn_cast<graph::BroadcastOp>(op)) {
    std::optional<Kind> source = getSourceKind(broadcast, kind);
    return source ? check(broadcast.getOperand(), *source) : fail("neither rows nor all elements are broadcast");
  }
  if (auto reduce = dyn_cast<graph::ReduceOp>(op)) {
    int64_t rank = shapeOf(reduce.getOperand()).size();
    bool isOfRows = kind == Kind::Row && rank > 0 && reduce.getDims().size() == 1 && reduce.getDims().front() == rank - 1 &&
                    shapeOf(reduce.getOperand()).back() == space.block;
    return isOfRows ? check(reduce.getOperand(), Kind::Full) : fail("a reduction is not over a block");
  }
  if (auto transpose = dyn_cast<graph::TransposeOp>(op))
    return kind == Kind::Full && checkTranspose(transpose) && (!isPlain || fail("only some elements are transposed"));
  return fail(op->getName().getStringRef() + " is not computed by blocks");
}

static bool isByte(Value value) {
  Type element = getElementTypeOrSelf(value.getType());
  return isa<FloatType>(element) && element.getIntOrFloatBitWidth() == 8;
}

std::optional<BlockSpace> BlocksFamily::getSpace(const Candidate &candidate, std::string &reason) {
  auto refuse = [&](const Twine &why) {
    reason = why.str();
    return std::nullopt;
  };
  // Reductions state the blocks.
  BlockSpace space = {0, 0, 0, nullptr};
  for (Operation *op : candidate.ops)
    if (auto reduce = dyn_cast<graph::ReduceOp>(op); reduce && !shapeOf(reduce.getOperand()).empty()) {
      space.block = shapeOf(reduce.getOperand()).back();
      space.rows = numElements(reduce.getOperand()) / std::max<int64_t>(space.block, 1);
    }
  if (space.block < 2 || space.block > kLongest || !llvm::isPowerOf2_64(space.block))
    return refuse("there are no blocks of neighbours with a common scale");
  if (!llvm::any_of(candidate.outputs, isByte))
    return refuse("nothing becomes an 8-bit float");
  space.lines = space.rows;
  BlockChecker checker(candidate, space, reason);
  for (Value output : candidate.outputs)
    if (!checker.check(output, numElements(output) == space.rows ? Kind::Row : Kind::Full))
      return std::nullopt;
  return space;
}

//===----------------------------------------------------------------------===//
// The kernel
//===----------------------------------------------------------------------===//

BlockEvaluator::BlockEvaluator(TileBuilder &builder, const BlockSpace &space, int64_t tileRows)
    : builder(builder), space(space), tileRows(tileRows), inbounds(space.lines % tileRows == 0),
      line(builder.mulIndex(builder.programId(0), tileRows)), number(builder.programId(1)) {}

SmallVector<int64_t> BlockEvaluator::getShape(Kind kind) const {
  switch (kind) {
  case Kind::Full:
    return {tileRows, space.block};
  case Kind::Row:
    return {tileRows, 1};
  case Kind::Scalar:
    return {};
  }
  llvm_unreachable("all kinds are handled");
}

Value BlockEvaluator::load(BlockArgument argument, Kind kind) {
  unsigned input = argument.getArgNumber();
  if (kind == Kind::Scalar)
    return builder.loadScalar(builder.input(input, {1}), {builder.index(0)});
  int64_t width = kind == Kind::Full ? space.block : 1;
  return builder.load(builder.input(input, {space.lines, space.perLine() * width}), {line, builder.mulIndex(number, width)}, {0, 1},
                      {tileRows, width}, inbounds);
}

Value BlockEvaluator::loadTransposed(BlockArgument argument) {
  Value matrix = builder.input(argument.getArgNumber(), {space.perLine() * space.block, space.lines});
  return builder.transpose(
      builder.load(matrix, {builder.mulIndex(number, space.block), line}, {0, 1}, {space.block, tileRows}, inbounds));
}

Value BlockEvaluator::evaluate(Value value, Kind kind) {
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
    Kind source = *getSourceKind(broadcast, kind);
    result = evaluate(broadcast.getOperand(), source);
    if (source != kind)
      result = builder.broadcast(result, getShape(kind));
  } else if (auto reduce = dyn_cast<graph::ReduceOp>(op)) {
    Value tile = evaluate(reduce.getOperand(), Kind::Full);
    Type element = getElementTypeOrSelf(tile.getType());
    result = builder.reduce(getKind(reduce), builder.convert(tile, getAccumulatorType(element)), 1);
    result = builder.convert(result, element);
  } else if (auto transpose = dyn_cast<graph::TransposeOp>(op)) {
    result = loadTransposed(cast<BlockArgument>(transpose.getOperand()));
  } else {
    SmallVector<Value> operands;
    for (Value operand : op->getOperands())
      operands.push_back(evaluate(operand, kind));
    result = emitElementwise(builder, op, operands);
  }
  memo[{value, unsigned(kind)}] = result;
  return result;
}

void BlockEvaluator::store(Value tile, unsigned output) {
  int64_t width = getTileShape(tile).back();
  builder.store(tile, builder.output(output, {space.lines, space.perLine() * width}), {line, builder.mulIndex(number, width)}, {0, 1},
                inbounds);
}

FailureOr<LoweredFusion> BlocksFamily::lower(graph::FusionOp fusion, OpBuilder &moduleBuilder, StringRef name,
                                             const kernel::TargetTraits &traits) const {
  SmallVector<Operation *> ops = getBodyOps(fusion);
  SmallVector<Value> outputs = getBodyOutputs(fusion);
  std::string reason;
  std::optional<BlockSpace> space = getSpace({ops, outputs}, reason);
  if (!space)
    return fusion.emitOpError("cannot be computed by blocks: ") << reason;

  // As many elements as a workgroup's lanes, or a processor's cache of the first level, have room for.
  constexpr int64_t waves = 4, perLane = 32, mostRows = 128;
  int64_t tileRows = traits.lanes;
  if (traits.isGpu())
    tileRows = std::min(waves * traits.lanes * perLane / space->block, mostRows);
  TileBuilder builder(moduleBuilder, fusion, name, {llvm::divideCeilSigned(space->lines, tileRows), space->perLine()});
  if (traits.isGpu())
    builder.setWaves(waves, 1);
  BlockEvaluator evaluator(builder, *space, tileRows);
  SmallVector<Value> tiles;
  for (Value output : outputs)
    tiles.push_back(evaluator.evaluate(output, numElements(output) == space->rows ? Kind::Row : Kind::Full));
  for (auto [index, tile] : llvm::enumerate(tiles))
    evaluator.store(tile, index);
  LoweredFusion lowered;
  lowered.launches.push_back(builder.finish());
  return lowered;
}

const KernelFamily *kernels::getBlocksFamily() {
  static const BlocksFamily family;
  return &family;
}
