//===- DelayedState.cpp - Scales that follow from earlier steps -----------===//

#include "passes/fp8/DelayedState.h"

#include "passes/LayerFunction.h"
#include "passes/Plan.h"
#include "passes/Program.h"

using namespace mlir;
using namespace primus;
using namespace primus::fp8;
using primus::graph::GraphBuilder;

DelayedState::Key DelayedState::getKey(const Operand &operand) const {
  // A value has its name in both functions, whether it is handed over or computed again.
  return {StringAttr::get(operand.value.getContext(), getValueName(operand.value)), operand.type};
}

RankedTensorType DelayedState::vectorType() const {
  func::FuncOp function = forward.function;
  return RankedTensorType::get({static_cast<int64_t>(slots.size())}, Float32Type::get(function.getContext()));
}

void DelayedState::add(const Operand &operand) {
  if (slots.insert({getKey(operand), slots.size()}).second)
    largest.push_back(APFloat::getLargest(operand.type.getFloatSemantics()).convertToFloat());
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
  if (!forward.measured.contains(slot) && !part.measured.contains(slot)) {
    // One value for all ranks, as they share the state.
    Setting shared = setting;
    shared.activationParts *= shared.dataRanks;
    shared.dataRanks = 1;
    part.measured[slot] = buildAmax(builder, shared, operand, {});
  }
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
           builder.getNamedAttr(graph::kInplaceAttr,
                                builder.getI64IntegerAttr(cast<BlockArgument>(part.amax).getArgNumber()))}));
  terminator->insertOperands(index, next);
}

//===----------------------------------------------------------------------===//
// Between steps
//===----------------------------------------------------------------------===//

/// (amax, history, scale) -> (history, scale): this step's values become the history's first row; the scale makes the
/// chosen ones of it the largest of their formats, divided by 2^margin. Where they are zero, or not finite, it stays.
func::FuncOp DelayedState::buildRescale() {
  func::FuncOp layer = forward.function;
  OpBuilder builder(layer);
  // A layer's twin that computes again has a state of its own.
  std::string name = (layer.getName() + ".rescale").str();
  int64_t history = setting.attr.getHistory(), count = slots.size();
  auto table = RankedTensorType::get({history, count}, builder.getF32Type());
  SmallVector<Type> types = {vectorType(), table, vectorType()};
  auto function = func::FuncOp::create(builder, layer.getLoc(), name, builder.getFunctionType(types, {table, vectorType()}));
  function.setPrivate();
  function->setAttr(graph::kLayerAttr, getLayerAttr(builder.getContext(), getLayer(layer), "rescale"));
  Block *block = function.addEntryBlock();
  for (auto [index, name] : llvm::enumerate(ArrayRef<StringRef>{"fp8.amax", "fp8.history", "fp8.scale"})) {
    function.setArgAttrs(index, getArgAttrs(builder.getContext(), name, ArgKind::Scalar));
    block->getArgument(index).setLoc(NameLoc::get(builder.getStringAttr(name), layer.getLoc()));
  }
  builder.setInsertionPointToEnd(block);
  GraphBuilder historyBuilder(builder, NameLoc::get(builder.getStringAttr("fp8.history.next"), layer.getLoc()));
  GraphBuilder b(builder, NameLoc::get(builder.getStringAttr("fp8.scale.next"), layer.getLoc()));
  Value amax = block->getArgument(0), scale = block->getArgument(2);
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
  Value isFinite = b.compare(graph::Predicate::LT, wanted, static_cast<double>(std::numeric_limits<float>::max()));
  Value isPositive = b.compare(graph::Predicate::GT, wanted, 0.0);
  Value rescaled = b.select(isUsable, b.select(isFinite, b.select(isPositive, wanted, scale), scale), scale);
  func::ReturnOp::create(builder, layer.getLoc(), ValueRange{next, rescaled});
  for (auto [index, argument] : {std::pair{0, 1}, {1, 2}})
    function.setResultAttrs(
        index, builder.getDictionaryAttr({builder.getNamedAttr(kNameAttr, builder.getStringAttr(index ? "fp8.scale" : "fp8.history")),
                                          builder.getNamedAttr(graph::kInplaceAttr, builder.getI64IntegerAttr(argument))}));
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
  auto declareOne = [&](StringRef what, RankedTensorType type, StringRef init) {
    std::string name = getVariable(instance, what);
    SmallVector<StringRef> dims(type.getRank(), "");
    graph::VariableOp::create(
        builder, NameLoc::get(builder.getStringAttr(name)), builder.getStringAttr(name), TypeAttr::get(type),
        graph::RoleAttr::get(builder.getContext(), trains ? graph::Role::Optimizer : graph::Role::Constant),
        graph::InitAttr::get(builder.getContext(), builder.getStringAttr(init), DictionaryAttr()),
        builder.getI64IntegerAttr(0), UnitAttr(), builder.getStrArrayAttr(dims));
  };
  declareOne("scale", vectorType(), "ones");
  if (!trains)
    return;
  declareOne("amax", vectorType(), "zeros");
  declareOne("history",
             RankedTensorType::get({setting.attr.getHistory(), vectorType().getDimSize(0)}, vectorType().getElementType()),
             "zeros");
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
  store(zeros(), "amax");
  builder.setInsertionPoint(program.getBody().front().getTerminator());
  RankedTensorType table = cast<RankedTensorType>(rescale.getArgumentTypes()[1]);
  auto next = graph::CallOp::create(
      builder, updated.getLoc(), rescale.getResultTypes(), rescale.getName(),
      ValueRange{load("amax", vectorType()), load("history", table), load("scale", vectorType())}, instance);
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
  SmallVector<graph::CallOp> calls;
  module.walk([&](graph::CallOp call) {
    if (call.getCallee() == forward.function.getName() ||
        (backward.function && call.getCallee() == backward.function.getName()))
      calls.push_back(call);
  });
  for (graph::CallOp call : calls)
    updateCall(call, rescale);
}
