//===- Passes.td - One entry per pass -------------------------------------===//

#ifndef PRIMUS_PASSES
#define PRIMUS_PASSES

include "mlir/Pass/PassBase.td"

// Each pass is one file of the same name in this folder, and one test of the same name in tests/passes.
include "passes/GraphPasses.td"
include "passes/FusionPasses.td"
include "passes/LoweringPasses.td"

#endif // PRIMUS_PASSES
