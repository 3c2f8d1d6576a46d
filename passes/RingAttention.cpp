//===- RingAttention.cpp - Keys and values go around a ring ---------------===//
//
// Attention over keys that are gathered from the ranks that share a sequence needs all of them at once. Here each rank
// attends to one block of keys at a time, while the blocks go around the ring of these ranks; the results for the blocks
// are merged by their log-sum-exp (Liu et al. 2023, arXiv 2310.01889). In the gradient the sums for a block's keys and
// values travel with it, in f32, and are home after a full round.
//
//===----------------------------------------------------------------------===//

#include "ir/graph/GraphBuilder.h"
#include "passes/Passes.h"
#include "passes/Plan.h"
#include "passes/Remarks.h"
#include "passes/placement/Layout.h"

#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/StringExtras.h"

namespace primus {
#define GEN_PASS_DEF_RINGATTENTION
#include "passes/Passes.h.inc"
} // namespace primus

using namespace mlir;
using namespace primus;
using namespace primus::graph;

namespace {

/// A rank's own keys, values and their positions, which an attention gathers; then those of another rank.
struct KeyBlock {
  Value keys, values, positions;
};

/// The ranks that share a sequence.
class Ring {
public:
  Ring(Operation *op, ArrayAttr axes, int64_t ranks) : op(op), builder(op), axes(axes), ranks(ranks) {}

  int64_t getRanks() const { return ranks; }
  OpBuilder &getBuilder() { return builder; }
  /// What the rank before this one has of `value`; `what` says what that is.
  Value getNext(Value value, StringRef what);
  KeyBlock getNext(const KeyBlock &block) {
    return {getNext(block.keys, "keys"), getNext(block.values, "values"), getNext(block.positions, "positions of keys")};
  }

private:
  Operation *op;
  OpBuilder builder;
  ArrayAttr axes;
  int64_t ranks;
};

/// The output of attention over the blocks so far.
class Merger {
public:
  Merger(OpBuilder &builder, AttentionOp op);

  /// Adds the output for a block of keys, f32, with its log-sum-exp.
  void add(Value out, Value lse);
  /// That of an output before it is rounded.
  RankedTensorType getType() const { return type; }
  /// Rounded once, to the type that the op has.
  Value getOut() { return b.convert(out, getTensorType(op.getOut()).getElementType()); }
  Value getLse() { return lse; }

private:
  /// A weight per row, [batch, heads, tokens], for each element of the output.
  Value spread(Value weights);

  OpBuilder &builder;
  GraphBuilder b;
  AttentionOp op;
  /// f32.
  RankedTensorType type, rowType;
  Value out, lse;
};

} // namespace

//===----------------------------------------------------------------------===//
// Finding what a ring can replace
//===----------------------------------------------------------------------===//

/// The gather over `axes` (any, if null) along `dim` that a value comes from.
static AllGatherOp findGather(Value value, uint64_t dim, ArrayAttr axes = {}) {
  auto gather = value.getDefiningOp<AllGatherOp>();
  return gather && gather.getDim() == dim && (!axes || gather.getAxes() == axes) ? gather : AllGatherOp();
}

/// What an attention gathers, and over which axes.
template <typename OpT> static std::optional<std::pair<KeyBlock, ArrayAttr>> findBlock(OpT op) {
  if (!op.getKeyPositions())
    return std::nullopt;
  AllGatherOp keys = findGather(op.getK(), 1);
  if (!keys)
    return std::nullopt;
  AllGatherOp values = findGather(op.getV(), 1, keys.getAxes());
  AllGatherOp positions = findGather(op.getKeyPositions(), 0, keys.getAxes());
  if (!values || !positions)
    return std::nullopt;
  return std::pair(KeyBlock{keys.getOperand(), values.getOperand(), positions.getOperand()}, keys.getAxes());
}

/// The only use of a gradient of gathered keys: the reduction that gives each rank the sum for its own.
static ReduceScatterOp findReduction(Value gradient, ArrayAttr axes) {
  if (!gradient.hasOneUse())
    return {};
  auto reduction = dyn_cast<ReduceScatterOp>(*gradient.user_begin());
  bool matches = reduction && reduction.getKind() == ReduceKind::Sum && reduction.getDim() == 1 &&
                 reduction.getAxes() == axes;
  return matches ? reduction : ReduceScatterOp();
}

