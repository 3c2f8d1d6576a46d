//===- DelayedSteps.cpp - Scales from one step to the next ----------------===//
//
// The part of DelayedState between the calls of a layer: what measures weights and computes the next scales, the variables,
// and what programs do with them.
//
//===----------------------------------------------------------------------===//

#include "passes/fp8/DelayedState.h"

#include "passes/LayerFunction.h"
#include "passes/Program.h"

using namespace mlir;
using namespace primus;
using namespace primus::fp8;
using primus::graph::GraphBuilder;

/// A function of the layer beside `forward`, with arguments of these names, types and kinds.
static func::FuncOp createFunction(func::FuncOp forward, StringRef part, ArrayRef<std::string> names, ArrayRef<Type> types,
                                   ArgKind kind) {
  OpBuilder builder(forward);
  // A layer's twin that computes again has functions of its own.
  auto function = func::FuncOp::create(builder, forward.getLoc(), (forward.getName() + "." + part).str(),
                                       builder.getFunctionType(types, {}));
  function.setPrivate();
  function->setAttr(graph::kLayerAttr, getLayerAttr(builder.getContext(), getLayer(forward), part));
  Block *block = function.addEntryBlock();
  for (auto [index, name] : llvm::enumerate(names)) {
    function.setArgAttrs(index, getArgAttrs(builder.getContext(), name, kind));
    block->getArgument(index).setLoc(NameLoc::get(builder.getStringAttr(name), forward.getLoc()));
  }
  return function;
}

static void finishFunction(OpBuilder &builder, func::FuncOp function, ValueRange results, ArrayRef<StringRef> names) {
  func::ReturnOp::create(builder, function.getLoc(), results);
  function.setFunctionType(builder.getFunctionType(function.getArgumentTypes(), results.getTypes()));
  for (auto [index, name] : llvm::enumerate(names))
    function.setResultAttrs(index, builder.getDictionaryAttr(builder.getNamedAttr(kNameAttr, builder.getStringAttr(name))));
}

/// (weights) -> amax: the largest values of the weights as the layer gets them; zeros for all else.
func::FuncOp DelayedState::buildMeasure(ArrayRef<graph::VariableOp> variables) {
  SmallVector<std::string> names;
  SmallVector<Type> types;
  for (auto [weight, variable] : llvm::zip_equal(weights, variables)) {
    names.push_back(getArgName(forward.function, weight.second));
    types.push_back(graph::VariableOp(variable).getTensorType());
  }
  func::FuncOp function = createFunction(forward.function, "measure", names, types, ArgKind::Parameter);
  OpBuilder builder = OpBuilder::atBlockEnd(&function.getBody().front());
  Location loc = NameLoc::get(builder.getStringAttr("fp8.amax"), function.getLoc());
  auto one = RankedTensorType::get({1}, builder.getF32Type());
  SmallVector<Value> parts(slots.size());
  for (auto [weight, argument] : llvm::zip_equal(weights, function.getArguments())) {
    Type element = cast<RankedTensorType>(forward.function.getArgumentTypes()[weight.second]).getElementType();
    Value copy = convertElements(builder, argument.getLoc(), argument, element);
    GraphBuilder b(builder, getDerivedLoc(argument, ".amax"));
    parts[weight.first] = b.reshape(b.amax(copy, {}), {1});
  }
  GraphBuilder b(builder, loc);
  for (Value &part : parts)
    if (!part)
      part = b.splat(one, 0);
  finishFunction(builder, function, b.concat(parts, 0), {"fp8.amax"});
  function.setResultAttr(0, kSharingAttr, builder.getStringAttr(kSharedAsMaximum));
  return function;
}

