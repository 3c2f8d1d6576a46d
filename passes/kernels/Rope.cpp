//===- Rope.cpp - Rotary position embedding -------------------------------===//
//
// The family "rope": one graph.rope. An instance rotates all heads of one token, so that its row of the tables is loaded once. On a GPU a tile
// is some heads.
//
//===----------------------------------------------------------------------===//

#include "passes/kernels/Families.h"
#include "passes/kernels/RowPass.h"

using namespace mlir;
using namespace primus;
using namespace primus::kernels;

namespace {

class RopeFamily : public KernelFamily {
public:
  StringRef getName() const override { return "rope"; }
  bool accepts(const Candidate &candidate, std::string &reason) const override {
    reason = "a rotation stays alone";
    return candidate.ops.size() == 1 && isa<graph::RopeOp>(candidate.ops.front());
  }
  FailureOr<LoweredFusion> lower(graph::FusionOp fusion, OpBuilder &builder, StringRef name,
                                 const kernel::TargetTraits &traits) const override;
};

} // namespace

/// Calls `body` with first element and width of tiles that cover [first, first + count) and no more.
static void forEachPiece(int64_t first, int64_t count, int64_t most, function_ref<void(int64_t, int64_t)> body) {
  for (int64_t width = most; width > 0; width /= 2)
    for (; count >= width; first += width, count -= width)
      body(first, width);
}

FailureOr<LoweredFusion> RopeFamily::lower(graph::FusionOp fusion, OpBuilder &moduleBuilder, StringRef name,
                                           const kernel::TargetTraits &traits) const {
  auto op = dyn_cast<graph::RopeOp>(fusion.getBody().front().front());
  if (!op || !llvm::all_of(op->getOperands(), llvm::IsaPred<BlockArgument>))
    return fusion.emitOpError("of family 'rope' must hold one graph.rope of inputs");
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
  Value source = builder.input(number(op.getX()), seen), target = builder.output(0, seen);
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
  // Calls `body` with the first head and the number of heads.
  auto overHeads = [&](function_ref<void(Value, int64_t)> body) {
    int64_t covered = heads / together * together;
    if (covered == together)
      body(zero, together);
    else
      builder.loop(zero, builder.index(covered), together, {}, [&](Value head, ValueRange) {
        body(head, together);
        return SmallVector<Value>();
      });
    if (covered < heads)
      body(builder.index(covered), heads - covered);
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
    overHeads([&](Value head, int64_t count) {
      SmallVector<int64_t> tile = getTile(count, width);
      auto load = [&](bool second) {
        return builder.convert(builder.load(source, position(head, pair, second), dims, tile, true), builder.getF32Type());
      };
      Value first = load(false), second = load(true), c = builder.broadcast(cos, tile), s = builder.broadcast(sin, tile);
      Value y1 = builder.sub(builder.mul(first, c), builder.mul(second, s));
      Value y2 = builder.add(builder.mul(second, c), builder.mul(first, s));
      builder.store(builder.convert(y1, element), target, position(head, pair, false), dims, true);
      builder.store(builder.convert(y2, element), target, position(head, pair, true), dims, true);
    });
  });
  // What is not rotated.
  if (2 * half < size) {
    Value from = builder.input(number(op.getX()), {instances, heads, size}), to = builder.output(0, {instances, heads, size});
    forEachTile(2 * half, size - 2 * half, 4 * traits.lanes, [&](int64_t first, int64_t width) {
      overHeads([&](Value head, int64_t count) {
        SmallVector<Value> at{row, head, builder.index(first)};
        builder.store(builder.load(from, at, dims, getTile(count, width), true), to, at, dims, true);
      });
    });
  }
  LoweredFusion lowered;
  lowered.launches.push_back(builder.finish());
  addInplace(lowered, fusion, 0, number(op.getX()));
  return lowered;
}

const KernelFamily *kernels::getRopeFamily() {
  static const RopeFamily family;
  return &family;
}
