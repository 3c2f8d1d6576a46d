//===- Scatter.cpp - Sums of rows into a table ----------------------------===//
//
// The family "scatter": one graph.scatter, and possibly an addition of its result to an accumulator. An instance owns some
// columns of the table and adds all rows in the order of their indices, so that the result does not depend on the number of threads.
// On a GPU it owns some columns of some rows, and looks for them among the indices.
//
//===----------------------------------------------------------------------===//

#include "passes/kernels/Families.h"
#include "passes/kernels/RowPass.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace primus;
using namespace primus::kernels;

namespace {

/// The parts of a candidate.
struct Parts {
  graph::ScatterOp scatter;
  /// What the sums are added to, or null.
  Value accumulator;
};

class ScatterFamily : public KernelFamily {
public:
  StringRef getName() const override { return "scatter"; }
  bool accepts(const Candidate &candidate, std::string &reason) const override {
    return getParts(candidate.ops, candidate.outputs, reason).has_value();
  }
  FailureOr<LoweredFusion> lower(graph::FusionOp fusion, OpBuilder &builder, StringRef name,
                                 const kernel::TargetTraits &traits) const override;

private:
  static std::optional<Parts> getParts(ArrayRef<Operation *> ops, ArrayRef<Value> outputs, std::string &reason);
};

} // namespace

std::optional<Parts> ScatterFamily::getParts(ArrayRef<Operation *> ops, ArrayRef<Value> outputs, std::string &reason) {
  auto scatter = dyn_cast<graph::ScatterOp>(ops.front());
  if (scatter && scatter.getType().getRank() == 2) {
    if (ops.size() == 1)
      return Parts{scatter, {}};
    auto add = dyn_cast<graph::AddOp>(ops[1]);
    if (ops.size() == 2 && add && outputs.size() == 1 && outputs[0] == add.getResult() && add.getLhs() != add.getRhs() &&
        llvm::is_contained(add.getOperands(), scatter.getResult()) && getElementTypeOrSelf(add.getType()).isF32())
      return Parts{scatter, add.getLhs() == scatter.getResult() ? add.getRhs() : add.getLhs()};
  }
  reason = "sums into a table are only fused with their addition to an f32 accumulator";
  return std::nullopt;
}

namespace {

/// A scatter whose operands are inputs of the fusion.
struct ScatterKernel {
  TileBuilder &builder;
  unsigned indices, updates;
  /// The input that the sums are added to.
  std::optional<unsigned> accumulator;
  int64_t tableRows, columns, count, width;
  bool inbounds;
  /// The table of sums, in memory.
  Value sums;
  Value column;
  Type element;

  /// Starts the sums of the rows from `first` to before `last`.
  void start(Value first, Value last);
  /// Adds a row of updates to row `row` of the sums, or nothing where `inside` (i1, may be null) does not hold.
  void add(Value number, Value row, Value inside);
  Value loadIndex(Value number) { return builder.loadScalar(builder.input(indices, {count}), {number}); }
  /// Adds the updates from `begin` to before `end` whose index is in [first, last): looks through `sizes[0]` of them at once, and where there
  /// are any, through the next smaller parts.
  void search(Value begin, Value end, Value first, Value last, ArrayRef<int64_t> sizes);
  /// Writes the sums of rows in the result's type.
  void finish(Value result, Value first, Value last);
};

} // namespace

void ScatterKernel::start(Value first, Value last) {
  builder.loop(first, last, 1, {}, [&](Value row, ValueRange) {
    Value tile = accumulator ? builder.load(builder.input(*accumulator, {tableRows, columns}), {row, column}, {1}, {width}, inbounds)
                             : builder.constant(getTileType({width}, getAccumulatorType(element)), 0);
    builder.store(tile, sums, {row, column}, {1}, inbounds);
    return SmallVector<Value>();
  });
}

void ScatterKernel::add(Value number, Value row, Value inside) {
  Value update = builder.load(builder.input(updates, {count, columns}), {number, column}, {1}, {width}, inbounds);
  update = builder.convert(update, getAccumulatorType(element));
  if (inside)
    update = builder.select(inside, update, builder.constant(update.getType(), 0));
  Value sum = builder.add(builder.load(sums, {row, column}, {1}, {width}, inbounds), update);
  builder.store(sum, sums, {row, column}, {1}, inbounds);
}

