//===- StepBase.td - What all ops of the step dialect share ---------------===//

#ifndef PRIMUS_IR_STEP_BASE
#define PRIMUS_IR_STEP_BASE

include "mlir/IR/OpBase.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/SideEffectInterfaces.td"
include "mlir/Interfaces/FunctionInterfaces.td"

def Step_Dialect : Dialect {
  let name = "step";
  let cppNamespace = "::primus::step";
  let summary = "When and where: buffers, launches, streams, collectives, pipeline actions";
  let description = [{
    Buffers are builtin memrefs of static shape (row-major, packed). A `step.program` is what the runtime executes; its
    buffers lie at fixed byte offsets in one arena per rank. A `step.function` is a layer's list of launches, with its
    temporaries in a scratch region that the caller provides; it is called once per layer instance, so that a program's
    size does not grow with what is inside a layer.
  }];
}

class Step_Op<string mnemonic, list<Trait> traits = []> : Op<Step_Dialect, mnemonic, traits>;

#endif // PRIMUS_IR_STEP_BASE
