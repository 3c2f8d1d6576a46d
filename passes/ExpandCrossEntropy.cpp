//===- ExpandCrossEntropy.cpp - Compute the loss over chunks of tokens ----===//
//
// The logits of all tokens are the largest tensor of a step with a large vocabulary. In chunks only some of them exist at a
// time, and where the gradient is in the same function a chunk's logits serve both before the next chunk begins.
// Where ranks share the vocabulary, they combine their parts of each chunk before its gradient.
//
//===----------------------------------------------------------------------===//

#include "ir/graph/CrossEntropy.h"
#include "ir/graph/GraphBuilder.h"
#include "passes/Passes.h"
#include "passes/Remarks.h"

#include "mlir/Analysis/SliceAnalysis.h"
#include "mlir/IR/Dominance.h"
#include "mlir/Transforms/CSE.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace primus;
using namespace primus::graph;

namespace primus {
#define GEN_PASS_DEF_EXPANDCROSSENTROPY
#include "passes/Passes.h.inc"
} // namespace primus

/// Tokens per chunk: as few chunks as keep a chunk's f32 logits below `limit` bytes, but at most `maxChunks`; whole blocks of rows.
static int64_t chooseChunk(int64_t tokens, int64_t rows, int64_t limit, int64_t maxChunks) {
  constexpr int64_t block = 32;
  int64_t chunks = std::clamp<int64_t>(llvm::divideCeil(tokens * rows * 4, limit), 1, maxChunks);
  return std::min<int64_t>(tokens, llvm::alignTo(llvm::divideCeil(tokens, chunks), block));
}

/// The gradient of this loss in the same function; null if there is none.
static CrossEntropyGradOp findGradient(CrossEntropyOp loss) {
  for (Operation *user : loss.getLse().getUsers())
    if (auto gradient = dyn_cast<CrossEntropyGradOp>(user))
      if (!gradient.getOffset() && gradient.getX() == loss.getX() && gradient.getWeight() == loss.getWeight() &&
          gradient.getLabels() == loss.getLabels())
        return gradient;
  return {};
}

namespace {

/// The gradient of a loss in the same function, of which this rank has a part, and the gather of all ranks' parts.
struct SharedGradient {
  CrossEntropyGradOp gradient;
  AllGatherOp gather;
};

} // namespace

/// Null if there is no such gradient.
static SharedGradient findGradient(CrossEntropyPartOp part) {
  for (Operation *user : part.getX().getUsers()) {
    auto gradient = dyn_cast<CrossEntropyGradOp>(user);
    if (!gradient || gradient.getOffset() != part.getOffset() || gradient.getX() != part.getX() ||
        gradient.getWeight() != part.getWeight() || gradient.getLabels() != part.getLabels())
      continue;
    // As the loss is made local: the largest of the parts, and the log of the sum of what remains.
    auto joint = gradient.getLse().getDefiningOp<AddOp>();
    auto largest = joint ? joint.getLhs().getDefiningOp<ReduceOp>() : ReduceOp();
    auto gather = largest && largest.getKind() == ReduceKind::Max ? largest.getOperand().getDefiningOp<AllGatherOp>() : AllGatherOp();
    auto own = gather && gather.getDim() == 0 ? gather.getOperand().getDefiningOp<ReshapeOp>() : ReshapeOp();
    if (own && own.getOperand() == part.getLse() && joint.getRhs().getDefiningOp<LogOp>())
      return {gradient, gather};
  }
  return {};
}

/// Moves what `value` is computed from before `op`. Fails if it depends on `op` itself.
static LogicalResult hoist(Value value, Operation *op) {
  Operation *definition = value.getDefiningOp();
  if (!definition || definition->isBeforeInBlock(op))
    return success();
  BackwardSliceOptions options;
  options.inclusive = true;
  options.filter = [&](Operation *other) { return other->getBlock() == op->getBlock() && !other->isBeforeInBlock(op); };
  SetVector<Operation *> slice;
  if (failed(getBackwardSlice(value, &slice, options)) || slice.contains(op))
    return failure();
  for (Operation *other : slice)
    other->moveBefore(op);
  return success();
}

namespace {

/// The tokens of a loss, or of a part of it, in one dimension and in chunks.
class Chunks {
public:
  template <typename OpT> Chunks(OpT op, int64_t limit, int64_t maxChunks) : builder(op), b(builder, op.getLoc()), x(op.getX()), perToken(op.getLabels()) {
    RankedTensorType type = getTensorType(op.getX());
    width = type.getShape().back();
    tokens = type.getNumElements() / width;
    int64_t rows = getTensorType(op.getWeight()).getDimSize(0);
    chunk = chooseChunk(tokens, rows, limit, maxChunks);
    remarkPassed(kChunkingRemark, op->template getParentOfType<func::FuncOp>(), op.getLoc(), std::min(chunk, tokens) * rows * 4, [&] {
      int64_t chunks = llvm::divideCeil(tokens, chunk);
      std::string whole = std::to_string(tokens * rows * 4) + " bytes of f32 logits";
      return describe(op) + (chunks > 1 ? " in " + std::to_string(chunks) + " chunks of " + std::to_string(chunk) + " tokens, instead of " + whole
                                        : " in one piece: its " + whole + " are within " + std::to_string(limit));
    });
  }

