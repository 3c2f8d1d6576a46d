//===- BuildTrainStep.cpp - The program of a whole training step -----------===//
//
// Follows the program @forward, whose layers autodiff has linked to their backward functions: compute copies of the
// parameters once, all microbatches, then one reduction and one update of each parameter. Where the plan wants
// gradients only, the program ends after the reductions and leaves them in their variables.
//
//===----------------------------------------------------------------------===//

#include "passes/LayerFunction.h"
#include "passes/Passes.h"
#include "passes/Plan.h"
#include "passes/Program.h"
#include "passes/train/StepFunctions.h"
#include "passes/train/TrainedParameters.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/SetVector.h"

namespace primus {
#define GEN_PASS_DEF_BUILDTRAINSTEP
#include "passes/Passes.h.inc"
} // namespace primus

using namespace mlir;
using namespace primus;

namespace {

class TrainStepBuilder {
public:
  TrainStepBuilder(ModuleOp module, const Plan &plan, ForwardProgram program)
      : module(module), plan(plan), program(std::move(program)), builder(module.getContext()),
        name(plan.goal == Goal::Training ? kTrainStepProgram : kGradientsProgram),
        loc(NameLoc::get(builder.getStringAttr(name))) {}

  LogicalResult build();

private:
  /// Parts made once for all calls of a kind of layer with equal parameters.
  struct LayerParts {
    std::string layer;
    SmallVector<TrainedParameter> parameters;
    func::FuncOp reduce, update;
  };

  func::FuncOp startProgram();
  void buildUnshard();
  void gatherParameters(LayerCall layer, IRMapping &mapping);
  void buildZeroGradients();
  LogicalResult buildSchedule(func::FuncOp step, Value &lossSum, Value &valid);
  FailureOr<graph::CallOp> buildBackward(LayerCall layer, const IRMapping &mapping, graph::CallOp forward,
                                         llvm::DenseMap<Value, Value> &gradients);
  void accumulate(LayerCall layer, graph::CallOp backward);
  /// Returns the sum of squares; `reduced` gets the gradients of each owner in turn.
  Value addReductions(Value inverseValid, std::vector<SmallVector<Value>> &reduced);
  void addUpdates(ValueRange scalars, const std::vector<SmallVector<Value>> &gradients);
  const LayerParts &getParts(OwnedParameters &owned);
  func::FuncOp getAccumulate(LayerCall layer, func::FuncOp backward);
  /// True where parameters are gathered for each use instead of once per step.
  bool gathersPerUse() const { return plan.zero >= 3; }

  Location locOf(StringRef name) { return NameLoc::get(builder.getStringAttr(name)); }
  Value load(StringRef variable, Type type) {
    auto symbol = FlatSymbolRefAttr::get(builder.getContext(), variable);
    return graph::LoadOp::create(builder, locOf(variable), type, symbol);
  }
  void store(Value value, StringRef variable) {
    graph::StoreOp::create(builder, locOf(variable), value, FlatSymbolRefAttr::get(builder.getContext(), variable));
  }
  graph::CallOp call(func::FuncOp callee, ValueRange operands, StringRef instance) {
    return graph::CallOp::create(builder, locOf(instance), callee.getResultTypes(), callee.getName(), operands,
                                 instance);
  }
  /// All of a step's scalars and accumulators are f32.
  RankedTensorType wide(ArrayRef<int64_t> shape = {}) { return RankedTensorType::get(shape, builder.getF32Type()); }

