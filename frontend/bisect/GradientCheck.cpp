//===- GradientCheck.cpp - Gradients against finite differences -----------===//

#include "frontend/bisect/GradientCheck.h"

#include "passes/LayerFunction.h"
#include "passes/Plan.h"
#include "passes/Program.h"
#include "runtime/init/Philox.h"

#include <cmath>
#include <numeric>

using namespace mlir;
using namespace primus;
using namespace primus::bisect;
using interpreter::Interpreter;

namespace {

constexpr double kTolerance = 1e-6;

/// Steps of finite differences, the best first. Where one seems to show an error, a smaller one may not straddle a kink (of a ReLU, say); rounding
/// errors grow with its inverse.
constexpr double kSteps[] = {1e-3, 1e-4, 1e-5};

/// A function of a vector, evaluated at small steps from where it stands.
using Perturbed = llvm::function_ref<FailureOr<double>(ArrayRef<double> step)>;

/// A place in a forward function where a value is used: perturbing it there only gives that use's share of the value's gradient.
struct Use {
  OpOperand *operand;
  /// Argument of the instrumented function that is added to the value at this use.
  unsigned argument;
  int64_t size;
};

/// One call of a backward function with the forward function that it differentiates.
class BackwardCall {
public:
  BackwardCall(ModuleOp module, const Trace &trace, const CallRun &run)
      : module(module), trace(trace), run(run), backward(module.lookupSymbol<func::FuncOp>(run.function)) {}

  /// Finds the forward function and what went into it. False if this is no backward function.
  FailureOr<bool> prepare();
  /// Checks the gradients that it returned; on a failure finds the op.
  LogicalResult check(GradientCheck &result);

private:
  void instrument();
  FailureOr<double> evaluate(ArrayRef<Tensor> arguments);
  FailureOr<double> differentiate(unsigned argument, ArrayRef<double> direction, double h = kSteps[0]);
  LogicalResult locate(unsigned input, ArrayRef<double> gradient, Finding &finding);
  /// Finds the first element in which `wrong` is not the gradient for an argument of the instrumented function.
  LogicalResult locateElement(unsigned argument, ArrayRef<double> wrong, Finding &finding);
  /// The values of the forward function that have gradients: those that depend on what the backward function returns gradients for.
  DenseSet<Value> getDifferentiated();
  /// The gradient of the forward function's argument `of` that the call has added, or nothing.
  std::optional<std::vector<double>> getGradient(unsigned result);

  ModuleOp module;
  const Trace &trace;
  const CallRun &run;
  func::FuncOp backward, forward;
  /// Per result of the forward function; empty where it has none.
  SmallVector<std::vector<double>> cotangents;

  /// The forward function with a perturbation at every use of a float.
  OwningOpRef<ModuleOp> instrumented;
  std::unique_ptr<Interpreter> interpreter;
  SmallVector<Tensor> arguments;
  SmallVector<Use> uses;
  unsigned numInputs = 0;
};

} // namespace

/// A reproducible direction of norm 1.
static std::vector<double> makeDirection(int64_t size, uint64_t stream) {
  std::vector<double> direction(size);
  for (int64_t i = 0; i < size; ++i)
    direction[i] = runtime::standardNormal(/*seed=*/7, stream, i);
  double length = norm(direction);
  for (double &value : direction)
    value /= length;
  return direction;
}

/// The derivative along `direction` by the fourth-order formula of the header.
static FailureOr<double> differentiate(ArrayRef<double> direction, double h, Perturbed evaluate) {
  double sum = 0;
  for (auto [distance, weight] : {std::pair(h, 8.0), {-h, -8.0}, {2 * h, -1.0}, {-2 * h, 1.0}}) {
    std::vector<double> step(direction);
    for (double &value : step)
      value *= distance;
    FailureOr<double> value = evaluate(step);
    if (failed(value))
      return failure();
    sum += weight * *value;
  }
  return sum / (12 * h);
}

static double dot(ArrayRef<double> a, ArrayRef<double> b) { return std::inner_product(a.begin(), a.end(), b.begin(), 0.0); }

static double maxNorm(ArrayRef<double> values) {
  double largest = 0;
  for (double value : values)
    largest = std::isnan(value) ? HUGE_VAL : std::max(largest, std::abs(value));
  return largest;
}

