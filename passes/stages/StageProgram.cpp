//===- StageProgram.cpp - The program of one rank of a pipeline ------------===//

#include "passes/stages/StageProgram.h"

#include "passes/LayerFunction.h"

#include "llvm/ADT/StringSet.h"

using namespace mlir;
using namespace primus;
using namespace primus::stages;
using schedules::Action;

//===----------------------------------------------------------------------===//
// What programs share
//===----------------------------------------------------------------------===//

const BackwardHalves &SharedFunctions::getHalves(func::FuncOp backward) {
  auto [entry, isNew] = halves.try_emplace(backward);
  if (isNew) {
    entry->second = splitBackward(backward);
    for (func::FuncOp half : {entry->second.input, entry->second.weight})
      if (half)
        symbols.insert(half);
  }
  return entry->second;
}

func::FuncOp SharedFunctions::getAdd(Location loc, RankedTensorType type) {
  func::FuncOp &function = adds[type];
  if (function)
    return function;
  MLIRContext *context = loc.getContext();
  OpBuilder builder(context);
  function = func::FuncOp::create(builder, loc, "add", FunctionType::get(context, {type, type}, type));
  function.setPrivate();
  function->setAttr(graph::kLayerAttr, getLayerAttr(context, "step", "add"));
  function.setArgAttrs(0, getArgAttrs(context, "sum", ArgKind::Scalar));
  function.setArgAttrs(1, getArgAttrs(context, "value", ArgKind::Scalar));
  function.setResultAttr(0, graph::kInplaceAttr, builder.getI64IntegerAttr(0));
  Block *block = function.addEntryBlock();
  builder.setInsertionPointToStart(block);
  Value sum = graph::AddOp::create(builder, loc, block->getArgument(0), block->getArgument(1));
  func::ReturnOp::create(builder, loc, sum);
  symbols.insert(function);
  return function;
}

Value stages::makeZero(OpBuilder &builder, Location loc, Type type) {
  auto shaped = cast<ShapedType>(type);
  return graph::ConstantOp::create(builder, loc, type,
                                   DenseElementsAttr::get(shaped, builder.getZeroAttr(shaped.getElementType())));
}

func::FuncOp stages::addRankProgram(func::FuncOp whole, int32_t rank, SymbolTable &symbols, IRMapping &mapping) {
  auto program = func::FuncOp::create(whole.getLoc(), (whole.getSymName() + "." + Twine(rank)).str(), whole.getFunctionType());
  program->setAttr(graph::kStageAttr, Builder(whole.getContext()).getI64IntegerAttr(rank));
  if (ArrayAttr attrs = whole.getArgAttrsAttr())
    program.setArgAttrsAttr(attrs);
  if (ArrayAttr attrs = whole.getResAttrsAttr())
    program.setResAttrsAttr(attrs);
  symbols.insert(program, std::next(Block::iterator(whole)));
  Block *block = program.addEntryBlock();
  for (auto [argument, copy] : llvm::zip_equal(whole.getArguments(), block->getArguments())) {
    copy.setLoc(argument.getLoc());
    mapping.map(argument, copy);
  }
  return program;
}

/// The loads that a value comes from through whatever gathers it; none of what a stage computes.
static void forEachLoad(const StageMap &map, Value value, llvm::function_ref<void(graph::LoadOp)> visit) {
  Operation *op = value.getDefiningOp();
  if (!op || map.isOfStage(op))
    return;
  if (auto load = dyn_cast<graph::LoadOp>(op))
    return visit(load);
  for (Value operand : op->getOperands())
    forEachLoad(map, operand, visit);
}

SharedVariables SharedVariables::find(const StageMap &map, func::FuncOp program) {
  // Users in the schedule, by variable; then who stores or reduces it behind the schedule.
  llvm::MapVector<StringAttr, llvm::SmallSetVector<int32_t, 2>> users;
  llvm::DenseMap<StringAttr, std::pair<int32_t, RankedTensorType>> owners;
  Block &body = map.getSchedule().getBody().front();
  auto use = [&](int32_t rank) {
    return [&, rank](graph::LoadOp load) { users[load.getVariableAttr().getAttr()].insert(rank); };
  };
  for (auto call : body.getOps<graph::CallOp>())
    for (Value operand : call.getOperands())
      if (map.isOfStage(call))
        forEachLoad(map, operand, use(*map.findRank(call.getInstance())));
  for (auto call : program.getOps<graph::CallOp>()) {
    std::optional<int32_t> rank = map.findRank(call.getInstance());
    if (!rank || call->isBeforeInBlock(map.getSchedule()))
      continue;
    for (Value operand : call.getOperands())
      if (auto load = operand.getDefiningOp<graph::LoadOp>())
        owners[load.getVariableAttr().getAttr()] = {*rank, cast<RankedTensorType>(load.getType())};
  }
  SharedVariables shared;
  SymbolTable symbols(program->getParentOfType<ModuleOp>());
  for (auto &[name, ranks] : users) {
    auto owner = owners.find(name);
    if (owner == owners.end())
      continue;
    SharedVariable variable{owner->second.first, {}, owner->second.second};
    for (int32_t rank : ranks)
      if (rank != variable.owner)
        variable.others.push_back(rank);
    bool isGradient = symbols.lookup<graph::VariableOp>(name).getRole() == graph::Role::Gradient;
    if (!variable.others.empty())
      (isGradient ? shared.gradients : shared.parameters)[name] = variable;
  }
  return shared;
}

