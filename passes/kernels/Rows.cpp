//===- Rows.cpp - Kernels that work row by row ----------------------------===//
//
// The family "rows": elementwise ops, broadcasts and reductions over the last dimension. An instance computes one row. Each chain of reductions
// is a number of passes over the row, which stays in the cache (in registers, where it is short). Without anything that
// distinguishes rows, the elements are one long row that is cut into blocks.
//
//===----------------------------------------------------------------------===//

#include "passes/kernels/Families.h"
#include "passes/kernels/RowEvaluator.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace primus;
using namespace primus::kernels;

namespace {

/// The iteration space of a candidate.
struct Space {
  /// All values are one sequence of `columns` elements.
  bool flat;
  int64_t rows, columns;
};

/// What is computed in which pass over a row.
class Passes {
public:
  Passes(ArrayRef<Operation *> ops, ArrayRef<Value> outputs, const Space &space) {
    for (Operation *op : ops) {
      unsigned depth = 0;
      for (Value operand : op->getOperands())
        depth = std::max(depth, depths.lookup(operand));
      if (auto reduce = dyn_cast<graph::ReduceOp>(op)) {
        at(depth).reductions.push_back(reduce);
        ++depth;
      }
      for (Value result : op->getResults())
        depths[result] = depth;
    }
    for (auto [index, output] : llvm::enumerate(outputs)) {
      if (cast<RankedTensorType>(output.getType()).getNumElements() == space.rows * space.columns)
        at(depths.lookup(output)).outputs.push_back({static_cast<unsigned>(index), output});
      else
        rowOutputs.push_back({static_cast<unsigned>(index), output});
    }
  }

  struct Pass {
    SmallVector<graph::ReduceOp> reductions;
    SmallVector<std::pair<unsigned, Value>> outputs;
  };
  SmallVector<Pass> passes;
  /// Outputs with one element a row.
  SmallVector<std::pair<unsigned, Value>> rowOutputs;

private:
  Pass &at(unsigned number) {
    if (passes.size() <= number)
      passes.resize(number + 1);
    return passes[number];
  }
  DenseMap<Value, unsigned> depths;
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

/// Builds one kernel.
class RowsKernel {
public:
  RowsKernel(graph::FusionOp fusion, OpBuilder &builder, StringRef name, const kernel::TargetTraits &traits, const Space &space,
             const Passes &passes, int64_t numOps);
  LoweredFusion build();

private:
  /// Wide tiles hide the latency of loads and additions; many live values would not fit in registers.
  static int64_t chooseWidth(int64_t numOps, int64_t lanes) { return numOps <= 12 ? 4 * lanes : numOps <= 40 ? 2 * lanes : lanes; }
  /// Elements of a block where the elements are one sequence.
  static int64_t chooseBlock(int64_t elements, int64_t width);
  static SmallVector<int64_t> getGrid(const Space &space, int64_t width);

  void buildRow();
  void buildFlat();
  void buildScalars();
  void buildPass(const Passes::Pass &pass);
  /// One tile of a pass: returns the reductions' next accumulators.
  SmallVector<Value> buildTile(const Passes::Pass &pass, const Position &position, ValueRange accumulators);
  void addInplace(LoweredFusion &lowered);

  graph::FusionOp fusion;
  Space space;
  const Passes &passes;
  int64_t lanes, width;
  TileBuilder builder;
  RowEvaluator evaluator;
  Value row;
};

} // namespace

static int64_t numElements(Value value) { return cast<RankedTensorType>(value.getType()).getNumElements(); }
static ArrayRef<int64_t> shapeOf(Value value) { return cast<RankedTensorType>(value.getType()).getShape(); }

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

  // Reductions state the row length, else the largest output does.
  Value whole = largest;
  for (Operation *op : ops)
    if (auto reduce = dyn_cast<graph::ReduceOp>(op))
      whole = reduce.getOperand();
  if (shapeOf(whole).empty()) {
    reason = "scalars and tensors are computed together";
    return std::nullopt;
  }
  int64_t columns = shapeOf(whole).back(), rows = numElements(whole) / std::max<int64_t>(columns, 1);
  for (Operation *op : ops)
    if (auto reduce = dyn_cast<graph::ReduceOp>(op))
      if (shapeOf(reduce.getOperand()).empty() || shapeOf(reduce.getOperand()).back() != columns ||
          numElements(reduce.getOperand()) != rows * columns) {
        reason = "reductions over rows of different lengths";
        return std::nullopt;
      }

