//===- Tensorwise.cpp - One scale for a tensor ----------------------------===//
//
// The scale follows from the tensor's own values: "current scaling". It serves all products that read the tensor.
//
//===----------------------------------------------------------------------===//

#include "passes/fp8/Recipe.h"

using namespace mlir;
using namespace primus;
using namespace primus::fp8;

Quantised fp8::quantizeTensorwise(OpBuilder &builder, const Setting &setting, const Operand &operand) {
  SmallVector<int64_t> counts;
  for (size_t dim = 0; dim < operand.spec.size(); ++dim)
    counts.push_back(countGroups(setting, operand, dim));
  return quantizeByAmax(builder, setting, operand, buildAmax(builder, setting, operand, counts));
}