void ScatterKernel::search(Value begin, Value end, Value first, Value last, ArrayRef<int64_t> sizes) {
  // Both limits as indices are: the rows of a table are fewer than those can number.
  auto asIndex = [&](Value row, Type type) { return arith::IndexCastOp::create(builder, type, row).getResult(); };
  auto inRange = [&](Value index, ArrayRef<int64_t> shape) {
    Type type = getElementTypeOrSelf(index);
    auto limit = [&](Value row) { return shape.empty() ? asIndex(row, type) : builder.broadcast(asIndex(row, type), shape); };
    Value notBefore = builder.compare(graph::Predicate::GE, index, limit(first));
    Value before = builder.compare(graph::Predicate::LT, index, limit(last));
    return arith::AndIOp::create(builder, notBefore, before).getResult();
  };
  auto when = [&](Value condition, function_ref<void()> body) {
    auto conditional = scf::IfOp::create(builder, condition, /*withElseRegion=*/false);
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointToStart(conditional.thenBlock());
    body();
  };
  if (sizes.empty()) {
    builder.loop(begin, end, 1, {}, [&](Value number, ValueRange) {
      Value index = loadIndex(number);
      when(inRange(index, {}), [&] {
        add(number, arith::IndexCastOp::create(builder, builder.getIndexType(), index), {});
      });
      return SmallVector<Value>();
    });
    return;
  }
  int64_t size = sizes.front();
  builder.loop(begin, end, size, {}, [&](Value part, ValueRange) {
    // No row has the number -1, with which what follows the last index is filled up.
    Value tile = builder.load(builder.input(indices, {count}), {part}, {0}, {size}, /*inbounds=*/false, /*pad=*/-1);
    Value found = builder.convert(inRange(tile, {size}), builder.getI32Type());
    Value any = builder.reduce(kernel::ReduceKind::Max, found, 0);
    Value isAny = builder.compare(graph::Predicate::NE, any, builder.constant(any.getType(), 0));
    when(isAny, [&] {
      Value next = builder.minIndex(builder.addIndex(part, builder.index(size)), end);
      search(part, next, first, last, sizes.drop_front());
    });
    return SmallVector<Value>();
  });
}

void ScatterKernel::finish(Value result, Value first, Value last) {
  builder.loop(first, last, 1, {}, [&](Value row, ValueRange) {
    Value tile = builder.load(sums, {row, column}, {1}, {width}, inbounds);
    builder.store(builder.convert(tile, element), result, {row, column}, {1}, inbounds);
    return SmallVector<Value>();
  });
}

FailureOr<LoweredFusion> ScatterFamily::lower(graph::FusionOp fusion, OpBuilder &moduleBuilder, StringRef name,
                                              const kernel::TargetTraits &traits) const {
  std::string reason;
  std::optional<Parts> parts = getParts(getBodyOps(fusion), getBodyOutputs(fusion), reason);
  if (!parts)
    return fusion.emitOpError("cannot be computed as sums into a table: ") << reason;
  auto indices = dyn_cast<BlockArgument>(parts->scatter.getIndices()), updates = dyn_cast<BlockArgument>(parts->scatter.getUpdates());
  auto accumulator = dyn_cast_or_null<BlockArgument>(parts->accumulator);
  if (!indices || !updates || (parts->accumulator && !accumulator))
    return fusion.emitOpError("of family 'scatter' must work on inputs");

  RankedTensorType type = parts->scatter.getType();
  int64_t tableRows = type.getDimSize(0), columns = type.getDimSize(1);
  int64_t count = cast<RankedTensorType>(indices.getType()).getNumElements();
  Type element = type.getElementType(), wide = getAccumulatorType(element);
  constexpr int64_t rowsPerInstance = 32, waves = 4;
  Cut cut = traits.isGpu() ? Cut::exact(columns, 4 * waves * traits.lanes) : Cut::of(columns, 4 * traits.lanes, traits.lanes);
  int64_t width = cut.chunks ? cut.width : cut.tail;
  bool inbounds = columns % width == 0;

  LoweredFusion lowered;
  SmallVector<int64_t> grid{llvm::divideCeilSigned(columns, width)};
  if (traits.isGpu())
    grid.push_back(llvm::divideCeilSigned(tableRows, rowsPerInstance));
  TileBuilder builder(moduleBuilder, fusion, name, grid);
  if (traits.isGpu())
    builder.setWaves(1, width >= waves * traits.lanes ? waves : 1);
  Value zero = builder.index(0);
  // Sums of a narrow type are formed in f32, beside the result.
  Value result = builder.output(0, {tableRows, columns}), sums = result;
  if (wide != element) {
    lowered.temporaries.push_back(MemRefType::get({tableRows, columns}, wide));
    sums = builder.temporary(0, lowered.temporaries.front());
  }
  std::optional<unsigned> accumulatorInput;
  if (accumulator)
    accumulatorInput = accumulator.getArgNumber();
  ScatterKernel kernel{builder,   indices.getArgNumber(), updates.getArgNumber(), accumulatorInput, tableRows, columns, count, width,
                       inbounds,  sums, builder.mulIndex(builder.programId(0), width), element};
  Value first = zero, last = builder.index(tableRows);
  if (traits.isGpu()) {
    first = builder.mulIndex(builder.programId(1), rowsPerInstance);
    last = builder.minIndex(builder.addIndex(first, builder.index(rowsPerInstance)), last);
  }
  kernel.start(first, last);
  if (traits.isGpu()) {
    kernel.search(zero, builder.index(count), first, last, {1024, 64});
  } else {
    builder.loop(zero, builder.index(count), 1, {}, [&](Value number, ValueRange) {
      Value index = kernel.loadIndex(number);
      Value lowest = builder.constant(index.getType(), 0), highest = builder.constant(index.getType(), tableRows - 1);
      Value clamped = builder.max(lowest, builder.min(index, highest));
      Value inside = builder.compare(graph::Predicate::EQ, index, clamped);
      kernel.add(number, arith::IndexCastOp::create(builder, builder.getIndexType(), clamped), inside);
      return SmallVector<Value>();
    });
  }
  if (sums != result)
    kernel.finish(result, first, last);
  lowered.launches.push_back(builder.finish());
  if (accumulator && accumulator != updates)
    addInplace(lowered, fusion, 0, accumulator.getArgNumber());
  return lowered;
}

const KernelFamily *kernels::getScatterFamily() {
  static const ScatterFamily family;
  return &family;
}
