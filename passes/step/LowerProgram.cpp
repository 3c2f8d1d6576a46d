//===- LowerProgram.cpp - Programs to call lists --------------------------===//

#include "passes/LayerFunction.h"
#include "passes/step/LowerCollective.h"
#include "passes/step/Lowering.h"

using namespace mlir;
using namespace primus;
using namespace primus::step;

namespace {

class ProgramLowering {
public:
  ProgramLowering(LoweringContext &context, func::FuncOp source)
      : context(context), source(source), builder(source.getContext()) {}

  LogicalResult run();

private:
  LogicalResult lowerBlock(Block &block);
  LogicalResult lowerOp(Operation *op);
  LogicalResult lowerCall(graph::CallOp call);
  LogicalResult lowerSchedule(graph::ScheduleOp schedule);
  void lowerCollective(graph::CollectiveOpInterface collective);
  LogicalResult lowerStageOp(Operation *op);
  void lowerLoad(graph::LoadOp load);
  void lowerStore(graph::StoreOp store);

  Value getVariable(FlatSymbolRefAttr name, MemRefType type);
  Value newBuffer(MemRefType type, Location loc, const Twine &name);
  /// Position of an op in the program's text; an op in a nested region comes before what follows the region.
  unsigned at(Operation *op) { return order[op]; }
  /// Last position at which a value may be read: uses in a loop's body count as at the loop's end.
  unsigned lastRead(Value value);
  /// Nothing reads the buffer's present content after `position`: it is a temporary, or a gradient (which the next step zeroes).
  bool isDead(Value buffer, unsigned position);
  /// Where the result of a call or collective goes: the variable that it is stored to, the program's output, its dying operand (number `inplace`,
  /// or none: -1), or a new buffer of that name.
  Value chooseBuffer(OpResult result, int64_t inplace, const Twine &name);
  /// Whom a value concerns: the instance of the first call that makes or reads it, by way of collectives and views; empty if there is none.
  StringRef findInstance(Value value);

  LoweringContext &context;
  func::FuncOp source;
  OpBuilder builder;
  ProgramOp program;
  DenseMap<Value, Value> buffers;
  struct Variable {
    graph::VariableOp op;
    /// What stands for it in the program; null until it is needed.
    Value buffer;
    /// In order.
    SmallVector<graph::LoadOp> loads;
    SmallVector<graph::StoreOp> stores;
    /// The first load that may still be read: those before it have been passed for good.
    unsigned firstRead = 0;
  };
  /// By name.
  DenseMap<StringAttr, Variable> variables;
  DenseMap<Operation *, unsigned> order;
};

} // namespace

Value ProgramLowering::newBuffer(MemRefType type, Location loc, const Twine &name) {
  StringAttr text = builder.getStringAttr(name);
  return BufferOp::create(builder, NameLoc::get(text, loc), type, builder.getI64IntegerAttr(-1), text, FlatSymbolRefAttr());
}

Value ProgramLowering::getVariable(FlatSymbolRefAttr name, MemRefType type) {
  Value &buffer = variables[name.getAttr()].buffer;
  if (!buffer) {
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointToStart(&program.getBody().front());
    buffer = BufferOp::create(builder, NameLoc::get(name.getAttr()), type, builder.getI64IntegerAttr(-1), StringAttr(), name);
  }
  return buffer;
}

unsigned ProgramLowering::lastRead(Value value) {
  unsigned last = 0;
  Block *home = value.getParentBlock();
  for (Operation *user : value.getUsers()) {
    Operation *ancestor = home->findAncestorOpInBlock(*user);
    unsigned position = isa<graph::ReshapeOp>(user) ? lastRead(user->getResult(0)) : at(user);
    // A value from outside a loop is read until the loop's last iteration: all of the loop stands before what follows it.
    if (ancestor && ancestor != user)
      position = std::max(position, at(ancestor->getNextNode()) - 1);
    last = std::max(last, position);
  }
  return last;
}

