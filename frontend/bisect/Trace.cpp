//===- Trace.cpp - A module's training step, run and written down ---------===//

#include "frontend/bisect/Trace.h"

#include "passes/LayerFunction.h"
#include "passes/Plan.h"
#include "passes/Program.h"
#include "runtime/init/Philox.h"

#include <cmath>

using namespace mlir;
using namespace primus;
using namespace primus::bisect;
using interpreter::Interpreter;

int64_t bisect::findVocabulary(ModuleOp module) {
  int64_t vocabulary = 0;
  module.walk([&](graph::CrossEntropyOp loss) { vocabulary = loss.getVocabulary(); });
  return vocabulary;
}

/// Fills an input of integers of step `index`: input `position` of the program.
static void fillTokens(Tensor &tensor, const StepSetup &setup, int64_t index, unsigned position, const std::string &name) {
  if (auto given = setup.given.find(name); given != setup.given.end() && given->second.size() == tensor.values.size()) {
    tensor.values = given->second;
    return;
  }
  // Far from the streams of variables, which count from 0.
  uint64_t stream = (uint64_t{1} << 40) + index * 256 + position;
  for (auto [element, value] : llvm::enumerate(tensor.values)) {
    uint64_t bits = runtime::philox(setup.seed, stream, element)[0];
    value = name == "labels" && element % 7 == 3 ? -100 : static_cast<double>(bits % setup.vocabulary);
  }
}

static LogicalResult checkVocabulary(ModuleOp module, const StepSetup &setup) {
  if (setup.vocabulary > 0)
    return success();
  return module.emitError() << "does not say how many tokens its vocabulary has";
}

FailureOr<SmallVector<Tensor>> bisect::makeInputs(ModuleOp module, ArrayRef<ProgramInput> inputs, const StepSetup &setup, int64_t index) {
  FailureOr<Plan> plan = Plan::get(module);
  if (failed(plan) || failed(checkVocabulary(module, setup)))
    return failure();
  auto correction = [&](double beta) { return 1 - std::pow(beta, index + 1); };
  SmallVector<Tensor> values;
  for (auto [position, input] : llvm::enumerate(inputs)) {
    Tensor value(input.type);
    if (isa<IntegerType>(value.elementType))
      fillTokens(value, setup, index, position, input.name);
    else if (input.name == "learning_rate")
      value.values[0] = 1e-3;
    else if (input.name == "bias_correction1")
      value.values[0] = correction(plan->beta1);
    else if (input.name == "bias_correction2")
      value.values[0] = correction(plan->beta2);
    else
      return module.emitError() << "has an input '" << input.name << "' of " << input.type << ", for which no values can be made up";
    value.round();
    values.push_back(std::move(value));
  }
  return values;
}

static Interpreter::Observer recordCalls(Trace &trace) {
  // Fusions of the call in progress; layers do not nest.
  auto fusions = std::make_shared<std::vector<FusionRun>>();
  auto counts = std::make_shared<std::map<std::pair<std::string, std::string>, int64_t>>();
  return [&trace, fusions, counts](Operation *op, ArrayRef<TensorRef> operands, MutableArrayRef<TensorRef> results) {
    if (isa<graph::FusionOp>(op))
      fusions->push_back({SmallVector<TensorRef>(operands), SmallVector<TensorRef>(results)});
    auto call = dyn_cast<graph::CallOp>(op);
    if (!call)
      return;
    CallRun &run = trace.calls.emplace_back();
    run.function = call.getCallee().str();
    run.instance = call.getInstance().str();
    run.occurrence = (*counts)[{run.function, run.instance}]++;
    run.inputs.assign(operands.begin(), operands.end());
    run.results.assign(results.begin(), results.end());
    run.fusions = std::move(*fusions);
    fusions->clear();
  };
}

/// The type of the whole tensor of which a rank has a part of this type; the interpreter takes and gives whole tensors.
static RankedTensorType getWholeType(ModuleOp module, Type local) {
  auto type = cast<RankedTensorType>(local);
  auto mesh = module->getAttrOfType<graph::MeshAttr>(graph::kMeshAttr);
  auto layout = dyn_cast_or_null<graph::LayoutAttr>(type.getEncoding());
  if (!mesh || !layout || !module->hasAttr(graph::kPlacedAttr))
    return type;
  SmallVector<int64_t> shape(type.getShape());
  for (auto [size, axes] : llvm::zip_equal(shape, layout.getAxes()))
    size *= mesh.getGroupSize(axes).value_or(1);
  return RankedTensorType::get(shape, type.getElementType(), layout);
}

