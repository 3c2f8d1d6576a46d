//===- Interpreter.cpp - Executes modules of the graph dialect ------------===//

#include "ir/interpreter/Interpreter.h"
#include "ir/graph/Decomposition.h"
#include "ir/interpreter/Primitives.h"

#include "llvm/ADT/ScopeExit.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace primus::graph;
using namespace primus::interpreter;

/// The mesh that a module is placed on; null before.
static MeshAttr getMesh(ModuleOp module) {
  return module->hasAttr(kPlacedAttr) ? module->getAttrOfType<MeshAttr>(kMeshAttr) : MeshAttr();
}

Interpreter::Interpreter(ModuleOp module, Mode mode)
    : Interpreter(module, mode, getMesh(module)) {}

void Interpreter::round(Tensor &tensor) const {
  if (mode == Mode::Faithful || isa<IntegerType>(tensor.elementType))
    tensor.round();
}

/// Layouts say where elements are, not what they are; definitions of composites are built without them.
static void stripLayouts(func::FuncOp function) {
  auto strip = [](Type type) -> Type {
    auto tensor = dyn_cast<RankedTensorType>(type);
    return tensor ? RankedTensorType::get(tensor.getShape(), tensor.getElementType()) : type;
  };
  auto stripValue = [&](Value value) { value.setType(strip(value.getType())); };
  function.walk([&](Operation *op) {
    llvm::for_each(op->getResults(), stripValue);
    for (Region &region : op->getRegions())
      for (Block &block : region)
        llvm::for_each(block.getArguments(), stripValue);
  });
  function.setType(FunctionType::get(function.getContext(),
                                     llvm::map_to_vector(function.getArgumentTypes(), strip),
                                     llvm::map_to_vector(function.getResultTypes(), strip)));
}

func::FuncOp Interpreter::getFunction(Operation *user, StringRef name) {
  OwningOpRef<func::FuncOp> &cached = functions[name];
  if (cached)
    return *cached;
  auto function = symbols.lookup<func::FuncOp>(name);
  if (!function || function.isExternal()) {
    user->emitError() << "cannot run '" << name << "': the module has no function of that name with a body";
    return {};
  }
  if (!function.getBody().hasOneBlock()) {
    function.emitError("cannot be interpreted: it has more than one block");
    return {};
  }
  OwningOpRef<func::FuncOp> primitive = function.clone();
  stripLayouts(*primitive);
  if (failed(decomposeComposites(*primitive)))
    return {};
  cached = std::move(primitive);
  return *cached;
}

FailureOr<RankValues> Interpreter::distribute(Operation *user, const Tensor &whole, Type type) const {
  RankValues parts;
  for (int64_t rank = 0; rank < ranks.getCount(); ++rank) {
    FailureOr<Tensor> part = ranks.slice(user, whole, getLayout(type), rank);
    if (failed(part))
      return failure();
    round(*part);
    parts.push_back(std::make_shared<Tensor>(std::move(*part)));
  }
  return parts;
}

FailureOr<SmallVector<Tensor>> Interpreter::run(StringRef name, ArrayRef<Tensor> inputs) {
  // Layouts stand in the types of the function itself, not of the copy that runs.
  auto function = symbols.lookup<func::FuncOp>(name);
  SmallVector<RankValues> arguments;
  for (auto [index, input] : llvm::enumerate(inputs)) {
    bool isArgument = function && index < function.getNumArguments();
    FailureOr<RankValues> parts =
        distribute(module, input, isArgument ? function.getArgumentTypes()[index] : input.getType());
    if (failed(parts))
      return failure();
    arguments.push_back(std::move(*parts));
  }
  Results results = call(module, name, arguments);
  if (failed(results))
    return failure();
  SmallVector<Tensor> values;
  for (auto [index, parts] : llvm::enumerate(*results)) {
    LayoutAttr layout = getLayout(function.getResultTypes()[index]);
    FailureOr<Tensor> value = ranks.join(function, "result #" + Twine(index) + " of '" + name + "'", parts, layout);
    if (failed(value))
      return failure();
    values.push_back(std::move(*value));
  }
  return values;
}

