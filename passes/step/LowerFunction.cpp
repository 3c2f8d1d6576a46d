//===- LowerFunction.cpp - Layer functions to launch lists ----------------===//

#include "passes/LayerFunction.h"
#include "passes/Remarks.h"
#include "passes/kernels/KernelFamily.h"
#include "passes/step/KernelFigures.h"
#include "passes/step/LowerCollective.h"
#include "passes/step/Lowering.h"

#include "mlir/IR/Verifier.h"

using namespace mlir;
using namespace primus;
using namespace primus::step;

namespace primus::step {

/// Lowers one function. Values are visited in order, so that a buffer whose last reader writes the same elements can be reused at once.
class FunctionLowering {
public:
  FunctionLowering(LoweringContext &context, func::FuncOp source)
      : context(context), source(source), builder(source.getContext()) {}

  FailureOr<LoweredFunction> run();

private:
  LogicalResult lowerOp(Operation *op);
  LogicalResult lowerFusion(graph::FusionOp fusion);
  LogicalResult lowerSlice(graph::SliceOp slice);
  void lowerCollective(graph::CollectiveOpInterface collective);
  Value chooseBuffer(graph::FusionOp fusion, unsigned output, ArrayRef<std::pair<unsigned, unsigned>> inplace,
                     llvm::SmallDenseSet<Value> &taken);
  void findDestinations();
  /// Whether any alias of the buffer is read after `op`.
  bool isReadAfter(Value root, Operation *op);
  /// How many of the fusion's inputs lie in the buffer.
  unsigned countInputs(graph::FusionOp fusion, Value root);
  Value newBuffer(MemRefType type, Location loc);

  LoweringContext &context;
  func::FuncOp source;
  OpBuilder builder;
  LoweredFunction result;
  DenseMap<Value, Value> buffers;
  /// Results of fusions and collectives that are returned, directly, reshaped or reduced in place: index of the function's result.
  DenseMap<Value, unsigned> destinations;
  /// Original values whose buffers share a root, to find later readers.
  DenseMap<Value, SmallVector<Value>> aliases;
  DenseMap<Operation *, unsigned> order;
};

} // namespace primus::step

Value FunctionLowering::newBuffer(MemRefType type, Location loc) {
  std::string name = getName(loc, "");
  return BufferOp::create(builder, loc, type, builder.getI64IntegerAttr(-1),
                          name.empty() ? StringAttr() : builder.getStringAttr(name), FlatSymbolRefAttr());
}

/// A returned value is computed in place in the output's buffer, at its first place in the result list.
void FunctionLowering::findDestinations() {
  auto returnOp = cast<func::ReturnOp>(source.front().getTerminator());
  for (auto [index, operand] : llvm::enumerate(returnOp.getOperands())) {
    Value value = operand;
    while (Operation *op = value.getDefiningOp()) {
      if (isa<graph::FusionOp, graph::CollectiveOpInterface>(op))
        destinations.try_emplace(value, index);
      // What is reduced for the output can be computed there, too.
      if (!isa<graph::ReshapeOp>(op) && !(isa<graph::AllReduceOp>(op) && op->getOperand(0).hasOneUse()))
        break;
      value = op->getOperand(0);
    }
  }
}

bool FunctionLowering::isReadAfter(Value root, Operation *op) {
  // Also by way of views that are made later.
  SmallVector<Value> worklist = aliases[root];
  while (!worklist.empty())
    for (Operation *user : worklist.pop_back_val().getUsers()) {
      if (isa<graph::ReshapeOp, graph::SliceOp>(user))
        worklist.push_back(user->getResult(0));
      else if (order[user] > order[op])
        return true;
    }
  return false;
}

unsigned FunctionLowering::countInputs(graph::FusionOp fusion, Value root) {
  return llvm::count_if(fusion.getInputs(), [&](Value input) { return getRoot(buffers[input]) == root; });
}

