//===- Shape.cpp - Primitives that move elements --------------------------===//
//
// Each visits the elements of one side in order and follows the other by strides.
//
//===----------------------------------------------------------------------===//

#include "ir/graph/GraphDialect.h"
#include "ir/interpreter/Primitives.h"

#include <numeric>

using namespace mlir;
using namespace primus::graph;
using namespace primus::interpreter;

/// Offset of an index.
static int64_t linearize(ArrayRef<int64_t> index, ArrayRef<int64_t> strides) {
  return std::inner_product(index.begin(), index.end(), strides.begin(), int64_t{0});
}

/// Fills the result from the operand's element at base + sum of index * strides, for each index of the result.
static void readStrided(const Tensor &operand, ArrayRef<int64_t> strides, int64_t base, Tensor &result) {
  double *out = result.values.data();
  forEachOffset(result.shape, strides, base, [&](int64_t offset) { *out++ = operand.values[offset]; });
}

/// Writes the operand's elements, in order, into the box of the result that starts at `base`.
static void writeBox(const Tensor &operand, int64_t base, Tensor &result) {
  const double *in = operand.values.data();
  forEachOffset(operand.shape, getStrides(result.shape), base, [&](int64_t offset) { result.values[offset] = *in++; });
}

static LogicalResult evaluateBroadcast(BroadcastOp op, ArrayRef<const Tensor *> operands, Tensor &result) {
  SmallVector<int64_t> operandStrides = getStrides(operands[0]->shape), strides(result.shape.size(), 0);
  for (auto [dim, size, stride] : llvm::zip_equal(op.getDims(), operands[0]->shape, operandStrides))
    strides[dim] = size == 1 ? 0 : stride;
  readStrided(*operands[0], strides, 0, result);
  return success();
}

static LogicalResult evaluateReshape(ReshapeOp, ArrayRef<const Tensor *> operands, Tensor &result) {
  result.values = operands[0]->values;
  return success();
}

/// Where elements are does not change what they are.
static LogicalResult evaluateReshard(ReshardOp, ArrayRef<const Tensor *> operands, Tensor &result) {
  result.values = operands[0]->values;
  return success();
}

static LogicalResult evaluateTranspose(TransposeOp op, ArrayRef<const Tensor *> operands, Tensor &result) {
  SmallVector<int64_t> operandStrides = getStrides(operands[0]->shape), strides;
  for (int64_t dim : op.getPerm())
    strides.push_back(operandStrides[dim]);
  readStrided(*operands[0], strides, 0, result);
  return success();
}

static LogicalResult evaluateSlice(SliceOp op, ArrayRef<const Tensor *> operands, Tensor &result) {
  SmallVector<int64_t> strides = getStrides(operands[0]->shape);
  readStrided(*operands[0], strides, linearize(op.getOffsets(), strides), result);
  return success();
}

static LogicalResult evaluatePad(PadOp op, ArrayRef<const Tensor *> operands, Tensor &result) {
  writeBox(*operands[0], linearize(op.getLow(), getStrides(result.shape)), result);
  return success();
}

static LogicalResult evaluateConcat(ConcatOp op, ArrayRef<const Tensor *> operands, Tensor &result) {
  int64_t stride = getStrides(result.shape)[op.getDim()], position = 0;
  for (const Tensor *operand : operands) {
    writeBox(*operand, position * stride, result);
    position += operand->shape[op.getDim()];
  }
  return success();
}

void primus::interpreter::addShapePrimitives(PrimitiveTable &table) {
  add<BroadcastOp, evaluateBroadcast>(table);
  add<ReshapeOp, evaluateReshape>(table);
  add<ReshardOp, evaluateReshard>(table);
  add<TransposeOp, evaluateTranspose>(table);
  add<SliceOp, evaluateSlice>(table);
  add<PadOp, evaluatePad>(table);
  add<ConcatOp, evaluateConcat>(table);
}