  ModuleOp module;
  const Plan &plan;
  ForwardProgram program;
  SymbolTableCollection symbols;
  OpBuilder builder;
  StringRef name;
  Location loc;
  /// From values of @forward to those of the step, outside of the schedule.
  IRMapping outer;
  SmallVector<OwnedParameters> owners;
  std::vector<LayerParts> parts;
  /// By backward function.
  llvm::DenseMap<Operation *, func::FuncOp> accumulates;
};

struct BuildTrainStep : primus::impl::BuildTrainStepBase<BuildTrainStep> {
  void runOnOperation() override {
    FailureOr<Plan> plan = Plan::get(getOperation());
    if (failed(plan))
      return signalPassFailure();
    if (plan->goal == Goal::Forward)
      return;
    FailureOr<ForwardProgram> program = ForwardProgram::get(getOperation());
    if (failed(program) || failed(TrainStepBuilder(getOperation(), *plan, *program).build()))
      signalPassFailure();
  }
};

} // namespace

const TrainStepBuilder::LayerParts &TrainStepBuilder::getParts(OwnedParameters &owned) {
  std::string layer = getLayer(owned.layer.forward).str();
  unsigned variants = 0;
  for (const LayerParts &known : parts) {
    if (known.layer == layer && known.parameters == owned.parameters)
      return known;
    variants += known.layer == layer;
  }
  std::string suffix = variants ? "_" + std::to_string(variants) : "";
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPoint(program.function);
  Location layerLoc = owned.layer.forward.getLoc();
  func::FuncOp reduce = buildReduce(builder, layerLoc, layer, layer + ".reduce" + suffix, owned.parameters);
  func::FuncOp update;
  if (plan.goal == Goal::Training)
    update = buildUpdate(builder, layerLoc, layer, layer + ".update" + suffix, owned.parameters, plan);
  parts.push_back({layer, owned.parameters, reduce, update});
  return parts.back();
}

func::FuncOp TrainStepBuilder::getAccumulate(LayerCall layer, func::FuncOp backward) {
  func::FuncOp &function = accumulates[backward];
  if (function)
    return function;
  SmallVector<std::string> names;
  SmallVector<Type> types;
  for (ParameterGradient gradient : getParameterGradients(layer.forward, backward)) {
    names.push_back(getResultName(backward, gradient.result));
    types.push_back(backward.getResultTypes()[gradient.result]);
  }
  // backward_recompute.accumulate of a layer's twin is another function than backward's.
  std::string name = (backward.getName() + ".accumulate").str();
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointAfter(backward);
  function = buildAccumulate(builder, layer.forward.getLoc(), getLayer(layer.forward), name, names, types);
  return function;
}

//===----------------------------------------------------------------------===//
// The program
//===----------------------------------------------------------------------===//

func::FuncOp TrainStepBuilder::startProgram() {
  SmallVector<Type> types;
  SmallVector<std::string> names;
  SmallVector<ArrayAttr> dims;
  for (BlockArgument argument : program.function.getArguments()) {
    auto type = cast<RankedTensorType>(argument.getType());
    SmallVector<int64_t> shape = {plan.microbatches};
    llvm::append_range(shape, type.getShape());
    types.push_back(RankedTensorType::get(shape, type.getElementType()));
    names.push_back(getArgName(program.function, argument.getArgNumber()));
    auto ofOne = program.function.getArgAttrOfType<ArrayAttr>(argument.getArgNumber(), graph::kDimsAttr);
    SmallVector<Attribute> all = {builder.getStringAttr("")};
    if (ofOne)
      llvm::append_range(all, ofOne);
    dims.push_back(ofOne ? builder.getArrayAttr(all) : ArrayAttr());
  }
  SmallVector<StringRef> results = {"loss"};
  if (plan.goal == Goal::Training) {
    for (StringRef scalar : {"learning_rate", "bias_correction1", "bias_correction2"}) {
      types.push_back(wide());
      names.push_back(scalar.str());
    }
    results.push_back("grad_norm");
  }
  builder.setInsertionPointToEnd(module.getBody());
  SmallVector<Type> resultTypes(results.size(), wide());
  auto step = func::FuncOp::create(builder, loc, name, builder.getFunctionType(types, resultTypes));
  Block &body = step.getBody().emplaceBlock();
  for (auto [index, type, argument] : llvm::enumerate(types, names)) {
    body.addArgument(type, locOf(argument));
    step.setArgAttr(index, kNameAttr, builder.getStringAttr(argument));
    if (index < dims.size() && dims[index])
      step.setArgAttr(index, graph::kDimsAttr, dims[index]);
  }
  for (auto [index, result] : llvm::enumerate(results))
    step.setResultAttr(index, kNameAttr, builder.getStringAttr(result));
  builder.setInsertionPointToStart(&body);
  return step;
}

