//===- UnshardCalls.cpp - What the calls of `unshard` need ----------------===//

#include "passes/fp8/UnshardCalls.h"

#include "passes/LayerFunction.h"
#include "passes/Program.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/BitVector.h"

using namespace mlir;
using namespace primus;

//===----------------------------------------------------------------------===//
// Measuring
//===----------------------------------------------------------------------===//

/// For each argument of `measure`, that of `unshard` which is the same parameter; nothing if there is none.
static std::optional<SmallVector<unsigned>> matchParameters(func::FuncOp measure, func::FuncOp unshard) {
  SmallVector<unsigned> matches;
  for (unsigned index = 0; index < measure.getNumArguments(); ++index) {
    SmallVector<unsigned> parameters = getArgsOfKind(unshard, ArgKind::Parameter);
    auto *found = llvm::find_if(parameters, [&](unsigned other) { return getArgName(unshard, other) == getArgName(measure, index); });
    if (found == parameters.end() || unshard.getArgumentTypes()[*found] != measure.getArgumentTypes()[index])
      return std::nullopt;
    matches.push_back(*found);
  }
  return matches;
}

/// The call of `unshard` that reads what a call of `measure` does, before it.
static graph::CallOp findPartner(graph::CallOp call, func::FuncOp unshard, ArrayRef<unsigned> arguments) {
  SymbolTableCollection symbols;
  for (graph::CallOp other : findCalls(unshard)) {
    bool isBefore = other->getBlock() == call->getBlock() && other->isBeforeInBlock(call) && other.getInstance() == call.getInstance();
    if (isBefore && llvm::all_of(llvm::enumerate(arguments), [&](auto pair) {
          graph::VariableOp variable = findVariable(call.getOperand(pair.index()), symbols);
          return variable && variable == findVariable(other.getOperand(pair.value()), symbols);
        }))
      return other;
  }
  return {};
}

bool fp8::measureInUnshard(func::FuncOp measure, func::FuncOp unshard) {
  std::optional<SmallVector<unsigned>> arguments = matchParameters(measure, unshard);
  if (!arguments)
    return false;
  DenseMap<Operation *, graph::CallOp> measured;
  SmallVector<graph::CallOp> calls = findCalls(measure);
  for (graph::CallOp call : calls)
    if (graph::CallOp partner = findPartner(call, unshard, *arguments))
      measured[partner] = call;
  if (measured.size() != calls.size())
    return false;

  Block &from = measure.getBody().front(), &to = unshard.getBody().front();
  IRMapping mapping;
  for (auto [index, argument] : llvm::enumerate(*arguments))
    mapping.map(from.getArgument(index), to.getArgument(argument));
  OpBuilder builder(to.getTerminator());
  for (Operation &op : from.without_terminator())
    builder.clone(op, mapping);
  unsigned first = unshard.getNumResults();
  for (auto [index, value] : llvm::enumerate(from.getTerminator()->getOperands())) {
    (void)unshard.insertResult(first + index, value.getType(), measure.getResultAttrDict(index));
    to.getTerminator()->insertOperands(first + index, mapping.lookup(value));
  }
  for (graph::CallOp call : findCalls(unshard)) {
    graph::CallOp old = measured.lookup(call), updated = replaceCall(call, unshard, call.getOperands());
    if (!old)
      continue;
    old->replaceAllUsesWith(updated.getResults().drop_front(first));
    SmallVector<Value> operands(old.getOperands());
    old.erase();
    for (Value operand : operands)
      if (operand.use_empty())
        operand.getDefiningOp()->erase();
  }
  measure.erase();
  return true;
}

//===----------------------------------------------------------------------===//
// One function for each kind of call
//===----------------------------------------------------------------------===//

static void keepResults(func::FuncOp function, ArrayRef<graph::CallOp> calls, const llvm::BitVector &kept) {
  llvm::BitVector erased(kept);
  erased.flip();
  function.getBody().front().getTerminator()->eraseOperands(erased);
  (void)function.eraseResults(erased);
  eraseDeadOps(function);
  for (graph::CallOp call : calls) {
    OpBuilder builder(call);
    auto updated = graph::CallOp::create(builder, call.getLoc(), function.getResultTypes(), function.getName(),
                                         call.getOperands(), call.getInstance());
    for (auto [index, result] : llvm::enumerate(kept.set_bits()))
      call.getResult(result).replaceAllUsesWith(updated.getResult(index));
    call.erase();
  }
}

void fp8::specialiseUnshard(func::FuncOp unshard, func::FuncOp forward) {
  struct Kind {
    llvm::BitVector used;
    bool isForward = false;
    SmallVector<graph::CallOp> calls = {};
  };
  SmallVector<Kind> kinds;
  for (graph::CallOp call : findCalls(unshard)) {
    llvm::BitVector used(call.getNumResults());
    for (OpResult result : call.getResults())
      used[result.getResultNumber()] = !result.use_empty();
    auto *kind = llvm::find_if(kinds, [&](const Kind &other) { return other.used == used; });
    if (kind == kinds.end())
      kind = &kinds.emplace_back(Kind{used});
    kind->calls.push_back(call);
    kind->isForward |= llvm::any_of(call->getUsers(), [&](Operation *user) {
      auto reader = dyn_cast<graph::CallOp>(user);
      return reader && reader.getCallee() == forward.getName();
    });
  }
  // The function itself goes to those that need most, the first among equals.
  llvm::stable_sort(kinds, [](const Kind &a, const Kind &b) { return a.used.count() > b.used.count(); });
  SymbolTable symbols(unshard->getParentOfType<ModuleOp>());
  for (auto [index, kind] : llvm::enumerate(llvm::reverse(kinds))) {
    if (kind.used.all())
      continue;
    func::FuncOp own = unshard;
    if (index + 1 < kinds.size()) {
      own = unshard.clone();
      own.setName((unshard.getName() + (kind.isForward ? ".forward" : ".backward")).str());
      symbols.insert(own, std::next(Block::iterator(unshard)));
    }
    keepResults(own, kind.calls, kind.used);
  }
}
