//===- Bisect.cpp - The first phase, pass and op that go wrong ------------===//

#include "frontend/bisect/Bisect.h"

#include "frontend/bisect/CompiledStep.h"
#include "frontend/bisect/GradientCheck.h"
#include "frontend/bisect/Locate.h"
#include "frontend/bisect/Snapshots.h"
#include "ir/step/StepDialect.h"
#include "passes/LayerFunction.h"
#include "passes/Passes.h"
#include "passes/Program.h"

#include "mlir/Pass/PassManager.h"

#include <cmath>
#include <fmt/format.h>

using namespace mlir;
using namespace primus;
using namespace primus::bisect;
using interpreter::Mode;

double bisect::getTolerance(Mode mode, ModuleOp module) {
  if (mode == Mode::Exact)
    return 1e-9;
  return getNarrowestFloat(module) <= 8 ? kTolerance8Bits : 1e-3;
}

namespace {

/// A module as it left a phase, and what it computed in the present mode.
struct Stage {
  unsigned phase;
  OwningOpRef<ModuleOp> module;
  std::optional<Trace> trace;
};

class Bisection {
public:
  Bisection(ModuleOp start, unsigned from, BisectOptions options)
      : start(start), from(from), options(std::move(options)) {}

  FailureOr<BisectResult> run();

private:
  /// Runs the phases, which are the same for both modes.
  LogicalResult build();
  LogicalResult runMode(Mode mode);
  LogicalResult runCompiled();
  bool isCompared(unsigned phase) const {
    return options.phases.empty() || llvm::is_contained(options.phases, options.table[phase].name);
  }

  /// Loss and gradients of phase `train` against the forward pass of the phase before.
  LogicalResult compareWithModel(Stage &model, Stage &train, Mode mode);
  void compareTraces(const Trace &expected, const Trace &actual, ModuleOp module, PhaseComparison &comparison);

  /// All passes from one stage to another, with the module after each that changed something.
  FailureOr<std::vector<Snapshot>> takeSnapshots(const Stage &first, const Stage &last);
  /// The first snapshot for which `isBad` holds; the last one is known to be bad. Halves the range.
  FailureOr<unsigned> findFirst(std::vector<Snapshot> &snapshots, llvm::function_ref<FailureOr<bool>(ModuleOp)> isBad);
  LogicalResult narrow(Stage &before, Stage &after, Mode mode);
  LogicalResult narrowTrain(Stage &model, Stage &train, Mode mode, double loss);
  LogicalResult narrowCompiled(Stage &fused, Stage &step, const KernelCheck &check);

  PhaseComparison &add(unsigned phase, unsigned before, StringRef mode, double tolerance);
  double toleranceOf(Mode mode, ModuleOp module) const { return options.tolerance > 0 ? options.tolerance : getTolerance(mode, module); }

  ModuleOp start;
  unsigned from;
  BisectOptions options;
  std::vector<Stage> stages;
  BisectResult result;
};

} // namespace

/// True for a placed module whose ranks have parts of the tensors.
static bool runsOnSeveralRanks(ModuleOp module) {
  auto mesh = module->getAttrOfType<graph::MeshAttr>(graph::kMeshAttr);
  return mesh && mesh.getNumRanks() > 1 && module->hasAttr(graph::kPlacedAttr);
}

static std::string name(Mode mode) { return mode == Mode::Exact ? "exact" : "faithful"; }

PhaseComparison &Bisection::add(unsigned phase, unsigned before, StringRef mode, double tolerance) {
  PhaseComparison &comparison = result.comparisons.emplace_back();
  comparison.phase = options.table[phase].name;
  comparison.before = options.table[before].name;
  comparison.mode = mode;
  comparison.tolerance = tolerance;
  return comparison;
}

LogicalResult Bisection::build() {
  stages.push_back({from, OwningOpRef<ModuleOp>(start.clone()), std::nullopt});
  for (unsigned phase = from + 1; phase < options.table.size(); ++phase) {
    if (!options.table[phase].build)
      continue;
    options.progress(fmt::format("building phase {}", options.table[phase].name.str()));
    OwningOpRef<ModuleOp> module = (*stages.back().module).clone();
    if (failed(runPasses(options.table[phase], *module)) || failed(options.table[phase].verify(*module)))
      return failure();
    stages.push_back({phase, std::move(module), std::nullopt});
  }
  return success();
}

/// Largest relative difference of each step's scalar.
static double compareScalars(ArrayRef<double> expected, ArrayRef<double> actual) {
  double largest = 0;
  for (auto [before, after] : llvm::zip_equal(expected, actual))
    largest = std::max(largest, compare(before, after, 0).relative);
  return largest;
}

