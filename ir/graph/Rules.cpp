//===- Rules.cpp - Short notations for sharding rules and costs -----------===//

#include "ir/graph/Rules.h"

using namespace mlir;
using namespace primus::graph;

ShardingRule primus::graph::makeRule(Operation *op, ArrayRef<std::string> operands, ArrayRef<std::string> results,
                                     ArrayRef<int64_t> linear, bool jointlyLinear) {
  ShardingRule rule;
  rule.linear.assign(linear.begin(), linear.end());
  rule.jointlyLinear = jointlyLinear;
  llvm::SmallDenseMap<char, int64_t> factors;
  auto map = [&](StringRef spec, Value value) {
    auto type = cast<RankedTensorType>(value.getType());
    SmallVector<int64_t> dims;
    for (auto [letter, size] : llvm::zip_equal(spec, type.getShape())) {
      if (letter == '.') {
        dims.push_back(ShardingRule::replicated);
        continue;
      }
      auto [entry, isNew] = factors.try_emplace(letter, rule.sizes.size());
      if (isNew) {
        rule.sizes.push_back(size);
        rule.reduced.push_back(false);
      }
      rule.sizes[entry->second] = std::min(rule.sizes[entry->second], size);
      dims.push_back(entry->second);
    }
    return dims;
  };
  for (auto [spec, operand] : llvm::zip_equal(operands, op->getOperands()))
    rule.operands.push_back(map(spec, operand));
  int64_t operandFactors = rule.sizes.size();
  for (auto [spec, result] : llvm::zip_equal(results, op->getResults()))
    rule.results.push_back(map(spec, result));
  for (const SmallVector<int64_t> &result : rule.results)
    for (int64_t factor = 0; factor < operandFactors; ++factor)
      if (!llvm::is_contained(result, factor))
        rule.reduced[factor] = true;
  return rule;
}

std::string primus::graph::letters(int64_t count, char first) {
  std::string result;
  for (int64_t i = 0; i < count; ++i)
    result.push_back(static_cast<char>(first + i));
  return result;
}

std::string primus::graph::leadingLetters(Value value, int64_t count) {
  return letters(cast<RankedTensorType>(value.getType()).getRank() - count);
}

ShardingRule primus::graph::elementwiseRule(Operation *op, ArrayRef<int64_t> linear, bool jointlyLinear) {
  SmallVector<std::string> operands, results;
  for (Value operand : op->getOperands())
    operands.push_back(leadingLetters(operand, 0));
  for (Value result : op->getResults())
    results.push_back(leadingLetters(result, 0));
  return makeRule(op, operands, results, linear, jointlyLinear);
}

int64_t primus::graph::countElements(Value value) { return cast<RankedTensorType>(value.getType()).getNumElements(); }

Cost primus::graph::makeCost(Operation *op, int64_t flops) {
  Cost cost{flops, 0};
  auto addBytes = [&](Value value) {
    unsigned bits = cast<RankedTensorType>(value.getType()).getElementTypeBitWidth();
    cost.bytes += countElements(value) * ((bits + 7) / 8);
  };
  llvm::for_each(op->getOperands(), addBytes);
  llvm::for_each(op->getResults(), addBytes);
  return cost;
}

Cost primus::graph::elementwiseCost(Operation *op, int64_t flopsPerElement) {
  return makeCost(op, flopsPerElement * countElements(op->getResult(0)));
}
