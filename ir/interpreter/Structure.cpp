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
  if (!value.fits(ranks.getWholeType(variable.getTensorType())))
    return variable.emitOpError() << "cannot take a value of type " << value.getType();
  FailureOr<RankValues> parts = distribute(variable, value, variable.getType());
  if (failed(parts))
    return failure();
  variables[name] = std::move(*parts);
  return success();
}

TensorRef Interpreter::getVariable(StringRef name) const {
  RankValues parts = variables.lookup(name);
  if (parts.empty())
    return nullptr;
  auto variable = symbols.lookup<VariableOp>(name);
  FailureOr<Tensor> value = ranks.join(variable, "'" + name + "'", parts, getLayout(variable.getType()));
  return succeeded(value) ? std::make_shared<Tensor>(std::move(*value)) : nullptr;
}

TensorRef Interpreter::getVariable(StringRef name, int64_t rank) const {
  RankValues parts = variables.lookup(name);
  return parts.empty() ? nullptr : parts[rank];
}

LogicalResult Interpreter::initializeVariables(uint64_t seed) {
  for (VariableOp variable : module.getOps<VariableOp>()) {
    RankedTensorType type = ranks.getWholeType(variable.getTensorType());
    FailureOr<runtime::InitializerSpec> spec = getInitializerSpec(variable, type);
    if (failed(spec))
      return failure();
    if (spec->axes.empty()) {
      FailureOr<Tensor> value = makeInitialValue(variable, type, seed);
      if (failed(value) || failed(setVariable(variable.getSymName(), std::move(*value))))
        return failure();
      continue;
    }
    // A rank's place, which is another on each.
    SmallVector<StringRef> axes(spec->axes.begin(), spec->axes.end());
    if (!ranks.hasAxes(Builder(module.getContext()).getStrArrayAttr(axes)))
      return variable.emitOpError() << "is an index over axes that the mesh of a placed module does not have";
    RankValues values;
    for (int64_t rank = 0; rank < ranks.getCount(); ++rank) {
      FailureOr<Tensor> value = makeInitialValue(variable, type, seed, ranks.getIndex(rank, axes));
      if (failed(value))
        return failure();
      values.push_back(std::make_shared<Tensor>(std::move(*value)));
    }
    variables[variable.getSymName()] = std::move(values);
  }
  return success();
}

Interpreter::Results Interpreter::runLoad(LoadOp load) {
  RankValues value = variables.lookup(load.getVariable());
  if (value.empty()) {
    if (!findVariable(load, load.getVariable()))
      return failure();
    return load.emitOpError() << "reads '" << load.getVariable() << "' before it has a value";
  }
  if (!value.front()->fits(load.getType()))
    return load.emitOpError() << "expects " << load.getType() << ", but '" << load.getVariable() << "' holds "
                              << value.front()->getType();
  return SmallVector<RankValues>{value};
}

Interpreter::Results Interpreter::runStore(StoreOp store, ArrayRef<RankValues> operands) {
  VariableOp variable = findVariable(store, store.getVariable());
  if (!variable)
    return failure();
  if (!operands[0].front()->fits(variable.getTensorType()))
    return store.emitOpError() << "cannot write " << operands[0].front()->getType() << " to '" << store.getVariable()
                               << "' of type " << variable.getTensorType();
  variables[store.getVariable()] = operands[0];
  return SmallVector<RankValues>{};
}

/// One slice of the leading dimension.
static RankValues takeMicrobatch(const RankValues &whole, RankedTensorType type, int64_t index) {
  RankValues parts;
  for (const TensorRef &part : whole) {
    Tensor slice(type);
    std::copy_n(part->values.begin() + index * slice.size(), slice.size(), slice.values.begin());
    parts.push_back(std::make_shared<Tensor>(std::move(slice)));
  }
  return parts;
}

Interpreter::Results Interpreter::runMicrobatch(MicrobatchOp microbatch, const RankValues &operand) {
  return SmallVector<RankValues>{takeMicrobatch(operand, microbatch.getType(), microbatch.getIndex())};
}

Interpreter::Results Interpreter::runSchedule(ScheduleOp schedule, ArrayRef<RankValues> operands, Frame &frame) {
  Block &body = schedule.getBody().front();
  // Per result, per rank.
  SmallVector<SmallVector<Tensor>> sums;
  for (Type type : schedule.getResultTypes()) {
    FailureOr<Tensor> sum = Tensor::make(schedule, type);
    if (failed(sum))
      return failure();
    sums.emplace_back(ranks.getCount(), *sum);
  }
  const int64_t microbatches = schedule.getMicrobatches();
  for (int64_t microbatch = 0; microbatch < microbatches; ++microbatch) {
    SmallVector<RankValues> slices;
    for (auto [argument, operand] : llvm::zip_equal(body.getArguments(), operands))
      slices.push_back(takeMicrobatch(operand, cast<RankedTensorType>(argument.getType()), microbatch));
    Results yielded = runBlock(body, slices, frame);
    if (failed(yielded))
      return failure();
    for (auto [sums, values] : llvm::zip_equal(sums, *yielded))
      for (auto [sum, value] : llvm::zip_equal(sums, values)) {
        llvm::transform(llvm::zip_equal(sum.values, value->values), sum.values.begin(),
                        [](auto pair) { return std::get<0>(pair) + std::get<1>(pair); });
        // The runtime keeps the sum in the result's type from one microbatch to the next.
        round(sum);
      }
  }
  SmallVector<RankValues> results;
  for (SmallVector<Tensor> &parts : sums)
    for (RankValues &shared = results.emplace_back(); Tensor &sum : parts)
      shared.push_back(std::make_shared<Tensor>(std::move(sum)));
  return results;
}

Interpreter::Results Interpreter::runFusion(FusionOp fusion, ArrayRef<RankValues> operands) {
  Frame frame;
  return runBlock(fusion.getBody().front(), operands, frame);
}
