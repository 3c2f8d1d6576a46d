//===- Contraction.cpp - Primitives that sum, and access by index ---------===//
//
// Sums are formed in f64, in index order, and rounded once by the caller. A kernel that sums in f32 in another order
// lies within the usual error bound of f32 summation around it, whatever its order.
//
//===----------------------------------------------------------------------===//

#include "ir/graph/GraphDialect.h"
#include "ir/interpreter/Primitives.h"

#include <limits>
#include <numeric>

using namespace mlir;
using namespace primus::graph;
using namespace primus::interpreter;

static LogicalResult evaluateReduce(ReduceOp op, ArrayRef<const Tensor *> operands, Tensor &result) {
  const Tensor &operand = *operands[0];
  // The result's strides over the operand's dimensions; a reduced dimension stays in place.
  SmallVector<int64_t> strides(operand.shape.size(), 0), resultStrides = getStrides(result.shape);
  for (size_t dim = 0, kept = 0; dim < operand.shape.size(); ++dim)
    if (!llvm::is_contained(op.getDims(), static_cast<int64_t>(dim)))
      strides[dim] = resultStrides[kept++];
  const double *in = operand.values.data();
  if (op.getKind() == ReduceKind::Sum) {
    forEachOffset(operand.shape, strides, 0, [&](int64_t offset) { result.values[offset] += *in++; });
    return success();
  }
  std::fill(result.values.begin(), result.values.end(), -std::numeric_limits<double>::infinity());
  forEachOffset(operand.shape, strides, 0, [&](int64_t offset) {
    double value = *in++, &most = result.values[offset];
    if (value > most || std::isnan(value))
      most = value;
  });
  return success();
}

namespace {

/// An einsum as a batch of matrix products: [batch, rows, depth] x [batch, depth, columns].
struct Einsum {
  /// Letters of each group, in the order of the result (depth: of the left operand).
  std::string batch, rows, columns, depth;

  Einsum(StringRef lhs, StringRef rhs, StringRef result) {
    for (char letter : result)
      (!lhs.contains(letter) ? columns : !rhs.contains(letter) ? rows : batch) += letter;
    for (char letter : lhs)
      if (!result.contains(letter))
        depth += letter;
  }
};

} // namespace

/// Shape and strides of a tensor whose dimensions are named by `spec`, in the order of `letters`.
static std::pair<SmallVector<int64_t>, SmallVector<int64_t>> order(ArrayRef<int64_t> shape, StringRef spec,
                                                                   StringRef letters) {
  SmallVector<int64_t> strides = getStrides(shape);
  std::pair<SmallVector<int64_t>, SmallVector<int64_t>> ordered;
  for (char letter : letters) {
    size_t dim = spec.find(letter);
    ordered.first.push_back(shape[dim]);
    ordered.second.push_back(strides[dim]);
  }
  return ordered;
}

static int64_t countElements(ArrayRef<int64_t> shape, StringRef spec, StringRef letters) {
  SmallVector<int64_t> sizes = order(shape, spec, letters).first;
  return std::accumulate(sizes.begin(), sizes.end(), int64_t{1}, std::multiplies<>());
}

/// A packed copy of the operand with its dimensions in the order of `letters`.
static std::vector<double> pack(const Tensor &operand, StringRef spec, StringRef letters) {
  auto [shape, strides] = order(operand.shape, spec, letters);
  std::vector<double> packed;
  packed.reserve(operand.values.size());
  forEachOffset(shape, strides, 0, [&](int64_t offset) { packed.push_back(operand.values[offset]); });
  return packed;
}

