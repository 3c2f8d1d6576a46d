//===- FactorAssignment.cpp - Which axes split an op's factors ------------===//

#include "passes/placement/FactorAssignment.h"

using namespace mlir;
using namespace primus;
using namespace primus::placement;

namespace {

class Assignment {
public:
  Assignment(const graph::ShardingRule &rule, graph::MeshAttr mesh, ArrayRef<OperandClaim> operands,
             ArrayRef<std::optional<ResultPin>> pins)
      : rule(rule), mesh(mesh), operands(operands), pins(pins), axes(rule.sizes.size()), decided(rule.sizes.size()),
        owners(rule.sizes.size(), -1) {
    if (rule.maximum)
      for (auto [factor, reduced] : llvm::enumerate(rule.reduced))
        decided[factor] = reduced;
  }

  std::variant<OpLayouts, Conflict> run();

private:
  void choosePartial();
  std::optional<Conflict> claimOperands(OperandClaim::Strength strength);
  void claimPins();
  /// The leading axes of a claim that may split `factor`.
  Axes limit(ArrayRef<StringAttr> claim, int64_t factor, bool keepPartial);
  /// True if `axis` splits a factor that is decided, other than `factor`.
  bool isTaken(StringAttr axis, int64_t factor);

  const graph::ShardingRule &rule;
  graph::MeshAttr mesh;
  ArrayRef<OperandClaim> operands;
  ArrayRef<std::optional<ResultPin>> pins;
  /// Per factor: its axes, whether nothing weaker can change them, and the operand that they are from.
  SmallVector<Axes> axes;
  SmallVector<bool> decided;
  SmallVector<int64_t> owners;
  /// The pending sums that pass through the op, and the operands that carry them.
  Axes partial;
  SmallVector<int64_t> carriers;
};

} // namespace

void Assignment::choosePartial() {
  for (const std::optional<ResultPin> &pin : pins) {
    if (!rule.jointlyLinear || !pin || pin->partial != ResultPin::Exact || pin->layout.partial.empty())
      continue;
    partial = pin->layout.partial;
    carriers.assign(rule.linear.begin(), rule.linear.end());
    return;
  }
  if (!rule.jointlyLinear) {
    for (int64_t operand : rule.linear)
      if (carriers.empty() && !operands[operand].layout.partial.empty()) {
        partial = operands[operand].layout.partial;
        carriers.push_back(operand);
      }
    return;
  }
  // What all of them have in common.
  bool first = true;
  for (int64_t operand : rule.linear) {
    const OperandClaim &claim = operands[operand];
    if (claim.openPartial)
      continue;
    if (first)
      partial = claim.layout.partial;
    else
      llvm::erase_if(partial, [&](StringAttr axis) { return !llvm::is_contained(claim.layout.partial, axis); });
    first = false;
  }
  carriers.assign(rule.linear.begin(), rule.linear.end());
}

bool Assignment::isTaken(StringAttr axis, int64_t factor) {
  for (auto [other, list] : llvm::enumerate(axes))
    if (static_cast<int64_t>(other) != factor && decided[other] && llvm::is_contained(list, axis))
      return true;
  return false;
}

Axes Assignment::limit(ArrayRef<StringAttr> claim, int64_t factor, bool keepPartial) {
  Axes result;
  int64_t groupSize = 1;
  for (StringAttr axis : claim) {
    groupSize *= mesh.getSize(axis).value_or(1);
    if (isTaken(axis, factor) || rule.sizes[factor] % groupSize != 0 ||
        (keepPartial && llvm::is_contained(partial, axis)))
      break;
    result.push_back(axis);
  }
  return result;
}