Value Ring::getNext(Value value, StringRef what) {
  auto permute = PermuteOp::create(builder, op->getLoc(), value.getType(), value, axes, 1);
  std::string reason = what.str() + " of ring attention";
  permute->setAttr(placement::kReasonAttr, builder.getStringAttr(reason));
  remarkPassed(kCollectiveRemark, op->getParentOfType<func::FuncOp>(), op->getLoc(), permute.getBytesSent(ranks), [&] {
    return describe(op) + ": permute over " + llvm::join(axes.getAsValueRange<StringAttr>(), ", ") + ", " + reason;
  });
  return permute;
}

/// A block of the keys in the layout of all of them: to this rank's part of the attention it is whole.
static Value asWhole(OpBuilder &builder, Value block, Value gathered) {
  RankedTensorType type = getTensorType(block);
  auto whole = RankedTensorType::get(type.getShape(), type.getElementType(), getTensorType(gathered).getEncoding());
  return type == whole ? block : ReshapeOp::create(builder, block.getLoc(), whole, block).getResult();
}

template <typename OpT> static KeyBlock asWhole(OpBuilder &builder, const KeyBlock &block, OpT op) {
  return {asWhole(builder, block.keys, op.getK()), asWhole(builder, block.values, op.getV()),
          asWhole(builder, block.positions, op.getKeyPositions())};
}

static RankedTensorType toF32(Value value) {
  RankedTensorType type = getTensorType(value);
  return type.clone(Float32Type::get(type.getContext()));
}

//===----------------------------------------------------------------------===//
// Forward
//===----------------------------------------------------------------------===//

Merger::Merger(OpBuilder &builder, AttentionOp op)
    : builder(builder), b(builder, op.getLoc()), op(op), type(toF32(op.getOut())) {
  LayoutAttr layout = dyn_cast_if_present<LayoutAttr>(type.getEncoding());
  if (layout)
    layout = LayoutAttr::get(layout.getContext(), layout.getMesh(), layout.getAxes().drop_back(), {}, {});
  rowType = RankedTensorType::get(type.getShape().drop_back(), type.getElementType(), layout);
}

Value Merger::spread(Value weights) {
  Value rows = TransposeOp::create(builder, op.getLoc(), rowType, weights, ArrayRef<int64_t>{0, 2, 1});
  return BroadcastOp::create(builder, op.getLoc(), type, rows, ArrayRef<int64_t>{0, 1, 2});
}

void Merger::add(Value newOut, Value newLse) {
  if (!out) {
    out = newOut;
    lse = newLse;
    return;
  }
  Value largest = b.maximum(lse, newLse);
  Value oldTerm = b.exp(b.sub(lse, largest)), newTerm = b.exp(b.sub(newLse, largest));
  Value total = b.add(oldTerm, newTerm);
  out = b.add(b.mul(out, spread(b.div(oldTerm, total))), b.mul(newOut, spread(b.div(newTerm, total))));
  lse = b.add(largest, b.log(total));
}

static void expand(AttentionOp op, KeyBlock block, Ring ring) {
  OpBuilder &builder = ring.getBuilder();
  Merger merger(builder, op);
  for (int64_t step = 0; step < ring.getRanks(); ++step) {
    // The next block is on its way while this one is used.
    KeyBlock next = step + 1 < ring.getRanks() ? ring.getNext(block) : block;
    KeyBlock all = asWhole(builder, block, op);
    auto part = AttentionOp::create(builder, op.getLoc(), merger.getType(), op.getLse().getType(), op.getQ(),
                                    all.keys, all.values, op.getQueryPositions(), all.positions,
                                    op.getScaleAttr(), op.getCausalAttr(), op.getWindowAttr(), op.getSoftcapAttr());
    merger.add(part.getOut(), part.getLse());
    block = next;
  }
  op.getOut().replaceAllUsesWith(merger.getOut());
  op.getLse().replaceAllUsesWith(merger.getLse());
}

//===----------------------------------------------------------------------===//
// Backward
//===----------------------------------------------------------------------===//

