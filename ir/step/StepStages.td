//===- StepStages.td - Messages between the stages of a pipeline ----------===//
//
// The programs of a pipeline's ranks have the attribute `graph.stage`: the place in the mesh axis `pp` of the ranks that
// run them.
//
//===----------------------------------------------------------------------===//

#ifndef PRIMUS_IR_STEP_STAGES
#define PRIMUS_IR_STEP_STAGES

include "ir/step/StepBase.td"
include "ir/step/StepInterfaces.td"

def Step_SendOp : Step_Op<"send", [ExchangeOpInterface]> {
  let summary = "give buffers to another stage";
  let description = [{
    To the rank that has place `stage` in the mesh axis `pp` and agrees with this one in all other axes: its next
    `step.receive` from this one gets them. Asynchronous with a ticket, like a collective. `instance` tells people whose
    values they are.

    ```mlir
    module attributes {graph.mesh = #graph.mesh<"pp" = 2>} {
      step.program @p.0(%x: memref<4x8xf32> {step.name = "x", step.offset = 0 : i64}) arena 128 attributes {graph.stage = 0 : i64} {
        step.send %x to 1 ticket 1 instance "layers.3" : memref<4x8xf32>
        step.wait 1
        step.return
      }
    }
    ```
  }];
  let arguments = (ins Variadic<AnyMemRef>:$sources, I64Attr:$stage, DefaultValuedAttr<I64Attr, "0">:$ticket,
                       OptionalAttr<StrAttr>:$instance);
  let assemblyFormat = [{$sources `to` $stage (`ticket` $ticket^)? (`instance` $instance^)? attr-dict `:` type($sources)}];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    ::mlir::OperandRange getTargets() { return getOperands().take_front(0); }
  }];
}

def Step_ReceiveOp : Step_Op<"receive", [ExchangeOpInterface]> {
  let summary = "buffers from another stage";
  let description = [{
    What the rank with place `stage` in the mesh axis `pp` sends next.

    ```mlir
    module attributes {graph.mesh = #graph.mesh<"pp" = 2>} {
      step.program @p.1(%x: memref<4x8xf32> {step.name = "x", step.offset = 0 : i64}) arena 128 attributes {graph.stage = 1 : i64} {
        step.receive %x from 0 : memref<4x8xf32>
        step.return
      }
    }
    ```
  }];
  let arguments = (ins Variadic<AnyMemRef>:$targets, I64Attr:$stage, DefaultValuedAttr<I64Attr, "0">:$ticket,
                       OptionalAttr<StrAttr>:$instance);
  let assemblyFormat = [{$targets `from` $stage (`ticket` $ticket^)? (`instance` $instance^)? attr-dict `:` type($targets)}];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    ::mlir::OperandRange getSources() { return getOperands().take_front(0); }
  }];
}

#endif // PRIMUS_IR_STEP_STAGES
