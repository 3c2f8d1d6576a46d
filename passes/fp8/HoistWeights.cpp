//===- HoistWeights.cpp - Weights that are quantised once -----------------===//

#include "passes/fp8/HoistWeights.h"

#include "passes/LayerFunction.h"
#include "passes/fp8/UnshardCalls.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/Dominance.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/CSE.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace primus;
using namespace primus::fp8;

namespace {

/// One of the functions that read a weight, and what it makes of it first: ops, in order, and those of their results that
/// anything else reads.
struct Reader {
  func::FuncOp function;
  unsigned argument;
  SmallVector<Operation *> ops = {};
  SmallVector<Value> results = {};
  /// Where the part `unshard` returns each result.
  SmallVector<unsigned> places = {};
};

class WeightHoister {
public:
  WeightHoister(func::FuncOp forward, func::FuncOp backward, llvm::function_ref<bool(Operation *)> isMovable)
      : module(forward->getParentOfType<ModuleOp>()), symbols(module), forward(forward), backward(backward), isMovable(isMovable) {}

  void run(func::FuncOp measure);

private:
  bool isReader(Operation *op);
  /// The function that gives the layer its parameters, and nobody else; null if there is none.
  func::FuncOp findUnshard();
  /// True for what follows from constants and scalar arguments.
  bool isAvailable(Value value);
  bool match(Reader &reader);
  /// The result of `unshard` that every call takes as the argument of each reader.
  std::optional<unsigned> findSource(ArrayRef<Reader> readers);
  /// `unshard`'s argument for a scalar of the layer's, which its calls load as those of the layer do.
  Value getScalar(BlockArgument scalar);
  Value clone(Value value, OpBuilder &builder, IRMapping &mapping);
  unsigned addResult(Value value, Value original, ArrayAttr dims);
  void hoist(MutableArrayRef<Reader> readers, unsigned source);
  void replace(Reader &reader);

  ModuleOp module;
  SymbolTable symbols;
  func::FuncOp forward, backward, unshard;
  llvm::function_ref<bool(Operation *)> isMovable;
};

} // namespace

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

static void updateType(func::FuncOp function) {
  Block &body = function.getBody().front();
  function.setFunctionType(
      FunctionType::get(function.getContext(), body.getArgumentTypes(), body.getTerminator()->getOperandTypes()));
}

/// What the dimensions of a value are that is made of a weight, whose dimensions are `dims`.
static SmallVector<Attribute> getDims(Value value, Value weight, ArrayAttr dims) {
  if (value == weight)
    return llvm::to_vector(dims);
  auto type = cast<RankedTensorType>(value.getType());
  Attribute none = StringAttr::get(value.getContext(), "");
  SmallVector<Attribute> result(type.getRank(), none);
  Operation *op = value.getDefiningOp();
  if (!op)
    return result;
  for (Value operand : op->getOperands()) {
    SmallVector<Attribute> of = getDims(operand, weight, dims);
    if (of.size() != result.size() || llvm::all_of(of, [&](Attribute dim) { return dim == none; }))
      continue;
    auto transpose = dyn_cast<graph::TransposeOp>(op);
    for (auto [index, size] : llvm::enumerate(type.getShape()))
      if (size > 1)
        result[index] = of[transpose ? transpose.getPerm()[index] : index];
    break;
  }
  return result;
}

//===----------------------------------------------------------------------===//
// What there is to hoist
//===----------------------------------------------------------------------===//

bool WeightHoister::isReader(Operation *op) {
  auto call = dyn_cast<graph::CallOp>(op);
  return call && (call.getCallee() == forward.getName() || (backward && call.getCallee() == backward.getName()));
}

func::FuncOp WeightHoister::findUnshard() {
  func::FuncOp found;
  llvm::SetVector<Operation *> sources;
  SmallVector<graph::CallOp> readers = findCalls(forward);
  llvm::append_range(readers, findCalls(backward));
  for (graph::CallOp reader : readers)
    for (Value operand : reader.getOperands()) {
      auto call = operand.getDefiningOp<graph::CallOp>();
      auto callee = call ? symbols.lookup<func::FuncOp>(call.getCallee()) : func::FuncOp();
      if (!callee || getPart(callee) != "unshard")
        continue;
      if ((found && found != callee) || !llvm::all_of(call->getUsers(), [&](Operation *user) { return isReader(user); }))
        return {};
      found = callee;
      sources.insert(call);
    }
  if (!found || sources.size() == findCalls(found).size())
    return found;
  // A twin of the layer, which computes its activations again, has the same function; from here on each has its own.
  func::FuncOp own = found.clone();
  own.setName((getLayer(forward) + "." + forward.getName().rsplit('.').second + ".unshard").str());
  symbols.insert(own, std::next(Block::iterator(found)));
  for (Operation *source : sources)
    cast<graph::CallOp>(source).setCallee(own.getName());
  return own;
}

