//===- Blockwise.cpp - A scale for each 128 values that are summed --------===//
//
// 1 x 128 of activations and gradients, 128 x 128 of weights, with scales of f32: DeepSeek-AI 2024, arXiv 2412.19437,
// section 3.3.
//
//===----------------------------------------------------------------------===//

#include "passes/fp8/Recipe.h"

using namespace mlir;
using namespace primus;
using namespace primus::fp8;

Quantised fp8::quantizeBlockwise(OpBuilder &builder, const Setting &setting, const Operand &operand) {
  // A weight's square blocks serve both products that read it.
  Operand moved = operand.isWeight ? operand : moveContractedLast(builder, operand);
  SmallVector<int64_t> counts(graph::getTensorType(moved.value).getShape());
  if (operand.isWeight)
    for (int64_t &count : counts)
      count = countBlocks(count, kBlockwiseSize);
  else
    counts.back() = countBlocks(counts.back(), kBlockwiseSize);
  return quantizeByAmax(builder, setting, moved, buildAmax(builder, setting, moved, counts));
}
