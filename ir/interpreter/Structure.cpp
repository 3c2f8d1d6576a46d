//===- Structure.cpp - Variables, schedules and fusions -------------------===//

#include "ir/interpreter/Initialization.h"
#include "ir/interpreter/Interpreter.h"

using namespace mlir;
using namespace primus::graph;
using namespace primus::interpreter;

VariableOp Interpreter::findVariable(Operation *user, StringRef name) {
  auto variable = symbols.lookup<VariableOp>(name);
  if (!variable)
    user->emitError() << "the module has no variable '" << name << "'";
  return variable;
}

LogicalResult Interpreter::setVariable(StringRef name, Tensor value) {
  VariableOp variable = findVariable(module, name);
  if (!variable)
    return failure();
  if (!value.fits(variable.getTensorType()))
    return variable.emitOpError() << "cannot take a value of type " << value.getType();
  round(value);
  variables[name] = std::make_shared<Tensor>(std::move(value));
  return success();
}

const Tensor *Interpreter::getVariable(StringRef name) const { return variables.lookup(name).get(); }

LogicalResult Interpreter::initializeVariables(uint64_t seed) {
  for (VariableOp variable : module.getOps<VariableOp>()) {
    FailureOr<Tensor> value = makeInitialValue(variable, seed);
    if (failed(value) || failed(setVariable(variable.getSymName(), std::move(*value))))
      return failure();
  }
  return success();
}

Interpreter::Results Interpreter::runLoad(LoadOp load) {
  TensorRef value = variables.lookup(load.getVariable());
  if (!value) {
    if (!findVariable(load, load.getVariable()))
      return failure();
    return load.emitOpError() << "reads '" << load.getVariable() << "' before it has a value";
  }
  if (!value->fits(load.getType()))
    return load.emitOpError() << "expects " << load.getType() << ", but '" << load.getVariable() << "' holds "
                              << value->getType();
  return SmallVector<TensorRef>{value};
}

Interpreter::Results Interpreter::runStore(StoreOp store, ArrayRef<TensorRef> operands) {
  VariableOp variable = findVariable(store, store.getVariable());
  if (!variable)
    return failure();
  if (!operands[0]->fits(variable.getTensorType()))
    return store.emitOpError() << "cannot write " << operands[0]->getType() << " to '" << store.getVariable()
                               << "' of type " << variable.getTensorType();
  variables[store.getVariable()] = operands[0];
  return SmallVector<TensorRef>{};
}

Interpreter::Results Interpreter::runSchedule(ScheduleOp schedule, ArrayRef<TensorRef> operands, Frame &frame) {
  Block &body = schedule.getBody().front();
  SmallVector<Tensor> sums;
  for (Type type : schedule.getResultTypes()) {
    FailureOr<Tensor> sum = Tensor::make(schedule, type);
    if (failed(sum))
      return failure();
    sums.push_back(std::move(*sum));
  }
  const int64_t microbatches = schedule.getMicrobatches();
  for (int64_t microbatch = 0; microbatch < microbatches; ++microbatch) {
    SmallVector<TensorRef> slices;
    for (auto [argument, operand] : llvm::zip_equal(body.getArguments(), operands)) {
      Tensor slice(cast<RankedTensorType>(argument.getType()));
      std::copy_n(operand->values.begin() + microbatch * slice.size(), slice.size(), slice.values.begin());
      slices.push_back(std::make_shared<Tensor>(std::move(slice)));
    }
    Results yielded = runBlock(body, slices, frame);
    if (failed(yielded))
      return failure();
    for (auto [sum, value] : llvm::zip_equal(sums, *yielded)) {
      llvm::transform(llvm::zip_equal(sum.values, value->values), sum.values.begin(),
                      [](auto pair) { return std::get<0>(pair) + std::get<1>(pair); });
      // The runtime keeps the sum in the result's type from one microbatch to the next.
      round(sum);
    }
  }
  SmallVector<TensorRef> results;
  for (Tensor &sum : sums)
    results.push_back(std::make_shared<Tensor>(std::move(sum)));
  return results;
}

Interpreter::Results Interpreter::runFusion(FusionOp fusion, ArrayRef<TensorRef> operands) {
  Frame frame;
  return runBlock(fusion.getBody().front(), operands, frame);
}
