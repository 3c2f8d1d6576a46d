//===- Pipeline.cpp - The table of phases ----------------------------------===//

#include "passes/Pipeline.h"

#include "passes/Passes.h"
#include "passes/verify/PhaseVerifiers.h"

#include "mlir/IR/Verifier.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;
using namespace primus;

/// Folds and merges ops within each function. Merging keeps the first op's name.
static void addCleanup(OpPassManager &passes) {
  passes.addNestedPass<func::FuncOp>(createCanonicalizerPass());
  passes.addNestedPass<func::FuncOp>(createCSEPass());
}

static void buildTrain(OpPassManager &passes) {
  passes.addPass(createAutodiff());
  addCleanup(passes);
  passes.addPass(createBuildTrainStep());
}

/// No recipe of fp8 exists, so that no precision changes.
static void buildFp8(OpPassManager &) {}

static void buildSharded(OpPassManager &passes) { passes.addPass(createShard()); }

static void buildPlaced(OpPassManager &passes) { passes.addPass(createPlace()); }

static void buildFused(OpPassManager &passes) {
  passes.addPass(createExpandCrossEntropy());
  passes.addPass(createFormFusions());
  passes.addPass(createPackOperands());
}

static void buildStep(OpPassManager &passes) {
  passes.addPass(createLowerToStep());
  passes.addPass(createPlanMemory());
}

static constexpr Phase kPhases[] = {
    {"config", "resolved keys of the experiment, merged as the upstream loader would", "json", nullptr, nullptr},
    {"spec", "typed and normalised: what to train, and how", "textproto", nullptr, nullptr},
    {"model", "forward pass in global shapes, one function per distinct layer", "mlir", nullptr, verifyModel},
    {"train", "the whole step: backward, gradient accumulation, clipping and optimizer", "mlir", buildTrain,
     verifyTrain},
    {"fp8", "quantised matmuls, scales as explicit state", "mlir", buildFp8, verifyTrain},
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

LogicalResult primus::runPhases(ModuleOp module, unsigned from, unsigned to,
                                llvm::function_ref<void(const Phase &, ModuleOp)> observe) {
  for (unsigned index = from; index <= to; ++index) {
    const Phase &phase = getPhases()[index];
    if (!phase.verify)
      continue;
    if (index > from) {
      PassManager passes(module.getContext(), ModuleOp::getOperationName());
      phase.build(passes);
      if (failed(passes.run(module)))
        return failure();
    }
    if (failed(phase.verify(module)))
      return failure();
    if (observe)
      observe(phase, module);
  }
  return success();
}