bool ProgramLowering::isDead(Value buffer, unsigned position) {
  auto definition = buffer.getDefiningOp<BufferOp>();
  if (!definition)
    return false;
  FlatSymbolRefAttr name = definition.getVariableAttr();
  if (!name)
    return true;
  Variable &variable = variables[name.getAttr()];
  return variable.op && variable.op.getRole() == graph::Role::Gradient && (variable.loads.empty() || at(variable.loads.back()) <= position);
}

Value ProgramLowering::chooseBuffer(OpResult result, int64_t inplace, const Twine &name) {
  Operation *call = result.getOwner();
  MemRefType type = getBufferType(result.getType());
  Value operand = inplace >= 0 ? call->getOperand(inplace) : Value();
  unsigned here = at(call);

  if (result.hasOneUse()) {
    Operation *user = *result.getUsers().begin();
    if (auto store = dyn_cast<graph::StoreOp>(user); store && store->getBlock() == call->getBlock()) {
      // Written straight to the variable, unless its old value is still needed: by this call (if it may not overwrite it) or between here and the
      // store.
      FlatSymbolRefAttr variable = store.getVariableAttr();
      Value storage = getVariable(variable, type);
      bool overwrites = operand && buffers[operand] == storage && llvm::count(call->getOperands(), operand) == 1;
      bool needed = false;
      Variable &entry = variables[variable.getAttr()];
      ArrayRef<graph::LoadOp> loads = entry.loads;
      auto isPassed = [&](graph::LoadOp load) {
        return at(load) < here && llvm::all_of(load.getResult().getUsers(), [&](Operation *reader) { return at(reader) < here; });
      };
      while (entry.firstRead < loads.size() && isPassed(loads[entry.firstRead]))
        ++entry.firstRead;
      for (graph::LoadOp load : loads.drop_front(entry.firstRead)) {
        if (at(load) > at(store))
          break;
        bool loadedBetween = load->getBlock() == call->getBlock() && at(load) > here && at(load) < at(store);
        bool readLater = llvm::any_of(load.getResult().getUsers(), [&](Operation *reader) {
          bool sameRound = load->getBlock() == call->getBlock() || at(load) < here;
          return sameRound && at(load) < at(store) && at(reader) >= here && !(overwrites && reader == call);
        });
        needed |= loadedBetween || readLater;
      }
      if (!needed)
        return storage;
    }
    if (auto returnOp = dyn_cast<func::ReturnOp>(user)) {
      unsigned position = result.getUses().begin()->getOperandNumber();
      return program.getBody().getArgument(source.getNumArguments() + position);
    }
  }
  // Nothing waits for what another stage takes just to write over it.
  bool isSent = operand && llvm::any_of(operand.getUsers(), llvm::IsaPred<graph::SendOp>);
  if (operand && !isSent && llvm::count(call->getOperands(), operand) == 1 && lastRead(operand) == here &&
      operand.getParentBlock() == call->getBlock() && isDead(buffers[operand], here))
    return buffers[operand];
  return newBuffer(type, call->getLoc(), name);
}

LogicalResult ProgramLowering::lowerCall(graph::CallOp call) {
  func::FuncOp callee = context.lookup(call.getCallee());
  if (!callee)
    return call.emitOpError("calls @") << call.getCallee() << ", which is not a layer function of this module";
  FailureOr<LoweredFunction> lowered = context.getFunction(callee);
  if (failed(lowered))
    return failure();
  SmallVector<Value> arguments;
  for (Value operand : call.getOperands())
    arguments.push_back(buffers[operand]);
  for (unsigned i = 0; i < call.getNumResults(); ++i) {
    std::string name = (call.getInstance() + "." + getResultName(callee, i)).str();
    buffers[call.getResult(i)] = chooseBuffer(cast<OpResult>(call.getResult(i)), lowered->inplace[i], name);
    arguments.push_back(buffers[call.getResult(i)]);
  }
  CallOp::create(builder, call.getLoc(), lowered->function.getSymName(), arguments, Value(), call.getInstance());
  return success();
}

