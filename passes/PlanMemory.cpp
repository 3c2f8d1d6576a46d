//===- PlanMemory.cpp - Give every buffer an offset -----------------------===//
//
// Liveness on the fixed order of actions, then best fit by decreasing size. Temporaries of a layer function lie in its scratch region,
// which is one buffer of each program that calls it. The arena holds all variables first, then the programs' buffers: programs run one
// after the other and share that part. In a pipeline, the programs of each rank have an arena of their own with the variables that they use.
//
//===----------------------------------------------------------------------===//

#include "passes/Passes.h"
#include "passes/step/Liveness.h"
#include "passes/step/Lowering.h"

#include "llvm/ADT/StringSet.h"

#include <map>

using namespace mlir;
using namespace primus;
using namespace primus::step;

namespace primus {
#define GEN_PASS_DEF_PLANMEMORY
#include "passes/Passes.h.inc"
} // namespace primus

static int64_t align(int64_t bytes) { return llvm::alignTo(bytes, kBufferAlignment); }

namespace {

/// Buffers by when they are live, so that few are looked at which are not live together. Most of a long program's buffers are live for a short time.
class Timeline {
public:
  void add(LiveBuffer *buffer) {
    size_t last = buffer->last / kSpan;
    if (last >= spans.size())
      spans.resize(last + 1);
    for (size_t span = buffer->first / kSpan; span <= last; ++span)
      spans[span].push_back(buffer);
  }

  SmallVector<LiveBuffer *> findNeighbours(const LiveBuffer &buffer) const {
    SmallVector<LiveBuffer *> found;
    size_t first = buffer.first / kSpan, end = std::min<size_t>(buffer.last / kSpan + 1, spans.size());
    for (size_t span = first; span < end; ++span)
      for (LiveBuffer *other : spans[span])
        // Each once, in the first span that both have.
        if (span == std::max<size_t>(first, other->first / kSpan) && other->overlapsInTime(buffer))
          found.push_back(other);
    return found;
  }

private:
  /// Positions of a span.
  static constexpr unsigned kSpan = 64;
  std::vector<SmallVector<LiveBuffer *, 0>> spans;
};

} // namespace

/// Places intervals (their offsets are set) and returns the bytes that they need together.
static int64_t place(MutableArrayRef<LiveBuffer> buffers) {
  SmallVector<LiveBuffer *> bySize;
  Timeline placed;
  for (LiveBuffer &buffer : buffers)
    bySize.push_back(&buffer);
  // Addresses break ties: the order of the buffers' definitions.
  llvm::sort(bySize, [](LiveBuffer *a, LiveBuffer *b) { return a->bytes != b->bytes ? a->bytes > b->bytes : a < b; });

  int64_t total = 0;
  for (LiveBuffer *buffer : bySize) {
    SmallVector<LiveBuffer *> neighbours = placed.findNeighbours(*buffer);
    llvm::sort(neighbours, [](LiveBuffer *a, LiveBuffer *b) { return a->offset != b->offset ? a->offset < b->offset : a < b; });

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
    placed.add(buffer);
  }
  return total;
}

/// Every call of a function with temporaries gets a scratch buffer.
static void addScratch(ProgramOp program, const SymbolTable &symbols) {
  program.walk([&](CallOp call) {
    auto callee = symbols.lookup<FunctionOp>(call.getCallee());
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

/// The variables that programs use, the others being null.
static SmallVector<graph::VariableOp> findUsed(ArrayRef<ProgramOp> programs, ArrayRef<graph::VariableOp> variables) {
  llvm::StringSet<> used;
  for (ProgramOp program : programs)
    program->walk([&](BufferOp buffer) {
      if (std::optional<StringRef> name = buffer.getVariable())
        used.insert(*name);
    });
  return llvm::map_to_vector(variables, [&](graph::VariableOp variable) {
    return used.contains(variable.getSymName()) ? variable : graph::VariableOp();
  });
}

/// Plans the arena that programs share. Returns the variables' offsets; -1 for null.
static SmallVector<int64_t> planArena(ArrayRef<ProgramOp> programs, ArrayRef<graph::VariableOp> variables, const SymbolTable &symbols) {
  int64_t end = 0;
  SmallVector<int64_t> offsets;
  llvm::StringMap<int64_t> offsetOf;
  for (graph::VariableOp variable : variables) {
    offsets.push_back(variable ? end : -1);
    if (!variable)
      continue;
    offsetOf[variable.getSymName()] = end;
    end += align(getByteSize(getBufferType(variable.getType())));
  }
  int64_t arena = end;
  for (ProgramOp program : programs) {
    addScratch(program, symbols);
    SmallVector<LiveBuffer> buffers = computeLiveness(program->getRegion(0).front());
    arena = std::max(arena, end + place(buffers));
    assignOffsets(buffers, end);
    program->walk([&](BufferOp buffer) {
      if (std::optional<StringRef> name = buffer.getVariable())
        buffer.setOffset(offsetOf.lookup(*name));
    });
  }
  for (ProgramOp program : programs)
    program.setArena(arena);
  return offsets;
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

    // By pipeline rank; programs of all ranks stand together at place 0.
    std::map<int64_t, SmallVector<ProgramOp>> programs;
    bool isPipeline = false;
    for (auto program : module.getOps<ProgramOp>()) {
      std::optional<int64_t> stage = getStage(program);
      isPipeline |= stage.has_value();
      programs[stage.value_or(0)].push_back(program);
    }
    auto variables = llvm::to_vector(module.getOps<graph::VariableOp>());
    SymbolTable symbols(module);
    if (!isPipeline) {
      SmallVector<int64_t> offsets = planArena(programs[0], variables, symbols);
      for (auto [variable, offset] : llvm::zip_equal(variables, offsets))
        variable->setAttr(kOffsetAttr, builder.getI64IntegerAttr(offset));
      return;
    }
    std::vector<SmallVector<int64_t>> offsets(variables.size());
    for (auto &[stage, own] : programs)
      for (auto [all, offset] : llvm::zip_equal(offsets, planArena(own, findUsed(own, variables), symbols)))
        all.push_back(offset);
    for (auto [variable, all] : llvm::zip_equal(variables, offsets))
      variable->setAttr(kOffsetsAttr, builder.getDenseI64ArrayAttr(all));
  }
};

} // namespace
