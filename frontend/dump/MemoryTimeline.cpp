//===- MemoryTimeline.cpp - What lies in the arena, and when --------------===//

#include "frontend/dump/MemoryTimeline.h"

#include "passes/step/Liveness.h"
#include "passes/step/Lowering.h"

#include "llvm/ADT/StringSet.h"

using namespace mlir;
using namespace primus;
using namespace primus::cli;
using namespace primus::step;

static std::string getTypeText(MemRefType type) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  for (int64_t size : type.getShape())
    stream << size << 'x';
  stream << type.getElementType();
  return text;
}

/// What the outputs of a layer's function are for, by the part of the layer that it is.
static Purpose getPurpose(StringRef function) {
  return llvm::StringSwitch<Purpose>(function.rsplit('.').second)
      .Case("unshard", Purpose::Weights)
      .Cases({"forward", "logits"}, Purpose::Activations)
      .Cases({"backward", "forward_backward", "backward_input", "backward_weight"}, Purpose::ActivationGradients)
      .Default(Purpose::Other);
}

static Purpose getPurpose(graph::Role role) {
  switch (role) {
  case graph::Role::Parameter:
    return Purpose::Parameters;
  case graph::Role::Optimizer:
    return Purpose::Optimizer;
  case graph::Role::Gradient:
    return Purpose::Gradients;
  case graph::Role::Constant:
    return Purpose::Constants;
  }
  return Purpose::Other;
}

namespace {

class TimelineBuilder {
public:
  explicit TimelineBuilder(ModuleOp module) : module(module) {}
  MemoryTimeline run();

private:
  FunctionTimeline readFunction(FunctionOp function);
  ProgramTimeline readProgram(ProgramOp program);
  TimelineBuffer readVariable(graph::VariableOp variable);
  /// Splits "layers.3.x" at the longest instance that calls name.
  void setName(TimelineBuffer &buffer, StringRef name);

  ModuleOp module;
  llvm::StringSet<> instances;
  /// Per function and argument: name of the launch that touches it first, which for an output is the one that computes it.
  llvm::StringMap<SmallVector<std::string>> argumentNames;
};

/// Actions of a body in order, and their positions in the numbering of computeLiveness.
struct ActionList {
  explicit ActionList(Block &body) { number(body); }

  /// Turns a live range of positions into one of actions. What no action uses is shown at the next one.
  void convert(const LiveBuffer &live, TimelineBuffer &buffer) const {
    unsigned first = llvm::lower_bound(positions, live.first) - positions.begin();
    unsigned end = llvm::upper_bound(positions, live.last) - positions.begin();
    buffer.first = std::min<unsigned>(first, std::max<size_t>(positions.size(), 1) - 1);
    buffer.last = std::max(buffer.first, end ? end - 1 : 0);
  }

  SmallVector<Operation *> actions;
  SmallVector<unsigned> positions;
  std::vector<ProgramTimeline::Loop> loops;

private:
  void number(Block &block) {
    for (Operation &op : block) {
      unsigned position = counter++;
      auto loop = dyn_cast<LoopOp>(op);
      if (isa<LaunchOp, CopyOp, FillOp, CallOp>(op)) {
        actions.push_back(&op);
        positions.push_back(position);
      }
      unsigned first = actions.size();
      for (Region &region : op.getRegions())
        for (Block &inner : region)
          number(inner);
      if (loop && first < actions.size())
        loops.push_back({first, static_cast<unsigned>(actions.size() - 1), static_cast<int64_t>(loop.getCount())});
    }
  }

  unsigned counter = 0;
};

} // namespace

void TimelineBuilder::setName(TimelineBuffer &buffer, StringRef name) {
  for (size_t dot = name.rfind('.'); dot != StringRef::npos; dot = name.take_front(dot).rfind('.'))
    if (instances.contains(name.take_front(dot))) {
      buffer.instance = name.take_front(dot).str();
      buffer.name = name.drop_front(dot + 1).str();
      return;
    }
  buffer.name = name.str();
}

