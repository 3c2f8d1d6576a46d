//===- ExpandCrossEntropy.cpp - The loss over chunks of tokens ------------===//

#include "ir/graph/GraphBuilder.h"
#include "passes/Passes.h"

#include "mlir/IR/Dominance.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/CSE.h"

using namespace mlir;
using namespace primus;

namespace primus {
#define GEN_PASS_DEF_EXPANDCROSSENTROPY
#include "passes/Passes.h.inc"
} // namespace primus

namespace {

/// A loss and, where it can be computed beside it, its gradient; either may be missing.
struct Loss {
  graph::CrossEntropyOp forward;
  graph::CrossEntropyGradOp backward;
};

/// Expands one loss.
class Expansion {
public:
  Expansion(Loss loss, int64_t maxBytes, int64_t maxChunks);
  void run();

private:
  void expandChunk(OpBuilder &builder, int64_t begin, int64_t size);
  /// Replaces a chunk's op by its definition.
  template <typename OpT> static SmallVector<Value> define(OpBuilder &builder, OpT op);

  Loss loss;
  Operation *anchor;
  Value x, weight, labels;
  int64_t vocabulary, tokens, chunk;
  SmallVector<Value> losses, valids, lses, dxs, dweights;
};

struct ExpandCrossEntropy : primus::impl::ExpandCrossEntropyBase<ExpandCrossEntropy> {
  using Base::Base;
  void runOnOperation() override;
};

} // namespace

Expansion::Expansion(Loss loss, int64_t maxBytes, int64_t maxChunks) : loss(loss) {
  auto take = [&](auto op) {
    anchor = op;
    x = op.getX();
    weight = op.getWeight();
    labels = op.getLabels();
    vocabulary = op.getVocabulary();
  };
  if (loss.forward)
    take(loss.forward);
  else
    take(loss.backward);
  tokens = graph::getTensorType(x).getDimSize(0);
  int64_t rowBytes = graph::getTensorType(weight).getDimSize(0) * 4;
  int64_t fits = std::max<int64_t>(maxBytes / rowBytes, 1);
  // Of equal sizes, whole blocks of the micro-kernel.
  int64_t chunks = std::clamp<int64_t>(llvm::divideCeil(tokens, fits), 1, maxChunks);
  chunk = llvm::alignTo(llvm::divideCeil(tokens, chunks), 8);
}

template <typename OpT> SmallVector<Value> Expansion::define(OpBuilder &builder, OpT op) {
  SmallVector<Value> values = op.decompose(builder);
  op.erase();
  return values;
}

void Expansion::expandChunk(OpBuilder &builder, int64_t begin, int64_t size) {
  Location loc = anchor->getLoc();
  graph::GraphBuilder b(builder, loc);
  auto slice = [&](Value value) { return size == tokens ? value : b.slice(value, 0, begin, size); };
  auto resize = [&](Value value) {
    RankedTensorType type = graph::getTensorType(value);
    SmallVector<int64_t> shape(type.getShape());
    shape[0] = size;
    return graph::withShape(type, shape, type.getElementType());
  };
  Value chunkX = slice(x), chunkLabels = slice(labels), chunkLse;
  if (loss.forward) {
    SmallVector<Type> types{loss.forward.getLoss().getType(), loss.forward.getValid().getType(), resize(loss.forward.getLse())};
    SmallVector<Value> values = define(builder, graph::CrossEntropyOp::create(builder, loc, types, chunkX, weight, chunkLabels,
                                                                              loss.forward.getVocabularyAttr()));
    losses.push_back(values[0]);
    valids.push_back(values[1]);
    lses.push_back(values[2]);
    chunkLse = values[2];
  } else {
    chunkLse = slice(loss.backward.getLse());
  }
  if (loss.backward) {
    SmallVector<Type> types{resize(loss.backward.getDx()), loss.backward.getDweight().getType()};
    SmallVector<Value> values =
        define(builder, graph::CrossEntropyGradOp::create(builder, loc, types, loss.backward.getDloss(), chunkX, weight,
                                                          chunkLabels, chunkLse, loss.backward.getVocabularyAttr()));
    dxs.push_back(values[0]);
    // Added up chunk by chunk, so that one gradient is kept.
    dweights.push_back(dweights.empty() ? values[1] : b.add(dweights.back(), values[1]));
  }
}

void Expansion::run() {
  OpBuilder builder(anchor);
  for (int64_t begin = 0; begin < tokens; begin += chunk)
    expandChunk(builder, begin, std::min(chunk, tokens - begin));

  graph::GraphBuilder b(builder, anchor->getLoc());
  auto sum = [&](ArrayRef<Value> values) {
    Value total = values.front();
    for (Value value : values.drop_front())
      total = b.add(total, value);
    return total;
  };
  auto join = [&](ArrayRef<Value> values) { return values.size() == 1 ? values.front() : b.concat(values, 0); };
  if (loss.forward) {
    loss.forward.replaceAllUsesWith(ValueRange{sum(losses), sum(valids), join(lses)});
    loss.forward.erase();
  }
  if (loss.backward) {
    loss.backward.replaceAllUsesWith(ValueRange{join(dxs), dweights.back()});
    loss.backward.erase();
  }
}

/// The gradient of a loss that can be computed in the loss's place.
static graph::CrossEntropyGradOp findGradient(graph::CrossEntropyOp forward) {
  for (Operation *user : forward.getLse().getUsers()) {
    auto backward = dyn_cast<graph::CrossEntropyGradOp>(user);
    if (!backward || backward->getBlock() != forward->getBlock() || backward.getX() != forward.getX() ||
        backward.getWeight() != forward.getWeight() || backward.getLabels() != forward.getLabels() ||
        backward.getVocabulary() != forward.getVocabulary())
      continue;
    Operation *seed = backward.getDloss().getDefiningOp();
    if (seed && isa<graph::ConstantOp>(seed) && seed->getBlock() == forward->getBlock())
      seed->moveBefore(forward);
    if (!seed || seed->getBlock() != forward->getBlock() || seed->isBeforeInBlock(forward))
      return backward;
  }
  return {};
}

void ExpandCrossEntropy::runOnOperation() {
  for (auto function : getOperation().getOps<func::FuncOp>()) {
    SmallVector<Loss> losses;
    llvm::SmallDenseSet<Operation *> merged;
    function.walk([&](graph::CrossEntropyOp forward) {
      losses.push_back({forward, findGradient(forward)});
      if (losses.back().backward)
        merged.insert(losses.back().backward);
    });
    function.walk([&](graph::CrossEntropyGradOp backward) {
      if (!merged.contains(backward))
        losses.push_back({{}, backward});
    });
    for (Loss loss : losses)
      Expansion(loss, maxBytes, maxChunks).run();
    if (losses.empty())
      continue;
    // The logits of loss and gradient become one.
    IRRewriter rewriter(&getContext());
    DominanceInfo dominance(function);
    eliminateCommonSubExpressions(rewriter, dominance, function);
  }
}
