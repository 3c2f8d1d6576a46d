//===- ForwardStages.cpp - Programs that pass each stage once --------------===//

#include "passes/stages/ForwardStages.h"

#include "passes/LayerFunction.h"
#include "passes/stages/StageProgram.h"

#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace primus;
using namespace primus::stages;

namespace {

/// What belongs to no stage, and is made where it is used: loads, gathering of parameters, constants.
constexpr int32_t kOuter = -1;

class ForwardSplitter {
public:
  ForwardSplitter(func::FuncOp whole, const StageMap &map, SymbolTable &symbols) : whole(whole), map(map), symbols(symbols) {}

  LogicalResult run();

private:
  int32_t getStage(Value value) const {
    Operation *op = value.getDefiningOp();
    return op ? stageOfOp.lookup(op) : kOuter;
  }
  void sortOps();
  void build(int32_t rank);
  /// A value in the program that is being built.
  Value get(Value value);
  void clone(Operation *op);

  func::FuncOp whole;
  const StageMap &map;
  SymbolTable &symbols;
  llvm::DenseMap<Operation *, int32_t> stageOfOp;
  std::vector<SmallVector<Operation *>> ops;
  /// Per stage: values of it and of those before it that later ones use.
  std::vector<llvm::SmallSetVector<Value, 4>> messages;
  OpBuilder builder{whole.getContext()};
  IRMapping mapping;
};

} // namespace

void ForwardSplitter::sortOps() {
  int32_t stages = map.getTable().stages;
  ops.resize(stages);
  messages.resize(stages);
  for (Operation &op : whole.front().without_terminator()) {
    // An op between calls belongs to the last stage whose values it uses.
    int32_t stage = kOuter;
    for (Value operand : op.getOperands())
      stage = std::max(stage, getStage(operand));
    if (auto call = dyn_cast<graph::CallOp>(op); call && getPart(symbols.lookup<func::FuncOp>(call.getCallee())) != "unshard")
      stage = std::max(stage, map.findStage(call.getInstance()).value_or(kOuter));
    stageOfOp[&op] = stage;
    if (stage == kOuter)
      continue;
    ops[stage].push_back(&op);
    for (Value operand : op.getOperands())
      if (int32_t from = getStage(operand); from != kOuter)
        for (; from < stage; ++from)
          messages[from].insert(operand);
  }
}

void ForwardSplitter::clone(Operation *op) {
  for (Value operand : op->getOperands())
    (void)get(operand);
  Operation *copy = builder.clone(*op, mapping);
  for (auto [result, copied] : llvm::zip_equal(op->getResults(), copy->getResults()))
    mapping.map(result, copied);
}

Value ForwardSplitter::get(Value value) {
  if (!mapping.contains(value))
    clone(value.getDefiningOp());
  return mapping.lookup(value);
}

void ForwardSplitter::build(int32_t rank) {
  mapping.clear();
  func::FuncOp program = addRankProgram(whole, rank, symbols, mapping);
  builder.setInsertionPointToStart(&program.front());
  const schedules::Table &table = map.getTable();
  for (int32_t stage = 0; stage < table.stages; ++stage) {
    if (table.rankOfStage[stage] != rank)
      continue;
    if (stage > 0 && table.isSplitAfter(stage - 1) && !messages[stage - 1].empty()) {
      ArrayRef<Value> message = messages[stage - 1].getArrayRef();
      auto receive = graph::ReceiveOp::create(builder, message.front().getLoc(), TypeRange(ValueRange(message)),
                                              static_cast<uint64_t>(table.rankOfStage[stage - 1]));
      for (auto [value, received] : llvm::zip_equal(message, receive.getValues()))
        mapping.map(value, received);
    }
    for (Operation *op : ops[stage])
      clone(op);
    if (table.isSplitAfter(stage) && !messages[stage].empty()) {
      SmallVector<Value> values = llvm::map_to_vector(messages[stage], [&](Value value) { return get(value); });
      graph::SendOp::create(builder, whole.getLoc(), values, static_cast<uint64_t>(table.rankOfStage[stage + 1]));
    }
  }
  SmallVector<Value> results;
  for (Value value : whole.front().getTerminator()->getOperands()) {
    int32_t stage = getStage(value);
    if (stage == kOuter) {
      results.push_back(get(value));
      continue;
    }
    Value part = table.rankOfStage[stage] == rank ? get(value) : makeZero(builder, value.getLoc(), value.getType());
    results.push_back(graph::SumStagesOp::create(builder, value.getLoc(), part));
  }
  func::ReturnOp::create(builder, whole.getLoc(), results);
}

LogicalResult ForwardSplitter::run() {
  sortOps();
  for (Value value : whole.front().getTerminator()->getOperands())
    if (getStage(value) != kOuter && !hasFloatElements(value.getType()))
      return whole.emitError() << "has a result that is no float; stages cannot share it";
  for (int32_t rank = map.getTable().getRanks(); rank-- > 0;)
    build(rank);
  return success();
}

LogicalResult stages::splitForward(func::FuncOp program, const StageMap &map, SymbolTable &symbols) {
  return ForwardSplitter(program, map, symbols).run();
}