/// (amax, history, scale, norm) -> (history, scale): this step's values become the history's first row; the scale makes the
/// chosen ones of it the largest of their formats, divided by 2^margin. Where they are zero, it stays. What is not finite
/// counts as zero. A step whose gradients have no norm is skipped, and leaves no trace.
func::FuncOp DelayedState::buildRescale() {
  func::FuncOp layer = forward.function;
  int64_t history = setting.attr.getHistory(), count = slots.size();
  auto table = RankedTensorType::get({history, count}, vectorType().getElementType());
  SmallVector<Type> types = {vectorType(), table, vectorType(), RankedTensorType::get({}, table.getElementType())};
  func::FuncOp function = createFunction(layer, "rescale", {"fp8.amax", "fp8.history", "fp8.scale", "grad_norm"}, types, ArgKind::Scalar);
  Block *block = &function.getBody().front();
  OpBuilder builder = OpBuilder::atBlockEnd(block);
  GraphBuilder historyBuilder(builder, NameLoc::get(builder.getStringAttr("fp8.history.next"), layer.getLoc()));
  GraphBuilder b(builder, NameLoc::get(builder.getStringAttr("fp8.scale.next"), layer.getLoc()));
  Value amax = block->getArgument(0), scale = block->getArgument(2);
  constexpr double greatest = std::numeric_limits<float>::max();
  amax = historyBuilder.select(historyBuilder.compare(graph::Predicate::LE, amax, greatest), amax, historyBuilder.splatLike(amax, 0));
  Value next = historyBuilder.reshape(amax, {1, count});
  if (history > 1)
    next = historyBuilder.concat({next, historyBuilder.slice(block->getArgument(1), 0, 0, history - 1)}, 0);
  Value chosen = setting.attr.getAlgorithm() == graph::Fp8History::MostRecent ? amax : b.max(next, {0});
  // One constant for each run of equal formats.
  SmallVector<Value> goals;
  for (ArrayRef<float> rest = largest; !rest.empty();) {
    ArrayRef<float> run = rest.take_while([&](float value) { return value == rest.front(); });
    goals.push_back(b.splat(RankedTensorType::get({static_cast<int64_t>(run.size())}, builder.getF32Type()),
                            std::ldexp(run.front(), -static_cast<int>(setting.attr.getMargin()))));
    rest = rest.drop_front(run.size());
  }
  Value goal = b.concat(goals, 0);
  Value wanted = b.div(goal, chosen);
  // Neither 0 nor infinity, nor what is no number, lies between these.
  Value isUsable = b.compare(graph::Predicate::GT, chosen, 0.0);
  Value isFinite = b.compare(graph::Predicate::LT, wanted, greatest);
  Value isPositive = b.compare(graph::Predicate::GT, wanted, 0.0);
  Value rescaled = b.select(isUsable, b.select(isFinite, b.select(isPositive, wanted, scale), scale), scale);
  auto keep = [&](GraphBuilder &builder, Value kept, Value updated) {
    Value counts = builder.compare(graph::Predicate::LE, block->getArgument(3), greatest);
    return builder.select(builder.broadcast(counts, graph::getTensorType(kept).getShape(), {}), updated, kept);
  };
  next = keep(historyBuilder, block->getArgument(1), next);
  rescaled = keep(b, scale, rescaled);
  finishFunction(builder, function, ValueRange{next, rescaled}, {"fp8.history", "fp8.scale"});
  // Not so the history, whose rows move.
  function.setResultAttr(1, graph::kInplaceAttr, builder.getI64IntegerAttr(2));
  return function;
}

std::string DelayedState::getVariable(StringRef instance, StringRef what) const {
  return (instance + ".fp8." + what).str();
}

void DelayedState::declare(StringRef instance) {
  auto module = forward.function->getParentOfType<ModuleOp>();
  if (module.lookupSymbol(getVariable(instance, "scale")))
    return;
  OpBuilder builder(module.getContext());
  // Behind the other variables.
  auto variables = module.getOps<graph::VariableOp>();
  Operation *last = nullptr;
  for (graph::VariableOp variable : variables)
    last = variable;
  last ? builder.setInsertionPointAfter(last) : builder.setInsertionPointToStart(module.getBody());
  bool trains = module.lookupSymbol(kTrainStepProgram) != nullptr;
  auto declareOne = [&](StringRef what, RankedTensorType type, StringRef init, StringRef sharing) {
    std::string name = getVariable(instance, what);
    SmallVector<StringRef> dims(type.getRank(), "");
    auto variable = graph::VariableOp::create(
        builder, NameLoc::get(builder.getStringAttr(name)), builder.getStringAttr(name), TypeAttr::get(type),
        graph::RoleAttr::get(builder.getContext(), trains ? graph::Role::Optimizer : graph::Role::Constant),
        graph::InitAttr::get(builder.getContext(), builder.getStringAttr(init), DictionaryAttr()),
        builder.getI64IntegerAttr(0), UnitAttr(), builder.getStrArrayAttr(dims));
    variable->setAttr(kSharingAttr, builder.getStringAttr(sharing));
  };
  declareOne("scale", vectorType(), "ones", kSharedWhole);
  if (!trains)
    return;
  declareOne("amax", vectorType(), "zeros", kSharedAsMaximum);
  declareOne("history",
             RankedTensorType::get({setting.attr.getHistory(), vectorType().getDimSize(0)}, vectorType().getElementType()),
             "zeros", kSharedWhole);
}