static void expand(AttentionGradOp op, KeyBlock block, Ring ring, ReduceScatterOp dkUse, ReduceScatterOp dvUse) {
  OpBuilder &builder = ring.getBuilder();
  GraphBuilder b(builder, op.getLoc());
  // A block's gradient from one rank's tokens is, by its layout, one of the terms that the others add to.
  RankedTensorType blockGradient = toF32(block.keys), queryGradient = toF32(op.getQ());
  auto termType = RankedTensorType::get(blockGradient.getShape(), blockGradient.getElementType(),
                                        getTensorType(op.getDk()).getEncoding());
  Value dq, dk, dv;
  auto accumulate = [&](Value &sum, Value part, RankedTensorType type) {
    if (part.getType() != type)
      part = ReshapeOp::create(builder, op.getLoc(), type, part);
    sum = sum ? b.add(sum, part) : part;
  };
  for (int64_t step = 0; step < ring.getRanks(); ++step) {
    KeyBlock next = step + 1 < ring.getRanks() ? ring.getNext(block) : block;
    KeyBlock all = asWhole(builder, block, op);
    auto part = AttentionGradOp::create(
        builder, op.getLoc(), queryGradient, termType, termType, op.getDout(), op.getQ(), all.keys, all.values,
        op.getOut(), op.getLse(), op.getQueryPositions(), all.positions, op.getScaleAttr(), op.getCausalAttr(),
        op.getWindowAttr(), op.getSoftcapAttr());
    accumulate(dq, part.getDq(), queryGradient);
    accumulate(dk, part.getDk(), blockGradient);
    accumulate(dv, part.getDv(), blockGradient);
    // The sums go where their block goes; the last step brings them home.
    dk = ring.getNext(dk, "gradients of keys");
    dv = ring.getNext(dv, "gradients of values");
    block = next;
  }
  auto replace = [&](Value old, Value value) {
    old.replaceAllUsesWith(b.convert(value, getTensorType(old).getElementType()));
  };
  replace(op.getDq(), dq);
  replace(dkUse.getResult(), dk);
  replace(dvUse.getResult(), dv);
}

//===----------------------------------------------------------------------===//
// The pass
//===----------------------------------------------------------------------===//

namespace {

struct RingAttention : primus::impl::RingAttentionBase<RingAttention> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    FailureOr<Plan> plan = Plan::get(module);
    if (failed(plan))
      return signalPassFailure();
    auto mesh = module->getAttrOfType<MeshAttr>(kMeshAttr);
    if (!plan->ring || !mesh)
      return markAllAnalysesPreserved();
    SmallVector<AttentionOp> forward;
    SmallVector<AttentionGradOp> backward;
    module.walk([&](AttentionOp op) { forward.push_back(op); });
    module.walk([&](AttentionGradOp op) { backward.push_back(op); });
    for (AttentionOp op : forward)
      if (auto found = find(op)) {
        auto [block, axes] = *found;
        expand(op, block, Ring(op, axes, *mesh.getGroupSize(axes)));
        eraseWithGathers(op);
      }
    for (AttentionGradOp op : backward) {
      auto found = find(op);
      if (!found)
        continue;
      auto [block, axes] = *found;
      ReduceScatterOp dk = findReduction(op.getDk(), axes), dv = findReduction(op.getDv(), axes);
      if (!dk || !dv) {
        remark(op, "the gradients of its keys and values are not reduced to each rank's own");
        continue;
      }
      expand(op, block, Ring(op, axes, *mesh.getGroupSize(axes)), dk, dv);
      dk.erase();
      dv.erase();
      eraseWithGathers(op);
    }
  }

private:
  static void remark(Operation *op, StringRef why) {
    remarkMissed(kCollectiveRemark, op->getParentOfType<func::FuncOp>(), op->getLoc(), 0,
                 [&] { return describe(op) + " does not use a ring: " + why.str(); });
  }

  template <typename OpT> static std::optional<std::pair<KeyBlock, ArrayAttr>> find(OpT op) {
    auto found = findBlock(op);
    if (!found)
      remark(op, "its keys, values and their positions are not all gathered over the same axes");
    return found;
  }

  /// Erases the op, and the gathers that nobody else needs.
  template <typename OpT> static void eraseWithGathers(OpT op) {
    llvm::SmallSetVector<Operation *, 3> gathers;
    for (Value value : {Value(op.getK()), Value(op.getV()), Value(op.getKeyPositions())})
      gathers.insert(value.getDefiningOp());
    op.erase();
    for (Operation *gather : gathers)
      if (gather->use_empty())
        gather->erase();
  }
};

} // namespace
