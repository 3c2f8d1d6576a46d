//===- Collectives.cpp - Exchange between virtual ranks -------------------===//

#include "ir/interpreter/Interpreter.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace primus::graph;
using namespace primus::interpreter;

/// What rank number `index` of a group gets, whose members' operands these are.
static Tensor evaluate(Operation *op, ArrayRef<const Tensor *> members, int64_t index) {
  const int64_t count = members.size();
  return TypeSwitch<Operation *, Tensor>(op)
      .Case([&](AllReduceOp reduce) { return combine(members, reduce.getKind()); })
      .Case([&](ReduceScatterOp reduce) {
        return takeBlock(combine(members, reduce.getKind()), reduce.getDim(), index, count);
      })
      .Case([&](AllGatherOp gather) { return concatenate(members, gather.getDim()); })
      .Case([&](AllToAllOp exchange) {
        SmallVector<Tensor> blocks;
        for (const Tensor *member : members)
          blocks.push_back(takeBlock(*member, exchange.getSplitDim(), index, count));
        SmallVector<const Tensor *> pointers;
        for (const Tensor &block : blocks)
          pointers.push_back(&block);
        return concatenate(pointers, exchange.getConcatDim());
      })
      .Case([&](PermuteOp permute) {
        int64_t source = (index - static_cast<int64_t>(permute.getShift())) % count;
        return *members[source < 0 ? source + count : source];
      })
      .Case([&](BlockOp block) { return takeBlock(*members[index], block.getDim(), index, count); });
}

Interpreter::Results Interpreter::runCollective(CollectiveOpInterface op, const RankValues &operand) {
  if (!ranks.hasAxes(op.getAxes()))
    return op->emitOpError() << "cannot run over " << op.getAxes() << ": the module must be placed (attribute "
                             << kPlacedAttr << ") on a mesh with these axes";
  auto axes = llvm::to_vector(op.getAxes().getAsValueRange<StringAttr>());
  auto type = cast<RankedTensorType>(op->getResult(0).getType());
  RankValues result;
  for (int64_t rank = 0; rank < ranks.getCount(); ++rank) {
    auto members = llvm::map_to_vector(ranks.getGroup(rank, axes), [&](int64_t member) { return operand[member].get(); });
    Tensor value = evaluate(op, members, ranks.getIndex(rank, axes));
    if (!value.fits(type))
      return op->emitOpError() << "gives " << value.getType() << " in groups of " << members.size()
                               << " ranks, but has a result of type " << type;
    round(value);
    result.push_back(std::make_shared<Tensor>(std::move(value)));
  }
  return SmallVector<RankValues>{result};
}