  /// Chunks of tokens that belong to several groups are not worth their trouble: on one rank there is one group.
  bool isOne(Value perGroup = {}) const {
    return chunk == tokens || (perGroup && getTensorType(perGroup).getNumElements() > 1);
  }
  /// `take(begin, size)` for each chunk.
  void forEach(llvm::function_ref<void(int64_t, int64_t)> take) {
    for (int64_t begin = 0; begin < tokens; begin += chunk)
      take(begin, std::min(chunk, tokens - begin));
  }
  /// A chunk of x, [size, width], or of what has one element per token, [size].
  Value cutX(int64_t begin, int64_t size) { return b.slice(b.reshape(x, {tokens, width}), 0, begin, size); }
  Value cut(Value value, int64_t begin, int64_t size) { return b.slice(b.reshape(value, {tokens}), 0, begin, size); }
  RankedTensorType getPartType(int64_t size) { return withShape(getTensorType(perToken), {size}, b.getF32()); }
  /// All chunks' values in place of `whole`.
  void join(Value whole, ArrayRef<Value> parts) {
    if (!whole.use_empty())
      whole.replaceAllUsesWith(b.reshape(b.concat(parts, 0), getTensorType(whole).getShape()));
  }

  OpBuilder builder;
  GraphBuilder b;

private:
  Value x, perToken;
  int64_t tokens, width, chunk;
};

} // namespace

/// The loss and, where it is in the same function, its gradient: which is then erased, and returned to be known.
static Operation *expand(CrossEntropyOp loss, int64_t limit, int64_t maxChunks) {
  Chunks chunks(loss, limit, maxChunks);
  if (chunks.isOne(loss.getLoss()))
    return nullptr;
  // The number of valid tokens needs no logits; a gradient that is divided by it may then join the first pass.
  GraphBuilder &b = chunks.b;
  SmallVector<int64_t> tokenDims = llvm::to_vector(llvm::seq<int64_t>(0, getTensorType(loss.getLabels()).getRank()));
  Value valid = b.sum(b.toF32(b.compare(Predicate::GE, loss.getLabels(), 0)), tokenDims);
  valid = b.reshape(valid, getTensorType(loss.getValid()).getShape());
  loss.getValid().replaceAllUsesWith(valid);
  CrossEntropyGradOp gradient = findGradient(loss);
  if (gradient && failed(hoist(gradient.getDloss(), loss)))
    gradient = {};

  Value lossSum, dweight;
  SmallVector<Value> lse, dx;
  chunks.forEach([&](int64_t begin, int64_t size) {
    Value x = chunks.cutX(begin, size), labels = chunks.cut(loss.getLabels(), begin, size);
    auto part = CrossEntropyOp::create(chunks.builder, loss.getLoc(), loss.getLoss().getType(), loss.getValid().getType(),
                                       chunks.getPartType(size), x, loss.getWeight(), labels, loss.getVocabularyAttr());
    lossSum = lossSum ? b.add(lossSum, part.getLoss()) : part.getLoss();
    lse.push_back(part.getLse());
    if (!gradient)
      return;
    auto partGradient = CrossEntropyGradOp::create(chunks.builder, gradient.getLoc(), TypeRange{x.getType(), gradient.getDweight().getType()},
                                                   gradient.getDloss(), x, loss.getWeight(), labels, part.getLse(),
                                                   /*offset=*/Value(), loss.getVocabularyAttr());
    dweight = dweight ? b.add(dweight, partGradient.getDweight()) : partGradient.getDweight();
    dx.push_back(partGradient.getDx());
  });
  if (gradient) {
    chunks.join(gradient.getDx(), dx);
    gradient.getDweight().replaceAllUsesWith(dweight);
    gradient.erase();
  }
  loss.getLoss().replaceAllUsesWith(lossSum);
  chunks.join(loss.getLse(), lse);
  loss.erase();
  return gradient;
}