/// Loads of parameters and constants, and the compute copies, as far as all microbatches share them.
void TrainStepBuilder::buildUnshard() {
  llvm::DenseSet<Operation *> layerCalls;
  for (LayerCall layer : program.layers)
    layerCalls.insert(layer.call);
  for (Operation &op : program.function.getBody().front().without_terminator()) {
    graph::VariableOp variable = op.getNumResults() ? findVariable(op.getResult(0), symbols) : graph::VariableOp();
    bool perUse = gathersPerUse() && variable && variable.getRole() == graph::Role::Parameter;
    if (!layerCalls.contains(&op) && !perUse)
      builder.clone(op, outer);
  }
}

/// Where parameters are gathered for each use, loads those of a layer for this one.
void TrainStepBuilder::gatherParameters(LayerCall layer, IRMapping &mapping) {
  if (!gathersPerUse())
    return;
  llvm::SetVector<Operation *> sources;
  for (unsigned index : getArgsOfKind(layer.forward, ArgKind::Parameter)) {
    Operation *source = layer.call.getOperand(index).getDefiningOp();
    if (auto unshard = dyn_cast<graph::CallOp>(source))
      for (Value master : unshard.getOperands())
        sources.insert(master.getDefiningOp());
    sources.insert(source);
  }
  for (Operation *source : sources)
    builder.clone(*source, mapping);
}

void TrainStepBuilder::buildZeroGradients() {
  for (OwnedParameters &owned : owners) {
    for (graph::VariableOp parameter : owned.variables) {
      std::string name = getGradientName(parameter);
      Value zero = graph::ConstantOp::create(builder, locOf(name), wide(parameter.getTensorType().getShape()), 0.0);
      store(zero, name);
    }
  }
}

/// Calls the backward function of a layer. `gradients` maps values of @forward to their gradients in the schedule's
/// body.
FailureOr<graph::CallOp> TrainStepBuilder::buildBackward(LayerCall layer, const IRMapping &mapping,
                                                         graph::CallOp forward,
                                                         llvm::DenseMap<Value, Value> &gradients) {
  func::FuncOp backward = getBackward(layer.forward, symbols);
  auto accumulatorOf = [&](unsigned index) {
    return getGradientName(findVariable(layer.call.getOperand(index), symbols));
  };
  SmallVector<Value> operands;
  for (auto [index, type] : llvm::enumerate(backward.getArgumentTypes())) {
    FailureOr<ArgKind> kind = getArgKind(backward, index);
    std::optional<unsigned> of = getArgOf(backward, index);
    if (failed(kind))
      return failure();
    if (!of)
      return backward.emitOpError() << "does not say what its argument " << index << " belongs to (" << kOfAttr << ")";
    switch (*kind) {
    case ArgKind::Cotangent: {
      Value gradient = gradients.lookup(layer.call.getResult(*of));
      // A result that does not reach the loss.
      if (!gradient)
        gradient = graph::ConstantOp::create(builder, layer.call.getLoc(), cast<RankedTensorType>(type), 0.0);
      operands.push_back(gradient);
      break;
    }
    case ArgKind::Residual:
      operands.push_back(forward.getResult(*of));
      break;
    case ArgKind::Accumulator:
      operands.push_back(load(accumulatorOf(*of), type));
      break;
    default:
      operands.push_back(mapping.lookup(layer.call.getOperand(*of)));
    }
  }
  graph::CallOp result = call(backward, operands, layer.call.getInstance());
  SmallVector<ParameterGradient> ofParameters = getParameterGradients(layer.forward, backward);
  for (Value value : result.getResults()) {
    unsigned index = cast<OpResult>(value).getResultNumber();
    std::optional<unsigned> of = getResultOf(backward, index);
    if (!of)
      continue;
    bool ofParameter = llvm::any_of(ofParameters, [&](ParameterGradient gradient) { return gradient.result == index; });
    if (ofParameter && backward.getResultAttr(index, graph::kInplaceAttr)) {
      store(value, accumulatorOf(*of));
    } else if (ofParameter) {
      continue;
    } else if (!gradients.try_emplace(layer.call.getOperand(*of), value).second) {
      return layer.call.emitOpError("uses a value that another layer uses too: the sum of their gradients would need a "
                                    "layer of its own");
    }
  }
  if (plan.zero >= 2)
    accumulate(layer, result);
  return result;
}

