//===- HoistLoads.cpp - Loads before what waits for others ----------------===//

#include "codegen/hip/HoistLoads.h"

using namespace mlir;
using namespace primus;

/// Whether a load may not pass the op: it stores, or holds ops that do.
static bool stores(Operation &op) {
  return op.walk([](kernel::StoreOp) { return WalkResult::interrupt(); }).wasInterrupted();
}

static void hoistLoads(Block &block) {
  // What no load passes; null: the block's start.
  Operation *bar = nullptr;
  for (Operation &op : llvm::make_early_inc_range(block)) {
    auto load = dyn_cast<kernel::LoadOp>(op);
    if (!load) {
      if (stores(op))
        bar = &op;
      continue;
    }
    Operation *after = bar;
    for (Value operand : load->getOperands()) {
      Operation *definition = operand.getDefiningOp();
      if (definition && definition->getBlock() == &block && (!after || after->isBeforeInBlock(definition)))
        after = definition;
    }
    if (after)
      load->moveAfter(after);
    else
      load->moveBefore(&block.front());
  }
}

void codegen::hip::hoistLoads(kernel::FuncOp kernel) {
  SmallVector<Block *> blocks;
  kernel.walk([&](Block *block) { blocks.push_back(block); });
  for (Block *block : blocks)
    ::hoistLoads(*block);
}
