//===- NormalForm.cpp - Forms in which ops are fused ----------------------===//

#include "passes/fusion/NormalForm.h"

#include "ir/graph/GraphBuilder.h"
#include "passes/fusion/Einsum.h"
#include "passes/kernels/Elementwise.h"

#include "mlir/IR/Dominance.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/CSE.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

using namespace mlir;
using namespace primus;
using namespace primus::graph;

/// Composites with a kernel of their own.
static bool hasKernel(Operation *op) { return isa<AttentionOp, AttentionGradOp, RopeOp, PackOp>(op); }

/// [product of all dimensions but the last, last].
static SmallVector<int64_t> flatten(ArrayRef<int64_t> shape) {
  int64_t rows = 1;
  for (int64_t size : shape.drop_back())
    rows *= size;
  return {rows, shape.back()};
}

static bool isFlat(Value value) { return getTensorType(value).getRank() <= 2; }

namespace {

struct Decompose : OpInterfaceRewritePattern<Decomposable> {
  using OpInterfaceRewritePattern::OpInterfaceRewritePattern;
  LogicalResult matchAndRewrite(Decomposable composite, PatternRewriter &rewriter) const override {
    if (hasKernel(composite))
      return failure();
    SmallVector<Value> values = composite.decompose(rewriter);
    if (values.size() != composite->getNumResults())
      return failure();
    rewriter.replaceOp(composite, values);
    return success();
  }
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
    if (fromRows != 1 && fromRows != shape[0])
      return failure();
    GraphBuilder b(rewriter, op.getLoc());
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
    if (summed.back() < kept.front() || kept.back() < summed.front()) {
      bool overRows = summed.back() < kept.front();
      for (int64_t dim : overRows ? summed : kept)
        rows *= from.getDimSize(dim);
      columns = from.getNumElements() / rows;
      if (from.getRank() == 2)
        return failure();
      return reduce(op, b.reshape(op.getOperand(), {rows, columns}), {overRows ? 0 : 1}, rewriter);
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
    if (auto convert = dyn_cast_or_null<ConvertOp>(source); convert && to.getRank() <= 2) {
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
  patterns.add<Decompose, FlattenElementwise, FlattenBroadcast, FlattenReduce, RaiseReshape>(context);
  populateEinsumPatterns(patterns);
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
