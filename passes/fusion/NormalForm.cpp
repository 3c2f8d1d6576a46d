//===- NormalForm.cpp - Forms in which ops are fused ----------------------===//

#include "passes/fusion/NormalForm.h"

#include "ir/graph/GraphBuilder.h"
#include "passes/fusion/Einsum.h"
#include "passes/fusion/QuantisedProducts.h"
#include "passes/kernels/BlockSpace.h"
#include "passes/kernels/Elementwise.h"

#include "mlir/IR/Dominance.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/CSE.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

using namespace mlir;
using namespace primus;
using namespace primus::graph;

/// Composites with a kernel of their own.
static bool hasKernel(Operation *op, const kernel::TargetTraits &traits) {
  return isa<AttentionOp, AttentionGradOp, RopeOp, PackOp>(op) || fusion::isNormalScaledMatmul(op, traits);
}

/// [product of all dimensions but the last, last].
static SmallVector<int64_t> flatten(ArrayRef<int64_t> shape) {
  int64_t rows = 1;
  for (int64_t size : shape.drop_back())
    rows *= size;
  return {rows, shape.back()};
}

static unsigned getBits(Value value) { return getTensorType(value).getElementTypeBitWidth(); }

static bool isFlat(Value value) { return getTensorType(value).getRank() <= 2; }

namespace {

struct Decompose : OpInterfaceRewritePattern<Decomposable> {
  Decompose(MLIRContext *context, const kernel::TargetTraits &traits) : OpInterfaceRewritePattern(context), traits(traits) {}
  LogicalResult matchAndRewrite(Decomposable composite, PatternRewriter &rewriter) const override {
    if (hasKernel(composite, traits))
      return failure();
    SmallVector<Value> values = composite.decompose(rewriter);
    if (values.size() != composite->getNumResults())
      return failure();
    rewriter.replaceOp(composite, values);
    return success();
  }

private:
  const kernel::TargetTraits &traits;
};

struct FlattenElementwise : RewritePattern {
  explicit FlattenElementwise(MLIRContext *context) : RewritePattern(MatchAnyOpTypeTag(), 1, context) {}
  LogicalResult matchAndRewrite(Operation *op, PatternRewriter &rewriter) const override {
    if (!kernels::isElementwise(op) || isFlat(op->getResult(0)))
      return failure();
    GraphBuilder b(rewriter, op->getLoc());
    RankedTensorType type = getTensorType(op->getResult(0));
    SmallVector<int64_t> shape = flatten(type.getShape());
    SmallVector<Value> operands;
    for (Value operand : op->getOperands())
      operands.push_back(b.reshape(operand, shape));
    Operation *flat = rewriter.clone(*op);
    flat->setOperands(operands);
    flat->getResult(0).setType(withShape(type, shape, type.getElementType()));
    rewriter.replaceOp(op, b.reshape(flat->getResult(0), type.getShape()));
    return success();
  }
};

/// Broadcasts of scalars, of rows' values and of a row to a matrix; others stay.
struct FlattenBroadcast : OpRewritePattern<BroadcastOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(BroadcastOp op, PatternRewriter &rewriter) const override {
    RankedTensorType from = getTensorType(op.getOperand()), to = getTensorType(op.getResult());
    if (isFlat(op.getResult()))
      return failure();
    SmallVector<int64_t> shape = flatten(to.getShape());
    bool keepsLast = from.getRank() > 0 && op.getDims().back() == to.getRank() - 1 &&
                     from.getShape().back() == to.getShape().back();
    int64_t fromRows = from.getNumElements() / std::max<int64_t>(keepsLast ? shape[1] : 1, 1);
    GraphBuilder b(rewriter, op.getLoc());
    if (fromRows != 1 && fromRows != shape[0]) {
      // To the rows first, which are few, where each has one value.
      int64_t last = to.getRank() - 1;
      if (keepsLast || from.getRank() == 0 || op.getDims().back() == last)
        return failure();
      Value rows = b.broadcast(op.getOperand(), to.getShape().drop_back(), op.getDims());
      rewriter.replaceOp(op, b.broadcast(rows, to.getShape(), llvm::to_vector(llvm::seq<int64_t>(0, last))));
      return success();
    }
    SmallVector<int64_t> source, dims;
    if (fromRows != 1) {
      source.push_back(shape[0]);
      dims.push_back(0);
    }
    if (keepsLast) {
      source.push_back(shape[1]);
      dims.push_back(1);
    }
    Value flat = b.broadcast(b.reshape(op.getOperand(), source), shape, dims);
    rewriter.replaceOp(op, b.reshape(flat, to.getShape()));
    return success();
  }
};

