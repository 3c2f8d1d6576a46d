//===- FunctionSharder.cpp - Layouts of one function's values -------------===//

#include "passes/placement/FunctionSharder.h"

#include "passes/LayerFunction.h"
#include "passes/Remarks.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace primus;
using namespace primus::placement;

/// Ops that make a value of no tensor, or of a smaller one: to make it again costs less than to move it.
static bool isCreation(Operation *op) {
  return isa_and_present<graph::ConstantOp, graph::IotaOp, graph::BroadcastOp>(op);
}

bool primus::placement::isZero(Operation *op) {
  auto constant = dyn_cast<graph::ConstantOp>(op);
  auto value = constant ? dyn_cast<DenseElementsAttr>(constant.getValue()) : DenseElementsAttr();
  return value && value.isSplat() && isa<FloatType>(value.getElementType()) && value.getSplatValue<APFloat>().isZero();
}

void primus::placement::setLayout(Value value, const Layout &layout) {
  auto type = layout.apply(value.getType());
  value.setType(type);
  auto constant = value.getDefiningOp<graph::ConstantOp>();
  if (!constant)
    return;
  auto data = cast<DenseElementsAttr>(constant.getValue());
  constant.setValueAttr(data.isSplat() ? data.resizeSplat(type) : data.reshape(type));
}

static ArrayRef<int64_t> getShape(Value value) { return cast<RankedTensorType>(value.getType()).getShape(); }

Value primus::placement::buildReshard(OpBuilder &builder, Value value, const Layout &layout, StringRef reason) {
  auto reshard = graph::ReshardOp::create(builder, value.getLoc(), layout.apply(value.getType()), value);
  reshard->setAttr(kReasonAttr, builder.getStringAttr(reason));
  return reshard;
}

//===----------------------------------------------------------------------===//
// Pins
//===----------------------------------------------------------------------===//

void FunctionSharder::pinResults() {
  for (Operation &op : function.getBody().front())
    if (op.getNumResults() > 0)
      if (auto pin = pins.activations.find(getValueName(op.getResult(0)));
          pin != pins.activations.end() && getShape(op.getResult(0)) == ArrayRef<int64_t>(pin->second.second))
        pinned[op.getResult(0)] = {pin->second.first, ResultPin::Exact};

  Operation *terminator = function.getBody().front().getTerminator();
  for (auto [value, pin] : llvm::zip_equal(terminator->getOperands(), pins.results))
    if (pin && value.getDefiningOp())
      pinned.try_emplace(value, *pin);
  SmallVector<Value> worklist;
  for (unsigned result : pins.sums)
    worklist.push_back(terminator->getOperand(result));
  while (!worklist.empty()) {
    Value value = worklist.pop_back_val();
    Operation *op = value.getDefiningOp();
    auto pin = pinned.find(value);
    if (!op || !op->hasTrait<OpTrait::Elementwise>() || pin == pinned.end())
      continue;
    auto shardable = dyn_cast<graph::Shardable>(op);
    ResultPin summand = pin->second;
    if (!shardable || !shardable.getShardingRule().jointlyLinear)
      summand.partial = ResultPin::Open;
    for (Value operand : op->getOperands())
      if (operand.getDefiningOp() && getShape(operand) == getShape(value) &&
          pinned.try_emplace(operand, summand).second)
        worklist.push_back(operand);
  }
}

void FunctionSharder::findMaxima() {
  SmallVector<std::pair<Value, Axes>> worklist;
  for (auto [value, pin] : llvm::zip_equal(function.getBody().front().getTerminator()->getOperands(), pins.results))
    if (pin && pin->layout.maximum)
      worklist.push_back({value, pin->layout.partial});
  while (!worklist.empty()) {
    auto [value, axes] = worklist.pop_back_val();
    Operation *op = value.getDefiningOp();
    if (!isa_and_present<graph::AmaxOp, graph::MaximumOp, graph::ConcatOp, graph::ReshapeOp>(op))
      continue;
    Layout layout(getShape(value).size());
    layout.partial = axes;
    layout.maximum = true;
    if (maxima.try_emplace(value, layout).second && !isa<graph::AmaxOp>(op))
      for (Value operand : op->getOperands())
        worklist.push_back({operand, axes});
  }
}