StringRef ProgramLowering::findInstance(Value value) {
  auto isPassing = [](Operation *op) { return isa<graph::CollectiveOpInterface, graph::ReshapeOp, graph::SumStagesOp>(op); };
  for (Operation *user : value.getUsers()) {
    if (auto call = dyn_cast<graph::CallOp>(user))
      return call.getInstance();
    if (isPassing(user))
      if (StringRef instance = findInstance(user->getResult(0)); !instance.empty())
        return instance;
  }
  Operation *op = value.getDefiningOp();
  while (op && isPassing(op))
    op = op->getOperand(0).getDefiningOp();
  auto call = dyn_cast_or_null<graph::CallOp>(op);
  return call ? call.getInstance() : StringRef();
}

void ProgramLowering::lowerCollective(graph::CollectiveOpInterface collective) {
  Operation *op = collective;
  Value operand = op->getOperand(0);
  auto result = cast<OpResult>(op->getResult(0));
  StringRef instance = findInstance(result);
  std::string name = getName(op->getLoc(), op->getName().stripDialect());
  if (!instance.empty() && !StringRef(name).starts_with(instance))
    name = instance.str() + "." + name;
  buffers[result] = chooseBuffer(result, isa<graph::AllReduceOp>(op) ? 0 : -1, name);
  step::lowerCollective(builder, collective, buffers[operand], buffers[result], instance);
}

/// What connects the programs of a pipeline's stages.
LogicalResult ProgramLowering::lowerStageOp(Operation *op) {
  Location loc = op->getLoc();
  auto nameInstance = [&](ValueRange values) {
    StringRef instance = findInstance(values.front());
    return instance.empty() ? StringAttr() : builder.getStringAttr(instance);
  };
  IntegerAttr blocking = builder.getI64IntegerAttr(0);
  if (auto slice = dyn_cast<graph::MicrobatchOp>(op)) {
    MemRefType type = getBufferType(slice.getType());
    buffers[slice.getResult()] = getView(builder, loc, buffers[slice.getOperand()], type, slice.getIndex() * getByteSize(type));
  } else if (auto send = dyn_cast<graph::SendOp>(op)) {
    SmallVector<Value> sources = llvm::map_to_vector(send.getValues(), [&](Value value) { return buffers[value]; });
    SendOp::create(builder, loc, sources, send.getStageAttr(), blocking, nameInstance(send.getValues()));
  } else if (auto receive = dyn_cast<graph::ReceiveOp>(op)) {
    SmallVector<Value> targets;
    for (OpResult value : receive->getResults()) {
      StringRef instance = findInstance(value);
      std::string name = (instance.empty() ? "" : instance + ".").str() + getName(loc, "received");
      targets.push_back(buffers[value] = chooseBuffer(value, /*inplace=*/-1, name));
    }
    ReceiveOp::create(builder, loc, targets, receive.getStageAttr(), blocking, nameInstance(receive.getValues()));
  } else if (auto sum = dyn_cast<graph::SumStagesOp>(op)) {
    auto result = cast<OpResult>(sum.getResult());
    Value target = chooseBuffer(result, /*inplace=*/0, getName(loc, "sum"));
    buffers[result] = target;
    MLIRContext *context = builder.getContext();
    CollectiveOp::create(builder, loc, CollectiveKindAttr::get(context, CollectiveKind::AllReduce),
                         ReductionAttr::get(context, Reduction::Sum), builder.getStrArrayAttr({"pp"}), buffers[sum.getOperand()], target,
                         DenseI64ArrayAttr(), DenseI64ArrayAttr(), blocking, blocking, nameInstance(sum.getOperand()),
                         builder.getStringAttr("the stages have parts of the sum"));
  } else {
    return op->emitOpError("has no place in a program; only loads, stores, calls, collectives, schedules and messages do");
  }
  return success();
}

