//===- Signatures.cpp - Layouts at the border of layer functions ----------===//

#include "passes/placement/Signatures.h"

#include "passes/LayerFunction.h"
#include "passes/Program.h"

using namespace mlir;
using namespace primus;
using namespace primus::placement;

Signatures::Signatures(ModuleOp module, const LogicalDims &dims, const VariableLayouts &variables, const Plan &plan)
    : dims(dims), variables(variables), plan(plan) {
  for (auto function : module.getOps<func::FuncOp>())
    if (auto backward = function->getAttrOfType<FlatSymbolRefAttr>(kBackwardAttr))
      if (auto follower = symbols.lookupNearestSymbolFrom<func::FuncOp>(function, backward))
        forwards[follower] = function;
}

func::FuncOp Signatures::getForward(func::FuncOp function) const {
  auto forward = forwards.find(function);
  return forward == forwards.end() ? function : forward->second;
}

FailureOr<std::optional<Layout>> Signatures::getLayout(Attribute attribute, Type type, Operation *op,
                                                       const Twine &what) {
  auto names = dyn_cast_if_present<ArrayAttr>(attribute);
  if (!names)
    return std::optional<Layout>();
  FailureOr<Layout> layout = dims.getLayout(names, cast<RankedTensorType>(type), [&] {
    InFlightDiagnostic error = op->emitOpError();
    error << what << " cannot be placed: ";
    return error;
  });
  if (failed(layout))
    return failure();
  return std::optional(*layout);
}

/// The layout that a value of a function that was visited has.
static std::optional<Layout> getExisting(Type type) {
  if (!cast<RankedTensorType>(type).getEncoding())
    return std::nullopt;
  return Layout(type).reduced();
}

FailureOr<std::optional<Layout>> Signatures::getForwardArgument(func::FuncOp forward, unsigned index) {
  Type type = forward.getArgumentTypes()[index];
  if (Attribute attribute = forward.getArgAttr(index, graph::kDimsAttr))
    return getLayout(attribute, type, forward, "argument " + Twine(index));
  return getExisting(type);
}

FailureOr<std::optional<Layout>> Signatures::getForwardResult(func::FuncOp forward, unsigned index) {
  Type type = forward.getResultTypes()[index];
  if (Attribute attribute = forward.getResultAttr(index, graph::kDimsAttr))
    return getLayout(attribute, type, forward, "result " + Twine(index));
  return getExisting(type);
}

static bool isMaximum(Attribute sharing) {
  auto kind = dyn_cast_if_present<StringAttr>(sharing);
  return kind && kind == kSharedAsMaximum;
}

FailureOr<OperandClaim> Signatures::getArgument(func::FuncOp callee, unsigned index, graph::CallOp call) {
  FailureOr<ArgKind> kind = getArgKind(callee, index);
  if (failed(kind))
    return failure();
  Type type = callee.getArgumentTypes()[index];
  Layout given(call ? call.getOperand(index).getType() : type);
  graph::VariableOp variable = call ? findVariable(call.getOperand(index), symbols) : graph::VariableOp();
  StringRef part = getPart(callee);
  func::FuncOp forward = getForward(callee);
  unsigned of = getArgOf(callee, index).value_or(index);
  switch (*kind) {
  case ArgKind::Activation:
  case ArgKind::Cotangent: {
    bool exists = of < (*kind == ArgKind::Activation ? forward.getNumArguments() : forward.getNumResults());
    FailureOr<std::optional<Layout>> layout =
        !exists ? std::optional<Layout>()
                : *kind == ArgKind::Activation ? getForwardArgument(forward, of) : getForwardResult(forward, of);
    if (failed(layout))
      return failure();
    return OperandClaim{layout->value_or(given.reduced())};
  }
  case ArgKind::Parameter:
    if (variable && part != "unshard" && part != "measure" && part != "update")
      given = variables.getGathered(variable);
    return OperandClaim{given, OperandClaim::Fixed};
  case ArgKind::Accumulator:
    if (variable)
      given = variables.getResting(variable);
    return OperandClaim{given, OperandClaim::Fixed, variable && variables.isOpen(variable)};
  case ArgKind::Scalar:
    if (isMaximum(callee.getArgAttr(index, kSharingAttr)))
      return OperandClaim{dims.getMaximum(cast<RankedTensorType>(type).getRank())};
    // The sum of squares is formed by all ranks and summed once, at the end.
    if (part == "reduce" && cast<RankedTensorType>(type).getRank() == 0)
      for (unsigned result = 0; result < callee.getNumResults(); ++result)
        if (auto inplace = callee.getResultAttrOfType<IntegerAttr>(result, graph::kInplaceAttr);
            inplace && inplace.getInt() == index)
          given.partial = dims.getAllAxes();
    return OperandClaim{given};
  case ArgKind::Constant:
  case ArgKind::Residual:
  case ArgKind::Gradient:
  case ArgKind::Moment:
    return OperandClaim{given};
  }
  llvm_unreachable("unknown kind of argument");
}

