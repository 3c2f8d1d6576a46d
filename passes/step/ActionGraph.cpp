//===- ActionGraph.cpp - What must stay in order --------------------------===//

#include "passes/step/ActionGraph.h"

#include "ir/kernel/KernelDialect.h"
#include "passes/step/KernelFigures.h"

using namespace mlir;
using namespace primus;
using namespace primus::step;

/// A byte moved to or from memory costs as much as this many floating-point operations.
static constexpr double kFlopsPerByte = 8;
/// A collective costs at least as much as sending this many bytes.
static constexpr double kLatencyBytes = 16384;

/// `known` holds the cost of functions, which a program calls once per layer.
static double getComputeCost(Operation *op, llvm::StringMap<double> &known) {
  double cost = 0;
  auto module = op->getParentOfType<ModuleOp>();
  if (auto launch = dyn_cast<LaunchOp>(op)) {
    auto kernel = module.lookupSymbol<kernel::FuncOp>(launch.getKernel());
    auto figure = [&](StringRef name) {
      auto attribute = kernel->getAttrOfType<IntegerAttr>(name);
      return attribute ? static_cast<double>(attribute.getInt()) : 0;
    };
    return figure(kFlopsAttr) + kFlopsPerByte * figure(kBytesAttr);
  }
  if (auto call = dyn_cast<CallOp>(op)) {
    auto [entry, isNew] = known.try_emplace(call.getCallee(), 0);
    if (!isNew)
      return entry->second;
    for (Operation &inner : module.lookupSymbol<FunctionOp>(call.getCallee()).getBody().front())
      cost += getComputeCost(&inner, known);
    return known[call.getCallee()] = cost;
  }
  if (auto loop = dyn_cast<LoopOp>(op)) {
    for (Operation &inner : loop.getBody().front())
      cost += getComputeCost(&inner, known);
    return cost * loop.getCount();
  }
  if (isa<CopyOp, FillOp>(op))
    return kFlopsPerByte * getByteSize(cast<MemRefType>(op->getOperand(0).getType()));
  return 0;
}

bool step::isAction(Operation *op) { return !isa<BufferOp, ViewOp, MicrobatchOp>(op); }

bool step::isBetweenStages(Operation *op) {
  auto collective = dyn_cast<CollectiveOp>(op);
  return isa<SendOp, ReceiveOp>(op) || (collective && llvm::is_contained(collective.getAxes().getAsValueRange<StringAttr>(), "pp"));
}

ActionGraph::ActionGraph(ArrayRef<Operation *> ops, AccessAnalysis &analysis) {
  for (Operation *op : ops) {
    if (!isAction(op))
      continue;
    auto collective = dyn_cast<CollectiveOp>(op);
    if (collective && collective.getKind() == CollectiveKind::Block)
      collective = {};
    Action action;
    action.op = op;
    action.collective = collective;
    actions.push_back(std::move(action));
  }
  connect(analysis);
  setCosts();
  setGroups();
}

void ActionGraph::connect(AccessAnalysis &analysis) {
  struct Users {
    SmallVector<std::pair<unsigned, Access>> readers, writers;
  };
  DenseMap<Value, Users> users;
  for (auto [index, action] : llvm::enumerate(actions)) {
    llvm::SmallSetVector<unsigned, 8> before;
    SmallVector<Access> accesses = analysis.getAccesses(action.op);
    auto addConflicts = [&](ArrayRef<std::pair<unsigned, Access>> others, const Access &access) {
      for (auto &[other, used] : others)
        if (used.conflicts(access))
          before.insert(other);
    };
    for (const Access &access : accesses) {
      Users &known = users[access.root];
      addConflicts(known.writers, access);
      if (access.writes)
        addConflicts(known.readers, access);
    }
    for (const Access &access : accesses) {
      Users &known = users[access.root];
      // What is written as a whole hides all that came before.
      if (access.writes) {
        auto isHidden = [&](const std::pair<unsigned, Access> &other) {
          return access.begin <= other.second.begin && other.second.end <= access.end;
        };
        llvm::erase_if(known.readers, isHidden);
        llvm::erase_if(known.writers, isHidden);
        known.writers.push_back({index, access});
      } else {
        known.readers.push_back({index, access});
      }
    }
    action.before.assign(before.begin(), before.end());
    for (unsigned other : action.before)
      actions[other].after.push_back(index);
  }
  for (Action &action : llvm::reverse(actions)) {
    action.feedsCollective = llvm::any_of(action.after, [&](unsigned next) { return static_cast<bool>(actions[next].collective); });
    action.leadsToCollective = action.feedsCollective || llvm::any_of(action.after, [&](unsigned next) { return actions[next].leadsToCollective; });
  }
}

/// A run of calls that takes less than this share of the longest one's time is counted to the next one: it gives too little time to gather for that.
static constexpr double kSmallRun = 0.125;

/// Numbers the runs of calls for one instance.
static void numberRuns(MutableArrayRef<Action> actions) {
  SmallVector<double> costs(1);
  SmallVector<unsigned> runs;
  StringRef instance;
  for (const Action &action : actions) {
    if (auto call = dyn_cast<CallOp>(action.op); call && call.getInstance() != instance) {
      instance = call.getInstance();
      costs.push_back(0);
    }
    runs.push_back(costs.size() - 1);
    if (!action.collective && !isa<LoopOp>(action.op))
      costs.back() += action.cost;
  }
  double small = kSmallRun * *llvm::max_element(costs);
  unsigned group = 0, last = 0;
  for (auto [action, run] : llvm::zip_equal(actions, runs)) {
    for (; last < run; ++last)
      group += costs[last] >= small;
    action.group = group;
    // What follows a loop is not done ahead of it.
    if (isa<LoopOp>(action.op)) {
      action.group = group + 1;
      group += 3;
    }
  }
}

void ActionGraph::setGroups() {
  numberRuns(actions);
  auto sumBytes = [](ValueRange buffers) {
    int64_t bytes = 0;
    for (Value buffer : buffers)
      bytes += getByteSize(cast<MemRefType>(buffer.getType()));
    return bytes;
  };
  auto grows = [&](Action &action) { return sumBytes(action.collective.getTargets()) > sumBytes(action.collective.getSources()); };
  for (Action &action : actions)
    if (action.collective && !grows(action) && !action.before.empty()) {
      action.trails = true;
      action.group = 0;
      for (unsigned before : action.before)
        action.group = std::max(action.group, actions[before].group);
    }
  for (Action &action : llvm::reverse(actions))
    if (action.collective && grows(action) && !action.after.empty()) {
      action.group = std::numeric_limits<unsigned>::max();
      for (unsigned after : action.after)
        action.group = std::min(action.group, actions[after].group);
    }
  for (Action &action : actions)
    for (unsigned before : action.before) {
      action.group = std::max(action.group, actions[before].group);
      action.trails |= actions[before].trails && actions[before].group == action.group;
    }
}

void ActionGraph::setCosts() {
  double computing = 0, communicating = 0;
  llvm::StringMap<double> known;
  for (Action &action : actions) {
    action.cost = action.collective ? kLatencyBytes + action.collective.getBytesSent() : getComputeCost(action.op, known);
    (action.collective ? communicating : computing) += action.cost;
  }
  for (Action &action : llvm::reverse(actions)) {
    if (action.collective)
      action.cost *= computing / communicating;
    for (unsigned after : action.after)
      action.tail = std::max(action.tail, actions[after].tail);
    action.tail += action.cost;
  }
}