/// c += a b for packed matrices. Four rows share each row of b, and columns are taken in blocks that stay in the
/// first-level cache.
static void multiplyMatrices(int64_t rows, int64_t columns, int64_t depth, const double *a, const double *b,
                             double *__restrict c) {
  constexpr int64_t blockColumns = 512, blockRows = 4;
  for (int64_t first = 0; first < columns; first += blockColumns) {
    const int64_t width = std::min(blockColumns, columns - first);
    int64_t row = 0;
    for (; row + blockRows <= rows; row += blockRows) {
      double *__restrict c0 = c + row * columns + first;
      double *__restrict c1 = c0 + columns, *__restrict c2 = c1 + columns, *__restrict c3 = c2 + columns;
      for (int64_t k = 0; k < depth; ++k) {
        const double *left = a + row * depth + k, *right = b + k * columns + first;
        const double a0 = left[0], a1 = left[depth], a2 = left[2 * depth], a3 = left[3 * depth];
        for (int64_t j = 0; j < width; ++j) {
          const double value = right[j];
          c0[j] += a0 * value;
          c1[j] += a1 * value;
          c2[j] += a2 * value;
          c3[j] += a3 * value;
        }
      }
    }
    for (; row < rows; ++row)
      for (int64_t k = 0; k < depth; ++k) {
        const double left = a[row * depth + k], *right = b + k * columns + first;
        double *__restrict out = c + row * columns + first;
        for (int64_t j = 0; j < width; ++j)
          out[j] += left * right[j];
      }
  }
}

static LogicalResult evaluateMatmul(MatmulOp op, ArrayRef<const Tensor *> operands, Tensor &result) {
  StringRef lhsSpec = op.getLhsSpec(), rhsSpec = op.getRhsSpec(), resultSpec = op.getResultSpec();
  Einsum einsum(lhsSpec, rhsSpec, resultSpec);
  const Tensor &lhs = *operands[0], &rhs = *operands[1];
  int64_t batch = countElements(lhs.shape, lhsSpec, einsum.batch);
  int64_t rows = countElements(lhs.shape, lhsSpec, einsum.rows);
  int64_t depth = countElements(lhs.shape, lhsSpec, einsum.depth);
  int64_t columns = countElements(rhs.shape, rhsSpec, einsum.columns);
  std::vector<double> a = pack(lhs, lhsSpec, einsum.batch + einsum.rows + einsum.depth);
  std::vector<double> b = pack(rhs, rhsSpec, einsum.batch + einsum.depth + einsum.columns);
  std::vector<double> c(result.values.size(), 0.0);
  for (int64_t i = 0; i < batch; ++i)
    multiplyMatrices(rows, columns, depth, a.data() + i * rows * depth, b.data() + i * depth * columns,
                     c.data() + i * rows * columns);
  auto [shape, strides] = order(result.shape, resultSpec, einsum.batch + einsum.rows + einsum.columns);
  const double *in = c.data();
  forEachOffset(shape, strides, 0, [&](int64_t offset) { result.values[offset] = *in++; });
  return success();
}

/// Calls `visit(row, i)` for each index that lies in a table of `rows` rows; i is its position.
template <typename Visit> static void forEachValidIndex(const Tensor &indices, int64_t rows, Visit visit) {
  for (auto [i, index] : llvm::enumerate(indices.values))
    if (index >= 0 && index < static_cast<double>(rows))
      visit(static_cast<int64_t>(index), static_cast<int64_t>(i));
}

/// Elements of one row of a table.
static int64_t getRowSize(const Tensor &table) { return getStrides(table.shape).front(); }

static LogicalResult evaluateGather(GatherOp, ArrayRef<const Tensor *> operands, Tensor &result) {
  const Tensor &table = *operands[0];
  int64_t width = getRowSize(table);
  forEachValidIndex(*operands[1], table.shape[0], [&](int64_t row, int64_t i) {
    std::copy_n(table.values.begin() + row * width, width, result.values.begin() + i * width);
  });
  return success();
}

static LogicalResult evaluateScatter(ScatterOp, ArrayRef<const Tensor *> operands, Tensor &result) {
  const Tensor &updates = *operands[1];
  int64_t width = getRowSize(result);
  forEachValidIndex(*operands[0], result.shape[0], [&](int64_t row, int64_t i) {
    for (int64_t column = 0; column < width; ++column)
      result.values[row * width + column] += updates.values[i * width + column];
  });
  return success();
}

void primus::interpreter::addContractionPrimitives(PrimitiveTable &table) {
  add<ReduceOp, evaluateReduce>(table);
  add<MatmulOp, evaluateMatmul>(table);
  add<GatherOp, evaluateGather>(table);
  add<ScatterOp, evaluateScatter>(table);
}
