//===- Locate.cpp - The first op that two modules compute differently -----===//

#include "frontend/bisect/Locate.h"

#include "passes/LayerFunction.h"

#include "llvm/ADT/SetVector.h"

#include <cmath>
#include <set>

using namespace mlir;
using namespace primus;
using namespace primus::bisect;
using interpreter::Interpreter;

namespace {

/// A value that an op of a function computed.
struct Computed {
  Operation *op;
  unsigned result;
  TensorRef tensor;
  /// Largest absolute value, by which most pairs are told apart at once.
  double scale;
  /// The other side has a value that agrees.
  bool hasCounterpart = false;

  StringRef getName() const { return getValueName(op->getResult(result)); }
};

/// One form of a layer's function, run on given inputs.
class FunctionRun {
public:
  FunctionRun(ModuleOp module, Interpreter &interpreter, StringRef function)
      : module(module), interpreter(interpreter), function(function) {}

  /// Runs the function and keeps what every op computed.
  LogicalResult run(ArrayRef<Tensor> inputs);
  /// Runs it again with one value replaced, and returns the results.
  FailureOr<SmallVector<Tensor>> runWith(ArrayRef<Tensor> inputs, const Computed &value, TensorRef replacement);

  /// Marks the values that the other run has as well.
  void matchWith(const FunctionRun &other, ArrayRef<Tensor> inputs, double tolerance);
  /// The values without counterpart that results `wrong` depend on, in the order in which they were computed.
  SmallVector<const Computed *> getSuspects(ArrayRef<unsigned> wrong) const;
  /// The values with a counterpart that suspects read, in the order in which they were computed.
  SmallVector<const Computed *> getOperands(ArrayRef<const Computed *> suspects) const;

  ModuleOp module;
  Interpreter &interpreter;
  std::string function;
  std::vector<Computed> values;
  SmallVector<Tensor> results;

private:
  /// Looks through fusions: what is inside computes their results.
  static Value lookThrough(Value value);

  DenseMap<Value, unsigned> positions;
  Operation *terminator = nullptr;
};

} // namespace

static double getScale(ArrayRef<double> values) {
  double scale = 0;
  for (double value : values)
    if (std::isfinite(value))
      scale = std::max(scale, std::abs(value));
  return scale;
}

LogicalResult FunctionRun::run(ArrayRef<Tensor> inputs) {
  interpreter.setObserver([&](Operation *op, ArrayRef<TensorRef>, MutableArrayRef<TensorRef> computed) {
    if (auto parent = op->getParentOfType<func::FuncOp>(); parent && !terminator)
      terminator = parent.front().getTerminator();
    for (auto [index, tensor] : llvm::enumerate(computed)) {
      positions[op->getResult(index)] = values.size();
      values.push_back({op, static_cast<unsigned>(index), tensor, getScale(tensor->values)});
    }
  });
  auto outcome = interpreter.run(function, inputs);
  interpreter.setObserver({});
  if (failed(outcome))
    return failure();
  results = std::move(*outcome);
  return success();
}

FailureOr<SmallVector<Tensor>> FunctionRun::runWith(ArrayRef<Tensor> inputs, const Computed &value, TensorRef replacement) {
  interpreter.setObserver([&](Operation *op, ArrayRef<TensorRef>, MutableArrayRef<TensorRef> computed) {
    if (op != value.op)
      return;
    // The same elements, perhaps under another shape.
    auto tensor = std::make_shared<Tensor>(*computed[value.result]);
    tensor->values = replacement->values;
    computed[value.result] = std::move(tensor);
  });
  auto outcome = interpreter.run(function, inputs);
  interpreter.setObserver({});
  return outcome;
}

void FunctionRun::matchWith(const FunctionRun &other, ArrayRef<Tensor> inputs, double tolerance) {
  std::map<int64_t, SmallVector<std::pair<double, const Tensor *>>> bySize;
  for (const Computed &value : other.values)
    bySize[value.tensor->size()].push_back({value.scale, value.tensor.get()});
  for (const Tensor &input : inputs)
    bySize[input.size()].push_back({getScale(input.values), &input});
  for (Computed &value : values)
    value.hasCounterpart = llvm::any_of(bySize[value.tensor->size()], [&](const auto &candidate) {
      double larger = std::max(candidate.first, value.scale);
      return std::abs(candidate.first - value.scale) <= tolerance * larger &&
             agree(candidate.second->values, value.tensor->values, tolerance);
    });
}

Value FunctionRun::lookThrough(Value value) {
  while (true) {
    if (auto fusion = value.getDefiningOp<graph::FusionOp>()) {
      value = fusion.getBody().front().getTerminator()->getOperand(cast<OpResult>(value).getResultNumber());
      continue;
    }
    auto argument = dyn_cast<BlockArgument>(value);
    auto fusion = argument ? dyn_cast<graph::FusionOp>(argument.getOwner()->getParentOp()) : graph::FusionOp();
    if (!fusion)
      return value;
    value = fusion.getInputs()[argument.getArgNumber()];
  }
}

