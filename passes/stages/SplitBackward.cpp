//===- SplitBackward.cpp - Input and weight gradients apart ----------------===//

#include "passes/stages/SplitBackward.h"

#include "passes/LayerFunction.h"

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
  /// A function of `ops`, which are in order, that takes `operands` and gives `values`.
  func::FuncOp build(StringRef suffix, ArrayRef<Operation *> ops, ArrayRef<Value> operands, ArrayRef<Value> values);

  func::FuncOp whole;
  Operation *terminator;
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
  SmallVector<Operation *> inputOps, weightOps;
  llvm::SmallSetVector<Value, 8> handed;
  SmallVector<Value> inputOperands, weightOperands;
  for (Operation &op : whole.front().without_terminator())
    (slice.contains(&op) ? inputOps : weightOps).push_back(&op);
  auto hand = [&](Value value) {
    Operation *op = value.getDefiningOp();
    if (op && slice.contains(op) && !isa<graph::ConstantOp>(op))
      handed.insert(value);
  };
  for (Operation *op : weightOps)
    llvm::for_each(op->getOperands(), hand);
  llvm::for_each(weightValues, hand);
  // Constants are made again.
  SmallVector<Operation *> constants;
  for (Operation *op : inputOps)
    if (isa<graph::ConstantOp>(op))
      constants.push_back(op);
  weightOps.insert(weightOps.begin(), constants.begin(), constants.end());
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
