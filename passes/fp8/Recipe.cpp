//===- Recipe.cpp - How operands of products are quantised ----------------===//

#include "passes/fp8/Recipe.h"

#include "passes/LayerFunction.h"

#include <numeric>

using namespace mlir;
using namespace primus;
using namespace primus::fp8;
using primus::graph::getTensorType;
using primus::graph::GraphBuilder;

Quantizer fp8::getQuantizer(graph::Fp8Recipe recipe) {
  static constexpr std::pair<graph::Fp8Recipe, Quantizer> quantizers[] = {
      {graph::Fp8Recipe::Tensorwise, quantizeTensorwise},
      {graph::Fp8Recipe::Rowwise, quantizeRowwise},
      {graph::Fp8Recipe::Blockwise, quantizeBlockwise},
      {graph::Fp8Recipe::Mxfp8, quantizeMxfp8},
  };
  const auto *found = llvm::find_if(quantizers, [&](const auto &entry) { return entry.first == recipe; });
  return found == std::end(quantizers) ? nullptr : found->second;
}

Location fp8::getLoc(const Operand &operand, StringRef suffix) { return getDerivedLoc(operand.value, suffix); }

int64_t fp8::countGroups(const Setting &setting, const Operand &operand, int64_t dim) {
  // Before placement the sequences of all data ranks stand one after the other.
  return operand.isWeight || dim != 0 ? 1 : setting.dataRanks;
}

Value fp8::buildAmax(OpBuilder &builder, const Setting &setting, const Operand &operand, ArrayRef<int64_t> counts) {
  GraphBuilder b(builder, getLoc(operand, ".amax"));
  ArrayRef<int64_t> shape = getTensorType(operand.value).getShape();
  int64_t ranks = operand.isWeight ? setting.weightParts : setting.activationParts;
  SmallVector<int64_t> parts(counts);
  if (counts.empty())
    parts.assign(shape.size(), 1);
  for (auto [dim, count] : llvm::enumerate(parts)) {
    // Only a scalar reaches over several ranks' sequences.
    int64_t divided = count == 1 && (operand.isWeight || dim != 0 || counts.empty()) ? std::gcd(shape[dim], ranks) : 1;
    count *= divided;
  }
  bool isOnePart = llvm::all_of(parts, [](int64_t count) { return count == 1; });
  if (isOnePart || ArrayRef(parts) == counts)
    return b.amax(operand.value, counts);
  return b.amax(b.amax(operand.value, parts), counts);
}

Quantised fp8::quantizeByAmax(OpBuilder &builder, const Setting &setting, const Operand &operand, Value amax) {
  constexpr double smallest = 1e-12;
  double largest = APFloat::getLargest(operand.type.getFloatSemantics()).convertToDouble();
  GraphBuilder scaleBuilder(builder, getLoc(operand, ".scale")), factorBuilder(builder, getLoc(operand, ".factor"));
  GraphBuilder b(builder, getLoc(operand, ".fp8"));
  Value goal = scaleBuilder.splatLike(amax, std::ldexp(largest, -setting.attr.getMargin()));
  Value scale = scaleBuilder.div(goal, scaleBuilder.maximum(amax, smallest));
  Value factor = factorBuilder.div(factorBuilder.splatLike(scale, 1), scale);
  return {b.quantize(operand.value, scale, operand.type), factor, operand.spec};
}

Operand fp8::moveContractedLast(OpBuilder &builder, const Operand &operand) {
  SmallVector<int64_t> perm;
  Operand result = operand;
  result.spec.clear();
  for (bool moved : {false, true})
    for (auto [dim, letter] : llvm::enumerate(operand.spec))
      if (StringRef(operand.contracted).contains(letter) == moved) {
        perm.push_back(dim);
        result.spec.push_back(letter);
      }
  if (result.spec != operand.spec)
    result.value = GraphBuilder(builder, getLoc(operand, ".transposed")).transpose(operand.value, perm);
  return result;
}

int64_t fp8::countBlocks(int64_t size, int64_t block) { return size < block ? 1 : size / block; }