struct FlattenReduce : OpRewritePattern<ReduceOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(ReduceOp op, PatternRewriter &rewriter) const override {
    GraphBuilder b(rewriter, op.getLoc());
    RankedTensorType from = getTensorType(op.getOperand()), to = getTensorType(op.getResult());
    SmallVector<bool> reduced(from.getRank(), false);
    for (int64_t dim : op.getDims())
      reduced[dim] = true;
    auto finish = [&](Value value) {
      rewriter.replaceOp(op, b.reshape(b.convert(value, to.getElementType()), to.getShape()));
      return success();
    };
    if (from.getNumElements() == to.getNumElements())
      return finish(op.getOperand());
    if (kernels::isOverSquares(op))
      return failure();
    if (to.getNumElements() == 1 && op.getKind() == ReduceKind::Max && flatten(from.getShape())[0] != 1) {
      // Rows first: with what computes them.
      Value rows = b.max(b.reshape(op.getOperand(), flatten(from.getShape())), {1});
      return finish(b.max(rows, {0}));
    }
    if (to.getNumElements() == 1) {
      if (to.getRank() == 0 && from.getRank() <= 2)
        return failure();
      SmallVector<int64_t> all = from.getRank() <= 1 ? SmallVector<int64_t>{from.getNumElements()} : flatten(from.getShape());
      return reduce(op, b.reshape(op.getOperand(), all), llvm::to_vector(llvm::seq<int64_t>(0, all.size())), rewriter);
    }

    // Dimensions that are summed and kept, apart from those of size one; leading sums and trailing sums need no transpose.
    SmallVector<int64_t> summed, kept;
    for (int64_t dim = 0; dim < from.getRank(); ++dim)
      if (from.getDimSize(dim) != 1)
        (reduced[dim] ? summed : kept).push_back(dim);
    int64_t rows = 1, columns = 1;
    if (op.getKind() == ReduceKind::Max && summed.size() > 1 && summed.back() == from.getRank() - 1) {
      // Along rows first: with what computes them.
      Value rows = b.max(b.reshape(op.getOperand(), flatten(from.getShape())), {1});
      return finish(b.max(b.reshape(rows, from.getShape().drop_back()), op.getDims().drop_back()));
    }
    if (summed.back() < kept.front() || kept.back() < summed.front()) {
      bool overRows = summed.back() < kept.front();
      for (int64_t dim : overRows ? summed : kept)
        rows *= from.getDimSize(dim);
      columns = from.getNumElements() / rows;
      if (from.getRank() == 2)
        return failure();
      return reduce(op, b.reshape(op.getOperand(), {rows, columns}), {overRows ? 0 : 1}, rewriter);
    }
    if (op.getKind() == ReduceKind::Max && summed.back() > kept.back()) {
      // Along the last ones first, in which nothing moves: the order does not matter.
      SmallVector<int64_t> first, second;
      for (int64_t dim : op.getDims())
        (dim > kept.back() ? first : second).push_back(dim);
      return finish(b.max(b.max(op.getOperand(), first), second));
    }
    SmallVector<int64_t> perm;
    for (int64_t dim = 0; dim < from.getRank(); ++dim)
      if (!llvm::is_contained(summed, dim))
        perm.push_back(dim);
    perm.append(summed);
    for (int64_t dim : kept)
      rows *= from.getDimSize(dim);
    Value moved = b.reshape(b.transpose(op.getOperand(), perm), {rows, from.getNumElements() / rows});
    return reduce(op, moved, {1}, rewriter);
  }

