//===- BackwardFunction.cpp - The function of a layer's gradients ----------===//

#include "passes/autodiff/BackwardFunction.h"

using namespace mlir;
using namespace primus;

BackwardBuilder::BackwardBuilder(func::FuncOp forward, StringRef name, StringRef part, bool accumulates)
    : forward(forward), accumulates(accumulates), builder(forward.getContext()) {
  builder.setInsertionPointAfter(forward);
  backward = func::FuncOp::create(builder, forward.getLoc(), name, builder.getFunctionType({}, {}));
  backward.setPrivate();
  backward->setAttr(graph::kLayerAttr, getLayerAttr(builder.getContext(), getLayer(forward), part));
  body = backward.addEntryBlock();
  builder.setInsertionPointToEnd(body);
  copy.forward = forward;
  copy.backward = backward;
}

void BackwardBuilder::addArgument(Type type, StringRef name, ArgKind kind, unsigned of, Location loc) {
  (void)backward.insertArgument(backward.getNumArguments(), type, getArgAttrs(builder.getContext(), name, kind, of),
                                loc);
}

void BackwardBuilder::addResult(Value value, ArrayRef<NamedAttribute> attributes) {
  results.push_back(value);
  resultAttrs.push_back(builder.getDictionaryAttr(attributes));
}

void BackwardBuilder::copyForward() {
  for (BlockArgument argument : forward.getArguments()) {
    unsigned index = argument.getArgNumber();
    FailureOr<ArgKind> kind = getArgKind(forward, index);
    assert(succeeded(kind) && "kinds of arguments are checked before");
    addArgument(argument.getType(), getArgName(forward, index), *kind, index, argument.getLoc());
    mapping.map(argument, body->getArguments().back());
  }
  for (Operation &op : forward.getBody().front().without_terminator()) {
    Operation *copied = builder.clone(op, mapping);
    copy.ops.push_back(copied);
    for (auto [result, original] : llvm::zip_equal(copied->getResults(), op.getResults()))
      copy.original[result] = original;
  }
  for (Value result : forward.getBody().front().getTerminator()->getOperands())
    forwardResults.push_back(mapping.lookup(result));
}

LogicalResult BackwardBuilder::addGradients(ReverseWalk &walk) {
  if (failed(walk.visit(copy.ops)))
    return failure();
  for (unsigned index : getArgsOfKind(forward, ArgKind::Activation)) {
    Value argument = mapping.lookup(forward.getArgument(index));
    Value gradient = walk.getGradient(argument, getElementTypeOrSelf(argument));
    if (gradient)
      addResult(gradient, {builder.getNamedAttr(kNameAttr, builder.getStringAttr(getArgName(forward, index) + ".grad")),
                           builder.getNamedAttr(kOfAttr, builder.getI64IntegerAttr(index))});
  }
  for (unsigned index : getArgsOfKind(forward, ArgKind::Parameter)) {
    Value argument = mapping.lookup(forward.getArgument(index));
    Value gradient = walk.getGradient(argument, builder.getF32Type());
    if (!gradient)
      continue;
    std::string name = getArgName(forward, index) + ".grad";
    SmallVector<NamedAttribute> attributes = {
        builder.getNamedAttr(kNameAttr, builder.getStringAttr(name)),
        builder.getNamedAttr(kOfAttr, builder.getI64IntegerAttr(index))};
    if (!accumulates) {
      addResult(gradient, attributes);
      continue;
    }
    Location loc = getDerivedLoc(argument, ".grad");
    addArgument(gradient.getType(), name, ArgKind::Accumulator, index, loc);
    BlockArgument accumulator = body->getArguments().back();
    // Right behind the gradient, whose memory is then free.
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointAfterValue(gradient);
    Value sum = graph::AddOp::create(builder, loc, gradient.getType(), accumulator, gradient);
    accumulators.push_back({results.size(), accumulator});
    addResult(sum, attributes);
  }
  auto returnOp = func::ReturnOp::create(builder, forward.getLoc(), results);
  backward.setFunctionType(
      builder.getFunctionType(backward.getFunctionType().getInputs(), returnOp.getOperandTypes()));
  backward.setAllResultAttrs(resultAttrs);
  return success();
}

