//===- LowerToStep.cpp - From graphs to kernels and steps -----------------===//

#include "passes/Passes.h"
#include "passes/step/Lowering.h"

using namespace mlir;
using namespace primus;

namespace primus {
#define GEN_PASS_DEF_LOWERTOSTEP
#include "passes/Passes.h.inc"
} // namespace primus

namespace {

struct LowerToStep : primus::impl::LowerToStepBase<LowerToStep> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    step::LoweringContext context(module);
    SmallVector<func::FuncOp> functions(module.getOps<func::FuncOp>());
    // New symbols take the functions' names.
    for (func::FuncOp function : functions)
      if (!function->hasAttr(graph::kLayerAttr) && failed(context.lowerProgram(function)))
        return signalPassFailure();
    for (func::FuncOp function : functions)
      function.erase();
  }
};

} // namespace
