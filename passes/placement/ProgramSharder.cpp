//===- ProgramSharder.cpp - Layouts of a program's values -----------------===//

#include "passes/placement/ProgramSharder.h"

#include "passes/LayerFunction.h"
#include "passes/Program.h"

#include "mlir/IR/Builders.h"

using namespace mlir;
using namespace primus;
using namespace primus::placement;

FailureOr<Layout> ProgramSharder::getLayout(func::FuncOp program, Attribute attribute, Type type, const Twine &name) {
  return dims.getLayout(dyn_cast_if_present<ArrayAttr>(attribute), cast<RankedTensorType>(type), [&] {
    InFlightDiagnostic error = program.emitOpError();
    error << "'" << name << "' cannot be placed: ";
    return error;
  });
}

Value ProgramSharder::convert(Value value, const Layout &layout, const Twine &reason) {
  if (Layout(value.getType()) == layout)
    return value;
  auto &known = converted[value];
  for (auto &[other, result] : known)
    if (other == layout)
      return result;
  OpBuilder builder(value.getContext());
  builder.setInsertionPointAfterValue(value);
  Value result;
  if (auto constant = value.getDefiningOp<graph::ConstantOp>(); constant && isZero(constant)) {
    result = builder.clone(*constant)->getResult(0);
    setLayout(result, layout);
  } else {
    result = buildReshard(builder, value, layout, reason.str());
  }
  known.push_back({layout, result});
  return result;
}

//===----------------------------------------------------------------------===//
// Ops of programs
//===----------------------------------------------------------------------===//

void ProgramSharder::visitLoad(graph::LoadOp load) {
  auto variable = symbols.lookupNearestSymbolFrom<graph::VariableOp>(load, load.getVariableAttr());
  setLayout(load.getResult(), variables.getResting(variable));
  if (variables.isOpen(variable))
    variables.await(variable, load.getResult());
}

void ProgramSharder::visitStore(graph::StoreOp store) {
  auto variable = symbols.lookupNearestSymbolFrom<graph::VariableOp>(store, store.getVariableAttr());
  if (variables.isOpen(variable))
    pendingStores.push_back(store);
  else
    store.getValueMutable().assign(
        convert(store.getValue(), variables.getResting(variable), "stored in " + store.getVariable()));
}

void ProgramSharder::finishStores() {
  variables.settleAll();
  for (graph::StoreOp store : pendingStores)
    visitStore(store);
}

LogicalResult ProgramSharder::visitLayer(func::FuncOp function, graph::CallOp call) {
  visited.insert(function);
  FailureOr<FunctionPins> pins = signatures.get(function, call);
  if (failed(pins))
    return failure();
  if (function.isDeclaration())
    return function.emitOpError("has no body: the layouts of its results cannot be known");
  FunctionSharder sharder(function, mesh, std::move(*pins));
  if (failed(sharder.run()))
    return failure();
  signatures.record(function, sharder.getNamedLayouts());
  return success();
}

LogicalResult ProgramSharder::visitCall(graph::CallOp call) {
  auto callee = symbols.lookupNearestSymbolFrom<func::FuncOp>(call, call.getCalleeAttr());
  if (!isVisited(callee) && failed(visitLayer(callee, call)))
    return failure();
  for (auto [index, operand] : llvm::enumerate(call->getOpOperands())) {
    Layout wanted(callee.getArgumentTypes()[index]);
    graph::VariableOp variable = findVariable(operand.get(), symbols);
    if (variable && variables.isOpen(variable))
      variables.settle(variable, wanted);
    operand.set(convert(operand.get(), wanted, "as " + call.getInstance() + " takes it"));
  }
  for (auto [result, type] : llvm::zip_equal(call.getResults(), callee.getResultTypes()))
    result.setType(type);
  return success();
}

LogicalResult ProgramSharder::visitSchedule(graph::ScheduleOp schedule) {
  Block &body = schedule.getBody().front();
  for (auto [input, argument] : llvm::zip_equal(schedule.getInputs(), body.getArguments()))
    argument.setType(graph::ScheduleOp::getMicrobatchType(cast<RankedTensorType>(input.getType())));
  if (failed(visitBlock(body)))
    return failure();
  for (auto [result, value] : llvm::zip_equal(schedule.getResults(), body.getTerminator()->getOperands()))
    result.setType(value.getType());
  return success();
}

LogicalResult ProgramSharder::visit(Operation *op) {
  if (auto load = dyn_cast<graph::LoadOp>(op))
    visitLoad(load);
  else if (auto store = dyn_cast<graph::StoreOp>(op))
    visitStore(store);
  else if (auto call = dyn_cast<graph::CallOp>(op))
    return visitCall(call);
  else if (auto schedule = dyn_cast<graph::ScheduleOp>(op))
    return visitSchedule(schedule);
  else if (isa<graph::ConstantOp>(op))
    setLayout(op->getResult(0), Layout(op->getResult(0).getType()));
  else
    return op->emitOpError("cannot be in a program: move it into a layer's function");
  return success();
}

LogicalResult ProgramSharder::visitBlock(Block &block) {
  for (Operation &op : llvm::make_early_inc_range(block.without_terminator()))
    if (failed(visit(&op)))
      return failure();
  return success();
}

//===----------------------------------------------------------------------===//
// Programs
//===----------------------------------------------------------------------===//

LogicalResult ProgramSharder::visitReturn(func::FuncOp program, Operation *terminator) {
  for (auto [index, operand] : llvm::enumerate(terminator->getOpOperands())) {
    FailureOr<Layout> layout =
        getLayout(program, program.getResultAttr(index, graph::kDimsAttr), operand.get().getType(),
                  getResultName(program, index));
    if (failed(layout))
      return failure();
    operand.set(convert(operand.get(), *layout, "result of " + program.getName()));
  }
  return success();
}

LogicalResult ProgramSharder::visitProgram(func::FuncOp program) {
  if (program.isDeclaration())
    return success();
  for (BlockArgument argument : program.getArguments()) {
    FailureOr<Layout> layout =
        getLayout(program, program.getArgAttr(argument.getArgNumber(), graph::kDimsAttr), argument.getType(),
                  getArgName(program, argument.getArgNumber()));
    if (failed(layout))
      return failure();
    setLayout(argument, *layout);
  }
  Block &body = program.getBody().front();
  if (failed(visitBlock(body)) || failed(visitReturn(program, body.getTerminator())))
    return failure();
  program.setFunctionType(FunctionType::get(program.getContext(), body.getArgumentTypes(),
                                            body.getTerminator()->getOperandTypes()));
  return success();
}