  RowChecker checker(set, rows, reason);
  for (Value output : outputs) {
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
  return Space{false, rows, columns};
}

FailureOr<LoweredFusion> RowsFamily::lower(graph::FusionOp fusion, OpBuilder &builder, StringRef name,
                                           const kernel::TargetTraits &traits) const {
  SmallVector<Operation *> ops;
  for (Operation &op : fusion.getBody().front().without_terminator())
    ops.push_back(&op);
  SmallVector<Value> outputs = llvm::to_vector(fusion.getBody().front().getTerminator()->getOperands());
  std::string reason;
  std::optional<Space> space = getSpace(ops, outputs, reason);
  if (!space)
    return fusion.emitOpError("cannot be computed by rows: ") << reason;
  return RowsKernel(fusion, builder, name, traits, *space, Passes(ops, outputs, *space), ops.size()).build();
}

//===----------------------------------------------------------------------===//
// RowsKernel
//===----------------------------------------------------------------------===//

int64_t RowsKernel::chooseBlock(int64_t elements, int64_t width) {
  constexpr int64_t least = 2048, most = 16384;
  if (elements <= most)
    return elements;
  // A block that divides the sequence needs no masks.
  for (int64_t block = most; block >= least; block -= width)
    if (elements % block == 0)
      return block;
  return 8192;
}

SmallVector<int64_t> RowsKernel::getGrid(const Space &space, int64_t width) {
  return {space.flat ? static_cast<int64_t>(llvm::divideCeil(space.columns, chooseBlock(space.columns, width))) : space.rows};
}

RowsKernel::RowsKernel(graph::FusionOp fusion, OpBuilder &builder, StringRef name, const kernel::TargetTraits &traits,
                       const Space &space, const Passes &passes, int64_t numOps)
    : fusion(fusion), space(space), passes(passes), lanes(traits.lanes), width(chooseWidth(numOps, traits.lanes)),
      builder(builder, fusion, name, getGrid(space, width)), evaluator(this->builder) {}

LoweredFusion RowsKernel::build() {
  if (space.flat && space.columns == 1)
    buildScalars();
  else if (space.flat)
    buildFlat();
  else
    buildRow();
  LoweredFusion lowered;
  addInplace(lowered);
  lowered.launches.push_back(builder.finish());
  return lowered;
}

void RowsKernel::buildScalars() {
  SmallVector<Value> values;
  for (auto [index, value] : passes.passes.front().outputs)
    values.push_back(evaluator.evaluate(value, {builder.index(0)}));
  for (auto [output, value] : llvm::zip_equal(passes.passes.front().outputs, values))
    builder.store(value, builder.output(output.first, {1}), {builder.index(0)}, {});
}

void RowsKernel::buildFlat() {
  const Passes::Pass &pass = passes.passes.front();
  int64_t elements = space.columns, block = chooseBlock(elements, width), blocks = llvm::divideCeil(elements, block);
  row = builder.index(0);
  auto tile = [&](Value column, int64_t width, bool inbounds) {
    evaluator.startTiles();
    buildTile(pass, {row, column, width, true, true, inbounds}, {});
  };

  Cut cut = Cut::of(elements, width, lanes);
  Value begin = builder.mulIndex(builder.programId(0), block);
  Value end = builder.addIndex(begin, builder.index(block));
  if (blocks * block > cut.covered())
    end = builder.minIndex(end, builder.index(cut.covered()));
  if (cut.chunks > 0)
    builder.loop(begin, end, width, {}, [&](Value column, ValueRange) {
      evaluator.setRowScope(builder.getBlock()->getParentOp());
      tile(column, cut.width, true);
      return SmallVector<Value>();
    });
  evaluator.setRowScope(nullptr);
  if (cut.tail == 0)
    return;
  auto tail = [&] { tile(builder.index(cut.covered()), cut.tail, cut.covered() + cut.tail <= elements); };
  if (blocks == 1)
    return tail();
  evaluator.startScope();
  builder.when(arith::CmpIOp::create(builder, arith::CmpIPredicate::eq, builder.programId(0), builder.index(blocks - 1)), tail);
}

void RowsKernel::buildRow() {
  row = builder.programId(0);
  for (auto [number, pass] : llvm::enumerate(passes.passes)) {
    evaluator.startPass(number);
    if (!pass.reductions.empty() || !pass.outputs.empty())
      buildPass(pass);
  }
  SmallVector<Value> values;
  for (auto [index, value] : passes.rowOutputs)
    values.push_back(evaluator.evaluate(value, {row, {}, 0, true}));
  for (auto [output, value] : llvm::zip_equal(passes.rowOutputs, values))
    builder.store(value, builder.output(output.first, {space.rows}), {row}, {});
}

void RowsKernel::buildPass(const Passes::Pass &pass) {
  // A short row is one tile, whose values the next pass still has.
  constexpr int64_t shortTiles = 8;
  Cut cut = Cut::of(space.columns, width, lanes);
  if (space.columns <= shortTiles * lanes)
    cut = Cut::of(space.columns, shortTiles * lanes, lanes);
  bool whole = cut.chunks + (cut.tail > 0) == 1;

  auto accumulators = [&](int64_t width) {
    SmallVector<Value> initial;
    for (graph::ReduceOp reduce : pass.reductions) {
      Type element = getElementTypeOrSelf(reduce.getOperand().getType());
      if (isa<FloatType>(element) && element.getIntOrFloatBitWidth() < 32)
        element = builder.getF32Type();
      initial.push_back(builder.neutral(static_cast<kernel::ReduceKind>(reduce.getKind()), getTileType({width}, element)));
    }
    return initial;
  };
  SmallVector<Value> sums(pass.reductions.size());
  auto addTo = [&](ValueRange tiles) {
    for (auto [sum, tile, reduce] : llvm::zip_equal(sums, tiles, pass.reductions)) {
      auto kind = static_cast<kernel::ReduceKind>(graph::ReduceOp(reduce).getKind());
      Value scalar = builder.reduce(kind, tile, 0);
      sum = sum ? builder.combine(kind, sum, scalar) : scalar;
    }
  };
  auto straight = [&](int64_t first, int64_t width) {
    bool inbounds = first + width <= space.columns;
    addTo(buildTile(pass, {row, builder.index(first), width, true, false, inbounds}, accumulators(width)));
  };

  if (!whole)
    evaluator.startTiles();
  if (whole && cut.chunks)
    straight(0, cut.width);
  else if (cut.chunks)
    addTo(builder.loop(builder.index(0), builder.index(cut.covered()), cut.width, accumulators(cut.width),
                       [&](Value column, ValueRange carried) {
                         evaluator.setRowScope(builder.getBlock()->getParentOp());
                         return buildTile(pass, {row, column, cut.width, true, false, true}, carried);
                       }));
  evaluator.setRowScope(nullptr);
  if (!whole)
    evaluator.startTiles();
  if (cut.tail)
    straight(cut.covered(), cut.tail);
  for (auto [reduce, sum] : llvm::zip_equal(pass.reductions, sums)) {
    Value result = graph::ReduceOp(reduce).getResult();
    evaluator.setRowValue(result, builder.convert(sum, getElementTypeOrSelf(result.getType())));
  }
}

SmallVector<Value> RowsKernel::buildTile(const Passes::Pass &pass, const Position &position, ValueRange accumulators) {
  SmallVector<Value> next, outputs;
  for (auto [reduce, accumulator] : llvm::zip_equal(pass.reductions, accumulators)) {
    graph::ReduceOp op = reduce;
    auto kind = static_cast<kernel::ReduceKind>(op.getKind());
    Value tile = builder.convert(evaluator.evaluate(op.getOperand(), position), getElementTypeOrSelf(accumulator.getType()));
    if (!position.inbounds) {
      // What overruns the row takes no part.
      Value columns = builder.iota(position.column, 0, {position.width});
      Value inside = builder.compare(graph::Predicate::LT, columns, builder.constant(columns.getType(), space.columns));
      tile = builder.select(inside, tile, builder.neutral(kind, tile.getType()));
    }
    next.push_back(builder.combine(kind, accumulator, tile));
  }
  // All loads come before the stores, so that outputs may lie over inputs.
  for (auto [index, value] : pass.outputs)
    outputs.push_back(evaluator.evaluate(value, position));
  for (auto [output, tile] : llvm::zip_equal(pass.outputs, outputs)) {
    if (position.flat)
      builder.store(tile, builder.output(output.first, {space.columns}), {position.column}, {0}, position.inbounds);
    else
      builder.store(tile, builder.output(output.first, {space.rows, space.columns}), {row, position.column}, {1},
                    position.inbounds);
  }
  return next;
}

void RowsKernel::addInplace(LoweredFusion &lowered) {
  for (auto [number, pass] : llvm::enumerate(passes.passes))
    for (auto [output, value] : pass.outputs)
      for (auto [input, operand] : llvm::enumerate(fusion.getInputs())) {
        InputUse use = evaluator.getUse(input);
        bool scalar = space.columns == 1 && space.flat;
        if (numElements(operand) == numElements(value) &&
            getElementTypeOrSelf(operand.getType()) == getElementTypeOrSelf(value.getType()) && use.lastPass <= number &&
            (scalar || !use.elsewhere))
          lowered.inplace.push_back({output, static_cast<unsigned>(input)});
      }
}

const KernelFamily *kernels::getRowsFamily() {
  static const RowsFamily family;
  return &family;
}
