//===- Total.cpp - Reductions of whole tensors ----------------------------===//
//
// The family "total": reductions to a scalar (sums of squares for the gradient's norm, the loss over tokens) of anything that is computed
// element by element, together with outputs of that shape, and scalar arithmetic on the results. Elements are cut into
// blocks by their number only; where there are several, a second kernel combines their results.
//
//===----------------------------------------------------------------------===//

#include "passes/kernels/Families.h"
#include "passes/kernels/PartialResults.h"

using namespace mlir;
using namespace primus;
using namespace primus::kernels;

namespace {

/// What a candidate computes: one pass over all elements, and scalars from its reductions.
struct Plan {
  RowPass pass;
  SmallVector<std::pair<unsigned, Value>> scalars;
  int64_t elements;
};

class TotalFamily : public KernelFamily {
public:
  StringRef getName() const override { return "total"; }
  bool accepts(const Candidate &candidate, std::string &reason) const override {
    return getPlan(candidate.ops, candidate.outputs, reason).has_value();
  }
  FailureOr<LoweredFusion> lower(graph::FusionOp fusion, OpBuilder &builder, StringRef name,
                                 const kernel::TargetTraits &traits) const override;

private:
  static std::optional<Plan> getPlan(ArrayRef<Operation *> ops, ArrayRef<Value> outputs, std::string &reason);
};

} // namespace


std::optional<Plan> TotalFamily::getPlan(ArrayRef<Operation *> ops, ArrayRef<Value> outputs, std::string &reason) {
  Plan plan;
  for (Operation *op : ops)
    if (auto reduce = dyn_cast<graph::ReduceOp>(op)) {
      plan.pass.reductions.push_back(reduce);
      if (reduce.getType().getRank() != 0) {
        reason = "a reduction does not give a scalar";
        return std::nullopt;
      }
    }
  if (plan.pass.reductions.empty()) {
    reason = "nothing is reduced to a scalar";
    return std::nullopt;
  }
  plan.elements = numElements(plan.pass.reductions.front().getOperand());

  SmallPtrSet<Operation *, 16> set(ops.begin(), ops.end());
  RowChecker elements(set, /*rows=*/1, reason), scalars(set, /*rows=*/1, reason);
  for (graph::ReduceOp reduce : plan.pass.reductions) {
    scalars.give(reduce.getResult());
    if (numElements(reduce.getOperand()) != plan.elements) {
      reason = "tensors of different sizes are reduced";
      return std::nullopt;
    }
    if (!elements.check(reduce.getOperand(), true, true, /*flat=*/true))
      return std::nullopt;
  }
  for (auto [index, output] : llvm::enumerate(outputs)) {
    bool isScalar = numElements(output) == 1;
    if (!isScalar && numElements(output) != plan.elements) {
      reason = "an output is neither a scalar nor of the reduced tensor's size";
      return std::nullopt;
    }
    if (!(isScalar ? scalars.check(output, false, true, false) : elements.check(output, true, true, true)))
      return std::nullopt;
    (isScalar ? plan.scalars : plan.pass.outputs).push_back({static_cast<unsigned>(index), output});
  }
  return plan;
}

FailureOr<LoweredFusion> TotalFamily::lower(graph::FusionOp fusion, OpBuilder &moduleBuilder, StringRef name,
                                            const kernel::TargetTraits &traits) const {
  SmallVector<Operation *> ops = getBodyOps(fusion);
  std::string reason;
  std::optional<Plan> plan = getPlan(ops, getBodyOutputs(fusion), reason);
  if (!plan)
    return fusion.emitOpError("cannot be reduced to scalars: ") << reason;
  ArrayRef<graph::ReduceOp> reductions = plan->pass.reductions;
  RowTiling tiling = RowTiling::of(plan->elements, ops, traits);
  Blocks blocks = Blocks::of(plan->elements, tiling, /*reduces=*/true);

  LoweredFusion lowered;
  SmallVector<unsigned> readWithSums;
  auto finish = [&](TileBuilder &builder, ValueRange sums) {
    RowEvaluator evaluator(builder);
    storeFromTotals(builder, evaluator, reductions, sums, plan->scalars, {builder.index(0), {}, 0, true}, /*elements=*/1);
    for (unsigned input = 0; input < fusion.getInputs().size(); ++input)
      if (evaluator.getUse(input).isRead)
        readWithSums.push_back(input);
  };

  TileBuilder sum(moduleBuilder, fusion, name, {blocks.count});
  sum.setWaves(1, tiling.waves);
  RowEvaluator evaluator(sum);
  PassBuilder passBuilder(sum, evaluator, Space{true, 1, plan->elements}, tiling);
  SmallVector<Value> sums = passBuilder.buildBlock(plan->pass, blocks);
  if (blocks.count == 1) {
    finish(sum, sums);
    lowered.launches.push_back(sum.finish());
  } else {
    SmallVector<PartialResult> partials;
    for (auto [index, partial] : llvm::enumerate(sums)) {
      lowered.temporaries.push_back(MemRefType::get({blocks.count}, partial.getType()));
      partials.push_back({reductions[index], static_cast<unsigned>(index), lowered.temporaries.back()});
      sum.store(partial, sum.temporary(index, partials.back().type), {sum.programId(0)}, {});
    }
    lowered.launches.push_back(sum.finish());

    TileBuilder combine(moduleBuilder, fusion, kernelName(name, 1), {1});
    finish(combine, combineScalars(combine, partials, traits));
    lowered.launches.push_back(combine.finish());
  }

  for (unsigned input = 0; input < fusion.getInputs().size(); ++input) {
    bool withSums = llvm::is_contained(readWithSums, input), withElements = evaluator.getUse(input).isRead;
    if (withElements && !withSums && !evaluator.getUse(input).elsewhere)
      for (auto [output, value] : plan->pass.outputs)
        addInplace(lowered, fusion, output, input);
    if (withSums && !withElements)
      for (auto [output, value] : plan->scalars)
        addInplace(lowered, fusion, output, input);
  }
  return lowered;
}

const KernelFamily *kernels::getTotalFamily() {
  static const TotalFamily family;
  return &family;
}