//===----------------------------------------------------------------------===//
// Values
//===----------------------------------------------------------------------===//

Value StageProgram::cloneOnDemand(Value value, llvm::function_ref<Value(Value)> get, IRMapping &mapping) {
  Operation *op = value.getDefiningOp();
  IRMapping operands;
  for (Value operand : op->getOperands())
    operands.map(operand, get(operand));
  Operation *copy = builder.clone(*op, operands);
  for (auto [result, copied] : llvm::zip_equal(op->getResults(), copy->getResults()))
    mapping.map(result, copied);
  return mapping.lookup(value);
}

Value StageProgram::getOuter(Value value) {
  if (Value known = outer.lookupOrNull(value))
    return known;
  return cloneOnDemand(value, [&](Value operand) { return getOuter(operand); }, outer);
}

Value StageProgram::getInner(Value value, int32_t microbatch) {
  Block &body = map.getSchedule().getBody().front();
  if (value.getParentBlock() != &body)
    return getOuter(value);
  IRMapping &mapping = inner[microbatch];
  if (Value known = mapping.lookupOrNull(value))
    return known;
  if (auto argument = dyn_cast<BlockArgument>(value)) {
    Value input = getOuter(map.getSchedule().getInputs()[argument.getArgNumber()]);
    Value part = graph::MicrobatchOp::create(builder, argument.getLoc(), argument.getType(),
                                             static_cast<uint64_t>(microbatch), input);
    mapping.map(value, part);
    return part;
  }
  return cloneOnDemand(value, [&](Value operand) { return getInner(operand, microbatch); }, mapping);
}

Value StageProgram::load(StringAttr variable, RankedTensorType type) {
  return graph::LoadOp::create(builder, NameLoc::get(variable), type, FlatSymbolRefAttr::get(variable));
}

Value StageProgram::add(Location loc, Value a, Value b) {
  func::FuncOp function = shared.getAdd(loc, cast<RankedTensorType>(a.getType()));
  return graph::CallOp::create(builder, loc, a.getType(), FlatSymbolRefAttr::get(function), ValueRange{a, b},
                               builder.getStringAttr("step"))
      .getResult(0);
}

//===----------------------------------------------------------------------===//
// Cells
//===----------------------------------------------------------------------===//

void StageProgram::startGradients() {
  // Whatever the rank's cells load and store in the schedule starts as the whole program says.
  llvm::StringSet<> used;
  for (int32_t stage = 0; stage < map.getTable().stages; ++stage)
    if (map.getTable().rankOfStage[stage] == rank)
      for (ActionKind kind : {ActionKind::Forward, ActionKind::Backward})
        for (Operation *op : map.getOps(kind, stage))
          if (auto store = dyn_cast<graph::StoreOp>(op))
            used.insert(store.getVariable());
  for (auto store : whole.getOps<graph::StoreOp>())
    if (store->isBeforeInBlock(map.getSchedule()) && used.contains(store.getVariable()))
      graph::StoreOp::create(builder, store.getLoc(), getOuter(store.getValue()), store.getVariableAttr());
}

void StageProgram::prepareParameters() {
  for (int32_t stage = 0; stage < map.getTable().stages; ++stage)
    if (map.getTable().rankOfStage[stage] == rank)
      for (Operation *op : map.getOps(ActionKind::Forward, stage))
        for (Value operand : op->getOperands())
          if (operand.getParentBlock() != op->getBlock())
            getOuter(operand);
}

