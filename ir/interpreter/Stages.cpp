//===- Stages.cpp - Executes the programs of a pipeline's ranks ------------===//

#include "ir/interpreter/Stages.h"

using namespace mlir;
using namespace primus::graph;
using namespace primus::interpreter;

/// The mesh of the ranks that have one place in the axis `pp`.
static MeshAttr getStageMesh(MeshAttr mesh) {
  SmallVector<int64_t> sizes(mesh.getSizes());
  for (auto [name, size] : llvm::zip_equal(mesh.getNames(), sizes))
    if (name.getValue() == "pp")
      size = 1;
  return MeshAttr::get(mesh.getContext(), mesh.getNames(), sizes);
}

StagedInterpreter::StagedInterpreter(ModuleOp module, Mode mode) : module(module) {
  auto mesh = module->getAttrOfType<MeshAttr>(kMeshAttr);
  for (int64_t rank = 0; rank < mesh.getSize("pp").value_or(1); ++rank)
    ranks.push_back(std::make_unique<Interpreter>(module, mode, getStageMesh(mesh)));
}

LogicalResult StagedInterpreter::initializeVariables(uint64_t seed) {
  for (auto &rank : ranks)
    if (failed(rank->initializeVariables(seed)))
      return failure();
  return success();
}

/// Whether a rank's programs have the value of a variable: they read or write it, and do not hand their part of a
/// gradient to another rank that has the sum.
static bool hasValue(ModuleOp module, VariableOp variable, int64_t rank) {
  bool isUsed = false, isPart = false;
  for (auto program : module.getOps<func::FuncOp>())
    if (auto stage = program->getAttrOfType<IntegerAttr>(kStageAttr); stage && stage.getInt() == rank)
      program.walk([&](Operation *op) {
        if (auto store = dyn_cast<StoreOp>(op))
          isUsed |= store.getVariable() == variable.getSymName();
        auto load = dyn_cast<LoadOp>(op);
        if (!load || load.getVariable() != variable.getSymName())
          return;
        isUsed = true;
        isPart |= variable.getRole() == Role::Gradient && llvm::any_of(load->getUsers(), llvm::IsaPred<SendOp>);
      });
  return isUsed && !isPart;
}

TensorRef StagedInterpreter::getVariable(StringRef name) const {
  TensorRef value;
  for (auto [index, rank] : llvm::enumerate(ranks)) {
    if (!hasValue(module, rank->symbols.lookup<VariableOp>(name), index))
      continue;
    TensorRef own = rank->getVariable(name);
    if (!own || (value && own->values != value->values)) {
      if (own)
        rank->module.emitError() << "'" << name << "' differs between the stages that have it";
      return nullptr;
    }
    value = own;
  }
  return value;
}

/// One run of the programs of all ranks.
class StagedInterpreter::Execution {
public:
  explicit Execution(StagedInterpreter &interpreter) : interpreter(interpreter) {}

  FailureOr<SmallVector<Tensor>> run(StringRef name, ArrayRef<Tensor> inputs);

private:
  struct Program {
    Interpreter *rank;
    Interpreter::Frame frame;
    Block::iterator next;
    /// It has come to its terminator, whose operands are there.
    bool isDone = false;
    /// How many of the sums over stages it has.
    size_t sums = 0;
    /// Of a receive that was started: the message that it gets.
    llvm::DenseMap<Operation *, size_t> receives;
    /// How many receives from each stage it has started.
    std::map<int64_t, size_t> started;
  };
  /// Messages from one stage to another, in order.
  using Channel = std::deque<SmallVector<RankValues>>;

  LogicalResult start(StringRef name, ArrayRef<Tensor> inputs);
  /// Runs the program's next op; false where it has to wait.
  FailureOr<bool> step(size_t index);
  /// Takes a message that an op is about to use; false where it is not there yet.
  FailureOr<bool> take(size_t index, ReceiveOp receive);
  bool addUp(size_t index, const RankValues &part, RankValues &sum);

  StagedInterpreter &interpreter;
  std::vector<Program> programs;
  std::map<std::pair<int64_t, int64_t>, Channel> messages;
  /// Per sum over the stages, the parts that are there.
  std::vector<std::vector<std::optional<RankValues>>> sums;
};

LogicalResult StagedInterpreter::Execution::start(StringRef name, ArrayRef<Tensor> inputs) {
  for (auto [index, rank] : llvm::enumerate(interpreter.ranks)) {
    std::string own = (name + "." + Twine(index)).str();
    func::FuncOp function = rank->getFunction(interpreter.module, own);
    if (!function)
      return failure();
    Program program;
    program.rank = rank.get();
    program.next = function.front().begin();
    auto typed = rank->symbols.lookup<func::FuncOp>(own);
    for (auto [argument, input, type] : llvm::zip_equal(function.getArguments(), inputs, typed.getArgumentTypes())) {
      FailureOr<RankValues> parts = rank->distribute(typed, input, type);
      if (failed(parts))
        return failure();
      program.frame[argument] = std::move(*parts);
    }
    programs.push_back(std::move(program));
  }
  return success();
}