/// Largest absolute value among the variables of one role. A tensor that is a hundred times smaller is compared on this scale: what is zero but
/// for rounding errors, like the gradient of a bias of keys, has no digits to compare.
static double getFloor(ModuleOp module, const Trace &trace, graph::Role role) {
  double largest = 0;
  for (auto variable : module.getOps<graph::VariableOp>())
    if (auto found = trace.variables.find(variable.getSymName().str()); variable.getRole() == role && found != trace.variables.end())
      for (double value : found->second->values)
        largest = std::isfinite(value) ? std::max(largest, std::abs(value)) : largest;
  return 1e-2 * largest;
}

void Bisection::compareTraces(const Trace &expected, const Trace &actual, ModuleOp module, PhaseComparison &comparison) {
  comparison.loss = compareScalars(expected.losses, actual.losses);
  comparison.gradients = compareScalars(expected.gradNorms, actual.gradNorms);
  comparison.parameters = 0;
  double worst = std::max(comparison.loss, comparison.gradients);
  comparison.worst = comparison.loss >= comparison.gradients ? "loss" : "grad_norm";
  for (auto variable : module.getOps<graph::VariableOp>()) {
    auto before = expected.variables.find(variable.getSymName().str()), after = actual.variables.find(variable.getSymName().str());
    if (before == expected.variables.end() || after == actual.variables.end())
      continue;
    double floor = getFloor(module, expected, variable.getRole());
    double relative = compare(before->second->values, after->second->values, comparison.tolerance, floor).relative;
    double &column = variable.getRole() == graph::Role::Gradient ? comparison.gradients : comparison.parameters;
    column = std::max(column, relative);
    if (relative > worst) {
      worst = relative;
      comparison.worst = variable.getSymName();
    }
  }
  comparison.differs = worst > comparison.tolerance;
  if (worst == 0)
    comparison.worst.clear();
}

//===----------------------------------------------------------------------===//
// Passes
//===----------------------------------------------------------------------===//

FailureOr<std::vector<Snapshot>> Bisection::takeSnapshots(const Stage &first, const Stage &last) {
  std::vector<Snapshot> snapshots;
  OwningOpRef<ModuleOp> module = (*first.module).clone();
  for (unsigned phase = first.phase + 1; phase <= last.phase; ++phase)
    if (options.table[phase].build && failed(runPasses(options.table[phase], *module, &snapshots)))
      return failure();
  return snapshots;
}

FailureOr<unsigned> Bisection::findFirst(std::vector<Snapshot> &snapshots, llvm::function_ref<FailureOr<bool>(ModuleOp)> isBad) {
  unsigned low = 0, high = snapshots.size() - 1;
  while (low < high) {
    unsigned middle = low + (high - low) / 2;
    options.progress(fmt::format("after pass {}", snapshots[middle].pass));
    FailureOr<bool> bad = isBad(*snapshots[middle].module);
    if (failed(bad))
      return failure();
    if (*bad)
      high = middle;
    else
      low = middle + 1;
  }
  return low;
}

LogicalResult Bisection::narrow(Stage &before, Stage &after, Mode mode) {
  FailureOr<std::vector<Snapshot>> snapshots = takeSnapshots(before, after);
  if (failed(snapshots))
    return failure();
  if (snapshots->empty())
    return start.emitError("differs between phases although no pass changed it");
  auto isBad = [&](ModuleOp module) -> FailureOr<bool> {
    FailureOr<Trace> trace = traceSteps(module, mode, options.setup);
    if (failed(trace))
      return failure();
    PhaseComparison comparison;
    comparison.tolerance = toleranceOf(mode, module);
    compareTraces(*before.trace, *trace, module, comparison);
    return comparison.differs;
  };
  FailureOr<unsigned> first = findFirst(*snapshots, isBad);
  if (failed(first))
    return failure();
  ModuleOp good = *first == 0 ? *before.module : *(*snapshots)[*first - 1].module, bad = *(*snapshots)[*first].module;
  FailureOr<Trace> goodTrace = traceSteps(good, mode, options.setup), badTrace = traceSteps(bad, mode, options.setup);
  if (failed(goodTrace) || failed(badTrace))
    return failure();
  if (runsOnSeveralRanks(bad)) {
    PhaseComparison comparison;
    comparison.tolerance = toleranceOf(mode, bad);
    compareTraces(*goodTrace, *badTrace, bad, comparison);
    result.finding = Finding();
    result.finding->pass = (*snapshots)[*first].pass;
    result.finding->note = fmt::format("'{}' is furthest apart; values within calls are not searched where each rank has its own",
                                       comparison.worst);
    return success();
  }
  options.progress("searching the values of the first call that differs");
  FailureOr<Finding> finding = locate({good, *goodTrace}, {bad, *badTrace}, mode, toleranceOf(mode, bad));
  if (failed(finding))
    return failure();
  finding->pass = (*snapshots)[*first].pass;
  result.finding = std::move(*finding);
  return success();
}