/// One rank's part of the loss, likewise.
static Operation *expand(CrossEntropyPartOp part, int64_t limit, int64_t maxChunks) {
  Chunks chunks(part, limit, maxChunks);
  if (chunks.isOne())
    return nullptr;
  auto [gradient, gather] = findGradient(part);
  if (gradient && (getTensorType(gradient.getDloss()).getNumElements() > 1 || failed(hoist(gradient.getDloss(), part))))
    gradient = {};
  Value dweight;
  SmallVector<Value> lse, target, joint, dx;
  chunks.forEach([&](int64_t begin, int64_t size) {
    Value x = chunks.cutX(begin, size), labels = chunks.cut(part.getLabels(), begin, size);
    RankedTensorType type = chunks.getPartType(size);
    auto piece = CrossEntropyPartOp::create(chunks.builder, part.getLoc(), type, type, x, part.getWeight(), labels, part.getOffset(),
                                            part.getVocabularyAttr());
    lse.push_back(piece.getLse());
    target.push_back(piece.getTarget());
    if (!gradient)
      return;
    SmallVector<int64_t> shape = {getTensorType(gather.getResult()).getDimSize(0), size};
    Value own = chunks.b.reshape(piece.getLse(), {1, size});
    auto parts = AllGatherOp::create(chunks.builder, gather.getLoc(), withShape(type, shape, chunks.b.getF32()), own, gather.getAxesAttr(), 0);
    parts->setDiscardableAttrs(gather->getDiscardableAttrDictionary());
    joint.push_back(buildJointLse(chunks.builder, gather.getLoc(), parts, type));
    auto pieceGradient = CrossEntropyGradOp::create(chunks.builder, gradient.getLoc(), TypeRange{x.getType(), gradient.getDweight().getType()},
                                                    gradient.getDloss(), x, part.getWeight(), labels, joint.back(), part.getOffset(),
                                                    part.getVocabularyAttr());
    dweight = dweight ? chunks.b.add(dweight, pieceGradient.getDweight()) : pieceGradient.getDweight();
    dx.push_back(pieceGradient.getDx());
  });
  if (gradient) {
    Operation *whole = gradient.getLse().getDefiningOp();
    chunks.join(gradient.getDx(), dx);
    gradient.getDweight().replaceAllUsesWith(dweight);
    gradient.erase();
    chunks.join(whole->getResult(0), joint);
  }
  chunks.join(part.getLse(), lse);
  chunks.join(part.getTarget(), target);
  part.erase();
  return gradient;
}

/// A gradient whose loss is elsewhere.
static void expand(CrossEntropyGradOp gradient, int64_t limit, int64_t maxChunks) {
  Chunks chunks(gradient, limit, maxChunks);
  if (chunks.isOne(gradient.getDloss()))
    return;
  Value dweight;
  SmallVector<Value> dx;
  chunks.forEach([&](int64_t begin, int64_t size) {
    Value x = chunks.cutX(begin, size), labels = chunks.cut(gradient.getLabels(), begin, size), lse = chunks.cut(gradient.getLse(), begin, size);
    auto piece = CrossEntropyGradOp::create(chunks.builder, gradient.getLoc(), TypeRange{x.getType(), gradient.getDweight().getType()},
                                            gradient.getDloss(), x, gradient.getWeight(), labels, lse, gradient.getOffset(),
                                            gradient.getVocabularyAttr());
    dweight = dweight ? chunks.b.add(dweight, piece.getDweight()) : piece.getDweight();
    dx.push_back(piece.getDx());
  });
  chunks.join(gradient.getDx(), dx);
  gradient.getDweight().replaceAllUsesWith(dweight);
  gradient.erase();
}

namespace {

struct ExpandCrossEntropy : primus::impl::ExpandCrossEntropyBase<ExpandCrossEntropy> {
  using Base::Base;
  void runOnOperation() override {
    // Where a rank's rows begin is computed for each op anew.
    llvm::SmallSetVector<func::FuncOp, 4> functions;
    getOperation().walk([&](CrossEntropyPartOp part) { functions.insert(part->getParentOfType<func::FuncOp>()); });
    IRRewriter rewriter(&getContext());
    for (func::FuncOp function : functions) {
      DominanceInfo dominance(function);
      eliminateCommonSubExpressions(rewriter, dominance, function);
    }

    SmallVector<CrossEntropyOp> losses;
    SmallVector<CrossEntropyPartOp> parts;
    SmallVector<CrossEntropyGradOp> gradients;
    getOperation().walk([&](CrossEntropyOp op) { losses.push_back(op); });
    getOperation().walk([&](CrossEntropyPartOp op) { parts.push_back(op); });
    getOperation().walk([&](CrossEntropyGradOp op) { gradients.push_back(op); });
    llvm::SmallPtrSet<Operation *, 4> joined;
    for (CrossEntropyOp loss : losses)
      joined.insert(expand(loss, limit, maxChunks));
    for (CrossEntropyPartOp part : parts)
      joined.insert(expand(part, limit, maxChunks));
    for (CrossEntropyGradOp gradient : gradients)
      if (!joined.contains(gradient))
        expand(gradient, limit, maxChunks);
  }
};

} // namespace
