//===- SplitBackward.cpp - Input and weight gradients apart ----------------===//

#include "passes/stages/SplitBackward.h"

#include "passes/LayerFunction.h"
#include "passes/Remarks.h"
#include "passes/autodiff/MinCut.h"

#include "mlir/Analysis/SliceAnalysis.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace primus;
using namespace primus::stages;

namespace {

class Splitter {
public:
  explicit Splitter(func::FuncOp whole) : whole(whole), terminator(whole.front().getTerminator()) {}

  BackwardHalves run();

private:
  /// Whether a result belongs to a parameter: its accumulator or its gradient.
  bool isOfParameter(unsigned result);
  /// Decides which ops compute the gradients of parameters, `weightValues`, besides those that only these need. `slice`
  /// has what the gradients of activations need. Sets `inWeight`, and `handed`, what such ops use of the others.
  void cut(const llvm::SetVector<Operation *> &slice, ArrayRef<Value> weightValues);
  /// A function of `ops`, which are in order, that takes `operands` and gives `values`.
  func::FuncOp build(StringRef suffix, ArrayRef<Operation *> ops, ArrayRef<Value> operands, ArrayRef<Value> values);

  func::FuncOp whole;
  Operation *terminator;
  llvm::SmallPtrSet<Operation *, 32> inWeight;
  SmallVector<Value> handed;
};

} // namespace

bool Splitter::isOfParameter(unsigned result) {
  if (whole.getResultAttr(result, graph::kInplaceAttr))
    return true;
  std::optional<unsigned> of = getResultOf(whole, result);
  for (unsigned index = 0; of && index < whole.getNumArguments(); ++index)
    if (getArgOf(whole, index) == of && *getArgKind(whole, index) == ArgKind::Parameter)
      return true;
  return false;
}

/// What is cheap enough to be computed twice, or to let the stage before wait for.
static bool isCheap(Operation *op) {
  return op->hasTrait<OpTrait::Elementwise>() ||
         isa<graph::ConstantOp, graph::IotaOp, graph::BroadcastOp, graph::ReshapeOp, graph::TransposeOp, graph::SliceOp>(op);
}

static int64_t getBytes(Value value) {
  auto tensor = cast<RankedTensorType>(value.getType());
  return llvm::divideCeil(tensor.getNumElements() * tensor.getElementTypeBitWidth(), 8);
}

void Splitter::cut(const llvm::SetVector<Operation *> &slice, ArrayRef<Value> weightValues) {
  // Ops on the side of the sink compute gradients of weights. A value is an edge whose capacity is its size: cutting it
  // means to keep it until then. What is cheap may be computed a second time there; or, if it makes less of what it
  // uses (a sum over tokens), with the gradients of activations. Both cost a byte, so that neither is done for nothing.
  constexpr unsigned source = FlowNetwork::source, sink = FlowNetwork::sink;
  FlowNetwork network;
  llvm::DenseMap<Operation *, unsigned> ops;
  llvm::DenseMap<Value, unsigned> values;
  auto addValue = [&](unsigned from, Value value, int64_t capacity) {
    values[value] = network.addNode();
    network.addEdge(from, values[value], capacity);
  };
  // What is written over its argument is read and written at once: other microbatches run in between.
  llvm::SmallDenseSet<Value> accumulators;
  for (unsigned result = 0; result < whole.getNumResults(); ++result)
    if (auto inplace = whole.getResultAttrOfType<IntegerAttr>(result, graph::kInplaceAttr))
      accumulators.insert(whole.getArgument(inplace.getInt()));
  for (BlockArgument argument : whole.getArguments()) {
    ArgKind kind = *getArgKind(whole, argument.getArgNumber());
    if (!accumulators.contains(argument) && kind != ArgKind::Parameter && kind != ArgKind::Constant) // those are there in any case
      addValue(source, argument, getBytes(argument));
  }
  for (Operation &op : whole.front().without_terminator()) {
    unsigned node = ops[&op] = network.addNode();
    bool isCheapOp = isCheap(&op);
    if (slice.contains(&op)) {
      if (!isa<graph::ConstantOp>(op))
        network.addEdge(source, node, isCheapOp ? 1 : FlowNetwork::unlimited);
    } else {
      bool isMovable = (isCheapOp || isa<graph::ReduceOp, graph::AmaxOp, graph::QuantizeOp>(op)) &&
                       llvm::none_of(op.getOperands(), [&](Value operand) { return accumulators.contains(operand); });
      network.addEdge(node, sink, isMovable ? 1 : FlowNetwork::unlimited);
    }
    for (Value operand : op.getOperands()) {
      if (auto value = values.find(operand); value != values.end())
        network.addEdge(value->second, node, FlowNetwork::unlimited);
      // What is computed with the gradients of activations needs its operands there.
      if (Operation *producer = operand.getDefiningOp(); producer && !slice.contains(producer))
        network.addEdge(node, ops.lookup(producer), FlowNetwork::unlimited);
    }
    for (Value result : op.getResults())
      addValue(node, result, getBytes(result));
  }
  for (Value value : weightValues)
    if (auto found = values.find(value); found != values.end())
      network.addEdge(found->second, sink, FlowNetwork::unlimited);

  SmallVector<bool> onSinkSide = network.cutNearestToSink();
  for (Operation &op : whole.front().without_terminator()) {
    if (onSinkSide[ops[&op]]) {
      inWeight.insert(&op);
      continue;
    }
    for (Value result : op.getResults())
      if (onSinkSide[values[result]])
        handed.push_back(result);
  }
}

