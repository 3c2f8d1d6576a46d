//===- QuantisedProducts.cpp - Products of quantised tensors --------------===//

#include "passes/fusion/QuantisedProducts.h"

#include "ir/graph/GraphBuilder.h"
#include "passes/kernels/MatmulProblem.h"

using namespace mlir;
using namespace primus;
using namespace primus::graph;

namespace {

/// Before the op's definition is taken.
constexpr unsigned beforeDecomposition = 2;

struct FactorsAfterSums : OpRewritePattern<ScaledMatmulOp> {
  explicit FactorsAfterSums(MLIRContext *context) : OpRewritePattern(context, beforeDecomposition) {}
  LogicalResult matchAndRewrite(ScaledMatmulOp op, PatternRewriter &rewriter) const override;
};

struct FactorsOfBlocks : OpRewritePattern<ScaledMatmulOp> {
  FactorsOfBlocks(MLIRContext *context, const kernel::TargetTraits &traits)
      : OpRewritePattern(context, beforeDecomposition + 1), traits(traits) {}
  LogicalResult matchAndRewrite(ScaledMatmulOp op, PatternRewriter &rewriter) const override;

private:
  const kernel::TargetTraits &traits;
};

/// The largest of parts that a rank has all of.
struct AmaxOfParts : OpRewritePattern<AmaxOp> {
  explicit AmaxOfParts(MLIRContext *context) : OpRewritePattern(context, beforeDecomposition) {}
  LogicalResult matchAndRewrite(AmaxOp op, PatternRewriter &rewriter) const override;
};

struct PowersInBf16 : OpRewritePattern<ScaledMatmulOp> {
  PowersInBf16(MLIRContext *context, const kernel::TargetTraits &traits)
      : OpRewritePattern(context, beforeDecomposition), traits(traits) {}
  LogicalResult matchAndRewrite(ScaledMatmulOp op, PatternRewriter &rewriter) const override;

private:
  const kernel::TargetTraits &traits;
};

/// Sizes of an operand, and how many factors there are along each.
struct Matrix {
  SmallVector<int64_t> shape, counts;
};

/// Factors of an operand as seen from the result.
struct ResultFactors {
  /// The sizes that are not one, and the result's dimensions that they belong to.
  SmallVector<int64_t> shape, dims;
};

} // namespace

/// Nothing where factors change along the contraction, or belong to several of the result's rows or columns, but not all.
static std::optional<ResultFactors> findInResult(Value factor, Value operand, StringRef letters, StringRef result) {
  ResultFactors found;
  ArrayRef<int64_t> sizes = getTensorType(operand).getShape();
  for (auto [dim, count] : llvm::enumerate(getTensorType(factor).getShape())) {
    if (count == 1)
      continue;
    size_t place = result.find(letters[dim]);
    if (place == StringRef::npos || count != sizes[dim] ||
        (!found.dims.empty() && found.dims.back() > static_cast<int64_t>(place)))
      return std::nullopt;
    found.shape.push_back(count);
    found.dims.push_back(place);
  }
  return found;
}

LogicalResult FactorsAfterSums::matchAndRewrite(ScaledMatmulOp op, PatternRewriter &rewriter) const {
  std::optional<ResultFactors> lhs = findInResult(op.getLhsFactor(), op.getLhs(), op.getLhsSpec(), op.getResultSpec());
  std::optional<ResultFactors> rhs = findInResult(op.getRhsFactor(), op.getRhs(), op.getRhsSpec(), op.getResultSpec());
  if (!lhs || !rhs)
    return failure();
  GraphBuilder b(rewriter, op.getLoc());
  Value product = b.matmul(op.getSpec(), op.getLhs(), op.getRhs(), b.getF32());
  ArrayRef<int64_t> shape = getTensorType(product).getShape();
  for (auto [factor, found] : {std::pair(op.getLhsFactor(), &*lhs), std::pair(op.getRhsFactor(), &*rhs)})
    product = b.mul(product, b.broadcast(b.toF32(b.reshape(factor, found->shape)), shape, found->dims));
  rewriter.replaceOp(op, b.convert(product, getTensorType(op.getResult()).getElementType()));
  return success();
}

static Type getElement(Value value) { return getTensorType(value).getElementType(); }

/// Whether there is a kernel for operands and factors, [batch, rows, depth] each; the right one lies in memory as
/// [batch, depth, rows] where it is `inRows`.
static bool hasKernel(ScaledMatmulOp op, const kernel::TargetTraits &traits, const Matrix &left, const Matrix &right,
                      bool inRows) {
  if (!traits.gpu || !traits.gpu->multiplies(getElement(op.getLhs()), getElement(op.getRhs())))
    return false;
  // Shorter blocks are no sums of their own, unless matrix instructions take their factors; a tile's columns have one or one each.
  constexpr int64_t mostColumns = 128;
  int64_t block = left.shape[2] / left.counts[2], wide = right.shape[1] / right.counts[1];
  bool isPower = isa<Float8E8M0FNUType>(getElement(op.getLhsFactor())) && traits.gpu->hasFactors &&
                 block == kernels::kPowerBlock && left.shape[2] % kernels::kPowerStep == 0 && wide == 1 && !inRows;
  bool isOfSums = block == kernels::kSumBlock && left.shape[2] % block == 0 && getElement(op.getLhsFactor()).isF32();
  return left.counts[0] == left.shape[0] && right.counts[0] == right.shape[0] && left.counts[1] == left.shape[1] &&
         left.counts[2] == right.counts[2] && (isOfSums || isPower) && (wide == 1 || wide % mostColumns == 0);
}