/// The value of a load is the variable's own buffer; it is copied only if the variable is overwritten while the value is still read.
void ProgramLowering::lowerLoad(graph::LoadOp load) {
  MemRefType type = getBufferType(load.getType());
  Value storage = getVariable(load.getVariableAttr(), type);
  unsigned end = lastRead(load.getResult());
  ArrayRef<graph::StoreOp> stores = variables[load.getVariableAttr().getAttr()].stores;
  auto next = llvm::partition_point(stores, [&](graph::StoreOp store) { return at(store) < at(load); });
  bool outlives = next != stores.end() && at(*next) < end;
  buffers[load.getResult()] = storage;
  if (!outlives)
    return;
  Value copy = newBuffer(type, load.getLoc(), load.getVariable() + ".before");
  CopyOp::create(builder, load.getLoc(), storage, copy);
  buffers[load.getResult()] = copy;
}

void ProgramLowering::lowerStore(graph::StoreOp store) {
  Value storage = getVariable(store.getVariableAttr(), getBufferType(store.getValue().getType()));
  auto constant = store.getValue().getDefiningOp<graph::ConstantOp>();
  if (constant && isZero(constant))
    FillOp::create(builder, store.getLoc(), storage);
  else if (buffers[store.getValue()] != storage)
    CopyOp::create(builder, store.getLoc(), buffers[store.getValue()], storage);
}

LogicalResult ProgramLowering::lowerSchedule(graph::ScheduleOp schedule) {
  Location loc = schedule.getLoc();
  SmallVector<Value> sums;
  for (Value result : schedule.getResults()) {
    Value sum = newBuffer(getBufferType(result.getType()), loc, "schedule.sum." + Twine(sums.size()));
    FillOp::create(builder, loc, sum);
    buffers[result] = sum;
    sums.push_back(sum);
  }
  auto loop = LoopOp::create(builder, loc, schedule.getMicrobatchesAttr());
  OpBuilder::InsertionGuard guard(builder);
  if (loop.getBody().empty())
    loop.getBody().emplaceBlock();
  builder.setInsertionPointToStart(&loop.getBody().front());
  Block &body = schedule.getBody().front();
  for (auto [input, argument] : llvm::zip(schedule.getInputs(), body.getArguments()))
    buffers[argument] = MicrobatchOp::create(builder, loc, getBufferType(argument.getType()), buffers[input]);
  if (failed(lowerBlock(body)))
    return failure();
  if (!sums.empty()) {
    FailureOr<LoweredFunction> accumulate = context.getAccumulate(schedule.getResultTypes(), loc);
    if (failed(accumulate))
      return failure();
    SmallVector<Value> arguments(sums);
    for (Value value : body.getTerminator()->getOperands())
      arguments.push_back(buffers[value]);
    arguments.append(sums);
    CallOp::create(builder, loc, accumulate->function.getSymName(), arguments, Value(), "schedule");
  }
  ReturnOp::create(builder, loc);
  return success();
}

