//===- HoistWeights.cpp - Weights that are quantised once -----------------===//

#include "passes/fp8/HoistWeights.h"

#include "passes/LayerFunction.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/IRMapping.h"

using namespace mlir;
using namespace primus;
using namespace primus::fp8;

namespace {

/// What a function makes of a weight: ops, in order, whose only results for others are these two.
struct Quantisation {
  SmallVector<Operation *> ops;
  Value value, factor;
};

/// One of the functions that read a weight: the argument, and the calls.
struct Reader {
  func::FuncOp function;
  unsigned argument;
  Quantisation quantisation;
  SmallVector<graph::CallOp> calls;
};

class WeightHoister {
public:
  WeightHoister(func::FuncOp forward, func::FuncOp backward, llvm::function_ref<bool(Operation *)> isMovable)
      : module(forward->getParentOfType<ModuleOp>()), forward(forward), backward(backward), isMovable(isMovable) {}

  void run();

private:
  std::optional<Quantisation> match(BlockArgument weight);
  SmallVector<graph::CallOp> findCalls(func::FuncOp function);
  /// The function and the result by which every call gets its weight; null if they do not agree.
  std::pair<func::FuncOp, unsigned> findSource(ArrayRef<Reader> readers);
  void hoist(MutableArrayRef<Reader> readers, func::FuncOp unshard, unsigned result);

  ModuleOp module;
  func::FuncOp forward, backward;
  llvm::function_ref<bool(Operation *)> isMovable;
};

} // namespace

std::optional<Quantisation> WeightHoister::match(BlockArgument weight) {
  Quantisation found;
  llvm::SmallPtrSet<Operation *, 16> inside;
  auto isInside = [&](Value value) { return value == weight || inside.contains(value.getDefiningOp()); };
  for (Operation &op : weight.getOwner()->without_terminator()) {
    bool isOfWeight = llvm::all_of(op.getOperands(), [&](Value operand) {
      return isInside(operand) || operand.getDefiningOp<graph::ConstantOp>();
    });
    if (!isMovable(&op) || !isOfWeight || llvm::none_of(op.getOperands(), isInside))
      continue;
    inside.insert(&op);
    found.ops.push_back(&op);
  }
  auto isOutside = [&](Operation *user) { return !inside.contains(user); };
  if (llvm::any_of(weight.getUsers(), isOutside))
    return std::nullopt;
  for (Operation *op : found.ops)
    for (Value result : op->getResults()) {
      if (llvm::none_of(result.getUsers(), isOutside))
        continue;
      Value &place = isa<graph::QuantizeOp>(op) ? found.value : found.factor;
      if (place)
        return std::nullopt;
      place = result;
    }
  // The quantised weight takes the weight's place: other shapes do not fit there.
  if (!found.value || !found.factor ||
      cast<RankedTensorType>(found.value.getType()).getShape() != cast<RankedTensorType>(weight.getType()).getShape() ||
      found.value.getDefiningOp()->getOperand(0) != weight)
    return std::nullopt;
  return found;
}

/// True if two functions compute the same of their weights.
static bool areEqual(Value a, Value b) {
  Operation *opA = a.getDefiningOp(), *opB = b.getDefiningOp();
  if (!opA || !opB)
    return !opA && !opB && a.getType() == b.getType();
  return opA->getName() == opB->getName() && opA->getAttrDictionary() == opB->getAttrDictionary() &&
         opA->getResultTypes() == opB->getResultTypes() && opA->getNumOperands() == opB->getNumOperands() &&
         llvm::all_of(llvm::zip_equal(opA->getOperands(), opB->getOperands()),
                      [](auto pair) { return areEqual(std::get<0>(pair), std::get<1>(pair)); });
}

SmallVector<graph::CallOp> WeightHoister::findCalls(func::FuncOp function) {
  SmallVector<graph::CallOp> calls;
  module.walk([&](graph::CallOp call) {
    if (call.getCallee() == function.getName())
      calls.push_back(call);
  });
  return calls;
}

std::pair<func::FuncOp, unsigned> WeightHoister::findSource(ArrayRef<Reader> readers) {
  std::pair<func::FuncOp, unsigned> source = {nullptr, 0};
  for (const Reader &reader : readers)
    for (graph::CallOp call : reader.calls) {
      Value weight = call.getOperand(reader.argument);
      auto unshard = weight.getDefiningOp<graph::CallOp>();
      auto callee = unshard ? module.lookupSymbol<func::FuncOp>(unshard.getCallee()) : func::FuncOp();
      if (!callee || getPart(callee) != "unshard")
        return {nullptr, 0};
      std::pair<func::FuncOp, unsigned> own = {callee, cast<OpResult>(weight).getResultNumber()};
      if (source.first && source != own)
        return {nullptr, 0};
      source = own;
    }
  return source;
}