/// Difference of a gradient's derivative from the numeric one. `floor`: smaller gradients are noise.
static double getError(double numeric, double analytic, double largest, double floor) {
  double scale = std::max({std::abs(numeric), std::abs(analytic), largest, floor});
  if (!std::isfinite(analytic) || !std::isfinite(numeric))
    return HUGE_VAL;
  return scale == 0 ? 0 : std::abs(numeric - analytic) / scale;
}

FailureOr<bool> BackwardCall::prepare() {
  if (!backward)
    return false;
  for (auto function : module.getOps<func::FuncOp>())
    if (auto name = function->getAttrOfType<FlatSymbolRefAttr>(kBackwardAttr); name && name.getValue() == run.function)
      forward = function;
  if (!forward)
    return false;
  // What the forward function read: kept by its own call, or handed to this one.
  const CallRun *forwardRun = nullptr;
  for (const CallRun &call : trace.calls)
    if (call.function == forward.getName() && call.instance == run.instance && call.occurrence == run.occurrence)
      forwardRun = &call;
  numInputs = forward.getNumArguments();
  SmallVector<const Tensor *> inputs(numInputs);
  for (unsigned i = 0; forwardRun && i < numInputs; ++i)
    inputs[i] = forwardRun->inputs[i].get();
  cotangents.resize(forward.getNumResults());
  for (unsigned i = 0; i < run.inputs.size(); ++i) {
    FailureOr<ArgKind> kind = getArgKind(backward, i);
    if (failed(kind))
      return failure();
    std::optional<unsigned> of = getArgOf(backward, i);
    if (!of)
      continue;
    if (*kind == ArgKind::Cotangent)
      cotangents[*of] = run.inputs[i]->values;
    else if (*kind == ArgKind::Activation || *kind == ArgKind::Parameter || *kind == ArgKind::Constant)
      inputs[*of] = run.inputs[i].get();
  }
  for (const Tensor *input : inputs) {
    if (!input)
      return false;
    arguments.push_back(*input);
  }
  instrument();
  return true;
}

/// The gradients start from the loss, or the losses of several groups, where both directions are one function.
static std::vector<double> getLossCotangents(ArrayRef<Tensor> results, bool perMicrobatchMean) {
  std::vector<double> cotangents = results[1].values;
  for (double &value : cotangents)
    value = perMicrobatchMean ? 1 / std::max(value, 1.0) : 1;
  return cotangents;
}

void BackwardCall::instrument() {
  instrumented = ModuleOp::create(module.getLoc());
  OpBuilder builder = OpBuilder::atBlockEnd(instrumented->getBody());
  auto copy = cast<func::FuncOp>(builder.clone(*forward));
  SmallVector<OpOperand *> operands;
  for (Operation &op : copy.front().without_terminator())
    for (OpOperand &operand : op.getOpOperands())
      if (hasFloatElements(operand.get().getType()))
        operands.push_back(&operand);
  SmallVector<Type> types(copy.getArgumentTypes());
  for (OpOperand *operand : operands) {
    auto type = cast<RankedTensorType>(operand->get().getType());
    uses.push_back({operand, static_cast<unsigned>(types.size()), type.getNumElements()});
    types.push_back(type);
    BlockArgument step = copy.front().addArgument(type, operand->getOwner()->getLoc());
    builder.setInsertionPoint(operand->getOwner());
    arguments.emplace_back(type);
    // The location keeps the value's name.
    Value moved = graph::AddOp::create(builder, operand->get().getLoc(), type, operand->get(), step);
    operand->set(moved);
  }
  copy.setType(builder.getFunctionType(types, copy.getResultTypes()));
  copy.removeArgAttrsAttr();
  interpreter = std::make_unique<Interpreter>(*instrumented, interpreter::Mode::Exact);
}

FailureOr<double> BackwardCall::evaluate(ArrayRef<Tensor> values) {
  auto results = interpreter->run(forward.getName(), values);
  if (failed(results))
    return failure();
  double sum = 0;
  for (auto [result, cotangent] : llvm::zip(*results, cotangents))
    if (!cotangent.empty())
      sum += dot(result.values, cotangent);
  return sum;
}

FailureOr<double> BackwardCall::differentiate(unsigned argument, ArrayRef<double> direction, double h) {
  std::vector<double> original = arguments[argument].values;
  auto numeric = ::differentiate(direction, h, [&](ArrayRef<double> step) {
    for (auto [value, start, change] : llvm::zip_equal(arguments[argument].values, original, step))
      value = start + change;
    return evaluate(arguments);
  });
  arguments[argument].values = original;
  return numeric;
}

