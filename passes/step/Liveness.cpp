//===- Liveness.cpp - When buffers are live -------------------------------===//

#include "passes/step/Liveness.h"
#include "passes/step/Accesses.h"
#include "passes/step/Lowering.h"

using namespace mlir;
using namespace primus;
using namespace primus::step;

SmallVector<LiveBuffer> step::computeLiveness(Block &body) {
  SmallVector<LiveBuffer> buffers;
  DenseMap<Value, unsigned> index;
  auto add = [&](Value value, unsigned first, unsigned last) {
    index[value] = buffers.size();
    buffers.push_back({value, getByteSize(cast<MemRefType>(value.getType())), first, last});
  };

  // Positions of all ops; a loop spans those of its body.
  DenseMap<Operation *, std::pair<unsigned, unsigned>> span;
  unsigned counter = 0;
  std::function<void(Block &)> number = [&](Block &block) {
    for (Operation &op : block) {
      unsigned start = counter++;
      for (Region &region : op.getRegions())
        for (Block &inner : region)
          number(inner);
      span[&op] = {start, counter - 1};
    }
  };
  number(body);

  if (isa<ProgramOp>(body.getParentOp()))
    for (BlockArgument argument : body.getArguments())
      add(argument, 0, counter);
  body.walk([&](BufferOp buffer) {
    if (!buffer.getVariable())
      add(buffer.getResult(), std::numeric_limits<unsigned>::max(), 0);
  });
  body.walk([&](Operation *op) {
    if (isa<BufferOp, ViewOp, MicrobatchOp>(op))
      return;
    auto wait = dyn_cast<WaitOp>(op);
    ExchangeOpInterface exchange = wait ? findExchange(wait) : ExchangeOpInterface();
    for (Value operand : exchange ? exchange->getOperands() : op->getOperands()) {
      auto entry = index.find(getRoot(operand));
      if (entry == index.end())
        continue;
      LiveBuffer &buffer = buffers[entry->second];
      auto [first, last] = span[buffer.value.getParentBlock()->findAncestorOpInBlock(*op)];
      buffer.first = std::min(buffer.first, first);
      buffer.last = std::max(buffer.last, last);
    }
  });
  // A buffer without any use still has a place of its own.
  for (LiveBuffer &buffer : buffers)
    if (buffer.first > buffer.last)
      buffer.first = buffer.last = span[buffer.value.getDefiningOp()].first;
  return buffers;
}