/// Adds the gradients that a backward call gave to their accumulators.
void TrainStepBuilder::accumulate(LayerCall layer, graph::CallOp backward) {
  func::FuncOp function = getBackward(layer.forward, symbols);
  SmallVector<Value> operands;
  SmallVector<std::string> accumulators;
  for (ParameterGradient gradient : getParameterGradients(layer.forward, function)) {
    operands.push_back(backward.getResult(gradient.result));
    accumulators.push_back(getGradientName(findVariable(layer.call.getOperand(gradient.parameter), symbols)));
  }
  if (operands.empty())
    return;
  for (auto [name, gradient] : llvm::zip_equal(accumulators, SmallVector<Value>(operands)))
    operands.push_back(load(name, gradient.getType()));
  graph::CallOp sums = call(getAccumulate(layer, function), operands, layer.call.getInstance());
  for (auto [value, name] : llvm::zip_equal(sums.getResults(), accumulators))
    store(value, name);
}

LogicalResult TrainStepBuilder::buildSchedule(func::FuncOp step, Value &lossSum, Value &valid) {
  SmallVector<Value> inputs(step.getArguments().take_front(program.function.getNumArguments()));
  auto schedule = graph::ScheduleOp::create(builder, locOf("microbatches"), TypeRange{wide(), wide()},
                                            builder.getI64IntegerAttr(plan.microbatches), inputs);
  Block &body = schedule.getBody().emplaceBlock();
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(&body);
  IRMapping mapping = outer;
  for (BlockArgument argument : program.function.getArguments())
    mapping.map(argument, body.addArgument(argument.getType(), argument.getLoc()));

  llvm::DenseMap<Value, Value> gradients;
  llvm::DenseMap<Operation *, graph::CallOp> forwards;
  graph::CallOp lossCall;
  for (LayerCall layer : program.layers) {
    gatherParameters(layer, mapping);
    if (layer.call != program.loss) {
      forwards[layer.call] = cast<graph::CallOp>(builder.clone(*layer.call, mapping));
      continue;
    }
    FailureOr<graph::CallOp> call = buildBackward(layer, mapping, {}, gradients);
    if (failed(call))
      return failure();
    lossCall = *call;
    for (auto [original, result] : llvm::zip(layer.call.getResults(), lossCall.getResults()))
      mapping.map(original, result);
  }
  for (LayerCall layer : llvm::reverse(program.layers)) {
    if (layer.call == program.loss || !getBackward(layer.forward, symbols))
      continue;
    gatherParameters(layer, mapping);
    if (failed(buildBackward(layer, mapping, forwards.lookup(layer.call), gradients)))
      return failure();
  }
  graph::YieldOp::create(builder, schedule.getLoc(),
                         ValueRange{lossCall.getResult(program.lossResult), lossCall.getResult(program.validResult)});
  lossSum = schedule.getResult(0);
  valid = schedule.getResult(1);
  return success();
}