FailureOr<std::optional<ResultPin>> Signatures::getResult(func::FuncOp callee, unsigned index, graph::CallOp call,
                                                          FunctionPins &pins) {
  std::optional<ResultPin> none;
  func::FuncOp forward = getForward(callee);
  StringRef part = getPart(callee);
  if (isMaximum(callee.getResultAttr(index, kSharingAttr)))
    return std::optional(ResultPin{dims.getMaximum(cast<RankedTensorType>(callee.getResultTypes()[index]).getRank())});
  if (auto inplace = callee.getResultAttrOfType<IntegerAttr>(index, graph::kInplaceAttr)) {
    unsigned argument = inplace.getInt();
    const OperandClaim &claim = pins.arguments[argument];
    // A step that ends with gradients leaves them in their accumulators.
    if (part == "reduce" && getArgKind(callee, argument) == ArgKind::Gradient && plan.goal == Goal::Training) {
      graph::VariableOp accumulator = call ? findVariable(call.getOperand(argument), symbols) : graph::VariableOp();
      graph::VariableOp parameter = accumulator ? variables.getParameter(accumulator) : graph::VariableOp();
      return std::optional(ResultPin{parameter ? variables.getResting(parameter) : claim.layout.reduced()});
    }
    if (claim.openPartial || !claim.layout.partial.empty())
      pins.sums.push_back(index);
    return std::optional(ResultPin{claim.layout, claim.openPartial ? ResultPin::Open : ResultPin::Exact});
  }
  if (part == "unshard") {
    // A quantised weight may be transposed, and has factors.
    if (Attribute attribute = callee.getResultAttr(index, graph::kDimsAttr)) {
      FailureOr<std::optional<Layout>> layout = getLayout(attribute, callee.getResultTypes()[index], callee, "result " + Twine(index));
      if (failed(layout))
        return failure();
      return std::optional(ResultPin{**layout});
    }
    graph::VariableOp variable = call ? findVariable(call.getResult(index), symbols) : graph::VariableOp();
    return variable ? std::optional(ResultPin{variables.getGathered(variable)}) : none;
  }
  if (std::optional<unsigned> of = getResultOf(callee, index)) {
    if (*of >= forward.getNumArguments())
      return none;
    FailureOr<ArgKind> kind = getArgKind(forward, *of);
    if (failed(kind))
      return failure();
    FailureOr<std::optional<Layout>> layout = getForwardArgument(forward, *of);
    if (failed(layout))
      return failure();
    if (*kind == ArgKind::Parameter)
      pins.sums.push_back(index);
    if (!*layout)
      return none;
    return std::optional(ResultPin{**layout, *kind == ArgKind::Parameter ? ResultPin::Open : ResultPin::Exact});
  }
  // Scalars may leave a layer as pending sums, so that the loss of all microbatches is summed once.
  if ((part != "forward" && part != "forward_backward") || index >= forward.getNumResults() ||
      !forward.getResultAttr(index, graph::kDimsAttr) ||
      cast<RankedTensorType>(forward.getResultTypes()[index]).getRank() == 0)
    return none;
  FailureOr<std::optional<Layout>> layout = getForwardResult(forward, index);
  if (failed(layout))
    return failure();
  return *layout ? std::optional(ResultPin{**layout}) : none;
}

LogicalResult Signatures::addActivations(func::FuncOp callee, FunctionPins &pins) {
  auto entries = getForward(callee)->getAttrOfType<DictionaryAttr>(graph::kPinsAttr);
  if (!entries || callee.isDeclaration())
    return success();
  for (Operation &op : callee.getBody().front()) {
    if (op.getNumResults() == 0)
      continue;
    StringRef name = getValueName(op.getResult(0));
    auto type = cast<RankedTensorType>(op.getResult(0).getType());
    FailureOr<std::optional<Layout>> layout = getLayout(entries.get(name), type, &op, "result");
    if (failed(layout))
      return failure();
    if (*layout)
      pins.activations[name] = {**layout, SmallVector<int64_t>(type.getShape())};
  }
  return success();
}

FailureOr<FunctionPins> Signatures::get(func::FuncOp callee, graph::CallOp call) {
  FunctionPins pins;
  for (unsigned index = 0; index < callee.getNumArguments(); ++index) {
    FailureOr<OperandClaim> argument = getArgument(callee, index, call);
    if (failed(argument))
      return failure();
    pins.arguments.push_back(*argument);
  }
  for (unsigned index = 0; index < callee.getNumResults(); ++index) {
    FailureOr<std::optional<ResultPin>> result = getResult(callee, index, call, pins);
    if (failed(result))
      return failure();
    pins.results.push_back(*result);
  }
  if (failed(addActivations(callee, pins)))
    return failure();
  if (auto primals = named.find(getForward(callee)); primals != named.end() && getForward(callee) != callee)
    pins.primals = &primals->second;
  return pins;
}
