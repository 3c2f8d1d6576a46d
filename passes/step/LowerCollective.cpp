//===- LowerCollective.cpp - Collectives of values as those of buffers ----===//

#include "passes/step/LowerCollective.h"

#include "passes/placement/Layout.h"
#include "passes/step/Lowering.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace primus;
using namespace primus::step;

namespace {

/// What a kind of collective has beside its axes.
struct Description {
  CollectiveKind kind;
  std::optional<graph::ReduceKind> reduction;
  std::optional<int64_t> dim, concatDim;
  int64_t shift = 0;
};

} // namespace

static Description describe(Operation *op) {
  return llvm::TypeSwitch<Operation *, Description>(op)
      .Case([](graph::AllReduceOp o) { return Description{CollectiveKind::AllReduce, o.getKind(), {}, {}}; })
      .Case([](graph::ReduceScatterOp o) { return Description{CollectiveKind::ReduceScatter, o.getKind(), o.getDim(), {}}; })
      .Case([](graph::AllGatherOp o) { return Description{CollectiveKind::AllGather, {}, o.getDim(), {}}; })
      .Case([](graph::AllToAllOp o) { return Description{CollectiveKind::AllToAll, {}, o.getSplitDim(), o.getConcatDim()}; })
      .Case([](graph::PermuteOp o) { return Description{CollectiveKind::Permute, {}, {}, {}, static_cast<int64_t>(o.getShift())}; })
      .Case([](graph::BlockOp o) { return Description{CollectiveKind::Block, {}, o.getDim(), {}}; });
}

CollectiveOp step::lowerCollective(OpBuilder &builder, graph::CollectiveOpInterface op, Value source, Value target, StringRef instance) {
  Description description = describe(op);
  MLIRContext *context = builder.getContext();
  auto toDims = [&](std::optional<int64_t> dim) { return dim ? builder.getDenseI64ArrayAttr(*dim) : DenseI64ArrayAttr(); };
  ReductionAttr reduction;
  if (description.reduction)
    reduction = ReductionAttr::get(context, *description.reduction == graph::ReduceKind::Sum ? Reduction::Sum : Reduction::Max);
  auto reason = op->getAttrOfType<StringAttr>(placement::kReasonAttr);
  return CollectiveOp::create(builder, op.getLoc(), CollectiveKindAttr::get(context, description.kind), reduction, op.getAxes(), source, target,
                              toDims(description.dim), toDims(description.concatDim), builder.getI64IntegerAttr(description.shift),
                              builder.getI64IntegerAttr(0), instance.empty() ? StringAttr() : builder.getStringAttr(instance), reason);
}
