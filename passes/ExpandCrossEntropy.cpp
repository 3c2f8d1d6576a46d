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
      if (gradient.getX() == loss.getX() && gradient.getWeight() == loss.getWeight() &&
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

static void expand(CrossEntropyOp loss, int64_t limit, int64_t maxChunks) {
  RankedTensorType xType = getTensorType(loss.getX()), lseType = getTensorType(loss.getLse());
  int64_t tokens = lseType.getNumElements(), rows = getTensorType(loss.getWeight()).getDimSize(0);
  int64_t chunk = chooseChunk(tokens, rows, limit, maxChunks);
  remarkPassed(kChunkingRemark, loss->getParentOfType<func::FuncOp>(), loss.getLoc(), std::min(chunk, tokens) * rows * 4, [&] {
    int64_t chunks = llvm::divideCeil(tokens, chunk);
    std::string whole = std::to_string(tokens * rows * 4) + " bytes of f32 logits";
    return describe(loss) + (chunks > 1 ? " in " + std::to_string(chunks) + " chunks of " + std::to_string(chunk) + " tokens, instead of " + whole
                                        : " in one piece: its " + whole + " are within " + std::to_string(limit));
  });
  if (chunk == tokens)
    return;

  // The number of valid tokens needs no logits; a gradient that is divided by it may then join the first pass.
  OpBuilder builder(loss);
  GraphBuilder b(builder, loss.getLoc());
  Value valid = b.sum(b.toF32(b.compare(Predicate::GE, loss.getLabels(), 0)), {0});
  loss.getValid().replaceAllUsesWith(valid);
  CrossEntropyGradOp gradient = findGradient(loss);
  if (gradient && failed(hoist(gradient.getDloss(), loss)))
    gradient = {};

  Value allX = b.reshape(loss.getX(), {tokens, xType.getShape().back()}), allLabels = b.reshape(loss.getLabels(), {tokens});
  Value lossSum, dweight;
  SmallVector<Value> lse, dx;
  for (int64_t begin = 0; begin < tokens; begin += chunk) {
    int64_t size = std::min(chunk, tokens - begin);
    Value x = b.slice(allX, 0, begin, size), labels = b.slice(allLabels, 0, begin, size);
    auto part = CrossEntropyOp::create(builder, loss.getLoc(), loss.getLoss().getType(), loss.getValid().getType(),
                                       withShape(lseType, {size}, b.getF32()), x, loss.getWeight(), labels,
                                       loss.getVocabularyAttr());
    lossSum = lossSum ? b.add(lossSum, part.getLoss()) : part.getLoss();
    lse.push_back(part.getLse());
    if (!gradient)
      continue;
    auto partGradient = CrossEntropyGradOp::create(builder, gradient.getLoc(), TypeRange{x.getType(), gradient.getDweight().getType()},
                                                   gradient.getDloss(), x, loss.getWeight(), labels, part.getLse(),
                                                   /*offset=*/Value(), loss.getVocabularyAttr());
    dweight = dweight ? b.add(dweight, partGradient.getDweight()) : partGradient.getDweight();
    dx.push_back(partGradient.getDx());
  }
  if (gradient) {
    gradient.getDx().replaceAllUsesWith(b.reshape(b.concat(dx, 0), xType.getShape()));
    gradient.getDweight().replaceAllUsesWith(dweight);
    gradient.erase();
  }
  loss.getLoss().replaceAllUsesWith(lossSum);
  if (!loss.getLse().use_empty())
    loss.getLse().replaceAllUsesWith(b.reshape(b.concat(lse, 0), lseType.getShape()));
  loss.erase();
}

namespace {

struct ExpandCrossEntropy : primus::impl::ExpandCrossEntropyBase<ExpandCrossEntropy> {
  using Base::Base;
  void runOnOperation() override {
    SmallVector<CrossEntropyOp> losses;
    getOperation().walk([&](CrossEntropyOp loss) { losses.push_back(loss); });
    for (CrossEntropyOp loss : losses)
      expand(loss, limit, maxChunks);
  }
};

} // namespace
