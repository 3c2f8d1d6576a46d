//===- Rope.cpp - Rotary position embedding -------------------------------===//
//
// The family "rope": one graph.rope. An instance rotates all heads of one token, so that its row of the tables is loaded once.
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
  auto overHeads = [&](function_ref<void(Value)> body) {
    builder.loop(zero, builder.index(heads), 1, {}, [&](Value head, ValueRange) {
      body(head);
      return SmallVector<Value>();
    });
  };

  forEachPiece(0, half, 2 * traits.lanes, [&](int64_t pair, int64_t width) {
    auto table = [&](Value operand) {
      return builder.load(builder.input(number(operand), {tokens, half}), {token, builder.index(pair)}, {1}, {width}, true);
    };
    Value cos = table(op.getCos()), sin = table(op.getSin());
    if (op.getInverse())
      sin = builder.neg(sin);
    overHeads([&](Value head) {
      auto load = [&](bool second) {
        return builder.convert(builder.load(source, position(head, pair, second), {2}, {width}, true), builder.getF32Type());
      };
      Value first = load(false), second = load(true);
      Value y1 = builder.sub(builder.mul(first, cos), builder.mul(second, sin));
      Value y2 = builder.add(builder.mul(second, cos), builder.mul(first, sin));
      builder.store(builder.convert(y1, element), target, position(head, pair, false), {2}, true);
      builder.store(builder.convert(y2, element), target, position(head, pair, true), {2}, true);
    });
  });
  // What is not rotated.
  if (2 * half < size) {
    Value from = builder.input(number(op.getX()), {instances, heads, size}), to = builder.output(0, {instances, heads, size});
    forEachPiece(2 * half, size - 2 * half, 4 * traits.lanes, [&](int64_t first, int64_t width) {
      overHeads([&](Value head) {
        SmallVector<Value> at{row, head, builder.index(first)};
        builder.store(builder.load(from, at, {2}, {width}, true), to, at, {2}, true);
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
