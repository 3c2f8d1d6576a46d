//===- LoweringPasses.td - From graphs to kernels and steps ---------------===//

#ifndef PRIMUS_LOWERING_PASSES
#define PRIMUS_LOWERING_PASSES

include "mlir/Pass/PassBase.td"

def LowerToStep : Pass<"lower-to-step", "::mlir::ModuleOp"> {
  let summary = "turn fusions into tile programs and values into buffers";
  let description = [{
    First pass of phase `step`. Each layer function becomes a `step.function`: its fusions are handed to their kernel families (passes/kernels), equal
    kernels are shared, values become buffers without offsets. Each program becomes a `step.program` of calls. A value is computed where it is needed: in
    the function's output, in the variable that it is stored to, or over its operand (`graph.inplace`, and what a family
    says of its own kernels), if nobody reads that any more. Remarks (`in-place`, `in-place-missed`) say what came of it.

    ```mlir
    func.func private @f.forward(%x: tensor<4x8xf32>) -> tensor<4x8xf32> attributes {graph.layer = {layer = "f", part = "forward"}} {
      %y = graph.fusion "rows" (%a = %x) : (tensor<4x8xf32>) -> tensor<4x8xf32> {
        %e = graph.exp %a : tensor<4x8xf32>
        graph.yield %e : tensor<4x8xf32>
      }
      return %y : tensor<4x8xf32>
    }
    ```

    becomes

    ```mlir
    kernel.func @f.forward.rows(%x: memref<4x8xf32>, %y: memref<4x8xf32>) grid [4] attributes {kernel.defined_by = "f.forward"} {
      %c0 = arith.constant 0 : index
      %row = kernel.program_id 0
      %t = kernel.load %x[%row, %c0] dims [1] : memref<4x8xf32> -> tensor<8xf32>
      %e = math.exp %t : tensor<8xf32>
      kernel.store %e, %y[%row, %c0] dims [1] : tensor<8xf32>, memref<4x8xf32>
      kernel.return
    }
    step.function @f.forward(%x: memref<4x8xf32>, %y: memref<4x8xf32>) scratch 0 {
      step.launch @f.forward.rows(%x, %y) : memref<4x8xf32>, memref<4x8xf32>
      step.return
    }
    ```
  }];
  let dependentDialects = ["::primus::kernel::KernelDialect", "::primus::step::StepDialect",
                           "::mlir::arith::ArithDialect", "::mlir::math::MathDialect", "::mlir::scf::SCFDialect"];
}

def PlanMemory : Pass<"step-plan-memory", "::mlir::ModuleOp"> {
  let summary = "give every buffer an offset";
  let description = [{
    Last pass of phase `step`. Liveness on the fixed order of actions, then best fit by decreasing size. The arena holds the variables, then the
    programs' buffers; a layer function's temporaries share one scratch region per call. What this pass reports
    is what the runtime allocates.

    ```mlir
    step.program @p(%x: memref<16xf32> {step.name = "x"}) arena 0 {
      %t = step.buffer offset -1 "t" : memref<16xf32>
      step.fill %t : memref<16xf32>
      step.return
    }
    ```

    gets `step.offset = 0` for `%x`, `offset 64` for `%t` and `arena 128`.
  }];
  let dependentDialects = ["::primus::step::StepDialect"];
}

#endif // PRIMUS_LOWERING_PASSES