FailureOr<bool> StagedInterpreter::Execution::take(size_t index, ReceiveOp receive) {
  Program &program = programs[index];
  const Channel &channel = messages[{receive.getStage(), index}];
  size_t number = program.receives.lookup(receive);
  if (number >= channel.size())
    return false;
  const SmallVector<RankValues> &values = channel[number];
  bool fits = values.size() == receive.getNumResults() &&
              llvm::all_of(llvm::zip_equal(values, receive.getResultTypes()), [](auto pair) {
                return std::get<0>(pair).front()->fits(cast<RankedTensorType>(std::get<1>(pair)));
              });
  if (!fits)
    return receive.emitOpError() << "gets other values than stage " << receive.getStage() << " sends";
  for (auto [result, value] : llvm::zip_equal(receive.getValues(), values))
    program.frame[result] = value;
  program.receives.erase(receive);
  return true;
}

bool StagedInterpreter::Execution::addUp(size_t index, const RankValues &part, RankValues &sum) {
  size_t number = programs[index].sums;
  if (sums.size() <= number)
    sums.resize(number + 1, std::vector<std::optional<RankValues>>(programs.size()));
  sums[number][index] = part;
  if (!llvm::all_of(sums[number], [](const auto &part) { return part.has_value(); }))
    return false;
  ++programs[index].sums;
  for (size_t place = 0; place < part.size(); ++place) {
    SmallVector<const Tensor *> parts;
    for (const auto &stage : sums[number])
      parts.push_back((*stage)[place].get());
    Tensor total = combine(parts, ReduceKind::Sum);
    programs[index].rank->round(total);
    sum.push_back(std::make_shared<Tensor>(std::move(total)));
  }
  return true;
}

FailureOr<bool> StagedInterpreter::Execution::step(size_t index) {
  Program &program = programs[index];
  Operation &op = *program.next;
  for (Value operand : op.getOperands())
    if (auto receive = operand.getDefiningOp<ReceiveOp>(); receive && program.receives.contains(receive)) {
      FailureOr<bool> isThere = take(index, receive);
      if (failed(isThere) || !*isThere)
        return isThere;
    }
  if (op.hasTrait<OpTrait::IsTerminator>())
    return program.isDone = true;
  SmallVector<RankValues> operands = llvm::map_to_vector(op.getOperands(), [&](Value value) { return program.frame.lookup(value); });
  if (auto send = dyn_cast<SendOp>(op)) {
    messages[{index, send.getStage()}].push_back(operands);
  } else if (auto receive = dyn_cast<ReceiveOp>(op)) {
    program.receives[receive] = program.started[receive.getStage()]++;
  } else if (auto sum = dyn_cast<SumStagesOp>(op)) {
    RankValues total;
    if (!addUp(index, operands.front(), total))
      return false;
    program.frame[sum] = std::move(total);
  } else {
    auto computed = program.rank->runOp(&op, operands, program.frame);
    if (failed(computed))
      return failure();
    for (auto [value, result] : llvm::zip_equal(op.getResults(), *computed))
      program.frame[value] = std::move(result);
  }
  Interpreter::releaseOperands(op, program.frame);
  ++program.next;
  return true;
}

FailureOr<SmallVector<Tensor>> StagedInterpreter::Execution::run(StringRef name, ArrayRef<Tensor> inputs) {
  if (failed(start(name, inputs)))
    return failure();
  for (bool moved = true; moved;) {
    moved = false;
    for (size_t index = 0; index < programs.size(); ++index)
      while (!programs[index].isDone) {
        FailureOr<bool> done = step(index);
        if (failed(done))
          return failure();
        if (!*done)
          break;
        moved = true;
      }
  }
  SmallVector<Tensor> values;
  for (auto [index, program] : llvm::enumerate(programs)) {
    if (!program.isDone)
      return program.next->emitOpError() << "of stage " << index << " waits for what no other stage does";
    auto typed = program.rank->symbols.lookup<func::FuncOp>((name + "." + Twine(index)).str());
    for (auto [number, value] : llvm::enumerate(program.next->getOperands())) {
      FailureOr<Tensor> whole = program.rank->ranks.join(typed, "result #" + Twine(number) + " of '" + name + "'",
                                                         program.frame.lookup(value), getLayout(typed.getResultTypes()[number]));
      if (failed(whole))
        return failure();
      if (index == 0)
        values.push_back(std::move(*whole));
      else if (values[number].values != whole->values)
        return typed.emitError() << "gives another result #" << number << " on stage " << index << " than on stage 0";
    }
  }
  for (auto &[between, channel] : messages)
    if (programs[between.second].started[between.first] != channel.size())
      return interpreter.module.emitError() << "stage " << between.second << " does not receive as many messages as stage "
                                            << between.first << " sends";
  return values;
}

FailureOr<SmallVector<Tensor>> StagedInterpreter::run(StringRef program, ArrayRef<Tensor> inputs) {
  return Execution(*this).run(program, inputs);
}
