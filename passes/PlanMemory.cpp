//===- PlanMemory.cpp - Give every buffer an offset -----------------------===//
//
// Liveness on the fixed order of actions, then best fit by decreasing size. Temporaries of a layer function lie in its scratch region,
// which is one buffer of each program that calls it. The arena holds all variables first, then the programs' buffers: programs run one
// after the other and share that part.
//
//===----------------------------------------------------------------------===//

#include "passes/Passes.h"
#include "passes/step/Liveness.h"
#include "passes/step/Lowering.h"

using namespace mlir;
using namespace primus;
using namespace primus::step;

namespace primus {
#define GEN_PASS_DEF_PLANMEMORY
#include "passes/Passes.h.inc"
} // namespace primus

static int64_t align(int64_t bytes) { return llvm::alignTo(bytes, kBufferAlignment); }

/// Places intervals (their offsets are set) and returns the bytes that they need together.
static int64_t place(MutableArrayRef<LiveBuffer> buffers) {
  SmallVector<LiveBuffer *> bySize, placed;
  for (LiveBuffer &buffer : buffers)
    bySize.push_back(&buffer);
  // Addresses break ties: the order of the buffers' definitions.
  llvm::sort(bySize, [](LiveBuffer *a, LiveBuffer *b) { return a->bytes != b->bytes ? a->bytes > b->bytes : a < b; });

  int64_t total = 0;
  for (LiveBuffer *buffer : bySize) {
    SmallVector<LiveBuffer *> neighbours;
    for (LiveBuffer *other : placed)
      if (other->overlapsInTime(*buffer))
        neighbours.push_back(other);
    llvm::sort(neighbours, [](LiveBuffer *a, LiveBuffer *b) { return a->offset < b->offset; });

    int64_t need = align(buffer->bytes), end = 0, best = -1, bestGap = std::numeric_limits<int64_t>::max();
    for (LiveBuffer *other : neighbours) {
      int64_t gap = other->offset - end;
      if (gap >= need && gap < bestGap) {
        best = end;
        bestGap = gap;
      }
      end = std::max(end, other->offset + align(other->bytes));
    }
    buffer->offset = best >= 0 ? best : end;
    total = std::max(total, buffer->offset + need);
    placed.push_back(buffer);
  }
  return total;
}

/// Every call of a function with temporaries gets a scratch buffer.
static void addScratch(ProgramOp program, ModuleOp module) {
  program.walk([&](CallOp call) {
    auto callee = module.lookupSymbol<FunctionOp>(call.getCallee());
    if (!callee || callee.getScratch() == 0 || call.getScratch())
      return;
    OpBuilder builder(call);
    auto type = MemRefType::get({static_cast<int64_t>(callee.getScratch())}, builder.getI8Type());
    StringAttr name = builder.getStringAttr(call.getInstance() + ".scratch");
    Value scratch = BufferOp::create(builder, NameLoc::get(name, call.getLoc()), type, builder.getI64IntegerAttr(-1), name,
                                     FlatSymbolRefAttr());
    call.getScratchMutable().assign(scratch);
  });
}

/// Moves the buffers to their places, `base` bytes from the region's start.
static void assignOffsets(MutableArrayRef<LiveBuffer> buffers, int64_t base) {
  for (LiveBuffer &buffer : buffers) {
    OpBuilder builder(buffer.value.getContext());
    IntegerAttr offset = builder.getI64IntegerAttr(base + buffer.offset);
    if (auto definition = buffer.value.getDefiningOp<BufferOp>())
      definition.setOffsetAttr(offset);
    else
      cast<ProgramOp>(buffer.value.getParentBlock()->getParentOp())
          .setArgAttr(cast<BlockArgument>(buffer.value).getArgNumber(), "step.offset", offset);
  }
}

namespace {

struct PlanMemory : primus::impl::PlanMemoryBase<PlanMemory> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    Builder builder(&getContext());
    for (auto function : module.getOps<FunctionOp>()) {
      SmallVector<LiveBuffer> buffers = computeLiveness(function.getBody().front());
      function.setScratch(place(buffers));
      assignOffsets(buffers, 0);
    }

    int64_t variables = 0;
    llvm::StringMap<int64_t> offsets;
    for (auto variable : module.getOps<graph::VariableOp>()) {
      offsets[variable.getSymName()] = variables;
      variable->setAttr("step.offset", builder.getI64IntegerAttr(variables));
      variables += align(getByteSize(getBufferType(variable.getType())));
    }

    int64_t arena = variables;
    SmallVector<ProgramOp> programs(module.getOps<ProgramOp>());
    for (ProgramOp program : programs) {
      addScratch(program, module);
      SmallVector<LiveBuffer> buffers = computeLiveness(program.getBody().front());
      arena = std::max(arena, variables + place(buffers));
      assignOffsets(buffers, variables);
      program.walk([&](BufferOp buffer) {
        if (std::optional<StringRef> name = buffer.getVariable())
          buffer.setOffset(offsets.lookup(*name));
      });
    }
    for (ProgramOp program : programs)
      program.setArena(arena);
  }
};

} // namespace