Value FunctionLowering::chooseBuffer(graph::FusionOp fusion, unsigned output, ArrayRef<std::pair<unsigned, unsigned>> inplace,
                                     llvm::SmallDenseSet<Value> &taken) {
  Value value = fusion.getResult(output);
  MemRefType type = getBufferType(value.getType());
  unsigned numArguments = source.getNumArguments();

  auto remarkInplace = [&](Value input) {
    remarkPassed(kInplaceRemark, source, fusion.getLoc(), getByteSize(type),
                 [&] { return describe(value) + " is computed over " + describe(input); });
  };

  // Inputs that this output may overwrite: read by this fusion only, here for the last time.
  SmallVector<std::pair<Value, Value>> candidates;
  std::string refusals;
  for (auto [to, from] : inplace) {
    if (to != output)
      continue;
    Value input = fusion.getInputs()[from], root = getRoot(buffers[input]);
    StringRef refusal;
    if (getByteSize(cast<MemRefType>(root.getType())) != getByteSize(type))
      refusal = "is of another size";
    else if (taken.contains(root))
      refusal = "is overwritten by another result";
    else if (countInputs(fusion, root) != 1)
      refusal = "is read through another view, too";
    else if (isReadAfter(root, fusion))
      refusal = "is read again later";
    else
      candidates.push_back({root, input});
    if (!refusal.empty())
      refusals += (refusals.empty() ? "" : "; ") + describe(input) + " " + refusal.str();
  }

  auto destination = destinations.find(value);
  if (destination != destinations.end()) {
    unsigned index = destination->second;
    if (auto wanted = source.getResultAttrOfType<IntegerAttr>(index, graph::kInplaceAttr)) {
      Value argument = result.function.getBody().getArgument(wanted.getInt());
      for (auto [root, input] : candidates)
        if (root == argument) {
          result.inplace[index] = wanted.getInt();
          taken.insert(argument);
          remarkInplace(input);
        }
    }
    return getView(builder, fusion.getLoc(), result.function.getBody().getArgument(numArguments + index), type);
  }
  for (auto [root, input] : candidates) {
    if (root.getDefiningOp<BufferOp>()) {
      taken.insert(root);
      remarkInplace(input);
      return getView(builder, fusion.getLoc(), root, type);
    }
    refusals += (refusals.empty() ? "" : "; ") + describe(input) + " belongs to the caller";
  }
  if (!refusals.empty())
    remarkMissed(kInplaceMissedRemark, source, fusion.getLoc(), getByteSize(type),
                 [&] { return describe(value) + " has a buffer of its own: " + refusals; });
  return newBuffer(type, fusion.getLoc());
}

LogicalResult FunctionLowering::lowerFusion(graph::FusionOp fusion) {
  const kernels::KernelFamily *family = kernels::findFamily(fusion.getFamily());
  if (!family)
    return fusion.emitOpError("is of the unknown kernel family '") << fusion.getFamily() << "'";
  std::string base = source.getName().str() + "." + getName(fusion.getLoc(), fusion.getFamily()), name = base;
  for (unsigned uses = 1; context.usedNames.contains(name); ++uses)
    name = base + "_" + std::to_string(uses);
  context.usedNames.insert(name);
  OpBuilder kernelBuilder(result.function);
  FailureOr<kernels::LoweredFusion> lowered = family->lower(fusion, kernelBuilder, name, context.traits);
  if (failed(lowered))
    return failure();
  setKernelFigures(fusion, *lowered);
  // Further kernels of a fusion are numbered, too.
  for (kernels::Launch &launch : lowered->launches)
    context.usedNames.insert(launch.kernel.getSymName());

  SmallVector<Value> outputs, temporaries;
  llvm::SmallDenseSet<Value> taken;
  for (unsigned i = 0; i < fusion.getNumResults(); ++i) {
    Value buffer = chooseBuffer(fusion, i, lowered->inplace, taken);
    outputs.push_back(buffer);
    buffers[fusion.getResult(i)] = buffer;
    aliases[getRoot(buffer)].push_back(fusion.getResult(i));
  }
  for (MemRefType type : lowered->temporaries)
    temporaries.push_back(newBuffer(type, fusion.getLoc()));

  for (const kernels::Launch &launch : lowered->launches) {
    SmallVector<Value> operands;
    for (const kernels::Operand &operand : launch.operands) {
      Value buffer = operand.kind == kernels::Operand::Input    ? buffers[fusion.getInputs()[operand.index]]
                     : operand.kind == kernels::Operand::Output ? outputs[operand.index]
                                                                : temporaries[operand.index];
      operands.push_back(getView(builder, fusion.getLoc(), buffer, operand.type, operand.byteOffset));
    }
    nameArguments(fusion, launch);
    kernel::FuncOp kernel = context.unique(launch.kernel);
    LaunchOp::create(builder, fusion.getLoc(), kernel.getSymName(), operands);
  }
  return success();
}