Interpreter::Results Interpreter::call(Operation *user, StringRef name, ArrayRef<RankValues> inputs) {
  func::FuncOp function = getFunction(user, name);
  if (!function)
    return failure();
  constexpr unsigned maxDepth = 64;
  if (depth == maxDepth)
    return user->emitError() << "calls '" << name << "' at depth " << maxDepth << ": functions must not be recursive";
  ++depth;
  llvm::scope_exit leave([&] { --depth; });

  if (inputs.size() != function.getNumArguments())
    return user->emitError() << "'" << name << "' takes " << function.getNumArguments() << " inputs, not "
                             << inputs.size();
  for (auto [index, input, type] : llvm::enumerate(inputs, function.getArgumentTypes())) {
    auto tensorType = dyn_cast<RankedTensorType>(type);
    if (!tensorType || !input.front()->fits(tensorType))
      return user->emitError() << "input #" << index << " of '" << name << "' has type " << type << ", but got "
                               << input.front()->getType();
  }
  Frame frame;
  return runBlock(function.getBody().front(), inputs, frame);
}

/// Forgets the operands that no later op of the block reads. Values from around a schedule's body outlive the body.
void Interpreter::releaseOperands(Operation &op, Frame &frame) {
  Block *block = op.getBlock();
  for (Value operand : op.getOperands()) {
    auto isLater = [&](Operation *user) { return op.isBeforeInBlock(block->findAncestorOpInBlock(*user)); };
    if (operand.getParentBlock() == block && llvm::none_of(operand.getUsers(), isLater))
      frame.erase(operand);
  }
}

void Interpreter::observe(Operation *op, ArrayRef<RankValues> operands, MutableArrayRef<RankValues> results) {
  if (!observer)
    return;
  for (int64_t rank = 0; rank < ranks.getCount(); ++rank) {
    auto ofRank = [&](const RankValues &values) { return values[rank]; };
    SmallVector<TensorRef> read = llvm::map_to_vector(operands, ofRank), computed = llvm::map_to_vector(results, ofRank);
    observer(op, read, computed);
    for (auto [result, value] : llvm::zip_equal(results, computed))
      result[rank] = std::move(value);
  }
}

Interpreter::Results Interpreter::runBlock(Block &block, ArrayRef<RankValues> arguments, Frame &frame) {
  for (auto [argument, value] : llvm::zip_equal(block.getArguments(), arguments))
    frame[argument] = value;
  for (Operation &op : block) {
    SmallVector<RankValues> operands;
    for (Value operand : op.getOperands())
      operands.push_back(frame.lookup(operand));
    if (op.hasTrait<OpTrait::IsTerminator>())
      return operands;
    Results results = runOp(&op, operands, frame);
    if (failed(results))
      return failure();
    observe(&op, operands, *results);
    for (auto [value, result] : llvm::zip_equal(op.getResults(), *results))
      frame[value] = std::move(result);
    releaseOperands(op, frame);
  }
  return block.getParentOp()->emitError("cannot be interpreted: its block has no terminator");
}

Interpreter::Results Interpreter::runOp(Operation *op, ArrayRef<RankValues> operands, Frame &frame) {
  return TypeSwitch<Operation *, Results>(op)
      .Case([&](LoadOp load) { return runLoad(load); })
      .Case([&](StoreOp store) { return runStore(store, operands); })
      .Case([&](CallOp call) { return this->call(call, call.getCallee(), operands); })
      .Case([&](ScheduleOp schedule) { return runSchedule(schedule, operands, frame); })
      .Case([&](MicrobatchOp microbatch) { return runMicrobatch(microbatch, operands.front()); })
      .Case([&](FusionOp fusion) { return runFusion(fusion, operands); })
      .Case([&](CollectiveOpInterface collective) { return runCollective(collective, operands.front()); })
      .Default([&](Operation *other) { return runPrimitive(other, operands); });
}

Interpreter::Results Interpreter::runPrimitive(Operation *op, ArrayRef<RankValues> operands) {
  Primitive primitive = findPrimitive(op->getName().getStringRef());
  if (!primitive)
    return op->emitError() << "'" << op->getName() << "' cannot be interpreted: it is no op of a graph phase";
  SmallVector<RankValues> computed(op->getNumResults());
  for (int64_t rank = 0; rank < ranks.getCount(); ++rank) {
    auto inputs = llvm::map_to_vector(operands, [&](const RankValues &operand) { return operand[rank].get(); });
    SmallVector<Tensor> results;
    for (Type type : op->getResultTypes()) {
      FailureOr<Tensor> result = Tensor::make(op, type);
      if (failed(result))
        return failure();
      results.push_back(std::move(*result));
    }
    if (failed(primitive(op, inputs, results)))
      return failure();
    for (auto [values, result] : llvm::zip_equal(computed, results)) {
      round(result);
      values.push_back(std::make_shared<Tensor>(std::move(result)));
    }
  }
  return computed;
}