std::optional<std::vector<double>> BackwardCall::getGradient(unsigned result) {
  std::optional<unsigned> of = getResultOf(backward, result);
  if (!of || !hasFloatElements(forward.getArgument(*of).getType()))
    return std::nullopt;
  std::vector<double> gradient = run.results[result]->values;
  // An accumulator held the gradients of earlier microbatches.
  for (unsigned i : getArgsOfKind(backward, ArgKind::Accumulator))
    if (getArgOf(backward, i) == of)
      for (auto [value, earlier] : llvm::zip_equal(gradient, run.inputs[i]->values))
        value -= earlier;
  return gradient;
}

LogicalResult BackwardCall::check(GradientCheck &check) {
  if (getPart(backward) == "forward_backward") {
    auto results = interpreter->run(forward.getName(), arguments);
    FailureOr<Plan> plan = Plan::get(module);
    if (failed(results) || failed(plan))
      return failure();
    for (unsigned i = 0; i < results->size(); ++i)
      if (getResultName(forward, i) == "loss_sum")
        cotangents[i] = getLossCotangents(*results, plan->perMicrobatchMean);
  }
  SmallVector<std::pair<unsigned, std::vector<double>>> gradients;
  double largest = 0;
  for (unsigned result = 0; result < run.results.size(); ++result)
    if (auto gradient = getGradient(result)) {
      largest = std::max(largest, maxNorm(*gradient));
      gradients.emplace_back(result, std::move(*gradient));
    }
  for (auto &[result, gradient] : gradients) {
    std::vector<double> direction = makeDirection(gradient.size(), result);
    double analytic = dot(gradient, direction), error = HUGE_VAL;
    for (double h : kSteps) {
      FailureOr<double> numeric = differentiate(*getResultOf(backward, result), direction, h);
      if (failed(numeric))
        return failure();
      error = std::min(error, getError(*numeric, analytic, maxNorm(gradient), 1e-4 * largest));
      if (error <= kTolerance)
        break;
    }
    check.relative = std::max(check.relative, error);
    if (error <= kTolerance)
      continue;
    Finding finding;
    finding.function = run.function;
    finding.instance = run.instance;
    finding.occurrence = run.occurrence;
    finding.value = getResultName(backward, result);
    if (failed(locate(*getResultOf(backward, result), gradient, finding)))
      return failure();
    check.finding = finding;
    return success();
  }
  return success();
}

namespace {

/// A value of the backward function, with its derivative along the direction for its size.
struct Gradient {
  OpResult value;
  const Tensor *tensor;
  double derivative, largest;
  /// Some derivative of the forward function agrees with it.
  bool isExplained = false;
};

/// A use's share of the derivative of its value.
struct Share {
  const Use *use;
  double derivative;
  bool isFound = false;
};

} // namespace

/// The perturbed value, before the step is added to it.
static Value getOriginal(const Use &use) { return cast<graph::AddOp>(use.operand->get().getDefiningOp()).getLhs(); }

/// One direction for all values of a size, so that shares add up.
static std::vector<double> directionOf(int64_t size) { return makeDirection(size, 1000); }

DenseSet<Value> BackwardCall::getDifferentiated() {
  auto copy = *instrumented->getOps<func::FuncOp>().begin();
  DenseSet<Value> values;
  for (unsigned result = 0; result < run.results.size(); ++result)
    if (std::optional<unsigned> of = getResultOf(backward, result))
      values.insert(copy.getArgument(*of));
  for (Operation &op : copy.front())
    if (llvm::any_of(op.getOperands(), [&](Value operand) { return values.contains(operand); }))
      values.insert(op.result_begin(), op.result_end());
  return values;
}

/// Adds every float that a function computes to its results; returns the ops and which of their results it is.
static SmallVector<OpResult> returnAll(func::FuncOp function) {
  SmallVector<OpResult> values;
  for (Operation &op : function.front().without_terminator())
    for (OpResult result : op.getResults())
      if (hasFloatElements(result.getType()))
        values.push_back(result);
  Operation *terminator = function.front().getTerminator();
  terminator->insertOperands(terminator->getNumOperands(), SmallVector<Value>(values.begin(), values.end()));
  function.removeResAttrsAttr();
  function.setType(FunctionType::get(function.getContext(), function.getArgumentTypes(), terminator->getOperandTypes()));
  return values;
}