std::optional<Conflict> Assignment::claimOperands(OperandClaim::Strength strength) {
  SmallVector<int64_t> claimed;
  for (auto [operand, claim] : llvm::enumerate(operands)) {
    if (claim.strength != strength)
      continue;
    for (auto [list, factor] : llvm::zip_equal(claim.layout.dims, rule.operands[operand])) {
      if (factor == graph::ShardingRule::replicated || decided[factor])
        continue;
      Axes wanted = limit(list, factor, /*keepPartial=*/strength == OperandClaim::Soft);
      Axes &present = axes[factor];
      if (countCommonPrefix(wanted, present) < std::min(wanted.size(), present.size())) {
        if (strength == OperandClaim::Soft)
          continue;
        return Conflict{unsigned(owners[factor]), unsigned(operand), present, wanted};
      }
      if (!llvm::is_contained(claimed, factor))
        claimed.push_back(factor);
      if (wanted.size() > present.size() || owners[factor] < 0) {
        present = wanted;
        owners[factor] = operand;
      }
    }
  }
  // Two factors over one axis: neither operand has the better right.
  for (auto [index, factor] : llvm::enumerate(claimed)) {
    for (int64_t other : ArrayRef(claimed).take_front(index)) {
      auto shared = llvm::find_if(axes[factor], [&](StringAttr axis) { return llvm::is_contained(axes[other], axis); });
      if (shared == axes[factor].end())
        continue;
      if (strength == OperandClaim::Soft)
        axes[factor].erase(shared, axes[factor].end());
      else
        return Conflict{unsigned(owners[other]), unsigned(owners[factor]), axes[other], axes[factor]};
    }
  }
  for (int64_t factor : claimed)
    decided[factor] = strength == OperandClaim::Fixed || !axes[factor].empty();
  return std::nullopt;
}

void Assignment::claimPins() {
  for (auto [pin, dims] : llvm::zip_equal(pins, rule.results)) {
    if (!pin)
      continue;
    for (auto [list, factor] : llvm::zip_equal(pin->layout.dims, dims)) {
      if (factor == graph::ShardingRule::replicated || decided[factor])
        continue;
      axes[factor] = limit(list, factor, /*keepPartial=*/true);
      decided[factor] = true;
    }
  }
}

std::variant<OpLayouts, Conflict> Assignment::run() {
  choosePartial();
  if (std::optional<Conflict> conflict = claimOperands(OperandClaim::Fixed))
    return *conflict;
  claimPins();
  for (OperandClaim::Strength strength : {OperandClaim::Value, OperandClaim::Soft})
    if (std::optional<Conflict> conflict = claimOperands(strength))
      return *conflict;
  // What splits a factor cannot be pending as well: there the sum is formed before the op.
  llvm::erase_if(partial, [&](StringAttr axis) {
    return llvm::any_of(axes, [&](const Axes &list) { return llvm::is_contained(list, axis); });
  });
  return getLayouts(rule, mesh, axes, partial, carriers);
}

OpLayouts primus::placement::getLayouts(const graph::ShardingRule &rule, graph::MeshAttr mesh, ArrayRef<Axes> axes,
                                        ArrayRef<StringAttr> partial, ArrayRef<int64_t> partialOperands) {
  auto split = [&](ArrayRef<int64_t> dims) {
    Layout layout;
    for (int64_t factor : dims)
      layout.dims.push_back(factor == graph::ShardingRule::replicated ? Axes() : axes[factor]);
    return layout;
  };
  OpLayouts layouts;
  for (auto [operand, dims] : llvm::enumerate(rule.operands)) {
    layouts.operands.push_back(split(dims));
    if (llvm::is_contained(partialOperands, static_cast<int64_t>(operand)))
      layouts.operands.back().partial = sortAxes(mesh, partial);
  }
  for (ArrayRef<int64_t> dims : rule.results) {
    Layout layout = split(dims);
    Axes pending(partial.begin(), partial.end());
    for (auto [factor, reduced] : llvm::enumerate(rule.reduced))
      if (reduced && !llvm::is_contained(dims, static_cast<int64_t>(factor)))
        llvm::append_range(pending, axes[factor]);
    layout.partial = sortAxes(mesh, pending);
    layouts.results.push_back(std::move(layout));
  }
  return layouts;
}

std::variant<OpLayouts, Conflict> primus::placement::assignFactors(const graph::ShardingRule &rule,
                                                                   graph::MeshAttr mesh,
                                                                   ArrayRef<OperandClaim> operands,
                                                                   ArrayRef<std::optional<ResultPin>> pins) {
  return Assignment(rule, mesh, operands, pins).run();
}