private:
  static LogicalResult reduce(ReduceOp op, Value operand, ArrayRef<int64_t> dims, PatternRewriter &rewriter) {
    RankedTensorType from = getTensorType(operand), to = getTensorType(op.getResult());
    SmallVector<int64_t> shape;
    for (int64_t dim = 0; dim < from.getRank(); ++dim)
      if (!llvm::is_contained(dims, dim))
        shape.push_back(from.getDimSize(dim));
    GraphBuilder b(rewriter, op.getLoc());
    Value sum = ReduceOp::create(rewriter, op.getLoc(), withShape(to, shape, to.getElementType()), op.getKind(), operand, dims);
    rewriter.replaceOp(op, b.reshape(sum, to.getShape()));
    return success();
  }
};

/// What is rounded is computed with what it is rounded from, under that one's shape: what lies in memory is narrow.
struct SinkReshape : OpRewritePattern<ConvertOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(ConvertOp op, PatternRewriter &rewriter) const override {
    auto reshape = op.getOperand().getDefiningOp<ReshapeOp>();
    RankedTensorType type = getTensorType(op.getResult());
    Operation *source = reshape ? reshape.getOperand().getDefiningOp() : nullptr;
    if (getBits(op.getResult()) >= getBits(op.getOperand()) || type.getEncoding() || !source || !kernels::isElementwise(source) || !isFlat(source->getResult(0)))
      return failure();
    GraphBuilder b(rewriter, op.getLoc());
    rewriter.replaceOp(op, b.reshape(b.convert(source->getResult(0), type.getElementType()), type.getShape()));
    return success();
  }
};

/// Reshapes of constants, and of what is computed anew wherever it is used, move to their operands: views of inputs cost nothing.
struct RaiseReshape : OpRewritePattern<ReshapeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(ReshapeOp op, PatternRewriter &rewriter) const override {
    GraphBuilder b(rewriter, op.getLoc());
    RankedTensorType to = getTensorType(op.getResult());
    // One of the function's results under its layout.
    if (to.getEncoding())
      return failure();
    Operation *source = op.getOperand().getDefiningOp();
    if (std::optional<double> splat = kernels::getSplat(source)) {
      rewriter.replaceOp(op, b.splat(to, *splat));
      return success();
    }
    auto convert = dyn_cast_or_null<ConvertOp>(source);
    if (convert && to.getRank() <= 2 && getBits(convert.getOperand()) <= getBits(convert.getResult())) {
      rewriter.replaceOp(op, b.convert(b.reshape(convert.getOperand(), to.getShape()), to.getElementType()));
      return success();
    }
    auto broadcast = dyn_cast_or_null<BroadcastOp>(source);
    if (broadcast && getTensorType(broadcast.getOperand()).getNumElements() == 1) {
      rewriter.replaceOp(op, b.broadcast(b.reshape(broadcast.getOperand(), {}), to.getShape(), {}));
      return success();
    }
    return failure();
  }
};

} // namespace

LogicalResult fusion::normalise(func::FuncOp function) {
  MLIRContext *context = function.getContext();
  RewritePatternSet patterns(context);
  kernel::TargetTraits traits = kernel::TargetTraits::get(function->getParentOfType<ModuleOp>());
  patterns.add<Decompose>(context, traits);
  patterns.add<FlattenElementwise, FlattenBroadcast, FlattenReduce, RaiseReshape, SinkReshape>(context);
  populateEinsumPatterns(patterns);
  populateQuantisedProductPatterns(patterns, traits);
  for (RegisteredOperationName name : context->getRegisteredOperations())
    if (isa<GraphDialect>(name.getDialect()))
      name.getCanonicalizationPatterns(patterns, context);
  GreedyRewriteConfig config;
  config.setRegionSimplificationLevel(GreedySimplifyRegionLevel::Disabled);
  if (failed(applyPatternsGreedily(function, std::move(patterns), config)))
    return function.emitOpError("has no normal form: rewriting does not come to an end");

  IRRewriter rewriter(context);
  DominanceInfo dominance(function);
  eliminateCommonSubExpressions(rewriter, dominance, function);
  return success();
}