/// [batch, k, n] as [batch, n, k].
static Matrix exchange(Matrix matrix) {
  std::swap(matrix.shape[1], matrix.shape[2]);
  std::swap(matrix.counts[1], matrix.counts[2]);
  return matrix;
}

bool fusion::isNormalScaledMatmul(Operation *op, const kernel::TargetTraits &traits) {
  auto product = dyn_cast<ScaledMatmulOp>(op);
  bool rows = product && product.getSpec() == kernels::kScaledRowsSpec;
  if (!product || (!rows && product.getSpec() != kernels::kScaledSpec))
    return false;
  auto asMatrix = [](Value operand, Value factor) {
    return Matrix{llvm::to_vector(getTensorType(operand).getShape()), llvm::to_vector(getTensorType(factor).getShape())};
  };
  Matrix left = asMatrix(product.getLhs(), product.getLhsFactor()), right = asMatrix(product.getRhs(), product.getRhsFactor());
  return left.counts.size() == 3 && right.counts.size() == 3 &&
         hasKernel(product, traits, left, rows ? exchange(right) : right, rows);
}

/// An operand, whose first `split` dimensions are either its free or its contracted ones, as [1, first, rest], and its
/// factors likewise; nothing where these have no such form.
static std::optional<Matrix> asMatrix(Value operand, Value factor, size_t split) {
  ArrayRef<int64_t> shape = getTensorType(operand).getShape(), counts = getTensorType(factor).getShape();
  if (counts.size() != shape.size())
    return std::nullopt;
  Matrix matrix{{1}, {1}};
  for (auto [first, end] : {std::pair(size_t(0), split), std::pair(split, shape.size())}) {
    int64_t size = 1, count = 1;
    for (size_t dim = first; dim < end; ++dim) {
      // Merged dimensions have whole blocks where only the last one has larger ones.
      if (dim + 1 < end && shape[dim] != counts[dim])
        return std::nullopt;
      size *= shape[dim];
      count *= counts[dim];
    }
    matrix.shape.push_back(size);
    matrix.counts.push_back(count);
  }
  return matrix;
}

LogicalResult FactorsOfBlocks::matchAndRewrite(ScaledMatmulOp op, PatternRewriter &rewriter) const {
  if (fusion::isNormalScaledMatmul(op, traits))
    return failure();
  StringRef lhs = op.getLhsSpec(), rhs = op.getRhsSpec();
  size_t rows = 0;
  while (rows < lhs.size() && op.getResultSpec().contains(lhs[rows]) && !rhs.contains(lhs[rows]))
    ++rows;
  StringRef summed = lhs.drop_front(rows);
  bool inRows = rhs.starts_with(summed);
  if (summed.empty() || (!inRows && !rhs.ends_with(summed)))
    return failure();
  StringRef columns = inRows ? rhs.drop_front(summed.size()) : rhs.drop_back(summed.size());
  if ((lhs.take_front(rows) + columns).str() != op.getResultSpec())
    return failure();
  std::optional<Matrix> left = asMatrix(op.getLhs(), op.getLhsFactor(), rows);
  std::optional<Matrix> right = asMatrix(op.getRhs(), op.getRhsFactor(), inRows ? summed.size() : columns.size());
  if (!left || !right || !hasKernel(op, traits, *left, inRows ? exchange(*right) : *right, inRows))
    return failure();
  GraphBuilder b(rewriter, op.getLoc());
  StringRef spec = inRows ? kernels::kScaledRowsSpec : kernels::kScaledSpec;
  Value product = b.scaledMatmul(spec, b.reshape(op.getLhs(), left->shape), b.reshape(op.getLhsFactor(), left->counts),
                                 b.reshape(op.getRhs(), right->shape), b.reshape(op.getRhsFactor(), right->counts), b.getF32());
  RankedTensorType type = getTensorType(op.getResult());
  rewriter.replaceOp(op, b.convert(b.reshape(product, type.getShape()), type.getElementType()));
  return success();
}

LogicalResult AmaxOfParts::matchAndRewrite(AmaxOp op, PatternRewriter &rewriter) const {
  auto parts = op.getOperand().getDefiningOp<AmaxOp>();
  if (!parts || !parts->hasOneUse() || getTensorType(parts.getResult()).getRank() == 0)
    return failure();
  rewriter.replaceOpWithNewOp<AmaxOp>(op, op.getResult().getType(), parts.getOperand());
  return success();
}

LogicalResult PowersInBf16::matchAndRewrite(ScaledMatmulOp op, PatternRewriter &rewriter) const {
  if (!isa<Float8E8M0FNUType>(getTensorType(op.getLhsFactor()).getElementType()) || fusion::isNormalScaledMatmul(op, traits))
    return failure();
  GraphBuilder b(rewriter, op.getLoc());
  auto restore = [&](Value operand, Value factor) -> Value {
    return DequantizeOp::create(rewriter, op.getLoc(), getTensorType(operand).clone(rewriter.getBF16Type()), operand, factor);
  };
  Value lhs = restore(op.getLhs(), op.getLhsFactor()), rhs = restore(op.getRhs(), op.getRhsFactor());
  rewriter.replaceOp(op, b.matmul(op.getSpec(), lhs, rhs, getTensorType(op.getResult()).getElementType()));
  return success();
}

void fusion::populateQuantisedProductPatterns(RewritePatternSet &patterns, const kernel::TargetTraits &traits) {
  patterns.add<FactorsAfterSums, AmaxOfParts>(patterns.getContext());
  patterns.add<FactorsOfBlocks, PowersInBf16>(patterns.getContext(), traits);
}