//===----------------------------------------------------------------------===//
// Phase train: judged by the forward pass
//===----------------------------------------------------------------------===//

/// A copy of a module on the way to phase `train` that has the program `train_step`: built now if backward functions exist, or null.
static OwningOpRef<ModuleOp> complete(ModuleOp module) {
  OwningOpRef<ModuleOp> copy = module.clone();
  if (copy->lookupSymbol<func::FuncOp>(kTrainStepProgram))
    return copy;
  if (llvm::none_of(copy->getOps<func::FuncOp>(), [](func::FuncOp function) { return function->hasAttr(kBackwardAttr); }))
    return {};
  PassManager passes(module.getContext(), ModuleOp::getOperationName());
  passes.addPass(createBuildTrainStep());
  return succeeded(passes.run(*copy)) ? std::move(copy) : OwningOpRef<ModuleOp>();
}

LogicalResult Bisection::compareWithModel(Stage &model, Stage &train, Mode mode) {
  FailureOr<double> loss = evaluateLoss(*model.module, mode, options.setup);
  if (failed(loss))
    return failure();
  result.loss = result.comparisons.empty() ? *loss : result.loss;
  PhaseComparison &comparison = add(train.phase, model.phase, name(mode), toleranceOf(mode, *train.module));
  comparison.loss = compareScalars(*loss, train.trace->losses.front());
  comparison.worst = "loss";
  comparison.differs = comparison.loss > comparison.tolerance;
  if (mode == Mode::Exact && !comparison.differs) {
    options.progress("gradients against finite differences");
    // The gradients that the variables hold are those of the last step.
    StepSetup oneStep = options.setup;
    oneStep.steps = 1;
    FailureOr<Trace> trace = traceSteps(*train.module, mode, oneStep);
    if (failed(trace))
      return failure();
    FailureOr<GradientCheck> check = checkGradients(*train.module, *trace, oneStep);
    if (failed(check))
      return failure();
    comparison.gradients = check->relative;
    comparison.differs = check->finding.has_value();
    comparison.worst = check->finding ? "gradients, which finite differences of the loss judge" : "";
  }
  return comparison.differs ? narrowTrain(model, train, mode, *loss) : success();
}

LogicalResult Bisection::narrowTrain(Stage &model, Stage &train, Mode mode, double loss) {
  StepSetup oneStep = options.setup;
  oneStep.steps = 1;
  FailureOr<std::vector<Snapshot>> snapshots = takeSnapshots(model, train);
  if (failed(snapshots))
    return failure();
  std::optional<Finding> numeric;
  auto isBad = [&](ModuleOp module) -> FailureOr<bool> {
    FailureOr<double> forward = evaluateLoss(module, mode, oneStep);
    if (failed(forward))
      return failure();
    if (!agree(loss, *forward, toleranceOf(mode, module)))
      return true;
    OwningOpRef<ModuleOp> whole = complete(module);
    if (!whole)
      return false;
    FailureOr<Trace> trace = traceSteps(*whole, mode, oneStep);
    if (failed(trace))
      return failure();
    if (!agree(loss, trace->losses.front(), toleranceOf(mode, module)))
      return true;
    if (mode != Mode::Exact)
      return false;
    FailureOr<GradientCheck> check = checkGradients(*whole, *trace, oneStep);
    if (failed(check))
      return failure();
    if (check->finding)
      numeric = check->finding;
    return check->finding.has_value();
  };
  FailureOr<unsigned> first = findFirst(*snapshots, isBad);
  if (failed(first))
    return failure();
  ModuleOp good = *first == 0 ? *model.module : *(*snapshots)[*first - 1].module, bad = *(*snapshots)[*first].module;
  options.progress("searching the values of the first call that differs");
  Trace goodTrace, badTrace;
  FailureOr<double> goodLoss = evaluateLoss(good, mode, oneStep, {}, 0, &goodTrace);
  FailureOr<double> badLoss = evaluateLoss(bad, mode, oneStep, {}, 0, &badTrace);
  if (failed(goodLoss) || failed(badLoss))
    return failure();
  OwningOpRef<ModuleOp> wholeGood = complete(good), wholeBad = complete(bad);
  FailureOr<Finding> finding = failure();
  if (agree(*goodLoss, *badLoss, toleranceOf(mode, bad)) && wholeBad) {
    FailureOr<Trace> wholeBadTrace = traceSteps(*wholeBad, mode, oneStep);
    if (failed(wholeBadTrace))
      return failure();
    if (wholeGood) {
      // Both sides have gradients: the pass broke one that was right.
      FailureOr<Trace> wholeGoodTrace = traceSteps(*wholeGood, mode, oneStep);
      if (failed(wholeGoodTrace))
        return failure();
      finding = locate({*wholeGood, *wholeGoodTrace}, {*wholeBad, *wholeBadTrace}, mode, toleranceOf(mode, bad));
    } else {
      FailureOr<GradientCheck> check = checkGradients(*wholeBad, *wholeBadTrace, oneStep);
      if (failed(check))
        return failure();
      finding = check->finding.value_or(Finding());
    }
  } else {
    finding = locate({good, goodTrace}, {bad, badTrace}, mode, toleranceOf(mode, bad));
  }
  if (failed(finding))
    return failure();
  finding->pass = (*snapshots)[*first].pass;
  result.finding = std::move(*finding);
  return success();
}

