//===- ExpandCrossEntropy.cpp - Compute the loss over chunks of tokens ----===//
//
// The logits of all tokens are the largest tensor of a step with a large vocabulary. In chunks only some of them exist at a
// time, and where the gradient is in the same function a chunk's logits serve both before the next chunk begins.
//
//===----------------------------------------------------------------------===//

#include "ir/graph/GraphBuilder.h"
#include "passes/Passes.h"
#include "passes/Remarks.h"

#include "mlir/Analysis/SliceAnalysis.h"

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

  bool isOne() const { return chunk == tokens; }
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

/// The loss and, where it is in the same function, its gradient.
static void expand(CrossEntropyOp loss, int64_t limit, int64_t maxChunks) {
  Chunks chunks(loss, limit, maxChunks);
  if (chunks.isOne())
    return;
  // The number of valid tokens needs no logits; a gradient that is divided by it may then join the first pass.
  GraphBuilder &b = chunks.b;
  SmallVector<int64_t> tokenDims = llvm::to_vector(llvm::seq<int64_t>(0, getTensorType(loss.getLabels()).getRank()));
  Value valid = b.sum(b.toF32(b.compare(Predicate::GE, loss.getLabels(), 0)), tokenDims);
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
}

/// One rank's part of the loss: what follows needs the other ranks', so that no gradient can join.
static void expand(CrossEntropyPartOp part, int64_t limit, int64_t maxChunks) {
  Chunks chunks(part, limit, maxChunks);
  if (chunks.isOne())
    return;
  SmallVector<Value> lse, target;
  chunks.forEach([&](int64_t begin, int64_t size) {
    Value x = chunks.cutX(begin, size), labels = chunks.cut(part.getLabels(), begin, size);
    RankedTensorType type = chunks.getPartType(size);
    auto piece = CrossEntropyPartOp::create(chunks.builder, part.getLoc(), type, type, x, part.getWeight(), labels, part.getOffset(),
                                            part.getVocabularyAttr());
    lse.push_back(piece.getLse());
    target.push_back(piece.getTarget());
  });
  chunks.join(part.getLse(), lse);
  chunks.join(part.getTarget(), target);
  part.erase();
}

/// A gradient whose loss is elsewhere, or was computed by several ranks.
static void expand(CrossEntropyGradOp gradient, int64_t limit, int64_t maxChunks) {
  Chunks chunks(gradient, limit, maxChunks);
  if (chunks.isOne())
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
    SmallVector<CrossEntropyOp> losses;
    getOperation().walk([&](CrossEntropyOp loss) { losses.push_back(loss); });
    for (CrossEntropyOp loss : losses)
      expand(loss, limit, maxChunks);
    SmallVector<CrossEntropyPartOp> parts;
    getOperation().walk([&](CrossEntropyPartOp part) { parts.push_back(part); });
    for (CrossEntropyPartOp part : parts)
      expand(part, limit, maxChunks);
    // Those that joined their loss have its size.
    SmallVector<CrossEntropyGradOp> gradients;
    getOperation().walk([&](CrossEntropyGradOp gradient) {
      if (!gradient.getLse().getDefiningOp<CrossEntropyOp>())
        gradients.push_back(gradient);
    });
    for (CrossEntropyGradOp gradient : gradients)
      expand(gradient, limit, maxChunks);
  }
};

} // namespace
