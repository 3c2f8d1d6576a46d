//===- StepInterfaces.td - What ops of the step dialect have in common ----===//

#ifndef PRIMUS_IR_STEP_INTERFACES
#define PRIMUS_IR_STEP_INTERFACES

include "mlir/IR/OpBase.td"

def ExchangeOpInterface : OpInterface<"ExchangeOpInterface"> {
  let cppNamespace = "::primus::step";
  let description = [{
    An op that moves data between ranks. With a ticket, which no other op of the module has, it only starts; until the
    `step.wait` of that ticket, in the same block, nothing may touch its targets or write its sources.
  }];
  let methods = [
    InterfaceMethod<"Zero: done when the next op starts.", "uint64_t", "getTicket">,
    InterfaceMethod<"", "void", "setTicket", (ins "uint64_t":$ticket)>,
    InterfaceMethod<"Buffers that are read.", "::mlir::OperandRange", "getSources">,
    InterfaceMethod<"Buffers that are written.", "::mlir::OperandRange", "getTargets">
  ];
  let extraSharedClassDeclaration = [{
    bool isAsynchronous() { return $_op.getTicket() != 0; }
  }];
}

#endif // PRIMUS_IR_STEP_INTERFACES
