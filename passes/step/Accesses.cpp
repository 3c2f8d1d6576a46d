//===- Accesses.cpp - What actions read and write -------------------------===//

#include "passes/step/Accesses.h"
#include "passes/step/Lowering.h"

using namespace mlir;
using namespace primus;
using namespace primus::step;

ExchangeOpInterface step::findExchange(WaitOp wait) {
  for (Operation *op = wait->getPrevNode(); op; op = op->getPrevNode())
    if (auto exchange = dyn_cast<ExchangeOpInterface>(op); exchange && exchange.getTicket() == wait.getTicket())
      return exchange;
  return {};
}

/// A buffer's bytes within its root. A microbatch's slice differs from round to round: it stands for the whole.
static Access getAccess(Value buffer, bool reads, bool writes) {
  int64_t offset = 0, bytes = getByteSize(cast<MemRefType>(buffer.getType()));
  while (Operation *definition = buffer.getDefiningOp()) {
    if (auto view = dyn_cast<ViewOp>(definition)) {
      offset += view.getOffset();
      buffer = view.getSource();
    } else if (auto slice = dyn_cast<MicrobatchOp>(definition)) {
      buffer = slice.getSource();
      offset = 0;
      bytes = getByteSize(cast<MemRefType>(buffer.getType()));
    } else {
      break;
    }
  }
  return {buffer, offset, offset + bytes, reads, writes};
}

AccessAnalysis::AccessAnalysis(ModuleOp module) : symbols(module) {
  module.walk([&](CallOp call) {
    auto function = symbols.lookup<FunctionOp>(call.getCallee());
    SmallVector<Access> passed;
    for (auto [index, argument] : llvm::enumerate(call.getArguments())) {
      passed.push_back(getAccess(argument, /*reads=*/true, /*writes=*/true));
      auto *first = llvm::find_if(passed, [&](const Access &other) { return other.overlaps(passed.back()); });
      unsigned earlier = first - passed.begin();
      if (earlier == index)
        continue;
      BlockArgument from = function.getBody().getArgument(earlier), to = function.getBody().getArgument(index);
      // Calls may pair arguments differently; all of a chain count as one.
      Value leader = from;
      while (Value next = aliases.lookup(leader))
        leader = next;
      Value member = to;
      while (Value next = aliases.lookup(member))
        member = next;
      if (member != leader)
        aliases[member] = leader;
    }
  });
}

SmallVector<Access> AccessAnalysis::getAccesses(Operation *action) {
  SmallVector<Access> accesses = collect(action);
  for (Access &access : accesses) {
    bool isAlias = false;
    while (Value leader = aliases.lookup(access.root)) {
      access.root = leader;
      isAlias = true;
    }
    // Offsets into one argument say nothing of another.
    if (isAlias) {
      access.begin = 0;
      access.end = std::numeric_limits<int64_t>::max();
    }
  }
  return accesses;
}

ArrayRef<AccessAnalysis::ArgumentUse> AccessAnalysis::getUses(StringRef callee) {
  auto [entry, isNew] = known.try_emplace(callee);
  if (!isNew)
    return entry->second;
  SmallVector<ArgumentUse> uses;
  Operation *symbol = symbols.lookup(callee);
  if (auto kernel = dyn_cast_or_null<kernel::FuncOp>(symbol)) {
    for (BlockArgument argument : kernel.getBody().getArguments())
      uses.push_back({llvm::any_of(argument.getUsers(), llvm::IsaPred<kernel::LoadOp>),
                      llvm::any_of(argument.getUsers(), llvm::IsaPred<kernel::StoreOp>)});
  } else if (auto function = dyn_cast_or_null<FunctionOp>(symbol)) {
    uses.resize(function.getNumArguments());
    for (Operation &op : function.getBody().front())
      for (const Access &access : collect(&op))
        if (auto argument = dyn_cast<BlockArgument>(access.root)) {
          uses[argument.getArgNumber()].reads |= access.reads;
          uses[argument.getArgNumber()].writes |= access.writes;
        }
  }
  return known[callee] = std::move(uses);
}

SmallVector<Access> AccessAnalysis::collect(Operation *action) {
  SmallVector<Access> accesses;
  auto add = [&](Value buffer, bool reads, bool writes) {
    if (reads || writes)
      accesses.push_back(getAccess(buffer, reads, writes));
  };
  auto addArguments = [&](StringRef callee, ValueRange arguments) {
    for (auto [argument, use] : llvm::zip_equal(arguments, getUses(callee)))
      add(argument, use.reads, use.writes);
  };
  if (auto launch = dyn_cast<LaunchOp>(action)) {
    addArguments(launch.getKernel(), launch.getOperands());
  } else if (auto call = dyn_cast<CallOp>(action)) {
    addArguments(call.getCallee(), call.getArguments());
    if (call.getScratch())
      add(call.getScratch(), true, true);
  } else if (auto copy = dyn_cast<CopyOp>(action)) {
    add(copy.getSource(), true, false);
    add(copy.getTarget(), false, true);
  } else if (auto fill = dyn_cast<FillOp>(action)) {
    add(fill.getTarget(), false, true);
  } else if (auto exchange = dyn_cast<ExchangeOpInterface>(action)) {
    for (Value source : exchange.getSources())
      add(source, true, false);
    for (Value target : exchange.getTargets())
      add(target, false, true);
  } else if (auto wait = dyn_cast<WaitOp>(action)) {
    if (ExchangeOpInterface exchange = findExchange(wait))
      return collect(exchange);
  } else if (auto loop = dyn_cast<LoopOp>(action)) {
    for (Operation &op : loop.getBody().front())
      for (Access &access : collect(&op))
        if (!loop.getBody().isAncestor(access.root.getParentRegion()))
          accesses.push_back(access);
  }
  return accesses;
}
