//===- Einsum.cpp - Products in normal form -------------------------------===//

#include "passes/fusion/Einsum.h"

#include "ir/graph/GraphBuilder.h"
#include "passes/kernels/MatmulProblem.h"

using namespace mlir;
using namespace primus;
using namespace primus::graph;

namespace {

/// The letters of an einsum by their role. Letters of size one are left out.
struct Letters {
  std::string batch, rows, columns, summed;
  llvm::StringMap<int64_t> sizes;

  explicit Letters(MatmulOp op);
  int64_t size(StringRef letters) const {
    int64_t product = 1;
    for (char letter : letters)
      product *= sizes.lookup(StringRef(&letter, 1));
    return product;
  }
  /// `spec` without letters of size one.
  std::string strip(StringRef spec) const {
    std::string result;
    for (char letter : spec)
      if (sizes.lookup(StringRef(&letter, 1)) != 1)
        result += letter;
    return result;
  }
};

struct NormaliseEinsum : OpRewritePattern<MatmulOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(MatmulOp op, PatternRewriter &rewriter) const override;
};

} // namespace

Letters::Letters(MatmulOp op) {
  StringRef left = op.getLhsSpec(), right = op.getRhsSpec(), result = op.getResultSpec();
  for (auto [spec, value] : {std::pair(left, op.getLhs()), std::pair(right, op.getRhs())})
    for (auto [position, size] : llvm::enumerate(getTensorType(value).getShape()))
      sizes[spec.substr(position, 1)] = size;
  // The order of rows, columns and batch is the result's, that of summed letters the left operand's.
  for (char letter : strip(result)) {
    bool inLeft = left.contains(letter), inRight = right.contains(letter);
    (inLeft && inRight ? batch : inLeft ? rows : columns) += letter;
  }
  for (char letter : strip(left))
    if (!result.contains(letter))
      summed += letter;
}

/// `value`, whose dimensions are the letters of `spec`, as [batch, first, second] by a reshape, after a transpose if need be.
static Value arrange(GraphBuilder &b, const Letters &letters, Value value, StringRef spec, StringRef first, StringRef second) {
  std::string wanted = (Twine(letters.batch) + first + second).str();
  if (letters.strip(spec) != wanted) {
    SmallVector<int64_t> perm;
    for (char letter : wanted)
      perm.push_back(spec.find(letter));
    for (auto [position, letter] : llvm::enumerate(spec))
      if (!StringRef(wanted).contains(letter))
        perm.push_back(position);
    value = b.transpose(value, perm);
  }
  return b.reshape(value, {letters.size(letters.batch), letters.size(first), letters.size(second)});
}

LogicalResult NormaliseEinsum::matchAndRewrite(MatmulOp op, PatternRewriter &rewriter) const {
  if (kernels::MatmulProblem::match(op) || op.getSpec() == kernels::kPackedSpec)
    return failure();
  GraphBuilder b(rewriter, op.getLoc());
  Letters letters(op);
  RankedTensorType type = getTensorType(op.getResult());
  Value left = op.getLhs(), right = op.getRhs();
  std::string leftSpec = op.getLhsSpec().str(), rightSpec = op.getRhsSpec().str();

  // Columns before rows in the result: the product of the transposes, in exchanged roles, needs no transpose of the result.
  std::string resultSpec = letters.strip(op.getResultSpec());
  if (resultSpec == letters.batch + letters.columns + letters.rows && !letters.rows.empty() && !letters.columns.empty()) {
    std::swap(left, right);
    std::swap(leftSpec, rightSpec);
    std::swap(letters.rows, letters.columns);
    // Summed letters in the order of the new left operand.
    std::string summed;
    for (char letter : letters.strip(leftSpec))
      if (StringRef(letters.summed).contains(letter))
        summed += letter;
    letters.summed = summed;
  }

  // Each operand is read as it lies if its letters are in one of two orders; else it is copied into the first.
  auto choose = [&](Value value, StringRef spec, StringRef plain, StringRef transposed, StringRef first, StringRef second) {
    std::string present = letters.strip(spec);
    if (present != (Twine(letters.batch) + first + second).str() && present == (Twine(letters.batch) + second + first).str())
      return std::pair(arrange(b, letters, value, spec, second, first), transposed);
    return std::pair(arrange(b, letters, value, spec, first, second), plain);
  };
  auto [a, aSpec] = choose(left, leftSpec, kernels::kLeftRows, kernels::kLeftColumns, letters.rows, letters.summed);
  auto [w, wSpec] = choose(right, rightSpec, kernels::kRightRows, kernels::kRightColumns, letters.summed, letters.columns);
  std::string spec = (aSpec + "," + wSpec + "->bmn").str();
  Value product = b.matmul(spec, a, w, type.getElementType());

  // Back to the result's letters.
  std::string normal = letters.batch + letters.rows + letters.columns;
  if (resultSpec == normal) {
    rewriter.replaceOp(op, b.reshape(product, type.getShape()));
    return success();
  }
  SmallVector<int64_t> shape, perm;
  for (char letter : normal)
    shape.push_back(letters.sizes.lookup(StringRef(&letter, 1)));
  for (char letter : resultSpec)
    perm.push_back(StringRef(normal).find(letter));
  Value transposed = b.transpose(b.reshape(product, shape), perm);
  rewriter.replaceOp(op, b.reshape(transposed, type.getShape()));
  return success();
}

void fusion::populateEinsumPatterns(RewritePatternSet &patterns) { patterns.add<NormaliseEinsum>(patterns.getContext()); }