bool WeightHoister::isAvailable(Value value) {
  if (auto argument = dyn_cast<BlockArgument>(value))
    return llvm::is_contained(getArgsOfKind(cast<func::FuncOp>(argument.getOwner()->getParentOp()), ArgKind::Scalar),
                              argument.getArgNumber());
  Operation *op = value.getDefiningOp();
  return isMovable(op) && llvm::all_of(op->getOperands(), [&](Value operand) { return isAvailable(operand); });
}

bool WeightHoister::match(Reader &reader) {
  BlockArgument weight = reader.function.getArgument(reader.argument);
  llvm::SmallPtrSet<Operation *, 16> inside;
  auto isInside = [&](Value value) { return value == weight || inside.contains(value.getDefiningOp()); };
  for (Operation &op : weight.getOwner()->without_terminator()) {
    if (!isMovable(&op) || llvm::none_of(op.getOperands(), isInside) ||
        !llvm::all_of(op.getOperands(), [&](Value value) { return isInside(value) || isAvailable(value); }))
      continue;
    inside.insert(&op);
    reader.ops.push_back(&op);
  }
  auto isOutside = [&](Operation *user) { return !inside.contains(user); };
  if (llvm::any_of(weight.getUsers(), isOutside))
    return false;
  int64_t bytes = 0;
  for (Operation *op : reader.ops)
    for (Value result : op->getResults())
      if (llvm::any_of(result.getUsers(), isOutside)) {
        reader.results.push_back(result);
        bytes += getBytes(result.getType());
      }
  // What takes the weight's place comes first.
  auto *quantised = llvm::find_if(reader.results, [](Value value) { return isa<graph::QuantizeOp>(value.getDefiningOp()); });
  if (quantised == reader.results.end() || bytes >= getBytes(weight.getType()))
    return reader.results.empty() && reader.ops.empty();
  std::rotate(reader.results.begin(), quantised, std::next(quantised));
  return true;
}

std::optional<unsigned> WeightHoister::findSource(ArrayRef<Reader> readers) {
  std::optional<unsigned> source;
  for (const Reader &reader : readers)
    for (graph::CallOp call : findCalls(reader.function)) {
      auto from = call.getOperand(reader.argument).getDefiningOp<graph::CallOp>();
      if (!from || from.getCallee() != unshard.getName())
        return std::nullopt;
      unsigned result = cast<OpResult>(call.getOperand(reader.argument)).getResultNumber();
      if (source && *source != result)
        return std::nullopt;
      source = result;
    }
  return source;
}

//===----------------------------------------------------------------------===//
// Hoisting
//===----------------------------------------------------------------------===//

Value WeightHoister::getScalar(BlockArgument scalar) {
  auto function = cast<func::FuncOp>(scalar.getOwner()->getParentOp());
  std::string name = getArgName(function, scalar.getArgNumber());
  for (unsigned index : getArgsOfKind(unshard, ArgKind::Scalar))
    if (getArgName(unshard, index) == name)
      return unshard.getArgument(index);
  unsigned position = unshard.getNumArguments();
  (void)unshard.insertArgument(position, scalar.getType(), getArgAttrs(scalar.getContext(), name, ArgKind::Scalar), scalar.getLoc());
  for (graph::CallOp call : findCalls(unshard)) {
    // Every reader has the scalars.
    Operation *user = *call->getUsers().begin();
    unsigned index = scalar.getArgNumber();
    if (auto callee = symbols.lookup<func::FuncOp>(cast<graph::CallOp>(user).getCallee()); callee != function)
      for (unsigned other : getArgsOfKind(callee, ArgKind::Scalar))
        if (getArgName(callee, other) == name)
          index = other;
    OpBuilder builder(call);
    SmallVector<Value> operands(call.getOperands());
    operands.push_back(builder.clone(*user->getOperand(index).getDefiningOp())->getResult(0));
    replaceCall(call, unshard, operands);
  }
  return unshard.getArgument(position);
}

Value WeightHoister::clone(Value value, OpBuilder &builder, IRMapping &mapping) {
  if (Value known = mapping.lookupOrNull(value))
    return known;
  if (auto argument = dyn_cast<BlockArgument>(value)) {
    mapping.map(value, getScalar(argument));
    return mapping.lookup(value);
  }
  for (Value operand : value.getDefiningOp()->getOperands())
    (void)clone(operand, builder, mapping);
  builder.clone(*value.getDefiningOp(), mapping);
  return mapping.lookup(value);
}