SmallVector<const Computed *> FunctionRun::getSuspects(ArrayRef<unsigned> wrong) const {
  llvm::SmallSetVector<unsigned, 16> found;
  auto visit = [&](Value value) {
    auto position = positions.find(lookThrough(value));
    if (position != positions.end() && !values[position->second].hasCounterpart)
      found.insert(position->second);
  };
  for (unsigned result : wrong)
    visit(terminator->getOperand(result));
  for (unsigned next = 0; next < found.size(); ++next)
    for (Value operand : values[found[next]].op->getOperands())
      visit(operand);
  SmallVector<unsigned> order(found.begin(), found.end());
  llvm::sort(order);
  return llvm::map_to_vector(order, [&](unsigned position) { return &values[position]; });
}

SmallVector<const Computed *> FunctionRun::getOperands(ArrayRef<const Computed *> suspects) const {
  std::set<unsigned> found;
  for (const Computed *suspect : suspects)
    for (Value operand : suspect->op->getOperands())
      if (auto position = positions.find(lookThrough(operand)); position != positions.end() && values[position->second].hasCounterpart)
        found.insert(position->second);
  return llvm::map_to_vector(found, [&](unsigned position) { return &values[position]; });
}

/// Which of `results` differ from what the other form returns: by position, or by name where their number changed.
static SmallVector<unsigned> findWrongResults(const FunctionRun &before, ArrayRef<Tensor> beforeResults, const FunctionRun &after,
                                              ArrayRef<Tensor> afterResults, double tolerance) {
  auto getName = [](const FunctionRun &run, unsigned index) {
    ModuleOp module = run.module;
    return getResultName(module.lookupSymbol<func::FuncOp>(run.function), index);
  };
  SmallVector<unsigned> wrong;
  for (unsigned index = 0; index < afterResults.size(); ++index) {
    const Tensor *expected = nullptr;
    if (beforeResults.size() == afterResults.size())
      expected = &beforeResults[index];
    for (unsigned i = 0; i < beforeResults.size() && !expected; ++i)
      if (getName(before, i) == getName(after, index))
        expected = &beforeResults[i];
    if (expected && !agree(expected->values, afterResults[index].values, tolerance))
      wrong.push_back(index);
  }
  return wrong;
}

static std::string printType(const Tensor &tensor) {
  std::string text;
  llvm::raw_string_ostream(text) << tensor.getType();
  return text;
}

static void describeValue(const Computed &value, const Tensor *expected, double tolerance, Finding &finding) {
  finding.op = value.op->getName().getStringRef();
  finding.value = value.getName();
  finding.type = printType(*value.tensor);
  if (auto fusion = value.op->getParentOfType<graph::FusionOp>())
    finding.family = fusion.getFamily();
  if (!expected)
    return;
  Difference difference = compare(expected->values, value.tensor->values, tolerance);
  finding.element = unflatten(std::max<int64_t>(difference.element, 0), value.tensor->shape);
  finding.expected = difference.expected;
  finding.actual = difference.actual;
  finding.relative = difference.elementRelative;
  finding.count = difference.count;
  finding.size = value.tensor->size();
}

std::string bisect::findComposite(ModuleOp module, StringRef function, Operation *op) {
  std::string composite;
  module.lookupSymbol<func::FuncOp>(function).walk([&](Operation *original) {
    if (original->getLoc() != op->getLoc())
      return WalkResult::advance();
    if (original->getName() == op->getName()) {
      composite.clear();
      return WalkResult::interrupt();
    }
    if (isa<graph::Decomposable>(original))
      composite = original->getName().getStringRef();
    return WalkResult::advance();
  });
  return composite;
}