/// Rows of the leading dimension are contiguous: a slice of them is a view.
LogicalResult FunctionLowering::lowerSlice(graph::SliceOp slice) {
  auto from = cast<RankedTensorType>(slice.getOperand().getType()), to = cast<RankedTensorType>(slice.getType());
  if (from.getRank() == 0 || from.getShape().drop_front() != to.getShape().drop_front())
    return slice.emitOpError("is not contiguous and should have become part of a fusion");
  MemRefType type = getBufferType(to);
  int64_t rowBytes = to.getDimSize(0) ? getByteSize(type) / to.getDimSize(0) : 0;
  buffers[slice.getResult()] =
      getView(builder, slice.getLoc(), buffers[slice.getOperand()], type, slice.getOffsets().front() * rowBytes);
  return success();
}

/// An all_reduce happens where its operand lies if nobody reads that later, and the caller's buffers are no exception only where they are its
/// output.
void FunctionLowering::lowerCollective(graph::CollectiveOpInterface collective) {
  Operation *op = collective;
  Value operand = op->getOperand(0), result = op->getResult(0), from = buffers[operand], root = getRoot(from);
  auto destination = destinations.find(result);
  Value output = destination == destinations.end()
                     ? Value()
                     : this->result.function.getBody().getArgument(source.getNumArguments() + destination->second);
  bool isOurs = output ? root == output : static_cast<bool>(root.getDefiningOp<BufferOp>());
  MemRefType type = getBufferType(result.getType());
  Value to;
  if (isa<graph::AllReduceOp>(op) && isOurs && !isReadAfter(root, op))
    to = from;
  else
    to = output ? getView(builder, op->getLoc(), output, type) : newBuffer(type, op->getLoc());
  step::lowerCollective(builder, collective, from, to);
  buffers[result] = to;
}

LogicalResult FunctionLowering::lowerOp(Operation *op) {
  if (auto fusion = dyn_cast<graph::FusionOp>(op))
    return lowerFusion(fusion);
  if (auto reshape = dyn_cast<graph::ReshapeOp>(op)) {
    buffers[reshape.getResult()] =
        getView(builder, op->getLoc(), buffers[reshape.getOperand()], getBufferType(reshape.getType()));
  } else if (auto slice = dyn_cast<graph::SliceOp>(op)) {
    if (failed(lowerSlice(slice)))
      return failure();
  } else if (auto constant = dyn_cast<graph::ConstantOp>(op); constant && isZero(constant)) {
    Value buffer = newBuffer(getBufferType(constant.getType()), op->getLoc());
    FillOp::create(builder, op->getLoc(), buffer);
    buffers[constant.getResult()] = buffer;
  } else if (auto collective = dyn_cast<graph::CollectiveOpInterface>(op)) {
    lowerCollective(collective);
  } else if (auto returnOp = dyn_cast<func::ReturnOp>(op)) {
    for (auto [index, value] : llvm::enumerate(returnOp.getOperands())) {
      Value target = result.function.getBody().getArgument(source.getNumArguments() + index), buffer = buffers[value];
      if (getRoot(buffer) != target)
        CopyOp::create(builder, op->getLoc(), getView(builder, op->getLoc(), buffer, getBufferType(value.getType())), target);
    }
    ReturnOp::create(builder, op->getLoc());
  } else {
    return op->emitOpError("is neither a fusion nor a collective nor a view; only these remain in phase 'fused'");
  }
  if (op->getNumResults() == 1)
    aliases[getRoot(buffers[op->getResult(0)])].push_back(op->getResult(0));
  return success();
}

