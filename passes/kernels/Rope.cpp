//===- Rope.cpp - Rotary position embedding -------------------------------===//
//
// The family "rope": one graph.rope. An instance rotates all heads of one token, so that its row of the tables is loaded once. On a GPU a tile
// is some heads. What follows from single elements of the result, and largest values of it, are computed with it.
//
//===----------------------------------------------------------------------===//

#include "passes/kernels/Families.h"
#include "passes/kernels/TileEpilogue.h"

using namespace mlir;
using namespace primus;
using namespace primus::kernels;

namespace {

class RopeFamily : public KernelFamily {
public:
  StringRef getName() const override { return "rope"; }
  bool accepts(const Candidate &candidate, std::string &reason) const override {
    return getPlan(candidate, reason).has_value();
  }
  FailureOr<LoweredFusion> lower(graph::FusionOp fusion, OpBuilder &builder, StringRef name,
                                 const kernel::TargetTraits &traits) const override;

private:
  static std::optional<TileEpiloguePlan> getPlan(const Candidate &candidate, std::string &reason);
};

} // namespace

static graph::RopeOp findRotation(ArrayRef<Operation *> ops) {
  auto isRotation = llvm::IsaPred<graph::RopeOp>;
  return llvm::count_if(ops, isRotation) == 1 ? cast<graph::RopeOp>(*llvm::find_if(ops, isRotation)) : graph::RopeOp();
}

std::optional<TileEpiloguePlan> RopeFamily::getPlan(const Candidate &candidate, std::string &reason) {
  graph::RopeOp op = findRotation(candidate.ops);
  reason = "it is not computed with one rotation";
  if (!op)
    return std::nullopt;
  std::optional<TileEpiloguePlan> plan = TileEpiloguePlan::get(candidate, op, op->getResult(0), /*hasHeads=*/false, reason);
  if (plan && llvm::any_of(plan->measures, [](const Measure &measure) { return measure.extent == Extent::Column; })) {
    reason = "a maximum over tokens, each of which is rotated by another instance";
    return std::nullopt;
  }
  return plan;
}

/// Calls `body` with first element and width of tiles that cover [first, first + count) and no more.
static void forEachPiece(int64_t first, int64_t count, int64_t most, function_ref<void(int64_t, int64_t)> body) {
  for (int64_t width = most; width > 0; width /= 2)
    for (; count >= width; first += width, count -= width)
      body(first, width);
}

