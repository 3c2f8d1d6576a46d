//===- Matmul.cpp - Products in einsum notation ---------------------------===//

#include "ir/graph/GraphBuilder.h"
#include "ir/graph/Rules.h"

using namespace mlir;
using namespace primus::graph;

LogicalResult MatmulOp::verify() {
  if (!getSpec().contains(',') || !getSpec().contains("->"))
    return emitOpError("spec \"") << getSpec() << "\" must have the form \"lhs,rhs->result\"";
  // (C1), (C3)
  auto verifyLetters = [&](StringRef name, StringRef spec, Value value) -> LogicalResult {
    int64_t rank = getTensorType(value).getRank();
    if (static_cast<int64_t>(spec.size()) != rank)
      return emitOpError() << name << " spec \"" << spec << "\" must have one letter per dimension, which are " << rank;
    for (auto [i, letter] : llvm::enumerate(spec)) {
      if (!llvm::isAlpha(letter))
        return emitOpError() << name << " spec \"" << spec << "\" may only have letters";
      if (spec.find(letter) != i)
        return emitOpError() << "letter '" << letter << "' appears twice in the " << name << " spec";
    }
    return success();
  };
  StringRef lhs = getLhsSpec(), rhs = getRhsSpec(), result = getResultSpec();
  if (failed(verifyLetters("lhs", lhs, getLhs())) || failed(verifyLetters("rhs", rhs, getRhs())) ||
      failed(verifyLetters("result", result, getResult())))
    return failure();

  // (C2), (C4)
  llvm::SmallDenseMap<char, int64_t> sizes;
  auto verifySizes = [&](StringRef name, StringRef spec, Value value) -> LogicalResult {
    for (auto [letter, size] : llvm::zip_equal(spec, getTensorType(value).getShape())) {
      auto [entry, isNew] = sizes.try_emplace(letter, size);
      if (entry->second != size)
        return emitOpError() << "letter '" << letter << "' has size " << size << " in the " << name << ", but "
                             << entry->second << " before";
    }
    return success();
  };
  if (failed(verifySizes("lhs", lhs, getLhs())) || failed(verifySizes("rhs", rhs, getRhs())))
    return failure();
  for (char letter : result)
    if (!sizes.contains(letter))
      return emitOpError() << "result letter '" << letter << "' is in neither operand";
  if (failed(verifySizes("result", result, getResult())))
    return failure();
  for (auto [letter, size] : sizes)
    if (!result.contains(letter) && (!lhs.contains(letter) || !rhs.contains(letter)))
      return emitOpError() << "letter '" << letter << "' is in one operand only, and must therefore be in the result";
  return success();
}

/// Each operand's gradient is the product of the cotangent and the other operand, in f32. A cotangent that is wider
/// than the operands is rounded to their type first, as a product in that precision has it.
SmallVector<Value> MatmulOp::buildVjp(OpBuilder &builder, ValueRange cotangents) {
  if (!cotangents[0])
    return {Value(), Value()};
  GraphBuilder b(builder, getLoc());
  auto product = [&](Value other, StringRef otherSpec, StringRef wantedSpec) {
    Type element = getTensorType(other).getElementType(), wide = getTensorType(cotangents[0]).getElementType();
    bool isHalf = element.isBF16() || element.isF16();
    Value dy = isHalf && wide.getIntOrFloatBitWidth() > 16 ? b.convert(cotangents[0], element) : cotangents[0];
    std::string spec = (getResultSpec() + "," + otherSpec + "->" + wantedSpec).str();
    return b.matmul(spec, dy, other, b.getF32());
  };
  return {product(getRhs(), getRhsSpec(), getLhsSpec()), product(getLhs(), getLhsSpec(), getRhsSpec())};
}

ShardingRule MatmulOp::getShardingRule() {
  return makeRule(*this, {getLhsSpec().str(), getRhsSpec().str()}, {getResultSpec().str()}, {0, 1});
}

Cost MatmulOp::getCost() {
  int64_t contracted = 1;
  for (auto [letter, size] : llvm::zip_equal(getLhsSpec(), getTensorType(getLhs()).getShape()))
    if (!getResultSpec().contains(letter))
      contracted *= size;
  return makeCost(*this, 2 * contracted * countElements(getResult()));
}
