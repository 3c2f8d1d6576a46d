//===- LoweringPasses.td - From graphs to kernels and steps ---------------===//

#ifndef PRIMUS_LOWERING_PASSES
#define PRIMUS_LOWERING_PASSES

include "mlir/Pass/PassBase.td"

def LowerToStep : Pass<"lower-to-step", "::mlir::ModuleOp"> {
  let summary = "turn fusions into tile programs and values into buffers";
  let dependentDialects = ["::primus::kernel::KernelDialect", "::primus::step::StepDialect",
                           "::mlir::arith::ArithDialect", "::mlir::math::MathDialect", "::mlir::scf::SCFDialect"];
}

def PlanMemory : Pass<"step-plan-memory", "::mlir::ModuleOp"> {
  let summary = "give every buffer an offset";
  let dependentDialects = ["::primus::step::StepDialect"];
}

#endif // PRIMUS_LOWERING_PASSES
