//===- Recipe.cpp - How operands of products are quantised ----------------===//

#include "passes/fp8/Recipe.h"

#include "passes/LayerFunction.h"

#include <numeric>

using namespace mlir;
using namespace primus;
using namespace primus::fp8;
using primus::graph::getTensorType;
using primus::graph::GraphBuilder;

static constexpr Recipe kRecipes[] = {
    {graph::Fp8Recipe::Delayed, "one scale for a tensor, from the largest values of earlier steps", 0, nullptr},
    {graph::Fp8Recipe::Tensorwise, "one scale for a tensor, from its own values, as in all that follow", 0, quantizeTensorwise},
    {graph::Fp8Recipe::Rowwise, "one for what an element of the product sums", 0, quantizeRowwise},
    {graph::Fp8Recipe::Blockwise, "one for 128 values of those, or for 128 x 128 of a weight", kBlockwiseSize, quantizeBlockwise},
    {graph::Fp8Recipe::Mxfp8, "a power of two for 32 of those", kMxfp8Size, quantizeMxfp8},
};

ArrayRef<Recipe> fp8::getRecipes() { return kRecipes; }

const Recipe &fp8::getRecipe(graph::Fp8Recipe kind) {
  return *llvm::find_if(kRecipes, [&](const Recipe &recipe) { return recipe.kind == kind; });
}

const Recipe *fp8::findRecipe(StringRef name) {
  const Recipe *found = llvm::find_if(kRecipes, [&](const Recipe &recipe) { return graph::stringifyFp8Recipe(recipe.kind) == name; });
  return found == std::end(kRecipes) ? nullptr : found;
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