unsigned WeightHoister::addResult(Value value, Value original, ArrayAttr dims) {
  unsigned index = unshard.getNumResults();
  Builder b(value.getContext());
  SmallVector<NamedAttribute> attributes = {b.getNamedAttr(kNameAttr, b.getStringAttr(getValueName(original)))};
  if (dims)
    attributes.push_back(b.getNamedAttr(graph::kDimsAttr, dims));
  (void)unshard.insertResult(index, value.getType(), b.getDictionaryAttr(attributes));
  unshard.getBody().front().getTerminator()->insertOperands(index, value);
  return index;
}

void WeightHoister::hoist(MutableArrayRef<Reader> readers, unsigned source) {
  Operation *terminator = unshard.getBody().front().getTerminator();
  OpBuilder builder(terminator);
  auto dims = unshard.getResultAttrOfType<ArrayAttr>(source, graph::kDimsAttr);
  Value whole = terminator->getOperand(source);
  SmallVector<std::pair<Value, unsigned>> known;
  for (Reader &reader : readers) {
    BlockArgument weight = reader.function.getArgument(reader.argument);
    IRMapping mapping;
    mapping.map(weight, whole);
    for (Value result : reader.results) {
      auto *same = llvm::find_if(known, [&](auto &entry) { return areEqual(entry.first, result); });
      if (same != known.end()) {
        reader.places.push_back(same->second);
        continue;
      }
      Value value = clone(result, builder, mapping);
      ArrayAttr of = dims ? builder.getArrayAttr(getDims(result, weight, dims)) : ArrayAttr();
      if (known.empty()) {
        // The first one is returned in the weight's place.
        terminator->setOperand(source, value);
        if (of)
          unshard.setResultAttr(source, graph::kDimsAttr, of);
      }
      known.push_back({result, known.empty() ? source : addResult(value, result, of)});
      reader.places.push_back(known.back().second);
    }
  }
  updateType(unshard);
  for (graph::CallOp call : findCalls(unshard))
    replaceCall(call, unshard, call.getOperands());
  for (Reader &reader : readers)
    replace(reader);
}

void WeightHoister::replace(Reader &reader) {
  func::FuncOp function = reader.function;
  BlockArgument weight = function.getArgument(reader.argument);
  if (reader.results.empty())
    weight.setType(unshard.getResultTypes()[*findSource(reader)]);
  for (auto [index, result] : llvm::enumerate(reader.results)) {
    Value argument = weight;
    if (index == 0) {
      weight.setType(result.getType());
    } else {
      (void)function.insertArgument(
          function.getNumArguments(), result.getType(),
          getArgAttrs(result.getContext(), getValueName(result), ArgKind::Constant), result.getLoc());
      argument = function.getArguments().back();
    }
    result.replaceAllUsesWith(argument);
  }
  for (Operation *op : llvm::reverse(reader.ops))
    op->erase();
  eraseDeadOps(function);
  updateType(function);
  for (graph::CallOp call : findCalls(function)) {
    SmallVector<Value> operands(call.getOperands());
    assert(operands.size() == first && "calls know all arguments");
    Operation *from = operands[reader.argument].getDefiningOp();
    for (auto [index, place] : llvm::enumerate(reader.places))
      if (index == 0)
        operands[reader.argument] = from->getResult(place);
      else
        operands.push_back(from->getResult(place));
    replaceCall(call, function, operands);
  }
}

void WeightHoister::run(func::FuncOp measure) {
  unshard = findUnshard();
  if (!unshard)
    return;
  bool changed = false;
  for (unsigned index : getArgsOfKind(forward, ArgKind::Parameter)) {
    SmallVector<Reader> readers = {{forward, index}};
    for (unsigned argument : backward ? getArgsOfKind(backward, ArgKind::Parameter) : SmallVector<unsigned>())
      if (getArgOf(backward, argument) == index)
        readers.push_back({backward, argument});
    std::optional<unsigned> source = findSource(readers);
    // The forward function's own argument keeps its shape, by which others know the weight.
    if (!source || !llvm::all_of(readers, [&](Reader &reader) { return match(reader); }) || readers.front().results.empty() ||
        cast<RankedTensorType>(readers.front().results.front().getType()).getShape() !=
            cast<RankedTensorType>(forward.getArgumentTypes()[index]).getShape())
      continue;
    hoist(readers, *source);
    changed = true;
  }
  if (!changed)
    return;
  if (measure)
    measureInUnshard(measure, unshard);
  IRRewriter rewriter(module.getContext());
  DominanceInfo dominance(unshard);
  eliminateCommonSubExpressions(rewriter, dominance, unshard);
  specialiseUnshard(unshard, forward);
}

void fp8::hoistWeights(func::FuncOp forward, func::FuncOp backward, func::FuncOp measure,
                       llvm::function_ref<bool(Operation *)> isMovable) {
  WeightHoister(forward, backward, isMovable).run(measure);
}