bool FunctionSharder::visitMaximum(Operation *op) {
  if (op->getNumResults() != 1)
    return false;
  auto found = maxima.find(op->getResult(0));
  // Values that come in are put together as they are.
  if (found == maxima.end() && isa<graph::ConcatOp>(op) && Layout(op->getOperand(0).getType()).maximum)
    found = maxima.try_emplace(op->getResult(0), Layout(op->getOperand(0).getType())).first;
  if (found == maxima.end())
    return false;
  Layout result = found->second;
  for (OpOperand &operand : op->getOpOperands()) {
    Layout wanted = getClaim(operand.get()).layout.reduced();
    if (!isa<graph::AmaxOp>(op)) {
      wanted = Layout(getShape(operand.get()).size());
      wanted.partial = result.partial;
      wanted.maximum = true;
    }
    if (getClaim(operand.get()).layout != wanted)
      operand.set(convert(operand.get(), wanted, op, "read by " + primus::describe(op)));
  }
  setLayout(op->getResult(0), result);
  return true;
}

std::optional<Layout> FunctionSharder::findPrimal(Value value) const {
  StringRef name = getValueName(value);
  auto result = dyn_cast<OpResult>(value);
  if (!pins.primals || !result || result.getResultNumber() > 0 || !name.consume_back(".grad"))
    return std::nullopt;
  auto primal = pins.primals->find(name);
  if (primal == pins.primals->end() || ArrayRef<int64_t>(primal->second.second) != getShape(value))
    return std::nullopt;
  return primal->second.first.reduced();
}

//===----------------------------------------------------------------------===//
// Changes of layout
//===----------------------------------------------------------------------===//

Value FunctionSharder::rebuild(Value value, const Layout &layout, Operation *user) {
  Operation *op = value.getDefiningOp();
  if (!isCreation(op) || (!layout.partial.empty() && !isZero(op)))
    return {};
  graph::ShardingRule rule = cast<graph::Shardable>(op).getShardingRule();
  SmallVector<Axes> axes(rule.sizes.size());
  for (auto [list, factor] : llvm::zip_equal(layout.dims, rule.results[0])) {
    if (list.empty())
      continue;
    if (factor == graph::ShardingRule::replicated || rule.sizes[factor] % getGroupSize(mesh, list) != 0)
      return {};
    axes[factor] = list;
  }
  OpLayouts layouts = getLayouts(rule, mesh, axes, {}, {});
  OpBuilder builder(user);
  Operation *copy = builder.clone(*op);
  for (auto [operand, wanted] : llvm::zip_equal(copy->getOpOperands(), layouts.operands))
    if (Layout(operand.get().getType()) != wanted)
      operand.set(convert(operand.get(), wanted, copy, "read by " + primus::describe(op)));
  setLayout(copy->getResult(0), layout);
  return copy->getResult(0);
}

Value FunctionSharder::convert(Value value, const Layout &layout, Operation *user, StringRef reason) {
  auto &known = converted[value];
  for (auto &[other, result] : known)
    if (other == layout)
      return result;
  Value result = rebuild(value, layout, user);
  if (!result) {
    OpBuilder builder(user);
    result = buildReshard(builder, value, layout, reason);
  }
  // Not `known`: rebuilding may have grown the map.
  converted[value].push_back({layout, result});
  return result;
}

void FunctionSharder::convertResult(Value value, const Layout &layout, StringRef reason) {
  OpBuilder builder(value.getContext());
  builder.setInsertionPointAfterValue(value);
  Value result = buildReshard(builder, value, layout, reason);
  value.replaceAllUsesExcept(result, result.getDefiningOp());
  settled[value] = layout;
}

//===----------------------------------------------------------------------===//
// The walk
//===----------------------------------------------------------------------===//

OperandClaim FunctionSharder::getClaim(Value value) const {
  if (auto claim = claims.find(value); claim != claims.end())
    return claim->second;
  return {Layout(value.getType()), isCreation(value.getDefiningOp()) ? OperandClaim::Soft : OperandClaim::Value};
}

