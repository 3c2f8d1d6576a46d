//===- Scatter.cpp - Sums of rows into a table ----------------------------===//
//
// The family "scatter": one graph.scatter, and possibly an addition of its result to an accumulator. An instance owns some
// columns of the table and adds all rows in the order of their indices, so that the result does not depend on the number of threads.
//
//===----------------------------------------------------------------------===//

#include "passes/kernels/Families.h"
#include "passes/kernels/RowPass.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

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
  Cut cut = Cut::of(columns, 4 * traits.lanes, traits.lanes);
  int64_t width = cut.chunks ? cut.width : cut.tail;
  bool inbounds = columns % width == 0;

  LoweredFusion lowered;
  TileBuilder builder(moduleBuilder, fusion, name, {static_cast<int64_t>(llvm::divideCeil(columns, width))});
  Value column = builder.mulIndex(builder.programId(0), width), zero = builder.index(0);
  // Sums of a narrow type are formed in f32, beside the result.
  Value result = builder.output(0, {tableRows, columns}), sums = result;
  if (wide != element) {
    lowered.temporaries.push_back(MemRefType::get({tableRows, columns}, wide));
    sums = builder.temporary(0, lowered.temporaries.front());
  }
  builder.loop(zero, builder.index(tableRows), 1, {}, [&](Value row, ValueRange) {
    Value tile = accumulator ? builder.load(builder.input(accumulator.getArgNumber(), {tableRows, columns}), {row, column}, {1},
                                            {width}, inbounds)
                             : builder.constant(getTileType({width}, wide), 0);
    builder.store(tile, sums, {row, column}, {1}, inbounds);
    return SmallVector<Value>();
  });
  builder.loop(zero, builder.index(count), 1, {}, [&](Value number, ValueRange) {
    Value index = builder.loadScalar(builder.input(indices.getArgNumber(), {count}), {number});
    Value first = builder.constant(index.getType(), 0), last = builder.constant(index.getType(), tableRows - 1);
    Value clamped = builder.max(first, builder.min(index, last));
    Value inside = builder.compare(graph::Predicate::EQ, index, clamped);
    Value row = arith::IndexCastOp::create(builder, builder.getIndexType(), clamped);
    Value update = builder.load(builder.input(updates.getArgNumber(), {count, columns}), {number, column}, {1}, {width}, inbounds);
    update = builder.convert(update, wide);
    update = builder.select(inside, update, builder.constant(update.getType(), 0));
    Value sum = builder.add(builder.load(sums, {row, column}, {1}, {width}, inbounds), update);
    builder.store(sum, sums, {row, column}, {1}, inbounds);
    return SmallVector<Value>();
  });
  if (sums != result)
    builder.loop(zero, builder.index(tableRows), 1, {}, [&](Value row, ValueRange) {
      Value tile = builder.load(sums, {row, column}, {1}, {width}, inbounds);
      builder.store(builder.convert(tile, element), result, {row, column}, {1}, inbounds);
      return SmallVector<Value>();
    });
  lowered.launches.push_back(builder.finish());
  if (accumulator && accumulator != updates)
    addInplace(lowered, fusion, 0, accumulator.getArgNumber());
  return lowered;
}

const KernelFamily *kernels::getScatterFamily() {
  static const ScatterFamily family;
  return &family;
}
