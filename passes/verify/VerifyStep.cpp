//===- VerifyStep.cpp - What phase `step` promises ------------------------===//

#include "passes/step/Liveness.h"
#include "passes/step/Lowering.h"
#include "passes/verify/PhaseVerifiers.h"

using namespace mlir;
using namespace primus;
using namespace primus::step;

static std::string describe(Value buffer) {
  if (auto definition = buffer.getDefiningOp<BufferOp>())
    return definition.getName().value_or("a buffer").str();
  auto argument = cast<BlockArgument>(buffer);
  auto name = cast<ProgramOp>(argument.getOwner()->getParentOp()).getArgAttrOfType<StringAttr>(argument.getArgNumber(), "step.name");
  return name ? name.str() : "an argument";
}

static std::optional<int64_t> offsetOf(Value buffer) {
  if (auto definition = buffer.getDefiningOp<BufferOp>())
    return definition.getOffset();
  auto argument = cast<BlockArgument>(buffer);
  auto offset = cast<ProgramOp>(argument.getOwner()->getParentOp()).getArgAttrOfType<IntegerAttr>(argument.getArgNumber(), "step.offset");
  return offset ? std::optional(offset.getInt()) : std::nullopt;
}

/// Sweeps over time with the live buffers ordered by offset, so that a new one is compared with its two neighbours only.
static LogicalResult verifyRegion(Operation *owner, Block &body, int64_t begin, int64_t end) {
  SmallVector<LiveBuffer> buffers = computeLiveness(body);
  SmallVector<LiveBuffer *> starts, ends;
  for (LiveBuffer &buffer : buffers) {
    std::optional<int64_t> offset = offsetOf(buffer.value);
    if (!offset || *offset < begin || *offset + buffer.bytes > end)
      return emitError(buffer.value.getLoc(), "'") << describe(buffer.value) << "' lies outside its region of bytes " << begin << " to " << end;
    buffer.offset = *offset;
    starts.push_back(&buffer);
    ends.push_back(&buffer);
  }
  llvm::sort(starts, [](LiveBuffer *a, LiveBuffer *b) { return std::tie(a->first, a) < std::tie(b->first, b); });
  llvm::sort(ends, [](LiveBuffer *a, LiveBuffer *b) { return std::tie(a->last, a) < std::tie(b->last, b); });
  std::map<int64_t, LiveBuffer *> live;
  auto *gone = ends.begin();
  for (LiveBuffer *buffer : starts) {
    for (; gone != ends.end() && (*gone)->last < buffer->first; ++gone)
      live.erase((*gone)->offset);
    auto next = live.lower_bound(buffer->offset);
    LiveBuffer *clash = nullptr;
    if (next != live.end() && next->second->offset < buffer->offset + buffer->bytes)
      clash = next->second;
    if (next != live.begin() && std::prev(next)->second->offset + std::prev(next)->second->bytes > buffer->offset)
      clash = std::prev(next)->second;
    if (clash)
      return emitError(buffer->value.getLoc(), "'") << describe(buffer->value) << "' overlaps '" << describe(clash->value)
                                                    << "', which is live at the same time";
    live[buffer->offset] = buffer;
  }
  return success();
}

/// Where the variables end in the arena of a pipeline's rank, or of all ranks.
static FailureOr<int64_t> verifyVariables(ModuleOp module, std::optional<int64_t> stage) {
  int64_t end = 0;
  for (auto variable : module.getOps<graph::VariableOp>()) {
    std::optional<int64_t> offset = getOffset(variable, stage);
    if (!offset && stage && variable->hasAttr(kOffsetsAttr))
      continue; // another rank's
    if (!offset || *offset < end)
      return variable.emitOpError("has no place of its own in the arena");
    end = *offset + getByteSize(getBufferType(variable.getType()));
  }
  return end;
}

LogicalResult primus::verifyStep(ModuleOp module) {
  for (Operation &op : module.getOps())
    if (isa<func::FuncOp>(op))
      return op.emitOpError("is a graph function; only kernels, step functions and programs remain in phase 'step'");
  for (auto function : module.getOps<FunctionOp>())
    if (failed(verifyRegion(function, function.getBody().front(), 0, function.getScratch())))
      return failure();
  for (auto program : module.getOps<ProgramOp>()) {
    FailureOr<int64_t> variables = verifyVariables(module, getStage(program));
    if (failed(variables) || failed(verifyRegion(program, program.getBody().front(), *variables, program.getArena())))
      return failure();
  }
  return verifyAsynchronous(module);
}