LogicalResult ProgramLowering::lowerOp(Operation *op) {
  if (auto call = dyn_cast<graph::CallOp>(op))
    return lowerCall(call);
  if (auto schedule = dyn_cast<graph::ScheduleOp>(op))
    return lowerSchedule(schedule);
  if (auto collective = dyn_cast<graph::CollectiveOpInterface>(op)) {
    lowerCollective(collective);
    return success();
  }
  if (auto load = dyn_cast<graph::LoadOp>(op)) {
    lowerLoad(load);
  } else if (auto store = dyn_cast<graph::StoreOp>(op)) {
    lowerStore(store);
  } else if (auto reshape = dyn_cast<graph::ReshapeOp>(op)) {
    buffers[reshape.getResult()] =
        getView(builder, op->getLoc(), buffers[reshape.getOperand()], getBufferType(reshape.getType()));
  } else if (auto constant = dyn_cast<graph::ConstantOp>(op)) {
    if (llvm::all_of(op->getUsers(), [](Operation *user) { return isa<graph::StoreOp>(user); }))
      return success();
    if (!isZero(constant))
      return op->emitOpError("other than zero has no place in a program; compute it in a layer's function");
    Value buffer = newBuffer(getBufferType(constant.getType()), op->getLoc(), "zero");
    FillOp::create(builder, op->getLoc(), buffer);
    buffers[constant.getResult()] = buffer;
  } else if (auto returnOp = dyn_cast<func::ReturnOp>(op)) {
    for (auto [index, value] : llvm::enumerate(returnOp.getOperands())) {
      Value target = program.getBody().getArgument(source.getNumArguments() + index);
      if (buffers[value] != target)
        CopyOp::create(builder, op->getLoc(), buffers[value], target);
    }
    ReturnOp::create(builder, op->getLoc());
  } else if (!isa<graph::YieldOp>(op)) {
    return lowerStageOp(op);
  }
  return success();
}

LogicalResult ProgramLowering::lowerBlock(Block &block) {
  for (Operation &op : block)
    if (failed(lowerOp(&op)))
      return failure();
  return success();
}

LogicalResult ProgramLowering::run() {
  SmallVector<Type> types;
  for (Type type : llvm::concat<const Type>(source.getArgumentTypes(), source.getResultTypes()))
    types.push_back(getBufferType(type));
  builder.setInsertionPoint(source);
  program = ProgramOp::create(builder, source.getLoc(), source.getName(), types, /*bytes=*/0);
  if (Attribute stage = source->getAttr(graph::kStageAttr))
    program->setAttr(graph::kStageAttr, stage);
  Block &body = program.getBody().front();
  builder.setInsertionPointToStart(&body);

  auto setLayout = [&](unsigned position, Type type) {
    auto layout = dyn_cast_or_null<graph::LayoutAttr>(cast<RankedTensorType>(type).getEncoding());
    if (layout && layout != graph::LayoutAttr::getReplicated(builder.getContext(), cast<RankedTensorType>(type).getRank()))
      program.setArgAttr(position, kLayoutAttr, layout);
  };
  auto nameOf = [&](Attribute name, StringRef fallback, unsigned index) {
    return name ? cast<StringAttr>(name) : builder.getStringAttr(fallback + Twine(index));
  };
  for (unsigned i = 0; i < source.getNumArguments(); ++i) {
    program.setArgAttr(i, "step.name", nameOf(source.getArgAttr(i, "graph.name"), "input", i));
    setLayout(i, source.getArgument(i).getType());
    body.getArgument(i).setLoc(source.getArgument(i).getLoc());
    buffers[source.getArgument(i)] = body.getArgument(i);
  }
  for (unsigned i = 0; i < source.getNumResults(); ++i) {
    unsigned position = source.getNumArguments() + i;
    StringAttr name = nameOf(source.getResultAttr(i, "graph.name"), "output", i);
    program.setArgAttr(position, "step.name", name);
    setLayout(position, source.getResultTypes()[i]);
    body.getArgument(position).setLoc(NameLoc::get(name, source.getLoc()));
    program.setArgAttr(position, "step.output", builder.getUnitAttr());
  }
  unsigned counter = 0;
  source.walk<WalkOrder::PreOrder>([&](Operation *op) { order[op] = counter++; });
  for (auto variable : context.module.getOps<graph::VariableOp>())
    variables[variable.getSymNameAttr()].op = variable;
  source.walk([&](graph::LoadOp load) { variables[load.getVariableAttr().getAttr()].loads.push_back(load); });
  source.walk([&](graph::StoreOp store) { variables[store.getVariableAttr().getAttr()].stores.push_back(store); });
  return lowerBlock(source.front());
}

LogicalResult LoweringContext::lowerProgram(func::FuncOp function) { return ProgramLowering(*this, function).run(); }