func::FuncOp Splitter::build(StringRef suffix, ArrayRef<Operation *> ops, ArrayRef<Value> operands, ArrayRef<Value> values) {
  if (values.empty())
    return {};
  MLIRContext *context = whole.getContext();
  OpBuilder builder(context);
  builder.setInsertionPointAfter(whole);
  auto typesOf = [](ArrayRef<Value> values) { return llvm::map_to_vector(values, [](Value value) { return value.getType(); }); };
  auto function = func::FuncOp::create(builder, whole.getLoc(), (whole.getSymName() + "_" + suffix).str(),
                                       FunctionType::get(context, typesOf(operands), typesOf(values)));
  function.setPrivate();
  function->setAttr(graph::kLayerAttr, getLayerAttr(context, getLayer(whole), (getPart(whole) + "_" + suffix).str()));
  Block *block = function.addEntryBlock();
  IRMapping mapping;
  for (auto [index, operand] : llvm::enumerate(operands)) {
    mapping.map(operand, block->getArgument(index));
    block->getArgument(index).setLoc(operand.getLoc());
    auto argument = dyn_cast<BlockArgument>(operand);
    function.setArgAttrs(index, argument ? whole.getArgAttrDict(argument.getArgNumber())
                                         : getArgAttrs(context, getValueName(operand), ArgKind::Residual));
  }
  builder.setInsertionPointToStart(block);
  for (Operation *op : ops)
    builder.clone(*op, mapping);
  SmallVector<Value> results;
  for (auto [index, value] : llvm::enumerate(values)) {
    results.push_back(mapping.lookup(value));
    // The result of the whole that this is, if it is one.
    auto known = llvm::find(terminator->getOperands(), value);
    if (known == terminator->operand_end())
      continue;
    DictionaryAttr attrs = whole.getResultAttrDict(known - terminator->operand_begin());
    function.setResultAttrs(index, attrs ? attrs : builder.getDictionaryAttr({}));
    if (auto inplace = attrs ? attrs.getAs<IntegerAttr>(graph::kInplaceAttr) : IntegerAttr()) {
      auto place = llvm::find(operands, Value(whole.getArgument(inplace.getInt())));
      assert(place != operands.end() && "an accumulator is read where it is written");
      function.setResultAttr(index, graph::kInplaceAttr, builder.getI64IntegerAttr(place - operands.begin()));
    }
  }
  func::ReturnOp::create(builder, terminator->getLoc(), results);
  return function;
}

BackwardHalves Splitter::run() {
  BackwardHalves halves;
  llvm::SetVector<Operation *> slice;
  SmallVector<Value> inputValues, weightValues;
  for (auto [index, value] : llvm::enumerate(terminator->getOperands())) {
    bool isWeight = isOfParameter(index);
    auto &values = isWeight ? weightValues : inputValues;
    halves.results.push_back({isWeight, static_cast<unsigned>(values.size())});
    values.push_back(value);
    if (isWeight)
      continue;
    BackwardSliceOptions options;
    options.inclusive = true;
    (void)getBackwardSlice(value, &slice, options);
  }
  if (inputValues.empty())
    for (Operation &op : whole.front().without_terminator())
      inWeight.insert(&op);
  else
    cut(slice, weightValues);
  SmallVector<Operation *> inputOps, weightOps;
  SmallVector<Value> inputOperands, weightOperands;
  for (Operation &op : whole.front().without_terminator()) {
    if (inWeight.contains(&op))
      weightOps.push_back(&op);
    if (slice.contains(&op) || !inWeight.contains(&op))
      inputOps.push_back(&op);
  }
  for (Value value : handed)
    remarkPassed(kResidualRemark, whole, value.getLoc(), getBytes(value), [&] {
      return describe(value) + " is kept from the gradients of activations until those of weights";
    });
  llvm::append_range(inputValues, handed);

  auto isUsed = [&](BlockArgument argument, ArrayRef<Operation *> ops, ArrayRef<Value> values) {
    return llvm::is_contained(values, Value(argument)) ||
           llvm::any_of(argument.getUsers(), [&](Operation *user) { return llvm::is_contained(ops, user); });
  };
  for (BlockArgument argument : whole.getArguments()) {
    if (isUsed(argument, inputOps, inputValues)) {
      halves.inputOperands.push_back(argument.getArgNumber());
      inputOperands.push_back(argument);
    }
    if (isUsed(argument, weightOps, weightValues)) {
      halves.weightOperands.push_back(argument.getArgNumber());
      weightOperands.push_back(argument);
    }
  }
  unsigned firstHanded = inputValues.size() - handed.size();
  for (auto [index, value] : llvm::enumerate(handed)) {
    halves.weightOperands.push_back(whole.getNumArguments() + firstHanded + index);
    weightOperands.push_back(value);
  }
  halves.weight = build("weight", weightOps, weightOperands, weightValues);
  halves.input = build("input", inputOps, inputOperands, inputValues);
  for (func::FuncOp half : {halves.weight, halves.input})
    if (half)
      eraseDeadOps(half);
  return halves;
}

BackwardHalves stages::splitBackward(func::FuncOp backward) { return Splitter(backward).run(); }