/// A rank's place is no value that ranks have in common.
static bool isRankLocal(graph::VariableOp variable) { return variable.getInit().getKind() == "axis_index"; }

FailureOr<Trace> bisect::traceSteps(ModuleOp module, interpreter::Mode mode, const StepSetup &setup) {
  auto step = module.lookupSymbol<func::FuncOp>(kTrainStepProgram);
  if (!step)
    return module.emitError() << "has no program '" << kTrainStepProgram << "'";
  SmallVector<ProgramInput> inputs;
  for (unsigned i = 0, end = step.getNumArguments(); i < end; ++i)
    inputs.push_back({getArgName(step, i), getWholeType(module, step.getArgument(i).getType())});
  Interpreter interpreter(module, mode);
  if (failed(interpreter.initializeVariables(setup.seed)))
    return failure();
  Trace trace;
  interpreter.setObserver(recordCalls(trace));
  for (int64_t index = 0; index < setup.steps; ++index) {
    FailureOr<SmallVector<Tensor>> values = makeInputs(module, inputs, setup, index);
    if (failed(values))
      return failure();
    auto results = interpreter.run(kTrainStepProgram, *values);
    if (failed(results))
      return failure();
    if (results->size() < 2)
      return module.emitError() << "'" << kTrainStepProgram << "' does not return the loss and the gradient's norm";
    trace.losses.push_back((*results)[0].values[0]);
    trace.gradNorms.push_back((*results)[1].values[0]);
  }
  for (auto variable : module.getOps<graph::VariableOp>())
    if (TensorRef value = isRankLocal(variable) ? nullptr : interpreter.getVariable(variable.getSymName()))
      trace.variables[variable.getSymName().str()] = value;
  return trace;
}

FailureOr<double> bisect::evaluateLoss(ModuleOp module, interpreter::Mode mode, const StepSetup &setup, const Directions &directions,
                                       double distance, Trace *calls) {
  auto forward = module.lookupSymbol<func::FuncOp>(kForwardProgram);
  if (!forward)
    return module.emitError() << "has no program '" << kForwardProgram << "'";
  FailureOr<Plan> plan = Plan::get(module);
  Interpreter interpreter(module, mode);
  if (failed(plan) || failed(checkVocabulary(module, setup)) || failed(interpreter.initializeVariables(setup.seed)))
    return failure();
  for (const auto &[name, direction] : directions) {
    Tensor moved = *interpreter.getVariable(name);
    for (auto [value, change] : llvm::zip_equal(moved.values, direction))
      value += distance * change;
    if (failed(interpreter.setVariable(name, std::move(moved))))
      return failure();
  }
  if (calls)
    interpreter.setObserver(recordCalls(*calls));
  // The inputs of all microbatches: those of the training step start with those of the forward program.
  SmallVector<Tensor> all, inputs;
  for (unsigned i = 0, end = forward.getNumArguments(); i < end; ++i) {
    RankedTensorType type = getWholeType(module, forward.getArgument(i).getType());
    SmallVector<int64_t> shape = {plan->microbatches};
    llvm::append_range(shape, type.getShape());
    fillTokens(all.emplace_back(RankedTensorType::get(shape, type.getElementType())), setup, /*index=*/0, i,
               getArgName(forward, i));
    inputs.emplace_back(type);
  }
  double sum = 0, weight = 0;
  for (int64_t index = 0; index < plan->microbatches; ++index) {
    for (auto [part, whole] : llvm::zip_equal(inputs, all))
      std::copy_n(whole.values.begin() + index * part.size(), part.size(), part.values.begin());
    auto results = interpreter.run(kForwardProgram, inputs);
    interpreter.setObserver({});
    if (failed(results))
      return failure();
    // One for each group of sequences whose means count alike.
    for (auto [loss, valid] : llvm::zip_equal((*results)[0].values, (*results)[1].values)) {
      sum += plan->perMicrobatchMean ? loss / std::max(valid, 1.0) : loss;
      weight += plan->perMicrobatchMean ? 1 : valid;
    }
  }
  return sum / weight;
}