LogicalResult FunctionSharder::reportConflict(Operation *op, const Conflict &conflict) {
  InFlightDiagnostic error = op->emitOpError("can be split in two ways, and nothing says which is right: ");
  auto describeOperand = [&](unsigned index, ArrayRef<StringAttr> axes) {
    Value operand = op->getOperand(index);
    error << primus::describe(operand) << " in layout " << Layout(operand.getType()).describe()
          << " splits one of its dimensions over " << placement::describe(axes);
  };
  describeOperand(conflict.first, conflict.firstAxes);
  error << ", ";
  describeOperand(conflict.second, conflict.secondAxes);
  return error << "; pin the layout of the result in '" << graph::kPinsAttr << "'";
}

/// What an op gathers of an operand, it scatters again of a result of that shape: the layout that the result then has.
static std::optional<Layout> findScattered(Value result, const Layout &layout, ArrayRef<OperandClaim> before,
                                           ArrayRef<Layout> during) {
  Operation *op = result.getDefiningOp();
  for (auto [operand, claim, gathered] : llvm::zip_equal(op->getOperands(), before, during)) {
    bool undone = getShape(operand) == getShape(result) && llvm::any_of(layout.partial, [&](StringAttr axis) {
      return claim.layout.splits(axis) && !gathered.splits(axis);
    });
    if (!undone)
      continue;
    Layout scattered = claim.layout;
    scattered.partial = layout.partial;
    llvm::erase_if(scattered.partial, [&](StringAttr axis) { return scattered.splits(axis); });
    return scattered;
  }
  return std::nullopt;
}

std::string FunctionSharder::getReason(Value value, bool isPinned) {
  if (!isPinned)
    return "the parts of ranks are summed";
  if (pins.activations.count(getValueName(value)))
    return "the model says how it is split";
  if (findPrimal(value))
    return "a gradient is split as its primal";
  return getPart(function) == "unshard" ? "layers take parameters gathered" : "result of " + function.getName().str();
}

LogicalResult FunctionSharder::visit(Operation *op) {
  auto shardable = dyn_cast<graph::Shardable>(op);
  if (!shardable)
    return op->emitOpError("has no sharding rule, so that it cannot be placed on a mesh of several ranks");
  if (visitMaximum(op))
    return success();
  for (OpOperand &operand : op->getOpOperands())
    if (Layout layout(operand.get().getType()); layout.maximum)
      operand.set(convert(operand.get(), layout.reduced(), op, "read by " + primus::describe(op)));
  graph::ShardingRule rule = shardable.getShardingRule();
  SmallVector<OperandClaim> operands = llvm::map_to_vector(op->getOperands(), [&](Value v) { return getClaim(v); });
  SmallVector<std::optional<ResultPin>> wanted;
  for (Value result : op->getResults())
    wanted.push_back(pinned.count(result) ? std::optional(pinned[result]) : std::nullopt);

  auto assigned = assignFactors(rule, mesh, operands, wanted);
  // Where a gradient stops being a pending sum, it takes its primal's layout.
  std::optional<Layout> primal = op->getNumResults() ? findPrimal(op->getResult(0)) : std::nullopt;
  auto *natural = std::get_if<OpLayouts>(&assigned);
  if (natural && primal && !wanted[0] && natural->results[0].partial.empty()) {
    bool sums = llvm::any_of(llvm::zip_equal(natural->operands, operands), [](auto pair) {
      return std::get<0>(pair).partial.size() < std::get<1>(pair).layout.partial.size();
    });
    if (sums) {
      wanted[0] = {*primal, ResultPin::Exact};
      assigned = assignFactors(rule, mesh, operands, wanted);
    }
  }
  if (auto *conflict = std::get_if<Conflict>(&assigned))
    return reportConflict(op, *conflict);
  const OpLayouts &layouts = std::get<OpLayouts>(assigned);

  std::string reason = "read by " + primus::describe(op);
  for (auto [operand, layout, claim] : llvm::zip_equal(op->getOpOperands(), layouts.operands, operands)) {
    if (claim.openPartial) {
      setLayout(operand.get(), layout);
      claims[operand.get()] = {layout, claim.strength};
    } else if (claim.layout != layout) {
      operand.set(convert(operand.get(), layout, op, reason));
    }
  }
  auto isParameter = [](const OperandClaim &claim) {
    return claim.strength == OperandClaim::Fixed && !claim.openPartial;
  };
  // Constants and scalars, such as the scale of a weight, lie wherever the others do.
  auto goesAlong = [&](auto pair) {
    auto [claim, operand] = pair;
    return isParameter(claim) || claim.strength == OperandClaim::Soft ||
           cast<RankedTensorType>(operand.getType()).getNumElements() == 1;
  };
  bool ofParameters = !isCreation(op) && llvm::any_of(operands, isParameter) &&
                      llvm::all_of(llvm::zip_equal(operands, op->getOperands()), goesAlong);
  for (auto [result, layout, pin] : llvm::zip_equal(op->getResults(), layouts.results, wanted)) {
    setLayout(result, layout);
    if (ofParameters && layout.partial.empty())
      claims[result] = {layout, OperandClaim::Fixed};
    Layout target = layout;
    if (pin && pin->partial == ResultPin::Exact) {
      target = pin->layout;
    } else if (pin) {
      target.dims = pin->layout.dims;
      llvm::erase_if(target.partial, [&](StringAttr axis) { return target.splits(axis); });
    } else if (std::optional<Layout> scattered = findScattered(result, layout, operands, layouts.operands)) {
      target = *scattered;
    } else if (!layout.partial.empty() && !result.use_empty() && !result.hasOneUse()) {
      // Several users would each form the sum.
      target = layout.reduced();
      if (std::optional<Layout> primal = findPrimal(result))
        target = *primal;
    }
    if (target != layout)
      convertResult(result, target, getReason(result, pin.has_value()));
  }
  return success();
}