//===----------------------------------------------------------------------===//
// Compiled code
//===----------------------------------------------------------------------===//

/// All parameters as one vector: Adam's first steps turn the smallest difference of a tiny gradient into one of the learning rate's size, so
/// that single elements say nothing. |actual - expected| / |expected|.
static double compareParameters(ModuleOp module, const Trace &expected, const Trace &actual) {
  double difference = 0, size = 0;
  for (auto variable : module.getOps<graph::VariableOp>()) {
    std::string name = variable.getSymName().str();
    if (variable.getRole() != graph::Role::Parameter || !actual.variables.count(name))
      continue;
    for (auto [before, after] : llvm::zip_equal(expected.variables.at(name)->values, actual.variables.at(name)->values)) {
      difference += (after - before) * (after - before);
      size += before * before;
    }
  }
  return std::isfinite(difference) ? std::sqrt(difference / size) : HUGE_VAL;
}

LogicalResult Bisection::runCompiled() {
  // The compiled step runs in this process alone.
  if (runsOnSeveralRanks(*stages.back().module))
    return success();
  const unsigned stepPhase = *findPhase("step");
  auto step = llvm::find_if(stages, [&](const Stage &stage) { return stage.phase == stepPhase; });
  if (step == stages.end() || !isCompared(stepPhase))
    return success();
  Stage &fused = *std::prev(step);
  if (!fused.trace) {
    FailureOr<Trace> trace = traceSteps(*fused.module, Mode::Faithful, options.setup);
    if (failed(trace))
      return failure();
    fused.trace = std::move(*trace);
  }
  options.progress("compiling the kernels");
  auto compiled = CompiledStep::create(*step->module, options.kernelCache);
  if (failed(compiled))
    return failure();
  options.progress("step, compiled");
  double tolerance = options.tolerance > 0 ? options.tolerance : getKernelTolerance(std::max(getNarrowestFloat(*fused.module), 16u));
  PhaseComparison &comparison = add(stepPhase, fused.phase, "compiled", tolerance);
  FailureOr<Trace> whole = (*compiled)->run(options.setup);
  FailureOr<KernelCheck> check = (*compiled)->compareKernels(*fused.module, *fused.trace, options.setup, options.tolerance);
  if (failed(whole) || failed(check))
    return failure();
  comparison.loss = compareScalars(fused.trace->losses, whole->losses);
  comparison.gradients = compareScalars(fused.trace->gradNorms, whole->gradNorms);
  comparison.parameters = compareParameters(*fused.module, *fused.trace, *whole);
  comparison.kernels = check->relative;
  comparison.differs = check->finding || std::max({comparison.loss, comparison.gradients, comparison.parameters}) > tolerance;
  if (!comparison.differs)
    return success();
  comparison.worst = check->finding ? "kernel " + check->finding->kernel : "the whole step";
  return narrowCompiled(fused, *step, *check);
}

