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

def Overlap : Pass<"step-overlap", "::mlir::ModuleOp"> {
  let summary = "let collectives run while kernels do";
  let description = [{
    Between `lower-to-step` and `step-plan-memory`. Orders the actions of each function, program and loop that holds collectives anew: a collective starts
    when what it needs is there and is waited for where something first needs it. In a function, launches from which a collective follows come first, so
    that others (the gradients of weights) are left to run beside it. In a program, what is gathered for one layer starts with the layer before.
    What is reduced can wait: gathers take the link first, and reductions fall behind while the backward pass sends more than it computes, to catch
    up in the forward pass of the next microbatch. Never are two layers gathered ahead, nor are the gradients of more than `trail` + 1 layers waiting. The
    links are taken to be as slow as makes communication as long as computing. Collectives that can start together travel together, up to `bucket` bytes. A loop over microbatches that holds collectives is unrolled if it then has at most `unroll` actions, so that the end of one round overlaps with the
    beginning of the next one. If collectives stand around it (parameters gathered once for all microbatches, gradients reduced once), its first and its last
    round are taken out to run beside these. A collective behind which nothing else can run stays a blocking one. Remarks (`overlap`, `overlap-missed`) say what came of it.

    The order follows from the program alone, which is the same on all ranks. Hence all ranks start their collectives in the same order, and none waits
    for one that another has not started and will not start.

    Before:
    ```mlir
    module attributes {graph.mesh = #graph.mesh<"tp" = 2>} {
      step.function @f(%x: memref<4x8xf32>, %y: memref<4x8xf32>, %w: memref<4x8xf32>, %z: memref<4x8xf32>) scratch 0 {
        step.collective all_reduce sum over ["tp"] %x to %y : memref<4x8xf32> to memref<4x8xf32>
        step.copy %y, %z : memref<4x8xf32>
        step.copy %x, %w : memref<4x8xf32>
        step.return
      }
    }
    ```
    After:
    ```mlir
    module attributes {graph.mesh = #graph.mesh<"tp" = 2>} {
      step.function @f(%x: memref<4x8xf32>, %y: memref<4x8xf32>, %w: memref<4x8xf32>, %z: memref<4x8xf32>) scratch 0 {
        step.collective all_reduce sum over ["tp"] %x to %y ticket 1 : memref<4x8xf32> to memref<4x8xf32>
        step.copy %x, %w : memref<4x8xf32>
        step.wait 1
        step.copy %y, %z : memref<4x8xf32>
        step.return
      }
    }
    ```
  }];
  let options = [
    Option<"bucket", "bucket", "int64_t", "33554432", "most bytes that one rank sends for a bucket">,
    Option<"trail", "trail", "int64_t", "3", "how many layers ahead of an unfinished reduction others may be">,
    Option<"unroll", "unroll", "int64_t", "4096", "most actions of a loop whose rounds are made to overlap">
  ];
  let dependentDialects = ["::primus::step::StepDialect"];
}

def StartMessages : Pass<"step-start-messages", "::mlir::ModuleOp"> {
  let summary = "let messages between the stages of a pipeline travel while kernels run";
  let description = [{
    Behind `step-overlap`. In the programs of a pipeline's stages, sends, receives and sums over stages start where they stand, which is where the
    schedule's table wants them, and are waited for where something first touches what they receive, or writes over what they send. Without that, two
    ranks that send to each other would wait for each other for ever.

    Before:
    ```mlir
    module attributes {graph.mesh = #graph.mesh<"pp" = 2>} {
      step.program @p.0(%x: memref<4xf32> {step.name = "x"}, %y: memref<4xf32> {step.name = "y"}, %z: memref<4xf32> {step.name = "z"}) arena 0 attributes {graph.stage = 0 : i64} {
        step.receive %x from 1 : memref<4xf32>
        step.copy %y, %z : memref<4xf32>
        step.copy %x, %y : memref<4xf32>
        step.return
      }
    }
    ```
    After:
    ```mlir
    module attributes {graph.mesh = #graph.mesh<"pp" = 2>} {
      step.program @p.0(%x: memref<4xf32> {step.name = "x"}, %y: memref<4xf32> {step.name = "y"}, %z: memref<4xf32> {step.name = "z"}) arena 0 attributes {graph.stage = 0 : i64} {
        step.receive %x from 1 ticket 1 : memref<4xf32>
        step.copy %y, %z : memref<4xf32>
        step.wait 1
        step.copy %x, %y : memref<4xf32>
        step.return
      }
    }
    ```
  }];
  let dependentDialects = ["::primus::step::StepDialect"];
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
