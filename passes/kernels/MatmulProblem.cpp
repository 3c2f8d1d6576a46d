//===- MatmulProblem.cpp - The normal form of matmuls ---------------------===//

#include "passes/kernels/MatmulProblem.h"

#include "ir/graph/GraphBuilder.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace primus;
using namespace primus::kernels;


static std::optional<MatmulProblem> matchPacked(graph::MatmulOp op) {
  MatmulProblem problem;
  ArrayRef<int64_t> packed = shapeOf(op.getRhs());
  problem.right = op.getRhs();
  problem.width = packed[3];
  problem.group = packed[4];
  problem.ops.push_back(op);

  auto reshape = op.getLhs().getDefiningOp<graph::ReshapeOp>();
  if (!reshape)
    return std::nullopt;
  problem.ops.push_back(reshape);
  problem.left = reshape.getOperand();
  if (auto pad = problem.left.getDefiningOp<graph::PadOp>()) {
    problem.ops.push_back(pad);
    problem.left = pad.getOperand();
  }
  if (shapeOf(problem.left).size() != 3 || !op.getResult().hasOneUse())
    return std::nullopt;
  auto whole = dyn_cast<graph::ReshapeOp>(*op.getResult().user_begin());
  if (!whole)
    return std::nullopt;
  problem.ops.push_back(whole);
  problem.result = whole.getResult();
  if (whole.getResult().hasOneUse())
    if (auto slice = dyn_cast<graph::SliceOp>(*whole.getResult().user_begin())) {
      problem.ops.push_back(slice);
      problem.result = slice.getResult();
    }
  if (shapeOf(problem.result).size() != 3)
    return std::nullopt;
  problem.batch = shapeOf(problem.left)[0];
  problem.m = shapeOf(problem.left)[1];
  problem.k = shapeOf(problem.left)[2];
  problem.n = shapeOf(problem.result)[2];
  return problem;
}

std::optional<MatmulProblem> MatmulProblem::match(graph::MatmulOp op) {
  if (op.getSpec() == kPackedSpec)
    return matchPacked(op);
  StringRef left = op.getLhsSpec(), right = op.getRhsSpec();
  if ((left != kLeftRows && left != kLeftColumns) || (right != kRightRows && right != kRightColumns) ||
      op.getResultSpec() != "bmn")
    return std::nullopt;
  MatmulProblem problem;
  problem.left = op.getLhs();
  problem.right = op.getRhs();
  problem.result = op.getResult();
  ArrayRef<int64_t> shape = shapeOf(op.getResult());
  problem.batch = shape[0];
  problem.m = shape[1];
  problem.n = shape[2];
  problem.leftColumns = left == kLeftColumns;
  problem.rightColumns = right == kRightColumns;
  problem.k = shapeOf(op.getLhs())[problem.leftColumns ? 1 : 2];
  problem.ops.push_back(op);
  return problem;
}

std::optional<MatmulProblem> MatmulProblem::match(graph::ScaledMatmulOp op) {
  if (op.getSpec() != kScaledSpec && op.getSpec() != kScaledRowsSpec)
    return std::nullopt;
  MatmulProblem problem;
  problem.left = op.getLhs();
  problem.right = op.getRhs();
  problem.leftFactor = op.getLhsFactor();
  problem.rightFactor = op.getRhsFactor();
  problem.result = op.getResult();
  ArrayRef<int64_t> left = shapeOf(problem.left), right = shapeOf(problem.right);
  ArrayRef<int64_t> leftFactors = shapeOf(problem.leftFactor), rightFactors = shapeOf(problem.rightFactor);
  problem.batch = left[0];
  problem.m = left[1];
  problem.rightColumns = op.getSpec() == kScaledSpec;
  unsigned column = problem.rightColumns ? 1 : 2;
  problem.n = right[column];
  problem.k = left[2];
  // The same blocks of k, and a factor for each row of the left operand.
  if (leftFactors.size() != 3 || rightFactors.size() != 3 || leftFactors[2] != rightFactors[3 - column] ||
      leftFactors[0] != problem.batch || rightFactors[0] != problem.batch || leftFactors[1] != problem.m)
    return std::nullopt;
  problem.block = problem.k / leftFactors[2];
  problem.factorColumns = problem.n / rightFactors[column];
  problem.ops.push_back(op);
  return problem;
}

Value kernels::buildPackedMatmul(OpBuilder &builder, Location loc, Value left, Value packed, int64_t n, Type element) {
  graph::GraphBuilder b(builder, loc);
  SmallVector<int64_t> shape(shapeOf(left)), panels(shapeOf(packed));
  int64_t batch = shape[0], m = shape[1], group = panels[4], k = llvm::alignTo(shape[2], group), columns = panels[1] * panels[3];
  if (k != shape[2])
    left = b.pad(left, {0, 0, 0}, {batch, m, k});
  // Four dimensions even where the group is one, so that the product is recognised.
  Value groups = b.reshape(left, {batch, m, k / group, group});
  Value result = b.reshape(b.matmul(kPackedSpec, groups, packed, element), {batch, m, columns});
  return n == columns ? result : b.slice(result, {0, 0, 0}, {batch, m, n});
}