/// Another call in the place of `call`, with more operands or results behind those that it has.
static graph::CallOp replaceCall(graph::CallOp call, TypeRange types, ValueRange operands) {
  OpBuilder builder(call);
  auto updated = graph::CallOp::create(builder, call.getLoc(), types, call.getCallee(), operands, call.getInstance());
  call->replaceAllUsesWith(updated->getResults().take_front(call.getNumResults()));
  call.erase();
  return updated;
}

void WeightHoister::hoist(MutableArrayRef<Reader> readers, func::FuncOp unshard, unsigned result) {
  // The part `unshard` gives the quantised weight in the weight's place, and its factor as one result more.
  Operation *terminator = unshard.getBody().front().getTerminator();
  OpBuilder builder(terminator);
  const Quantisation &first = readers.front().quantisation;
  IRMapping mapping;
  mapping.map(readers.front().function.getArgument(readers.front().argument), terminator->getOperand(result));
  for (Operation *op : first.ops) {
    for (Value operand : op->getOperands())
      if (!mapping.contains(operand))
        mapping.map(operand, builder.clone(*operand.getDefiningOp())->getResult(0));
    builder.clone(*op, mapping);
  }
  Type valueType = first.value.getType(), factorType = first.factor.getType();
  std::string name = getValueName(first.factor).str();
  Location loc = first.factor.getLoc();
  unsigned factorResult = unshard.getNumResults();
  terminator->setOperand(result, mapping.lookup(first.value));
  SmallVector<Type> types(unshard.getResultTypes());
  types[result] = valueType;
  unshard.setFunctionType(builder.getFunctionType(unshard.getArgumentTypes(), types));
  (void)unshard.insertResult(factorResult, factorType,
                             builder.getDictionaryAttr(builder.getNamedAttr(kNameAttr, builder.getStringAttr(name))));
  terminator->insertOperands(factorResult, mapping.lookup(first.factor));
  for (graph::CallOp call : findCalls(unshard))
    replaceCall(call, unshard.getResultTypes(), call.getOperands());

  unsigned of = forward.getNumArguments();
  for (Reader &reader : readers) {
    BlockArgument weight = reader.function.getArgument(reader.argument);
    unsigned position = reader.function.getNumArguments();
    weight.setType(valueType);
    std::optional<unsigned> owner = reader.function == forward ? std::nullopt : std::optional(of);
    (void)reader.function.insertArgument(position, factorType,
                                         getArgAttrs(builder.getContext(), name, ArgKind::Constant, owner), loc);
    reader.quantisation.value.replaceAllUsesWith(weight);
    reader.quantisation.factor.replaceAllUsesWith(reader.function.getArgument(position));
    for (Operation *op : llvm::reverse(reader.quantisation.ops))
      op->erase();
    Block &body = reader.function.getBody().front();
    reader.function.setFunctionType(
        builder.getFunctionType(body.getArgumentTypes(), reader.function.getResultTypes()));
    for (graph::CallOp call : findCalls(reader.function)) {
      SmallVector<Value> operands(call.getOperands());
      operands.push_back(call.getOperand(reader.argument).getDefiningOp()->getResult(factorResult));
      replaceCall(call, call.getResultTypes(), operands);
    }
  }
}

void WeightHoister::run() {
  for (unsigned index : getArgsOfKind(forward, ArgKind::Parameter)) {
    SmallVector<Reader> readers;
    bool isMatch = true;
    auto add = [&](func::FuncOp function, unsigned argument) {
      std::optional<Quantisation> found = match(function.getArgument(argument));
      isMatch &= found.has_value();
      if (found)
        readers.push_back({function, argument, *found, findCalls(function)});
    };
    add(forward, index);
    for (unsigned argument : backward ? getArgsOfKind(backward, ArgKind::Parameter) : SmallVector<unsigned>())
      if (getArgOf(backward, argument) == index)
        add(backward, argument);
    if (!isMatch || llvm::any_of(readers, [&](const Reader &reader) {
          return !areEqual(reader.quantisation.value, readers.front().quantisation.value) ||
                 !areEqual(reader.quantisation.factor, readers.front().quantisation.factor);
        }))
      continue;
    auto [unshard, result] = findSource(readers);
    // No other layer may read the copy.
    auto isRead = [&](graph::CallOp call) {
      return llvm::all_of(call.getResult(result).getUsers(), [&](Operation *user) {
        return llvm::any_of(readers, [&](const Reader &reader) { return llvm::is_contained(reader.calls, user); });
      });
    };
    if (unshard && llvm::all_of(findCalls(unshard), isRead))
      hoist(readers, unshard, result);
  }
}

void fp8::hoistWeights(func::FuncOp forward, func::FuncOp backward, llvm::function_ref<bool(Operation *)> isMovable) {
  WeightHoister(forward, backward, isMovable).run();
}