/// The arguments that have gradients.
static SmallVector<Value> getSources(func::FuncOp forward, const IRMapping &mapping) {
  SmallVector<Value> sources;
  for (ArgKind kind : {ArgKind::Activation, ArgKind::Parameter})
    for (unsigned index : getArgsOfKind(forward, kind))
      if (hasFloatElements(forward.getArgument(index).getType()))
        sources.push_back(mapping.lookup(forward.getArgument(index)));
  return sources;
}

LogicalResult BackwardBuilder::buildBackward() {
  SmallVector<std::pair<unsigned, BlockArgument>> cotangents;
  for (auto [index, type] : llvm::enumerate(forward.getResultTypes())) {
    if (!hasFloatElements(type))
      continue;
    std::string name = getResultName(forward, index) + ".grad";
    Value result = forward.getBody().front().getTerminator()->getOperand(index);
    addArgument(type, name, ArgKind::Cotangent, index, getDerivedLoc(result, ".grad"));
    cotangents.push_back({index, body->getArguments().back()});
  }
  copyForward();
  ReverseWalk walk(body, getSources(forward, mapping));
  for (auto [index, cotangent] : cotangents)
    walk.contribute(forwardResults[index], cotangent);
  return addGradients(walk);
}

LogicalResult BackwardBuilder::buildForwardBackward(unsigned loss, unsigned valid, bool perMicrobatchMean) {
  copyForward();
  ReverseWalk walk(body, getSources(forward, mapping));
  auto locOf = [&](StringRef suffix) { return getDerivedLoc(forwardResults[loss], suffix); };
  auto scalar = RankedTensorType::get({}, builder.getF32Type());
  auto sums = cast<RankedTensorType>(forwardResults[loss].getType());
  Value seed = graph::ConstantOp::create(builder, locOf(".grad"), sums, 1.0);
  Value lossResult = forwardResults[loss], validResult = forwardResults[valid];
  if (perMicrobatchMean) {
    // The mean of each group of this microbatch counts as one: the division by the sum of all counts then gives the mean
    // of means.
    Value ones = seed;
    Value count = graph::MaximumOp::create(builder, locOf(".count"), sums, validResult, ones);
    seed = graph::DivOp::create(builder, locOf(".grad"), sums, ones, count);
    lossResult = graph::DivOp::create(builder, locOf(".mean"), sums, lossResult, count);
    validResult = ones;
  }
  auto total = [&](Value value, StringRef suffix) -> Value {
    return graph::ReduceOp::create(builder, locOf(suffix), scalar, graph::ReduceKind::Sum, value, ArrayRef<int64_t>{0});
  };
  if (sums.getRank() == 1) {
    lossResult = total(lossResult, ".sum");
    validResult = total(validResult, ".count");
  }
  for (unsigned index = 0, end = forwardResults.size(); index < end; ++index)
    addResult(index == loss ? lossResult : index == valid ? validResult : forwardResults[index],
              {builder.getNamedAttr(kNameAttr, builder.getStringAttr(getResultName(forward, index)))});
  walk.contribute(forwardResults[loss], seed);
  return addGradients(walk);
}

void BackwardBuilder::finish() {
  eraseDeadOps(backward);
  BitVector unused(backward.getNumArguments());
  for (BlockArgument argument : backward.getArguments())
    unused[argument.getArgNumber()] = argument.use_empty();
  (void)backward.eraseArguments(unused);
  if (results.empty()) {
    backward.erase();
    return;
  }
  for (auto [result, accumulator] : accumulators)
    backward.setResultAttr(result, graph::kInplaceAttr, builder.getI64IntegerAttr(accumulator.getArgNumber()));
  forward->setAttr(kBackwardAttr, FlatSymbolRefAttr::get(backward));
}