void StageProgram::addHalf(graph::CallOp call, func::FuncOp backward, const Action &action) {
  const BackwardHalves &halves = shared.getHalves(backward);
  bool isWeight = action.kind == ActionKind::WeightGradient;
  func::FuncOp half = isWeight ? halves.weight : halves.input;
  if (!half)
    return;
  SmallVector<Value> &results = handed[{call, action.microbatch}], operands;
  unsigned arguments = backward.getNumArguments();
  for (unsigned index : isWeight ? halves.weightOperands : halves.inputOperands)
    operands.push_back(index < arguments ? getInner(call.getOperand(index), action.microbatch) : results[index - arguments]);
  auto copy = graph::CallOp::create(builder, call.getLoc(), half.getResultTypes(), FlatSymbolRefAttr::get(half), operands,
                                    call.getInstanceAttr());
  for (auto [index, place] : llvm::enumerate(halves.results))
    if (place.first == isWeight)
      inner[action.microbatch].map(call.getResult(index), copy.getResult(place.second));
  if (!isWeight)
    results.assign(copy.result_begin(), copy.result_end());
}

void StageProgram::addCall(graph::CallOp call, const Action &action) {
  auto callee = shared.symbols.lookup<func::FuncOp>(call.getCallee());
  bool isHalved = action.kind == ActionKind::InputGradient || action.kind == ActionKind::WeightGradient;
  if (isHalved && getPart(callee) == "backward")
    return addHalf(call, callee, action);
  // The rest of the backward pass is about parameters.
  if (action.kind == ActionKind::InputGradient)
    return;
  IRMapping operands;
  for (Value operand : call.getOperands())
    operands.map(operand, getInner(operand, action.microbatch));
  Operation *copy = builder.clone(*call, operands);
  for (auto [result, copied] : llvm::zip_equal(call.getResults(), copy->getResults()))
    inner[action.microbatch].map(result, copied);
}

void StageProgram::addCompute(const Action &action) {
  for (Operation *op : map.getOps(action.kind, action.stage)) {
    if (auto call = dyn_cast<graph::CallOp>(op)) {
      addCall(call, action);
      continue;
    }
    auto store = cast<graph::StoreOp>(op);
    if (action.kind != ActionKind::InputGradient)
      graph::StoreOp::create(builder, store.getLoc(), inner[action.microbatch].lookup(store.getValue()),
                             store.getVariableAttr());
  }
  if (action.kind == ActionKind::Forward)
    addLosses(action.microbatch);
}

void StageProgram::addLosses(int32_t microbatch) {
  Operation *yield = map.getSchedule().getBody().front().getTerminator();
  for (auto [index, value] : llvm::enumerate(yield->getOperands())) {
    // Only once, when the stage that computes it has run.
    Value computed = inner[microbatch].lookupOrNull(value);
    if (!computed || !counted.insert({value, microbatch}).second)
      continue;
    sums[index] = add(value.getLoc(), sums[index] ? sums[index] : makeZero(builder, value.getLoc(), value.getType()), computed);
  }
}

void StageProgram::addCell(const Action &action) {
  switch (action.kind) {
  case ActionKind::Forward:
  case ActionKind::Backward:
  case ActionKind::InputGradient:
  case ActionKind::WeightGradient:
    return addCompute(action);
  case ActionKind::SendForward:
  case ActionKind::SendBackward: {
    bool forward = action.kind == ActionKind::SendForward;
    int32_t other = map.getTable().rankOfStage[action.stage + (forward ? 1 : -1)];
    SmallVector<Value> values;
    for (Value value : map.getMessage(forward ? ActionKind::Forward : ActionKind::Backward, action.stage))
      values.push_back(inner[action.microbatch].lookup(value));
    if (!values.empty())
      graph::SendOp::create(builder, whole.getLoc(), values, static_cast<uint64_t>(other));
    return;
  }
  case ActionKind::ReceiveForward:
  case ActionKind::ReceiveBackward: {
    bool forward = action.kind == ActionKind::ReceiveForward;
    int32_t source = action.stage + (forward ? -1 : 1);
    ArrayRef<Value> message = map.getMessage(forward ? ActionKind::Forward : ActionKind::Backward, source);
    if (message.empty())
      return;
    auto types = llvm::map_to_vector(message, [](Value value) { return value.getType(); });
    auto receive = graph::ReceiveOp::create(builder, message.front().getLoc(), types,
                                            static_cast<uint64_t>(map.getTable().rankOfStage[source]));
    for (auto [value, received] : llvm::zip_equal(message, receive.getValues()))
      inner[action.microbatch].map(value, received);
    return;
  }
  // Programs gather and reduce parameters as their layouts say.
  case ActionKind::Unshard:
  case ActionKind::Reshard:
  case ActionKind::Reduce:
  case ActionKind::Idle:
    return;
  }
}

