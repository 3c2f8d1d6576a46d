//===- Overlap.cpp - Let collectives run while kernels do -----------------===//

#include "passes/Passes.h"
#include "passes/Remarks.h"
#include "passes/step/ListScheduler.h"
#include "passes/step/Lowering.h"

#include "mlir/IR/IRMapping.h"

#include <map>

using namespace mlir;
using namespace primus;
using namespace primus::step;

namespace primus {
#define GEN_PASS_DEF_OVERLAP
#include "passes/Passes.h.inc"
} // namespace primus

/// What is sent around a loop is worth copies of its body from this on.
static constexpr int64_t kLeastPeelBytes = 65536;

namespace {

/// Brings a block into a new order.
class BlockWriter {
public:
  BlockWriter(Block &block, int64_t &lastTicket) : block(block), builder(block.getTerminator()), lastTicket(lastTicket) {}

  void write(const ActionGraph &graph, ArrayRef<Scheduled> order);
  /// Moves an op, and the buffers and views that it uses, to the end of what is written.
  void place(Operation *op);

private:
  void placeOperands(Operation *op);
  /// The collectives as one.
  CollectiveOp merge(const ActionGraph &graph, ArrayRef<unsigned> bucket);

  Block &block;
  OpBuilder builder;
  int64_t &lastTicket;
  llvm::SmallDenseSet<Operation *> placed;
};

struct Overlap : primus::impl::OverlapBase<Overlap> {
  using Base::Base;
  void runOnOperation() override;

private:
  void unrollLoops(ProgramOp program);
  void reorder(FunctionOpInterface function, Block &block, AccessAnalysis &analysis);

  int64_t lastTicket = 0;
};

} // namespace

void BlockWriter::placeOperands(Operation *op) {
  op->walk([&](Operation *inner) {
    for (Value operand : inner->getOperands())
      if (Operation *definition = operand.getDefiningOp(); definition && definition->getBlock() == &block)
        place(definition);
  });
}

void BlockWriter::place(Operation *op) {
  if (!placed.insert(op).second)
    return;
  placeOperands(op);
  op->moveBefore(block.getTerminator());
}

CollectiveOp BlockWriter::merge(const ActionGraph &graph, ArrayRef<unsigned> bucket) {
  CollectiveOp first = graph.actions[bucket.front()].collective;
  if (bucket.size() == 1)
    return first;
  SmallVector<Value> sources, targets;
  SmallVector<int64_t> dims, concatDims;
  SmallVector<Location> locations;
  llvm::SmallSetVector<StringRef, 4> reasons;
  StringAttr instance = first.getInstanceAttr();
  for (unsigned index : bucket) {
    CollectiveOp part = graph.actions[index].collective;
    llvm::append_range(sources, part.getSources());
    llvm::append_range(targets, part.getTargets());
    llvm::append_range(dims, part.getDims().value_or(ArrayRef<int64_t>()));
    llvm::append_range(concatDims, part.getConcatDims().value_or(ArrayRef<int64_t>()));
    locations.push_back(part.getLoc());
    if (part.getReason())
      reasons.insert(*part.getReason());
    if (part.getInstanceAttr() != instance)
      instance = {};
  }
  auto makeDims = [&](ArrayRef<int64_t> values) { return values.empty() ? DenseI64ArrayAttr() : builder.getDenseI64ArrayAttr(values); };
  auto merged = CollectiveOp::create(builder, builder.getFusedLoc(locations), first.getKindAttr(), first.getReductionAttr(), first.getAxesAttr(),
                                     sources, targets, makeDims(dims), makeDims(concatDims), first.getShiftAttr(), first.getTicketAttr(), instance,
                                     reasons.empty() ? StringAttr() : builder.getStringAttr(llvm::join(reasons, "; ")));
  for (unsigned index : bucket)
    graph.actions[index].op->erase();
  return merged;
}

void BlockWriter::write(const ActionGraph &graph, ArrayRef<Scheduled> order) {
  DenseMap<unsigned, CollectiveOp> running;
  for (auto [position, entry] : llvm::enumerate(order)) {
    unsigned index = entry.actions.front();
    if (entry.kind == Scheduled::Run) {
      place(graph.actions[index].op);
    } else if (entry.kind == Scheduled::Wait) {
      if (CollectiveOp collective = running.lookup(index))
        WaitOp::create(builder, collective.getLoc(), collective.getTicket());
    } else {
      CollectiveOp collective = merge(graph, entry.actions);
      place(collective);
      const Scheduled &next = order[position + 1];
      if (next.kind == Scheduled::Wait && next.actions.front() == index)
        continue;
      collective.setTicket(++lastTicket);
      running[index] = collective;
    }
  }
}