LogicalResult BackwardCall::locate(unsigned input, ArrayRef<double> gradient, Finding &finding) {
  // What the backward function computed.
  OwningOpRef<ModuleOp> tapped = ModuleOp::create(module.getLoc());
  auto copy = cast<func::FuncOp>(OpBuilder::atBlockEnd(tapped->getBody()).clone(*backward));
  SmallVector<OpResult> values = returnAll(copy);
  SmallVector<Tensor> inputs = llvm::map_to_vector(run.inputs, [](const TensorRef &tensor) { return *tensor; });
  auto computed = Interpreter(*tapped, interpreter::Mode::Exact).run(copy.getName(), inputs);
  if (failed(computed))
    return failure();
  std::vector<Gradient> gradients;
  for (auto [value, tensor] : llvm::zip_equal(values, ArrayRef(*computed).take_back(values.size())))
    gradients.push_back({value, &tensor, dot(tensor.values, directionOf(tensor.size())), maxNorm(tensor.values)});

  // What it should have computed.
  std::vector<Share> shares;
  DenseMap<Value, double> totals;
  double largest = 0;
  DenseSet<Value> differentiated = getDifferentiated();
  for (const Use &use : uses) {
    if (!differentiated.contains(getOriginal(use)))
      continue;
    FailureOr<double> derivative = differentiate(use.argument, directionOf(use.size));
    if (failed(derivative))
      return failure();
    shares.push_back({&use, *derivative});
    totals[getOriginal(use)] += *derivative;
    largest = std::max(largest, std::abs(*derivative));
  }
  const double noise = 1e-7 * largest;
  auto find = [&](double derivative, int64_t size) {
    bool isFound = false;
    for (Gradient &gradient : gradients)
      if (gradient.tensor->size() == size && getError(derivative, gradient.derivative, gradient.largest, noise) <= kTolerance)
        isFound = gradient.isExplained = true;
    // A cotangent as it came in.
    for (const Tensor &input : inputs)
      if (input.size() == size && isa<FloatType>(input.elementType))
        isFound |= getError(derivative, dot(input.values, directionOf(size)), maxNorm(input.values), noise) <= kTolerance;
    return isFound;
  };
  for (Share &share : shares) {
    // A value's whole gradient may be computed at once.
    bool isFound = find(share.derivative, share.use->size), isTotalFound = find(totals[getOriginal(*share.use)], share.use->size);
    share.isFound = isFound || isTotalFound || std::abs(share.derivative) <= noise;
  }

  // The last op in forward order is the first in backward order: what comes before it in there is right.
  auto wrong = llvm::find_if(llvm::reverse(shares), [](const Share &share) { return !share.isFound; });
  if (wrong == shares.rend()) {
    llvm::raw_string_ostream(finding.type) << withElementType(forward.getArgument(input).getType(), Float32Type::get(module.getContext()));
    finding.note = "the derivative of every op inside is there: they are put together wrongly";
    return locateElement(input, gradient, finding);
  }
  Operation *consumer = wrong->use->operand->getOwner();
  auto argument = dyn_cast<BlockArgument>(getOriginal(*wrong->use));
  std::string valueName = argument ? getArgName(forward, argument.getArgNumber()) : getValueName(getOriginal(*wrong->use)).str();
  std::string consumerName = consumer->getNumResults() ? getValueName(consumer->getResult(0)).str() : "";
  finding.note = "the derivative of " + consumer->getName().getStringRef().str() + " %" + consumerName + " with respect to its operand %" +
                 valueName + " is wrong by finite differences";
  const Gradient *culprit = nullptr;
  for (const std::string &name : {valueName + ".grad", consumerName + ".grad"})
    for (const Gradient &candidate : gradients)
      if (!culprit && !candidate.isExplained && candidate.tensor->size() == wrong->use->size && getValueName(candidate.value) == name)
        culprit = &candidate;
  if (!culprit)
    return success();
  finding.op = culprit->value.getOwner()->getName().getStringRef();
  finding.value = getValueName(culprit->value);
  llvm::raw_string_ostream(finding.type) << culprit->tensor->getType();
  return locateElement(wrong->use->argument, culprit->tensor->values, finding);
}