FunctionTimeline TimelineBuilder::readFunction(FunctionOp function) {
  FunctionTimeline result;
  result.name = function.getSymName().str();
  Block &body = function.getBody().front();
  ActionList list(body);
  SmallVector<std::string> &names = argumentNames[function.getSymName()];
  names.resize(body.getNumArguments());
  for (Operation *action : list.actions) {
    if (auto launch = dyn_cast<LaunchOp>(action))
      result.launches.push_back(launch.getKernel().str());
    else
      result.launches.push_back(isa<CopyOp>(action) ? "copy" : "fill");
    for (Value operand : action->getOperands())
      if (auto argument = dyn_cast<BlockArgument>(getRoot(operand)); argument && names[argument.getArgNumber()].empty())
        names[argument.getArgNumber()] = getName(action->getLoc(), "");
  }
  for (const LiveBuffer &live : computeLiveness(body)) {
    auto definition = live.value.getDefiningOp<BufferOp>();
    TimelineBuffer &buffer = result.buffers.emplace_back();
    buffer.name = definition.getName().value_or("").str();
    buffer.type = getTypeText(cast<MemRefType>(live.value.getType()));
    buffer.purpose = Purpose::Scratch;
    buffer.bytes = live.bytes;
    buffer.offset = definition.getOffset();
    list.convert(live, buffer);
  }
  return result;
}

ProgramTimeline TimelineBuilder::readProgram(ProgramOp program) {
  ProgramTimeline result;
  result.name = program.getSymName().str();
  result.arena = program.getArena();
  Block &body = program.getBody().front();
  ActionList list(body);
  result.loops = list.loops;
  // The first action that a buffer is passed to computes it. Null where it is no call.
  DenseMap<Value, std::pair<CallOp, unsigned>> producers;
  for (Operation *action : list.actions) {
    auto call = dyn_cast<CallOp>(action);
    for (auto [index, operand] : llvm::enumerate(action->getOperands()))
      producers.try_emplace(getRoot(operand), call, index);
    if (call) {
      result.actions.push_back({"call", call.getCallee().str(), call.getInstance().str()});
    } else if (auto launch = dyn_cast<LaunchOp>(action)) {
      result.actions.push_back({"launch", launch.getKernel().str(), ""});
    } else {
      result.actions.push_back({isa<CopyOp>(action) ? "copy" : "fill", "", ""});
    }
  }
  for (const LiveBuffer &live : computeLiveness(body)) {
    TimelineBuffer &buffer = result.buffers.emplace_back();
    buffer.type = getTypeText(cast<MemRefType>(live.value.getType()));
    buffer.bytes = live.bytes;
    list.convert(live, buffer);
    auto definition = live.value.getDefiningOp<BufferOp>();
    if (!definition) {
      unsigned index = cast<BlockArgument>(live.value).getArgNumber();
      buffer.name = program.getArgAttrOfType<StringAttr>(index, "step.name").str();
      buffer.offset = program.getArgAttrOfType<IntegerAttr>(index, "step.offset").getInt();
      buffer.purpose = Purpose::Inputs;
      continue;
    }
    buffer.offset = definition.getOffset();
    buffer.purpose = Purpose::Other;
    setName(buffer, definition.getName().value_or("buffer"));
    auto producer = producers.find(live.value);
    if (producer == producers.end() || !producer->second.first)
      continue;
    auto [call, index] = producer->second;
    if (call.getScratch() && getRoot(call.getScratch()) == live.value) {
      buffer.purpose = Purpose::Scratch;
      continue;
    }
    buffer.purpose = getPurpose(call.getCallee());
    if (ArrayRef<std::string> names = argumentNames[call.getCallee()]; index < names.size() && !names[index].empty()) {
      buffer.instance = call.getInstance().str();
      buffer.name = names[index];
    }
  }
  return result;
}

TimelineBuffer TimelineBuilder::readVariable(graph::VariableOp variable) {
  TimelineBuffer buffer;
  setName(buffer, variable.getSymName());
  MemRefType type = getBufferType(variable.getType());
  buffer.type = getTypeText(type);
  buffer.purpose = getPurpose(variable.getRole());
  buffer.bytes = getByteSize(type);
  buffer.offset = getOffset(variable).value_or(0);
  return buffer;
}

MemoryTimeline TimelineBuilder::run() {
  MemoryTimeline result;
  module.walk([&](CallOp call) { instances.insert(call.getInstance()); });
  for (auto variable : module.getOps<graph::VariableOp>())
    result.variables.push_back(readVariable(variable));
  for (auto function : module.getOps<FunctionOp>())
    result.functions.push_back(readFunction(function));
  for (auto program : module.getOps<ProgramOp>())
    result.programs.push_back(readProgram(program));
  return result;
}

MemoryTimeline MemoryTimeline::of(ModuleOp module) { return TimelineBuilder(module).run(); }