FailureOr<LoweredFunction> FunctionLowering::run() {
  SmallVector<Type> types;
  for (Type type : llvm::concat<const Type>(source.getArgumentTypes(), source.getResultTypes()))
    types.push_back(getBufferType(type));
  builder.setInsertionPoint(source);
  result.function = FunctionOp::create(builder, source.getLoc(), source.getName(), types, /*bytes=*/0);
  result.inplace.assign(source.getNumResults(), -1);
  Block &body = result.function.getBody().front();
  builder.setInsertionPointToStart(&body);
  for (BlockArgument argument : source.getArguments()) {
    Value buffer = body.getArgument(argument.getArgNumber());
    buffer.setLoc(argument.getLoc());
    buffers[argument] = buffer;
    aliases[buffer].push_back(argument);
  }
  for (unsigned index = 0, end = source.getNumResults(); index < end; ++index) {
    BlockArgument output = body.getArgument(source.getNumArguments() + index);
    output.setLoc(NameLoc::get(builder.getStringAttr(getResultName(source, index)), output.getLoc()));
  }
  findDestinations();
  for (auto [index, op] : llvm::enumerate(source.front()))
    order[&op] = index;
  for (Operation &op : source.front())
    if (failed(lowerOp(&op)))
      return failure();
  // Views that only other views needed.
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(body)))
    if (isa<ViewOp>(op) && op.use_empty())
      op.erase();
  return result;
}

LoweringContext::LoweringContext(ModuleOp module) : module(module), traits(kernel::TargetTraits::get(module)) {
  for (auto function : module.getOps<func::FuncOp>())
    layerFunctions[function.getName()] = function;
}

kernel::FuncOp LoweringContext::unique(kernel::FuncOp kernel) {
  // Two kernels are equal when they print equally under one name; their figures tell of one use.
  std::string name = kernel.getSymName().str(), text;
  DictionaryAttr figures = kernel->getDiscardableAttrDictionary();
  kernel.setSymName("kernel");
  kernel->setDiscardableAttrs(DictionaryAttr::get(kernel.getContext()));
  llvm::raw_string_ostream stream(text);
  kernel->print(stream, OpPrintingFlags().useLocalScope());
  kernel.setSymName(name);
  kernel->setDiscardableAttrs(figures);
  auto [entry, isNew] = kernelsByText.try_emplace(text, kernel);
  if (!isNew && entry->second != kernel)
    kernel.erase();
  return entry->second;
}

FailureOr<LoweredFunction> LoweringContext::getFunction(func::FuncOp function) {
  auto known = functions.find(function.getName().str());
  if (known != functions.end())
    return known->second;
  FailureOr<LoweredFunction> lowered = FunctionLowering(*this, function).run();
  if (succeeded(lowered))
    functions[function.getName().str()] = *lowered;
  return lowered;
}

FailureOr<LoweredFunction> LoweringContext::getAccumulate(TypeRange types, Location loc) {
  std::string name = "schedule.accumulate";
  for (Type type : types)
    for (int64_t size : cast<RankedTensorType>(type).getShape())
      name += "." + std::to_string(size);
  if (auto known = functions.find(name); known != functions.end())
    return known->second;
  OpBuilder builder(module.getContext());
  builder.setInsertionPointToEnd(module.getBody());
  SmallVector<Type> arguments(types.begin(), types.end());
  arguments.append(types.begin(), types.end());
  auto function = func::FuncOp::create(builder, loc, name, builder.getFunctionType(arguments, types));
  builder.setInsertionPointToStart(function.addEntryBlock());
  SmallVector<Value> sums;
  unsigned count = types.size();
  for (unsigned i = 0; i < count; ++i) {
    Value inputs[] = {function.getArgument(i), function.getArgument(count + i)};
    auto fusion = graph::FusionOp::create(builder, loc, types[i], "rows", inputs);
    Block &body = fusion.getBody().emplaceBlock();
    body.addArguments({types[i], types[i]}, {loc, loc});
    OpBuilder inner = OpBuilder::atBlockEnd(&body);
    Value sum = graph::AddOp::create(inner, loc, body.getArgument(0), body.getArgument(1));
    graph::YieldOp::create(inner, loc, sum);
    sums.push_back(fusion.getResult(0));
    function.setResultAttr(i, graph::kInplaceAttr, builder.getI64IntegerAttr(i));
  }
  func::ReturnOp::create(builder, loc, sums);
  FailureOr<LoweredFunction> lowered = getFunction(function);
  function.erase();
  return lowered;
}