/// A copy of a module on the way to phase `step` whose buffers have places, or null.
static OwningOpRef<ModuleOp> completePlan(ModuleOp module) {
  OwningOpRef<ModuleOp> copy = module.clone();
  bool isLowered = !copy->getOps<step::ProgramOp>().empty();
  bool isPlanned = llvm::all_of(copy->getOps<graph::VariableOp>(), [](Operation *op) { return op->hasAttr(step::kOffsetAttr); });
  if (isPlanned || !isLowered)
    return isLowered ? std::move(copy) : OwningOpRef<ModuleOp>();
  PassManager passes(module.getContext(), ModuleOp::getOperationName());
  passes.addPass(createPlanMemory());
  return succeeded(passes.run(*copy)) ? std::move(copy) : OwningOpRef<ModuleOp>();
}

LogicalResult Bisection::narrowCompiled(Stage &fused, Stage &step, const KernelCheck &check) {
  result.finding = check.finding.value_or(Finding());
  if (!check.finding) {
    result.finding->note = "every kernel is right on the interpreter's values: look at what runs between them, and at rounding that piles up";
    return success();
  }
  FailureOr<std::vector<Snapshot>> snapshots = takeSnapshots(fused, step);
  if (failed(snapshots))
    return failure();
  auto isBad = [&](ModuleOp module) -> FailureOr<bool> {
    OwningOpRef<ModuleOp> planned = completePlan(module);
    if (!planned)
      return false;
    auto compiled = CompiledStep::create(*planned, options.kernelCache);
    if (failed(compiled))
      return failure();
    FailureOr<KernelCheck> present = (*compiled)->compareKernels(*fused.module, *fused.trace, options.setup, options.tolerance);
    if (failed(present))
      return failure();
    return present->finding.has_value();
  };
  FailureOr<unsigned> first = findFirst(*snapshots, isBad);
  if (failed(first))
    return failure();
  result.finding->pass = (*snapshots)[*first].pass;
  return success();
}

//===----------------------------------------------------------------------===//
// All phases
//===----------------------------------------------------------------------===//

/// True if products ask for operands of 8 bits that they do not have yet.
static bool asksForFp8(ModuleOp module) {
  return module.walk([](graph::MatmulOp matmul) { return matmul.getFp8Attr() ? WalkResult::interrupt() : WalkResult::advance(); })
      .wasInterrupted();
}

LogicalResult Bisection::runMode(Mode mode) {
  const unsigned model = *findPhase("model"), step = *findPhase("step");
  Stage *previous = nullptr;
  for (Stage &stage : stages) {
    if (stage.phase >= step || !isCompared(stage.phase))
      continue;
    if (stage.phase != model) {
      options.progress(fmt::format("{}, {}", options.table[stage.phase].name.str(), name(mode)));
      FailureOr<Trace> trace = traceSteps(*stage.module, mode, options.setup);
      if (failed(trace))
        return failure();
      stage.trace = std::move(*trace);
      if (result.comparisons.empty())
        result.loss = stage.trace->losses.front();
    }
    // Quantised products are meant to round more; exact mode judges them.
    bool rounds = mode == Mode::Faithful && previous && asksForFp8(*previous->module) && !asksForFp8(*stage.module);
    if (rounds) {
      options.progress("not compared: rounding to 8 bits is meant");
    } else if (previous && !previous->trace) {
      if (failed(compareWithModel(*previous, stage, mode)))
        return failure();
    } else if (previous) {
      PhaseComparison &comparison = add(stage.phase, previous->phase, name(mode), toleranceOf(mode, *stage.module));
      compareTraces(*previous->trace, *stage.trace, *stage.module, comparison);
      if (comparison.differs && failed(narrow(*previous, stage, mode)))
        return failure();
    }
    if (!result.comparisons.empty() && result.comparisons.back().differs)
      return success();
    // Traces hold every activation; the last one is needed once more, for the compiled step.
    if (previous)
      previous->trace.reset();
    previous = &stage;
  }
  return success();
}

FailureOr<BisectResult> Bisection::run() {
  if (failed(build()))
    return failure();
  auto hasFound = [&] { return !result.comparisons.empty() && result.comparisons.back().differs; };
  if (options.exact && failed(runMode(Mode::Exact)))
    return failure();
  if (options.faithful && !hasFound()) {
    for (Stage &stage : stages)
      stage.trace.reset();
    if (failed(runMode(Mode::Faithful)))
      return failure();
    if (!hasFound() && failed(runCompiled()))
      return failure();
  }
  return std::move(result);
}

FailureOr<BisectResult> bisect::bisectPhases(ModuleOp module, unsigned from, BisectOptions options) {
  return Bisection(module, from, std::move(options)).run();
}