//===----------------------------------------------------------------------===//
// After the schedule
//===----------------------------------------------------------------------===//

void StageProgram::exchangeGradients() {
  for (auto &[name, variable] : variables.gradients) {
    Location loc = NameLoc::get(name);
    if (llvm::is_contained(variable.others, rank))
      graph::SendOp::create(builder, loc, load(name, variable.type), static_cast<uint64_t>(variable.owner));
    if (variable.owner != rank)
      continue;
    for (int32_t other : variable.others) {
      auto received = graph::ReceiveOp::create(builder, loc, TypeRange{variable.type}, static_cast<uint64_t>(other));
      Value sum = add(loc, load(name, variable.type), received.getValues().front());
      graph::StoreOp::create(builder, loc, sum, FlatSymbolRefAttr::get(name));
    }
  }
}

void StageProgram::exchangeParameters() {
  for (auto &[name, variable] : variables.parameters) {
    Location loc = NameLoc::get(name);
    if (llvm::is_contained(variable.others, rank)) {
      auto received =
          graph::ReceiveOp::create(builder, loc, TypeRange{variable.type}, static_cast<uint64_t>(variable.owner));
      graph::StoreOp::create(builder, loc, received.getValues().front(), FlatSymbolRefAttr::get(name));
    }
    if (variable.owner != rank)
      continue;
    Value value = load(name, variable.type);
    for (int32_t other : variable.others)
      graph::SendOp::create(builder, loc, value, static_cast<uint64_t>(other));
  }
}

void StageProgram::addUpdate() {
  auto sumStages = [&](Value value) -> Value { return graph::SumStagesOp::create(builder, value.getLoc(), value); };
  for (auto [result, sum] : llvm::zip_equal(map.getSchedule().getResults(), sums))
    outer.map(result, sumStages(sum ? sum : makeZero(builder, result.getLoc(), result.getType())));

  // Sums of squares go from layer to layer; here, over the rank's layers, and then over the ranks.
  auto isSquares = [&](Value value) {
    auto call = value.getDefiningOp<graph::CallOp>();
    return call && value == call.getResults().back() &&
           getPart(shared.symbols.lookup<func::FuncOp>(call.getCallee())) == "reduce";
  };
  Value squares;
  for (Operation *op = map.getSchedule()->getNextNode(); op && !op->hasTrait<OpTrait::IsTerminator>(); op = op->getNextNode()) {
    if (auto store = dyn_cast<graph::StoreOp>(op)) {
      if (Value value = outer.lookupOrNull(store.getValue()))
        graph::StoreOp::create(builder, store.getLoc(), value, store.getVariableAttr());
      continue;
    }
    auto call = dyn_cast<graph::CallOp>(op);
    if (!call)
      continue; // made where it is used
    std::optional<int32_t> owner = map.findRank(call.getInstance());
    if (owner && owner != rank)
      continue;
    IRMapping operands;
    for (Value operand : call.getOperands()) {
      if (!isSquares(operand)) {
        operands.map(operand, getOuter(operand));
        continue;
      }
      if (!squares)
        squares = makeZero(builder, operand.getLoc(), operand.getType());
      operands.map(operand, owner ? squares : sumStages(squares));
    }
    auto copy = cast<graph::CallOp>(builder.clone(*op, operands));
    for (auto [result, copied] : llvm::zip_equal(call.getResults(), copy.getResults()))
      outer.map(result, copied);
    if (isSquares(call.getResults().back()))
      squares = copy.getResults().back();
  }
}

func::FuncOp StageProgram::build() {
  func::FuncOp program = addRankProgram(whole, rank, shared.symbols, outer);
  builder.setInsertionPointToStart(&program.front());
  inner.resize(map.getTable().microbatches);
  sums.resize(map.getSchedule().getNumResults());
  startGradients();
  const std::vector<Action> &row = map.getTable().rows[rank];
  auto first = llvm::find_if(row, [](const Action &action) { return schedules::isCompute(action.kind); });
  for (auto cell = row.begin(); cell != row.end(); ++cell) {
    // The first rank has its input, and its followers wait for it: what a stage needs is made where it is used.
    if (cell == first && cell->stage > 0)
      prepareParameters();
    addCell(*cell);
  }
  exchangeGradients();
  addUpdate();
  exchangeParameters();
  SmallVector<Value> results;
  for (Value value : whole.front().getTerminator()->getOperands())
    results.push_back(getOuter(value));
  func::ReturnOp::create(builder, whole.getLoc(), results);
  return program;
}
