//===- Pipeline.cpp - The table of phases ----------------------------------===//

#include "passes/Pipeline.h"

#include "passes/Passes.h"
#include "passes/verify/PhaseVerifiers.h"

#include "mlir/IR/Verifier.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;
using namespace primus;

bool PassList::accept(const Pass &pass, StringLiteral needed) {
  if (log)
    log->push_back({pass.getArgument().str(), "", needed});
  return !needed.empty() || !llvm::is_contained(disabled, pass.getArgument());
}

void PassList::add(std::unique_ptr<Pass> pass, StringLiteral needed) {
  if (accept(*pass, needed))
    passes.addPass(std::move(pass));
}

/// Folds and merges ops within each function. Merging keeps the first op's name.
static void addCleanup(PassList passes) {
  passes.addNested<func::FuncOp>(createCanonicalizerPass());
  passes.addNested<func::FuncOp>(createCSEPass());
}

static void buildTrain(PassList passes) {
  passes.add(createAutodiff(), "nothing else makes gradients");
  addCleanup(passes);
  passes.add(createBuildTrainStep(), "nothing else makes the step");
}

static void buildFp8(PassList passes) {
  passes.add(createQuantizeMatmuls(), "only products of quantised operands have a precision");
}

static void buildSharded(PassList passes) { passes.add(createShard(), "every value needs a layout"); }

static void buildPlaced(PassList passes) {
  passes.add(createPlace(), "every shape must be a rank's own");
  passes.add(createRingAttention());
  passes.add(createSplitStages());
}

static void buildFused(PassList passes) {
  passes.add(createLiftCollectives());
  passes.add(createDropLayouts(), "kernels know one rank only");
  passes.add(createExpandCrossEntropy());
  passes.add(createFormFusions(), "only fusions have kernels");
  passes.add(createPackOperands(), "only packed operands have kernels");
}

static void buildStep(PassList passes) {
  passes.add(createLowerToStep(), "nothing else makes kernels and launches");
  passes.add(createOverlap());
  passes.add(createStartMessages(), "stages would wait for each other for ever");
  passes.add(createPlanMemory(), "every buffer needs its place");
}

static constexpr Phase kPhases[] = {
    {"config", "resolved keys of the experiment, merged as the upstream loader would", "json", nullptr, nullptr},
    {"spec", "typed and normalised: what to train, and how", "textproto", nullptr, nullptr},
    {"model", "forward pass in global shapes, one function per distinct layer", "mlir", nullptr, verifyModel},
    {"train", "the whole step: backward, gradient accumulation, clipping and optimizer", "mlir", buildTrain,
     verifyTrain},
    {"fp8", "quantised matmuls, scales as explicit state", "mlir", buildFp8, verifyFp8},
    {"sharded", "a layout over the mesh in every type", "mlir", buildSharded, verifySharded},
    {"placed", "collectives instead of changes of layout, local shapes", "mlir", buildPlaced, verifyPlaced},
    {"fused", "kernels as groups of ops, matmul operands packed", "mlir", buildFused, verifyFused},
    {"step", "kernels as tile programs, buffers at fixed offsets, launches", "mlir", buildStep, verifyStep},
    {"objects", "machine code of the kernels", "", nullptr, nullptr},
};

ArrayRef<Phase> primus::getPhases() { return kPhases; }

std::optional<unsigned> primus::findPhase(StringRef name) {
  for (auto [index, phase] : llvm::enumerate(getPhases()))
    if (phase.name == name)
      return index;
  return std::nullopt;
}

/// The passes of a phase and, last, the check of what it promises.
static void build(const Phase &phase, PassList passes) {
  phase.build(passes);
  passes.add(createVerifyPhase({phase.name.str()}), "it checks the others' work");
}

std::vector<PhasePass> primus::getPhasePasses() {
  std::vector<PhasePass> result;
  for (const Phase &phase : getPhases()) {
    if (!phase.build)
      continue;
    OpPassManager passes(ModuleOp::getOperationName());
    size_t first = result.size();
    build(phase, PassList(passes, {}, &result));
    for (PhasePass &pass : llvm::MutableArrayRef(result).drop_front(first))
      pass.phase = phase.name;
  }
  return result;
}

LogicalResult primus::runPhases(ModuleOp module, unsigned from, unsigned to,
                                llvm::function_ref<void(const Phase &, ModuleOp)> observe, const PhaseOptions &options) {
  for (unsigned index = from; index <= to; ++index) {
    const Phase &phase = getPhases()[index];
    if (!phase.verify)
      continue;
    PassManager passes(module.getContext(), ModuleOp::getOperationName());
    if (index > from)
      build(phase, PassList(passes, options.disabledPasses));
    else
      passes.addPass(createVerifyPhase({phase.name.str()}));
    if (options.prepare)
      options.prepare(phase, passes);
    if (failed(passes.run(module)))
      return failure();
    if (observe)
      observe(phase, module);
  }
  return success();
}