/// Divides all gradients by the number of valid tokens.
Value TrainStepBuilder::addReductions(Value inverseValid, std::vector<SmallVector<Value>> &reduced) {
  Value sumOfSquares = graph::ConstantOp::create(builder, locOf("sum_of_squares"), wide(), 0.0);
  for (OwnedParameters &owned : owners) {
    SmallVector<Value> operands;
    for (graph::VariableOp parameter : owned.variables)
      operands.push_back(load(getGradientName(parameter), wide(parameter.getTensorType().getShape())));
    operands.append({inverseValid, sumOfSquares});
    graph::CallOp result = call(getParts(owned).reduce, operands, owned.layer.call.getInstance());
    reduced.emplace_back(result.getResults().drop_back());
    sumOfSquares = result.getResults().back();
  }
  return sumOfSquares;
}

/// `scalars`: the last operands of the layers' update functions.
void TrainStepBuilder::addUpdates(ValueRange scalars, const std::vector<SmallVector<Value>> &gradients) {
  for (auto [owned, reduced] : llvm::zip_equal(owners, gradients)) {
    SmallVector<Value> operands;
    SmallVector<std::string> stored;
    auto loadAndStore = [&](llvm::function_ref<std::string(graph::VariableOp)> getName, Type element) {
      for (graph::VariableOp parameter : owned.variables) {
        stored.push_back(getName(parameter));
        operands.push_back(load(stored.back(), withElementType(parameter.getTensorType(), element)));
      }
    };
    loadAndStore([](graph::VariableOp parameter) { return parameter.getSymName().str(); }, builder.getF32Type());
    loadAndStore(getFirstMomentName, plan.getFirstMomentType(builder));
    loadAndStore(getSecondMomentName, plan.getSecondMomentType(builder));
    llvm::append_range(operands, reduced);
    llvm::append_range(operands, scalars);
    graph::CallOp updated = call(getParts(owned).update, operands, owned.layer.call.getInstance());
    for (auto [value, name] : llvm::zip_equal(updated.getResults(), stored))
      store(value, name);
  }
}

LogicalResult TrainStepBuilder::build() {
  if (module.lookupSymbol(name))
    return module.emitError() << "already has a program '" << name << "'";
  if (!getBackward(program.lossForward, symbols))
    return program.loss.emitOpError() << "calls '" << program.loss.getCallee() << "', which has no " << kBackwardAttr
                                      << ": run graph-autodiff first";
  FailureOr<SmallVector<OwnedParameters>> found = collectParameters(program, symbols);
  if (failed(found))
    return failure();
  owners = std::move(*found);
  addStateVariables(owners, plan);
  builder.setInsertionPoint(program.function);
  func::FuncOp normalise = buildNormalise(builder, loc);
  func::FuncOp clip;
  if (plan.goal == Goal::Training)
    clip = buildClip(builder, loc, plan.clip);

  func::FuncOp step = startProgram();
  buildUnshard();
  buildZeroGradients();
  Value lossSum, valid;
  if (failed(buildSchedule(step, lossSum, valid)))
    return failure();

  graph::CallOp normalised = call(normalise, {lossSum, valid}, "step");
  std::vector<SmallVector<Value>> gradients;
  Value sumOfSquares = addReductions(normalised.getResult(1), gradients);
  if (plan.goal == Goal::Gradients) {
    for (auto [owned, reduced] : llvm::zip_equal(owners, gradients))
      for (auto [parameter, value] : llvm::zip_equal(owned.variables, reduced))
        store(value, getGradientName(parameter));
    func::ReturnOp::create(builder, loc, normalised.getResult(0));
    return success();
  }
  graph::CallOp clipped = call(clip, sumOfSquares, "step");
  SmallVector<Value> scalars = {clipped.getResult(1)};
  llvm::append_range(scalars, step.getArguments().take_back(3));
  addUpdates(scalars, gradients);
  func::ReturnOp::create(builder, loc, ValueRange{normalised.getResult(0), clipped.getResult(0)});
  return success();
}