/// Says for each kind of collective how many run beside something, and how many do not.
static void remarkCollectives(FunctionOpInterface function, Block &block) {
  struct Sum {
    int64_t exchanges = 0, values = 0, bytes = 0;
  };
  std::map<std::pair<std::string, bool>, Sum> sums;
  for (auto collective : block.getOps<CollectiveOp>()) {
    if (collective.getKind() == CollectiveKind::Block)
      continue;
    std::string what = stringifyCollectiveKind(collective.getKind()).str() + " over";
    for (auto axis : collective.getAxes().getAsRange<StringAttr>())
      what += " " + axis.str();
    Sum &sum = sums[{what, collective.isAsynchronous()}];
    ++sum.exchanges;
    sum.values += collective.getSources().size();
    sum.bytes += collective.getBytesSent();
  }
  for (auto &[key, sum] : sums) {
    const auto &[what, isBeside] = key;
    auto describe = [&, &what = what, &sum = sum] {
      return what + ": " + std::to_string(sum.values) + " values in " + std::to_string(sum.exchanges) + " exchanges";
    };
    Location loc = function->getLoc();
    if (isBeside)
      remarkPassed(kOverlapRemark, function, loc, sum.bytes, describe);
    else
      remarkMissed(kOverlapMissedRemark, function, loc, sum.bytes, [&] { return describe() + ", beside which nothing can be computed"; });
  }
}

/// Puts a copy of a loop's body for one round where the builder is.
static void buildRound(OpBuilder builder, LoopOp loop, int64_t round) {
  IRMapping mapping;
  for (Operation &op : loop.getBody().front().without_terminator()) {
    auto slice = dyn_cast<MicrobatchOp>(op);
    if (!slice) {
      builder.clone(op, mapping);
      continue;
    }
    auto type = cast<MemRefType>(slice.getType());
    mapping.map(slice.getResult(), getView(builder, slice.getLoc(), slice.getSource(), type, round * getByteSize(type)));
  }
}

/// Puts copies of a loop's body in its place, one per round.
static void unrollLoop(LoopOp loop) {
  for (int64_t round = 0, count = loop.getCount(); round < count; ++round)
    buildRound(OpBuilder(loop), loop, round);
  loop.erase();
}

/// Takes the first and the last of three rounds or more out of a loop.
static void peelLoop(LoopOp loop) {
  OpBuilder before(loop), behind(loop->getContext());
  behind.setInsertionPointAfter(loop);
  int64_t count = loop.getCount();
  buildRound(before, loop, 0);
  buildRound(behind, loop, count - 1);
  for (auto slice : loop.getBody().front().getOps<MicrobatchOp>()) {
    auto source = cast<MemRefType>(slice.getSource().getType()), type = cast<MemRefType>(slice.getType());
    SmallVector<int64_t> shape(source.getShape());
    shape.front() = count - 2;
    slice.getSourceMutable().assign(
        getView(before, slice.getLoc(), slice.getSource(), MemRefType::get(shape, source.getElementType()), getByteSize(type)));
  }
  loop.setCount(count - 2);
}

static int64_t sumBytesSent(Block &block) {
  int64_t bytes = 0;
  for (auto collective : block.getOps<CollectiveOp>())
    bytes += collective.getBytesSent();
  return bytes;
}

/// Collectives pass neither the end of a round nor that of the loop: one with collectives in it is unrolled, if it does not become too long. Where much
/// is sent around the loop, the first and the last round are taken out, to run beside that.
void Overlap::unrollLoops(ProgramOp program) {
  Block &block = program.getBody().front();
  int64_t around = sumBytesSent(block);
  for (auto loop : llvm::make_early_inc_range(block.getOps<LoopOp>())) {
    Block &body = loop.getBody().front();
    int64_t inside = sumBytesSent(body), count = loop.getCount();
    bool isShort = int64_t(llvm::range_size(body)) * count <= unroll;
    bool isAround = unroll > 0 && around >= kLeastPeelBytes && around >= inside / 8;
    if (isShort && (inside > 0 || (isAround && count <= 2)))
      unrollLoop(loop);
    else if (isAround && count > 2)
      peelLoop(loop);
  }
}

void Overlap::reorder(FunctionOpInterface function, Block &block, AccessAnalysis &analysis) {
  for (auto loop : block.getOps<LoopOp>())
    reorder(function, loop.getBody().front(), analysis);
  if (block.getOps<CollectiveOp>().empty() || !block.getOps<WaitOp>().empty())
    return;
  // What goes between stages stays where it is, and nothing passes it: the other stages' programs count on it.
  BlockWriter writer(block, lastTicket);
  SmallVector<Operation *> section;
  auto writeSection = [&] {
    ActionGraph graph(section, analysis);
    if (llvm::any_of(graph.actions, [](const Action &action) { return static_cast<bool>(action.collective); }))
      writer.write(graph, schedule(graph, {bucket, trail}));
    else
      llvm::for_each(section, [&](Operation *op) { writer.place(op); });
    section.clear();
  };
  for (Operation *op : llvm::to_vector(llvm::make_pointer_range(block.without_terminator()))) {
    if (!isBetweenStages(op)) {
      section.push_back(op);
      continue;
    }
    writeSection();
    writer.place(op);
  }
  writeSection();
  remarkCollectives(function, block);
}

void Overlap::runOnOperation() {
  for (auto program : getOperation().getOps<ProgramOp>())
    unrollLoops(program);
  AccessAnalysis analysis(getOperation());
  lastTicket = 0;
  for (Operation &op : getOperation().getOps())
    if (isa<FunctionOp, ProgramOp>(op))
      reorder(cast<FunctionOpInterface>(op), op.getRegion(0).front(), analysis);
}
