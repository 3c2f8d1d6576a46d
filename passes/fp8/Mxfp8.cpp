//===- Mxfp8.cpp - A power of two for each 32 values that are summed ------===//
//
// OCP Microscaling Formats (MX) Specification 1.0, section 6.3: a block's factor is the largest power of two that is not
// above its largest value, divided by the largest power of two of the element's format.
//
//===----------------------------------------------------------------------===//

#include "passes/fp8/Recipe.h"

using namespace mlir;
using namespace primus;
using namespace primus::fp8;

Quantised fp8::quantizeMxfp8(OpBuilder &builder, const Setting &setting, const Operand &operand) {
  Operand moved = moveContractedLast(builder, operand);
  SmallVector<int64_t> counts(graph::getTensorType(moved.value).getShape());
  counts.back() = countBlocks(counts.back(), kMxfp8Size);
  Value amax = buildAmax(builder, setting, moved, counts);
  graph::GraphBuilder factorBuilder(builder, getLoc(operand, ".factor")), b(builder, getLoc(operand, ".fp8"));
  int exponent = ilogb(APFloat::getLargest(moved.type.getFloatSemantics()));
  Value scaled = factorBuilder.mul(amax, std::ldexp(1.0, static_cast<int>(setting.attr.getMargin()) - exponent));
  Value factor = factorBuilder.convert(scaled, Float8E8M0FNUType::get(builder.getContext()));
  return {b.quantize(moved.value, factor, moved.type), factor, moved.spec};
}
