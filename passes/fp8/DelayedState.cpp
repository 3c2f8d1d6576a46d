//===- DelayedState.cpp - Scales that follow from earlier steps -----------===//

#include "passes/fp8/DelayedState.h"

#include "passes/LayerFunction.h"
#include "passes/Program.h"

using namespace mlir;
using namespace primus;
using namespace primus::fp8;
using primus::graph::GraphBuilder;

DelayedState::Key DelayedState::getKey(const Operand &operand) const {
  // A value has its name in both functions, whether it is handed over or computed again; results of one op share theirs.
  auto result = dyn_cast<OpResult>(operand.value);
  return {StringAttr::get(operand.value.getContext(), getValueName(operand.value)), result ? result.getResultNumber() : 0, operand.type};
}

RankedTensorType DelayedState::vectorType() const {
  func::FuncOp function = forward.function;
  return RankedTensorType::get({static_cast<int64_t>(slots.size())}, Float32Type::get(function.getContext()));
}

std::optional<unsigned> DelayedState::findWeight(const Operand &operand) {
  auto argument = dyn_cast<BlockArgument>(operand.value);
  if (!operand.isWeight || !argument)
    return std::nullopt;
  bool isForward = argument.getOwner()->getParentOp() == forward.function;
  std::optional<unsigned> index = isForward ? argument.getArgNumber() : getArgOf(backward.function, argument.getArgNumber());
  SymbolTableCollection symbols;
  auto isCopy = [&](graph::CallOp call) { return bool(findVariable(call.getOperand(*index), symbols)); };
  return index && llvm::all_of(findCalls(forward.function), isCopy) ? index : std::nullopt;
}

void DelayedState::add(const Operand &operand) {
  unsigned slot = slots.size();
  if (!slots.insert({getKey(operand), slot}).second)
    return;
  largest.push_back(APFloat::getLargest(operand.type.getFloatSemantics()).convertToFloat());
  if (std::optional<unsigned> weight = findWeight(operand))
    weights[slot] = *weight;
}

//===----------------------------------------------------------------------===//
// Within a layer
//===----------------------------------------------------------------------===//

void DelayedState::addArguments(Part &part) {
  func::FuncOp function = part.function;
  for (auto [index, name] : llvm::enumerate(ArrayRef<StringRef>{"fp8.scale", "fp8.amax"})) {
    Location loc = NameLoc::get(StringAttr::get(function.getContext(), name), function.getLoc());
    std::optional<unsigned> of;
    if (&part == &backward)
      of = cast<BlockArgument>(forward.scale).getArgNumber() + index;
    (void)function.insertArgument(function.getNumArguments(), vectorType(),
                                  getArgAttrs(function.getContext(), name, ArgKind::Scalar, of), loc);
  }
  setMaximum(function, function.getNumArguments() - 1);
  part.scale = function.getArguments().drop_back().back();
  part.amax = function.getArguments().back();
}

Quantised DelayedState::quantize(OpBuilder &builder, func::FuncOp function, const Operand &operand) {
  if (!forward.scale)
    for (Part *part : {&forward, &backward})
      if (part->function)
        addArguments(*part);
  Part &part = function == forward.function ? forward : backward;
  unsigned slot = slots.lookup(getKey(operand));
  GraphBuilder scaleBuilder(builder, getLoc(operand, ".scale")), factorBuilder(builder, getLoc(operand, ".factor"));
  GraphBuilder b(builder, getLoc(operand, ".fp8"));
  Value scale = scaleBuilder.reshape(scaleBuilder.slice(part.scale, {int64_t(slot)}, {1}), {});
  Value factor = factorBuilder.div(factorBuilder.splatLike(scale, 1), scale);
  // What forward has measured, backward need not.
  if (!weights.contains(slot) && !forward.measured.contains(slot) && !part.measured.contains(slot))
    part.measured[slot] = GraphBuilder(builder, getLoc(operand, ".amax")).amax(operand.value, {});
  return {b.quantize(operand.value, scale, operand.type), factor, operand.spec};
}

/// Returns the larger of what came in and what was measured here.
void DelayedState::addResult(Part &part) {
  func::FuncOp function = part.function;
  Operation *terminator = function.getBody().front().getTerminator();
  OpBuilder builder(terminator);
  GraphBuilder b(builder, NameLoc::get(builder.getStringAttr("fp8.amax.next"), function.getLoc()));
  auto one = RankedTensorType::get({1}, builder.getF32Type());
  SmallVector<Value> parts;
  for (unsigned slot = 0; slot < slots.size(); ++slot)
    parts.push_back(part.measured.contains(slot) ? b.reshape(part.measured[slot], {1}) : b.splat(one, 0));
  Value next = b.maximum(part.amax, b.concat(parts, 0));
  unsigned index = function.getNumResults();
  (void)function.insertResult(
      index, next.getType(),
      builder.getDictionaryAttr(
          {builder.getNamedAttr(kNameAttr, builder.getStringAttr("fp8.amax")),
           builder.getNamedAttr(kSharingAttr, builder.getStringAttr(kSharedAsMaximum)),
           builder.getNamedAttr(graph::kInplaceAttr,
                                builder.getI64IntegerAttr(cast<BlockArgument>(part.amax).getArgNumber()))}));
  terminator->insertOperands(index, next);
}
