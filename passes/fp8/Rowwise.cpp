//===- Rowwise.cpp - One scale for what an element of the product sums ----===//
//
// Factors of an operand's rows leave the sums of the product. What is summed over one dimension in one product and over
// another one in the next is quantised for each of them.
//
//===----------------------------------------------------------------------===//

#include "passes/fp8/Recipe.h"

using namespace mlir;
using namespace primus;
using namespace primus::fp8;

Quantised fp8::quantizeRowwise(OpBuilder &builder, const Setting &setting, const Operand &operand) {
  ArrayRef<int64_t> shape = graph::getTensorType(operand.value).getShape();
  SmallVector<int64_t> counts;
  for (auto [dim, letter] : llvm::enumerate(operand.spec))
    counts.push_back(StringRef(operand.contracted).contains(letter) ? countGroups(setting, operand, dim) : shape[dim]);
  return quantizeByAmax(builder, setting, operand, buildAmax(builder, setting, operand, counts));
}
