//===- Matmul.cpp - Products in einsum notation ---------------------------===//

#include "ir/graph/GraphBuilder.h"
#include "ir/graph/Product.h"
#include "ir/graph/Rules.h"

using namespace mlir;
using namespace primus::graph;

LogicalResult primus::graph::verifyProduct(Operation *op, StringRef spec, Value lhsValue, Value rhsValue) {
  auto emitOpError = [&](const Twine &message = "") { return op->emitOpError(message); };
  if (!spec.contains(',') || !spec.contains("->"))
    return emitOpError("spec \"") << spec << "\" must have the form \"lhs,rhs->result\"";
  StringRef lhs = spec.split(',').first, rhs = spec.split(',').second.split("->").first,
            result = spec.split("->").second;
  Value resultValue = op->getResult(0);
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
  if (failed(verifyLetters("lhs", lhs, lhsValue)) || failed(verifyLetters("rhs", rhs, rhsValue)) ||
      failed(verifyLetters("result", result, resultValue)))
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
  if (failed(verifySizes("lhs", lhs, lhsValue)) || failed(verifySizes("rhs", rhs, rhsValue)))
    return failure();
  for (char letter : result)
    if (!sizes.contains(letter))
      return emitOpError() << "result letter '" << letter << "' is in neither operand";
  if (failed(verifySizes("result", result, resultValue)))
    return failure();
  for (auto [letter, size] : sizes)
    if (!result.contains(letter) && (!lhs.contains(letter) || !rhs.contains(letter)))
      return emitOpError() << "letter '" << letter << "' is in one operand only, and must therefore be in the result";
  return success();
}

LogicalResult MatmulOp::verify() {
  // (C5)
  Type lhs = getTensorType(getLhs()).getElementType(), rhs = getTensorType(getRhs()).getElementType();
  auto isOcp = [](Type type) { return isa<Float8E4M3FNType, Float8E5M2Type>(type); };
  auto isFnuz = [](Type type) { return isa<Float8E4M3FNUZType, Float8E5M2FNUZType>(type); };
  if (isOcp(lhs) != isOcp(rhs) || isFnuz(lhs) != isFnuz(rhs))
    return emitOpError() << "mixes " << lhs << " and " << rhs << "; 8-bit floats are multiplied by ones of the same encoding";
  return verifyProduct(*this, getSpec(), getLhs(), getRhs());
}

/// Each operand's gradient is the product of the cotangent and the other operand, in f32. A cotangent that is wider
/// than the operands is rounded to their type first, as a product in that precision has it.
SmallVector<Value> MatmulOp::buildVjp(OpBuilder &builder, ValueRange cotangents) {
  if (!cotangents[0])
    return {Value(), Value()};
  GraphBuilder b(builder, getLoc());
  auto product = [&](Value other, StringRef otherSpec, StringRef wantedSpec, Fp8Role role) -> Value {
    Type element = getTensorType(other).getElementType(), wide = getTensorType(cotangents[0]).getElementType();
    bool isHalf = element.isBF16() || element.isF16();
    Value dy = isHalf && wide.getIntOrFloatBitWidth() > 16 ? b.convert(cotangents[0], element) : cotangents[0];
    std::string spec = (getResultSpec() + "," + otherSpec + "->" + wantedSpec).str();
    Value gradient = b.matmul(spec, dy, other, b.getF32());
    if (Fp8Attr fp8 = getFp8Attr(); fp8 && !(fp8.getWideWgrad() && role == Fp8Role::Wgrad))
      gradient.getDefiningOp<MatmulOp>().setFp8Attr(fp8.withRole(role));
    return gradient;
  };
  return {product(getRhs(), getRhsSpec(), getLhsSpec(), Fp8Role::Dgrad),
          product(getLhs(), getLhsSpec(), getRhsSpec(), Fp8Role::Wgrad)};
}

ShardingRule MatmulOp::getShardingRule() {
  return makeRule(*this, {getLhsSpec().str(), getRhsSpec().str()}, {getResultSpec().str()}, {0, 1});
}

Cost primus::graph::productCost(Operation *op, StringRef spec) {
  int64_t contracted = 1;
  for (auto [letter, size] : llvm::zip_equal(spec.split(',').first, getTensorType(op->getOperand(0)).getShape()))
    if (!spec.split("->").second.contains(letter))
      contracted *= size;
  return makeCost(op, 2 * contracted * countElements(op->getResult(0)));
}

Cost MatmulOp::getCost() { return productCost(*this, getSpec()); }