FailureOr<LoweredFusion> RopeFamily::lower(graph::FusionOp fusion, OpBuilder &moduleBuilder, StringRef name,
                                           const kernel::TargetTraits &traits) const {
  SmallVector<Operation *> ops = getBodyOps(fusion);
  std::string reason;
  std::optional<TileEpiloguePlan> plan = getPlan({ops, getBodyOutputs(fusion)}, reason);
  if (!plan)
    return fusion.emitOpError("cannot be computed as one rotation: ") << reason;
  graph::RopeOp op = findRotation(ops);
  ArrayRef<int64_t> shape = cast<RankedTensorType>(op.getX().getType()).getShape();
  int64_t tokens = shape[1], instances = shape[0] * tokens, heads = shape[2], size = shape[3];
  int64_t half = cast<RankedTensorType>(op.getCos().getType()).getDimSize(1);
  bool interleaved = op.getStyle() == graph::RopeStyle::Interleaved;
  if (interleaved && size % 2)
    return fusion.emitOpError("rotates neighbours of a head of odd size ") << size;
  Type element = getElementTypeOrSelf(op.getX().getType());
  auto number = [](Value value) { return cast<BlockArgument>(value).getArgNumber(); };

  TileBuilder builder(moduleBuilder, fusion, name, {instances});
  Value row = builder.programId(0), token = builder.remIndex(row, tokens), zero = builder.index(0);
  // Neighbours are a dimension of their own.
  SmallVector<int64_t> seen{instances, heads, size};
  if (interleaved)
    seen = {instances, heads, size / 2, 2};
  auto position = [&](Value head, int64_t pair, bool second) -> SmallVector<Value> {
    if (interleaved)
      return {row, head, builder.index(pair), builder.index(second)};
    return {row, head, builder.index(second ? half + pair : pair)};
  };
  Value source = builder.input(number(op.getX()), seen);
  // Tiles are [width], one head after the other, or [heads, width].
  constexpr int64_t waves = 4;
  int64_t together = 1;
  if (traits.isGpu()) {
    together = std::min(heads, std::max<int64_t>(1, 16 * waves * traits.lanes / half));
    builder.setWaves(waves, 1);
  }
  auto getTile = [&](int64_t count, int64_t width) {
    return traits.isGpu() ? SmallVector<int64_t>{count, width} : SmallVector<int64_t>{width};
  };
  SmallVector<int64_t> dims{2};
  if (traits.isGpu())
    dims = {1, 2};
  LoweredFusion lowered;
  TileEpilogue epilogue(builder, *plan, op->getResult(0));
  ArrayRef<Measure> measures = epilogue.getMeasures();
  SmallVector<PartialResult> partials;
  for (const Measure &measure : measures)
    partials.push_back(addPartialResult(lowered, measure.reduce, measure.extent == Extent::All ? instances : 1));
  // The largest values of the token.
  SmallVector<Value> largest(measures.size());
  // Stores what follows from a tile, and returns the largest values of it and of those before.
  auto finish = [&](Value tile, SmallVector<int64_t> under, SmallVector<Value> at, ValueRange before) {
    epilogue.start({under, at, dims, SmallVector<int64_t>(getTileShape(tile)), true}, tile);
    epilogue.store();
    SmallVector<Value> next;
    for (auto [measure, value] : llvm::zip_equal(measures, before))
      next.push_back(builder.combine(getKind(measure.reduce), value, epilogue.getMeasured(measure)));
    return next;
  };
  // Calls `body` with the first head, the number of heads and the largest values of tiles before; it returns the next ones.
  auto overHeads = [&](int64_t width, function_ref<SmallVector<Value>(Value, int64_t, ValueRange)> body) {
    auto getStart = [&](int64_t count) {
      SmallVector<Value> start;
      for (const PartialResult &partial : partials)
        start.push_back(builder.neutral(getKind(partial.reduction), getTileType(getTile(count, width), partial.type.getElementType())));
      return start;
    };
    auto add = [&](ValueRange tiles) {
      for (auto [partial, tile, sofar] : llvm::zip_equal(partials, tiles, largest)) {
        kernel::ReduceKind kind = getKind(partial.reduction);
        Value found = traits.isGpu() ? builder.reduce(kind, builder.reduce(kind, tile, 1), 0) : builder.reduce(kind, tile, 0);
        sofar = sofar ? builder.combine(kind, sofar, found) : found;
      }
    };
    int64_t covered = heads / together * together;
    if (covered == together)
      add(body(zero, together, getStart(together)));
    else
      add(builder.loop(zero, builder.index(covered), together, getStart(together),
                       [&](Value head, ValueRange before) { return body(head, together, before); }));
    if (covered < heads)
      add(body(builder.index(covered), heads - covered, getStart(heads - covered)));
  };
  auto forEachTile = [&](int64_t first, int64_t count, int64_t most, function_ref<void(int64_t, int64_t)> body) {
    if (traits.isGpu() && count > 0)
      body(first, count);
    else
      forEachPiece(first, count, most, body);
  };

  forEachTile(0, half, 2 * traits.lanes, [&](int64_t pair, int64_t width) {
    auto table = [&](Value operand) {
      Value memref = builder.input(number(operand), {tokens, half});
      SmallVector<Value> at{token, builder.index(pair)};
      return traits.isGpu() ? builder.load(memref, at, {0, 1}, {1, width}, true) : builder.load(memref, at, {1}, {width}, true);
    };
    Value cos = table(op.getCos()), sin = table(op.getSin());
    if (op.getInverse())
      sin = builder.neg(sin);
    overHeads(width, [&](Value head, int64_t count, ValueRange before) {
      SmallVector<int64_t> tile = getTile(count, width);
      auto load = [&](bool second) {
        return builder.convert(builder.load(source, position(head, pair, second), dims, tile, true), builder.getF32Type());
      };
      Value first = load(false), second = load(true), c = builder.broadcast(cos, tile), s = builder.broadcast(sin, tile);
      Value y1 = builder.sub(builder.mul(first, c), builder.mul(second, s));
      Value y2 = builder.add(builder.mul(second, c), builder.mul(first, s));
      SmallVector<Value> next = finish(builder.convert(y1, element), seen, position(head, pair, false), before);
      return finish(builder.convert(y2, element), seen, position(head, pair, true), next);
    });
  });
  // What is not rotated.
  if (2 * half < size) {
    SmallVector<int64_t> whole{instances, heads, size};
    Value from = builder.input(number(op.getX()), whole);
    forEachTile(2 * half, size - 2 * half, 4 * traits.lanes, [&](int64_t first, int64_t width) {
      overHeads(width, [&](Value head, int64_t count, ValueRange before) {
        SmallVector<Value> at{row, head, builder.index(first)};
        return finish(builder.load(from, at, dims, getTile(count, width), true), whole, at, before);
      });
    });
  }
  for (auto [partial, found] : llvm::zip_equal(partials, largest)) {
    if (traits.isGpu())
      builder.store(found, partial.getView(builder, {instances, 1}), {row, zero}, {0, 1}, true);
    else
      builder.store(found, partial.getView(builder, {instances}), {row}, {});
  }
  lowered.launches.push_back(builder.finish());
  combinePartialResults(fusion, moduleBuilder, name, traits, partials, plan->combined, lowered);
  for (const TileEpiloguePlan::Element &result : plan->elements)
    if (result.value == op->getResult(0))
      addInplace(lowered, fusion, result.output, number(op.getX()));
  return lowered;
}

const KernelFamily *kernels::getRopeFamily() {
  static const RopeFamily family;
  return &family;
}