/// Narrows a call whose results differ down to an op.
static LogicalResult locateInFunction(FunctionRun &before, FunctionRun &after, ArrayRef<Tensor> inputs, double tolerance,
                                      Finding &finding) {
  if (failed(before.run(inputs)) || failed(after.run(inputs)))
    return failure();
  SmallVector<unsigned> wrong = findWrongResults(before, before.results, after, after.results, tolerance);
  if (wrong.empty())
    return success();
  after.matchWith(before, inputs, tolerance);
  before.matchWith(after, inputs, tolerance);

  // What a value should have been: one from before of the same name. First those that no longer exist, first those of the same op.
  auto findOriginals = [&](const Computed &value, bool mustBeGone) {
    SmallVector<const Computed *> originals;
    for (bool isGone : {true, false})
      for (bool sameOp : {true, false})
        for (const Computed &candidate : before.values)
          if (candidate.hasCounterpart != isGone && (candidate.op->getName() == value.op->getName()) == sameOp &&
              (isGone || !mustBeGone) && !isa<graph::FusionOp>(candidate.op) &&
              candidate.tensor->size() == value.tensor->size() && candidate.getName() == value.getName())
            originals.push_back(&candidate);
    return originals;
  };
  unsigned trials = 0;
  auto repairs = [&](const Computed &value, const Computed &original) -> FailureOr<bool> {
    constexpr unsigned maxTrials = 300;
    if (trials++ >= maxTrials)
      return false;
    auto repaired = after.runWith(inputs, value, original.tensor);
    if (failed(repaired))
      return failure();
    return findWrongResults(before, before.results, after, *repaired, tolerance).empty();
  };
  auto describe = [&](const Computed &value, const Computed *original) {
    describeValue(value, original ? original->tensor.get() : nullptr, tolerance, finding);
    finding.composite = findComposite(after.module, after.function, value.op);
  };

  SmallVector<const Computed *> suspects = after.getSuspects(wrong);
  for (const Computed *suspect : suspects)
    for (const Computed *original : findOriginals(*suspect, /*mustBeGone=*/false)) {
      FailureOr<bool> isCause = repairs(*suspect, *original);
      if (failed(isCause))
        return failure();
      if (!*isCause)
        continue;
      describe(*suspect, original);
      finding.confirmed = true;
      return success();
    }
  // An op that is gone leaves no wrong value of its own: what it changed is right, and what reads that is wrong.
  for (const Computed *operand : after.getOperands(suspects))
    for (const Computed *original : findOriginals(*operand, /*mustBeGone=*/true)) {
      FailureOr<bool> isCause = repairs(*operand, *original);
      if (failed(isCause))
        return failure();
      if (!*isCause)
        continue;
      describe(*operand, original);
      finding.confirmed = true;
      finding.note = "what " + original->op->getName().getStringRef().str() + " made of this value before is missing now";
      return success();
    }
  if (!suspects.empty()) {
    auto hasOriginal = [&](const Computed *suspect) { return !findOriginals(*suspect, /*mustBeGone=*/true).empty(); };
    auto first = llvm::find_if(suspects, hasOriginal);
    const Computed *suspect = first != suspects.end() ? *first : suspects.front();
    SmallVector<const Computed *> originals = findOriginals(*suspect, /*mustBeGone=*/true);
    describe(*suspect, originals.empty() ? nullptr : originals.front());
    finding.note = "more than this op differs: no single value from before repairs the function's results";
    return success();
  }
  // The result itself is another value, rightly computed.
  unsigned result = wrong.front();
  finding.value = getResultName(after.module.lookupSymbol<func::FuncOp>(after.function), result);
  finding.note = "the function returns another of its values here";
  return success();
}

/// Tensors of a call, for a new run.
static SmallVector<Tensor> copyTensors(ArrayRef<TensorRef> tensors) {
  return llvm::map_to_vector(tensors, [](const TensorRef &tensor) { return *tensor; });
}

static bool allAgree(ArrayRef<TensorRef> expected, ArrayRef<TensorRef> actual, double tolerance) {
  return expected.size() == actual.size() && llvm::all_of(llvm::zip(expected, actual), [&](auto pair) {
           return bisect::agree(std::get<0>(pair)->values, std::get<1>(pair)->values, tolerance);
         });
}

FailureOr<Finding> bisect::locate(const TracedModule &before, const TracedModule &after, interpreter::Mode mode, double tolerance) {
  std::map<std::tuple<StringRef, StringRef, int64_t>, const CallRun *> callsBefore;
  for (const CallRun &call : before.trace.calls)
    callsBefore[{call.function, call.instance, call.occurrence}] = &call;

  Interpreter beforeInterpreter(before.module, mode), afterInterpreter(after.module, mode);
  std::optional<Finding> misled;
  for (const CallRun &call : after.trace.calls) {
    auto found = callsBefore.find({call.function, call.instance, call.occurrence});
    if (found == callsBefore.end())
      continue;
    const CallRun &original = *found->second;
    Finding finding;
    finding.function = call.function;
    finding.instance = call.instance;
    finding.occurrence = call.occurrence;
    if (!allAgree(original.inputs, call.inputs, tolerance)) {
      // Not its fault, unless the program itself gives it what nobody computed wrongly.
      if (!misled)
        misled = finding;
      continue;
    }
    if (allAgree(original.results, call.results, tolerance))
      continue;
    FunctionRun beforeRun(before.module, beforeInterpreter, call.function), afterRun(after.module, afterInterpreter, call.function);
    if (failed(locateInFunction(beforeRun, afterRun, copyTensors(original.inputs), tolerance, finding)))
      return failure();
    return finding;
  }
  if (!misled)
    misled.emplace();
  misled->note = misled->function.empty() ? "no call of a layer's function differs: the program stores other values than before"
                                          : "every function is right, but the program passes this call other values than before";
  return *misled;
}