LogicalResult FunctionSharder::finish(Operation *terminator) {
  for (auto [index, pin] : llvm::enumerate(pins.results)) {
    Value value = terminator->getOperand(index);
    Layout layout(value.getType()), target = layout;
    if (pin) {
      target.dims = pin->layout.dims;
      llvm::erase_if(target.partial, [&](StringAttr axis) { return target.splits(axis); });
      if (pin->partial == ResultPin::Exact)
        target.partial = pin->layout.partial;
    }
    if (target != layout)
      terminator->setOperand(index, convert(value, target, terminator, getReason(value, /*isPinned=*/true)));
    // A result of another layout than its argument's needs memory of its own.
    if (auto inplace = function.getResultAttrOfType<IntegerAttr>(index, graph::kInplaceAttr))
      if (function.getArgument(inplace.getInt()).getType() != terminator->getOperand(index).getType())
        function.removeResultAttr(index, StringAttr::get(function.getContext(), graph::kInplaceAttr));
  }
  return success();
}

LogicalResult FunctionSharder::run() {
  for (auto [argument, claim] : llvm::zip_equal(function.getArguments(), pins.arguments)) {
    setLayout(argument, claim.layout);
    claims[argument] = claim;
  }
  pinResults();
  findMaxima();
  Operation *terminator = function.getBody().front().getTerminator();
  for (Operation &op : llvm::make_early_inc_range(function.getBody().front().without_terminator()))
    if (failed(visit(&op)))
      return failure();
  if (failed(finish(terminator)))
    return failure();
  eraseDeadOps(function);
  function.setFunctionType(FunctionType::get(function.getContext(), function.getBody().getArgumentTypes(),
                                             terminator->getOperandTypes()));
  return success();
}

NamedLayouts FunctionSharder::getNamedLayouts() {
  NamedLayouts layouts;
  auto add = [&](Value value) {
    StringRef name = getValueName(value);
    if (name.empty())
      return;
    auto other = settled.find(value);
    layouts[name] = {other == settled.end() ? Layout(value.getType()) : other->second,
                     SmallVector<int64_t>(getShape(value))};
  };
  llvm::for_each(function.getArguments(), add);
  for (Operation &op : function.getBody().front())
    if (op.getNumResults() > 0 && !isa<graph::ReshardOp>(op))
      add(op.getResult(0));
  return layouts;
}
