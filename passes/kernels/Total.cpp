//===- Total.cpp - Reductions of whole tensors ----------------------------===//
//
// The family "total": reductions to a scalar (sums of squares for the gradient's norm, the loss over tokens) of anything that is computed
// element by element, together with outputs of that shape, and scalar arithmetic on the results. Elements are cut into
// blocks by their number only; where there are several, a second kernel combines their results.
//
//===----------------------------------------------------------------------===//

#include "passes/kernels/Families.h"
#include "passes/kernels/RowPass.h"

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
  int64_t width = chooseWidth(ops.size(), traits.lanes);
  Blocks blocks = Blocks::of(plan->elements, width);

  LoweredFusion lowered;
  SmallVector<unsigned> readWithSums;
  auto finish = [&](TileBuilder &builder, ValueRange sums) {
    RowEvaluator evaluator(builder);
    Position position{builder.index(0), {}, 0, true};
    for (auto [reduce, sum] : llvm::zip_equal(reductions, sums)) {
      Value result = graph::ReduceOp(reduce).getResult();
      evaluator.setRowValue(result, builder.convert(sum, getElementTypeOrSelf(result.getType())));
    }
    SmallVector<Value> values;
    for (auto [index, value] : plan->scalars)
      values.push_back(evaluator.evaluate(value, position));
    for (auto [output, value] : llvm::zip_equal(plan->scalars, values))
      builder.store(value, builder.output(output.first, {1}), {builder.index(0)}, {});
    for (unsigned input = 0; input < fusion.getInputs().size(); ++input)
      if (evaluator.getUse(input).isRead)
        readWithSums.push_back(input);
  };

  TileBuilder sum(moduleBuilder, fusion, name, {blocks.count});
  RowEvaluator evaluator(sum);
  PassBuilder passBuilder(sum, evaluator, Space{true, 1, plan->elements}, traits.lanes, width);
  SmallVector<Value> sums = passBuilder.buildBlock(plan->pass, blocks);
  if (blocks.count == 1) {
    finish(sum, sums);
    lowered.launches.push_back(sum.finish());
  } else {
    for (auto [index, partial] : llvm::enumerate(sums)) {
      lowered.temporaries.push_back(MemRefType::get({blocks.count}, partial.getType()));
      sum.store(partial, sum.temporary(index, lowered.temporaries[index]), {sum.programId(0)}, {});
    }
    lowered.launches.push_back(sum.finish());

    TileBuilder combine(moduleBuilder, fusion, kernelName(name, 1), {1});
    Value zero = combine.index(0);
    SmallVector<Value> initial;
    for (auto [reduce, temporary] : llvm::zip_equal(reductions, lowered.temporaries))
      initial.push_back(combine.neutral(getKind(reduce), temporary.getElementType()));
    // In order: there are at most some thousand blocks.
    SmallVector<Value> totals = combine.loop(zero, combine.index(blocks.count), 1, initial, [&](Value block, ValueRange carried) {
      SmallVector<Value> next;
      for (auto [index, total] : llvm::enumerate(carried)) {
        Value partial = combine.loadScalar(combine.temporary(index, lowered.temporaries[index]), {block});
        next.push_back(combine.combine(getKind(reductions[index]), total, partial));
      }
      return next;
    });
    finish(combine, totals);
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
