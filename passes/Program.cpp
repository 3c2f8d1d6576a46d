//===- Program.cpp - The programs that call layers -------------------------===//

#include "passes/Program.h"

#include "passes/LayerFunction.h"

using namespace mlir;
using namespace primus;

/// The function that a call calls, or a located error.
static FailureOr<func::FuncOp> getCallee(graph::CallOp call, SymbolTableCollection &symbols) {
  auto callee = symbols.lookupNearestSymbolFrom<func::FuncOp>(call, call.getCalleeAttr());
  if (!callee || callee.isDeclaration()) {
    call.emitOpError() << "calls '" << call.getCallee() << "', which is not a function with a body in this module";
    return failure();
  }
  return callee;
}

/// The result of a program with a given `graph.name`, as a result of the call that computes it.
static FailureOr<OpResult> findResult(func::FuncOp function, StringRef name) {
  Operation *terminator = function.getBody().front().getTerminator();
  for (unsigned index = 0, end = function.getNumResults(); index < end; ++index) {
    auto attribute = function.getResultAttrOfType<StringAttr>(index, kNameAttr);
    if (!attribute || attribute.getValue() != name)
      continue;
    auto result = dyn_cast<OpResult>(terminator->getOperand(index));
    auto type = dyn_cast<RankedTensorType>(function.getResultTypes()[index]);
    if (result && isa<graph::CallOp>(result.getOwner()) && type && type.getRank() <= 1 && type.getElementType().isF32())
      return result;
    function.emitOpError() << "must compute its result '" << name
                           << "' as a tensor<f32>, or one value per group, in a call of a layer";
    return failure();
  }
  function.emitOpError() << "has no result with " << kNameAttr << " = \"" << name << "\"";
  return failure();
}

FailureOr<ForwardProgram> ForwardProgram::get(ModuleOp module) {
  ForwardProgram program;
  program.function = module.lookupSymbol<func::FuncOp>(kForwardProgram);
  if (!program.function || program.function.isDeclaration() || !isProgram(program.function)) {
    module.emitError() << "has no program '" << kForwardProgram << "' to differentiate";
    return failure();
  }
  SymbolTableCollection symbols;
  for (auto call : program.function.getOps<graph::CallOp>()) {
    FailureOr<func::FuncOp> callee = getCallee(call, symbols);
    if (failed(callee))
      return failure();
    if (getPart(*callee) == "forward") {
      program.layers.push_back({call, *callee});
    } else if (getPart(*callee) != "unshard") {
      call.emitOpError() << "calls '" << callee->getName()
                         << "', which is neither a part 'forward' nor 'unshard' of a layer";
      return failure();
    }
  }
  FailureOr<OpResult> loss = findResult(program.function, "loss_sum");
  if (failed(loss))
    return failure();
  FailureOr<OpResult> valid = findResult(program.function, "valid_tokens");
  if (failed(valid))
    return failure();
  if (loss->getOwner() != valid->getOwner()) {
    program.function.emitOpError("must compute loss_sum and valid_tokens in one call of a layer");
    return failure();
  }
  if (loss->getType() != valid->getType()) {
    program.function.emitOpError("must compute loss_sum and valid_tokens for equal groups");
    return failure();
  }
  program.loss = cast<graph::CallOp>(loss->getOwner());
  program.lossForward = *getCallee(program.loss, symbols);
  program.lossResult = loss->getResultNumber();
  program.validResult = valid->getResultNumber();
  return program;
}

graph::VariableOp primus::findVariable(Value operand, SymbolTableCollection &symbols) {
  if (auto load = operand.getDefiningOp<graph::LoadOp>())
    return symbols.lookupNearestSymbolFrom<graph::VariableOp>(load, load.getVariableAttr());
  if (auto reshard = operand.getDefiningOp<graph::ReshardOp>())
    return findVariable(reshard.getOperand(), symbols);
  auto call = operand.getDefiningOp<graph::CallOp>();
  if (!call)
    return {};
  auto callee = symbols.lookupNearestSymbolFrom<func::FuncOp>(call, call.getCalleeAttr());
  if (!callee || getPart(callee) != "unshard")
    return {};
  Value copy = callee.getBody().front().getTerminator()->getOperand(cast<OpResult>(operand).getResultNumber());
  while (isa_and_present<graph::ConvertOp, graph::QuantizeOp, graph::ReshardOp>(copy.getDefiningOp()))
    copy = copy.getDefiningOp()->getOperand(0);
  auto master = dyn_cast<BlockArgument>(copy);
  return master ? findVariable(call.getOperand(master.getArgNumber()), symbols) : graph::VariableOp();
}