/// What the step's largest values begin with.
Value DelayedState::measureWeights(OpBuilder &builder, graph::CallOp forwardCall) {
  if (weights.empty())
    return graph::ConstantOp::create(builder, forwardCall.getLoc(), vectorType(), 0.0);
  SymbolTableCollection symbols;
  SmallVector<graph::VariableOp> variables;
  SmallVector<Value> values;
  for (auto [slot, argument] : weights) {
    variables.push_back(findVariable(forwardCall.getOperand(argument), symbols));
    StringAttr name = variables.back().getSymNameAttr();
    values.push_back(graph::LoadOp::create(builder, NameLoc::get(name), variables.back().getTensorType(), FlatSymbolRefAttr::get(name)));
  }
  if (!measure)
    measure = buildMeasure(variables);
  return graph::CallOp::create(builder, forwardCall.getLoc(), measure.getResultTypes(), measure.getName(), values,
                               forwardCall.getInstance())
      .getResult(0);
}

/// The norm of the gradients, which a step that is skipped has not.
static Value findNorm(OpBuilder &builder, func::FuncOp program) {
  for (unsigned index = 0; index < program.getNumResults(); ++index)
    if (getResultName(program, index) == "grad_norm")
      return program.getBody().front().getTerminator()->getOperand(index);
  return graph::ConstantOp::create(builder, program.getLoc(), RankedTensorType::get({}, builder.getF32Type()), 0.0);
}

/// Only the training step measures what its calls meet.
void DelayedState::updateCall(graph::CallOp call, func::FuncOp rescale) {
  StringRef instance = call.getInstance();
  declare(instance);
  auto program = call->getParentOfType<func::FuncOp>();
  bool trains = program.getName() == kTrainStepProgram;
  bool isForward = call.getCallee() == forward.function.getName();
  func::FuncOp callee = isForward ? forward.function : backward.function;
  OpBuilder builder(call);
  auto load = [&](StringRef what, RankedTensorType type) -> Value {
    std::string name = getVariable(instance, what);
    return graph::LoadOp::create(builder, NameLoc::get(builder.getStringAttr(name)), type,
                                 FlatSymbolRefAttr::get(builder.getContext(), name));
  };
  auto store = [&](Value value, StringRef what) {
    std::string name = getVariable(instance, what);
    graph::StoreOp::create(builder, NameLoc::get(builder.getStringAttr(name)), value,
                           FlatSymbolRefAttr::get(builder.getContext(), name));
  };
  auto zeros = [&]() -> Value { return graph::ConstantOp::create(builder, call.getLoc(), vectorType(), 0.0); };
  SmallVector<Value> operands(call.getOperands());
  operands.push_back(load("scale", vectorType()));
  operands.push_back(trains ? load("amax", vectorType()) : zeros());
  auto updated = graph::CallOp::create(builder, call.getLoc(), callee.getResultTypes(), call.getCallee(), operands,
                                       call.getInstance());
  if (trains)
    store(updated.getResults().back(), "amax");
  call->replaceAllUsesWith(updated->getResults().drop_back());
  call.erase();
  if (!trains || !isForward)
    return;

  auto schedule = updated->getParentOfType<graph::ScheduleOp>();
  builder.setInsertionPoint(schedule);
  store(measureWeights(builder, updated), "amax");
  builder.setInsertionPoint(program.getBody().front().getTerminator());
  RankedTensorType table = cast<RankedTensorType>(rescale.getArgumentTypes()[1]);
  auto next = graph::CallOp::create(
      builder, updated.getLoc(), rescale.getResultTypes(), rescale.getName(),
      ValueRange{load("amax", vectorType()), load("history", table), load("scale", vectorType()), findNorm(builder, program)},
      instance);
  store(next.getResult(0), "history");
  store(next.getResult(1), "scale");
}

void DelayedState::finish() {
  if (!forward.scale)
    return;
  auto module = forward.function->getParentOfType<ModuleOp>();
  for (Part *part : {&forward, &backward})
    if (part->function)
      addResult(*part);
  func::FuncOp rescale = module.lookupSymbol(kTrainStepProgram) ? buildRescale() : func::FuncOp();
  for (Part *part : {&forward, &backward})
    for (graph::CallOp call : findCalls(part->function))
      updateCall(call, rescale);
}