/// Halves the range of elements, and keeps the first half that is wrong.
LogicalResult BackwardCall::locateElement(unsigned argument, ArrayRef<double> wrong, Finding &finding) {
  const int64_t size = wrong.size();
  const double largest = maxNorm(wrong);
  auto differs = [&](int64_t begin, int64_t end) -> FailureOr<bool> {
    std::vector<double> direction(size), random = makeDirection(end - begin, 2000);
    llvm::copy(random, direction.begin() + begin);
    FailureOr<double> numeric = differentiate(argument, direction);
    if (failed(numeric))
      return failure();
    return getError(*numeric, dot(wrong, direction), largest, 0) > kTolerance;
  };
  int64_t begin = 0, end = size;
  while (end - begin > 1) {
    int64_t middle = begin + (end - begin) / 2;
    FailureOr<bool> isFirst = differs(begin, middle);
    if (failed(isFirst))
      return failure();
    (*isFirst ? end : begin) = middle;
  }
  std::vector<double> direction(size);
  direction[begin] = 1;
  FailureOr<double> numeric = differentiate(argument, direction);
  if (failed(numeric))
    return failure();
  finding.element = unflatten(begin, arguments[argument].shape);
  finding.expected = *numeric;
  finding.actual = wrong[begin];
  finding.relative = std::abs(*numeric - wrong[begin]) / std::max({largest, std::abs(*numeric), 1e-300});
  finding.size = size;
  return success();
}

/// The gradients that the step gives to its updates, by parameter.
static std::map<std::string, TensorRef> findAppliedGradients(ModuleOp module, const Trace &trace) {
  std::map<std::pair<std::string, std::string>, const CallRun *> runs;
  for (const CallRun &run : trace.calls)
    runs[{run.function, run.instance}] = &run;
  std::map<std::string, TensorRef> gradients;
  module.walk([&](graph::CallOp call) {
    auto callee = module.lookupSymbol<func::FuncOp>(call.getCallee());
    auto run = runs.find({call.getCallee().str(), call.getInstance().str()});
    if (!callee || getPart(callee) != "update" || run == runs.end())
      return;
    for (auto [parameter, gradient] :
         llvm::zip_equal(getArgsOfKind(callee, ArgKind::Parameter), getArgsOfKind(callee, ArgKind::Gradient)))
      if (auto load = call.getOperand(parameter).getDefiningOp<graph::LoadOp>())
        gradients[load.getVariable().str()] = run->second->inputs[gradient];
  });
  return gradients;
}

/// The gradient of the loss, as the step applies it, along one direction over all parameters.
static LogicalResult checkLoss(ModuleOp module, const Trace &trace, const StepSetup &setup, GradientCheck &check) {
  Directions directions;
  double expected = 0, squares = 0;
  int64_t count = 0;
  uint64_t stream = 3000;
  std::map<std::string, TensorRef> gradients = findAppliedGradients(module, trace);
  for (auto variable : module.getOps<graph::VariableOp>()) {
    auto gradient = gradients.find(variable.getSymName().str());
    if (gradient == gradients.end())
      continue;
    ArrayRef<double> values = gradient->second->values;
    std::vector<double> &direction = directions[variable.getSymName().str()] = makeDirection(values.size(), stream++);
    expected += dot(values, direction);
    squares += dot(values, values);
    count += values.size();
  }
  if (directions.empty())
    return success();
  double error = HUGE_VAL;
  for (double h : kSteps) {
    auto numeric = ::differentiate({1.0}, h, [&](ArrayRef<double> step) {
      return evaluateLoss(module, interpreter::Mode::Exact, setup, directions, step[0]);
    });
    if (failed(numeric))
      return failure();
    error = std::min(error, getError(*numeric, expected, std::sqrt(squares / count), 0));
    if (error <= kTolerance)
      break;
  }
  check.relative = std::max(check.relative, error);
  if (error <= kTolerance)
    return success();
  check.finding.emplace();
  check.finding->note = "every backward function is the derivative of its forward function, but the gradients that the step applies "
                        "are not those of the loss: the calls are combined wrongly";
  return success();
}

FailureOr<GradientCheck> bisect::checkGradients(ModuleOp module, const Trace &trace, const StepSetup &setup) {
  GradientCheck check;
  for (const CallRun &run : trace.calls) {
    if (run.occurrence > 0)
      continue;
    BackwardCall call(module, trace, run);
    FailureOr<bool> isBackward = call.prepare();
    if (failed(isBackward) || (*isBackward && failed(call.check(check))))
      return failure();
    if (check.finding)
      return check;
  }
  if (failed(checkLoss(module, trace, setup, check)))
    return failure();
  return check;
}
