//===- EmitExecutable.cpp - From the step phase to the executable format --===//

#include "codegen/common/EmitExecutable.h"

#include "codegen/common/EmitMesh.h"
#include "codegen/common/Float8.h"
#include "ir/graph/GraphDialect.h"
#include "ir/kernel/KernelDialect.h"
#include "ir/step/StepDialect.h"

#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/TypeSwitch.h"

#include <set>

using namespace mlir;
using namespace primus;

std::string primus::getKernelSymbol(StringRef kernel) { return kernel.str(); }

static executable::DataType getDataType(Type type) {
  if (type.isF64())
    return executable::F64;
  if (type.isF32())
    return executable::F32;
  if (type.isF16())
    return executable::F16;
  if (type.isBF16())
    return executable::BF16;
  if (isa<Float8E4M3FNType>(type))
    return executable::F8E4M3FN;
  if (isa<Float8E5M2Type>(type))
    return executable::F8E5M2;
  if (isa<Float8E4M3FNUZType>(type))
    return executable::F8E4M3FNUZ;
  if (isa<Float8E5M2FNUZType>(type))
    return executable::F8E5M2FNUZ;
  if (isa<Float8E8M0FNUType>(type))
    return executable::F8E8M0FNU;
  if (type.isInteger(64))
    return executable::I64;
  if (type.isInteger(32))
    return executable::I32;
  if (type.isInteger(8))
    return executable::I8;
  if (type.isInteger(1))
    return executable::I1;
  return executable::DATA_TYPE_UNSPECIFIED;
}

static void emitType(ShapedType type, executable::TensorType &result) {
  result.set_data_type(getDataType(type.getElementType()));
  for (int64_t size : type.getShape())
    result.add_shape(size);
}

static int64_t byteSize(ShapedType type) {
  return type.getNumElements() * std::max<int64_t>(type.getElementTypeBitWidth() / 8, 1);
}

namespace {

class Emitter {
public:
  Emitter(ModuleOp module, executable::Executable &result)
      : module(module), mesh(module->getAttrOfType<graph::MeshAttr>(graph::kMeshAttr)), result(result) {}

  LogicalResult run();

private:
  void emitKernel(kernel::FuncOp kernel);
  LogicalResult emitFunction(step::FunctionOp function);
  LogicalResult emitProgram(step::ProgramOp program, executable::Program &out);
  LogicalResult emitVariable(graph::VariableOp variable, int64_t offset, executable::Variable &out);
  /// What all ranks have, or those with a place in the pipeline: the fields of a message of that.
  template <typename Rank>
  LogicalResult emitRank(Rank &rank, std::optional<int64_t> stage);
  LogicalResult emitMessage(step::ExchangeOpInterface message, int64_t peer, executable::Collective &result);
  LogicalResult emitBlock(Block &block, google::protobuf::RepeatedPtrField<executable::Action> &actions);
  LogicalResult emitOp(Operation &op, executable::Action &action);
  LogicalResult emitReference(Value buffer, executable::Reference &reference);

  ModuleOp module;
  graph::MeshAttr mesh;
  executable::Executable &result;
  llvm::StringMap<int32_t> kernels, functions;
};

} // namespace

LogicalResult Emitter::emitReference(Value buffer, executable::Reference &reference) {
  int64_t offset = 0;
  while (true) {
    Operation *definition = buffer.getDefiningOp();
    if (auto view = dyn_cast_or_null<step::ViewOp>(definition)) {
      offset += view.getOffset();
      buffer = view.getSource();
    } else if (auto slice = dyn_cast_or_null<step::MicrobatchOp>(definition)) {
      reference.set_stride_bytes(byteSize(cast<ShapedType>(slice.getType())));
      buffer = slice.getSource();
    } else {
      break;
    }
  }
  if (auto definition = buffer.getDefiningOp<step::BufferOp>()) {
    if (definition->getParentOfType<step::FunctionOp>())
      reference.set_scratch(true);
    else
      reference.set_arena(true);
    offset += definition.getOffset();
  } else {
    auto argument = cast<BlockArgument>(buffer);
    if (auto program = dyn_cast<step::ProgramOp>(argument.getOwner()->getParentOp())) {
      reference.set_arena(true);
      offset += program.getArgAttrOfType<IntegerAttr>(argument.getArgNumber(), "step.offset").getInt();
    } else {
      reference.set_argument(argument.getArgNumber());
    }
  }
  reference.set_offset(offset);
  return success();
}

LogicalResult Emitter::emitMessage(step::ExchangeOpInterface message, int64_t peer, executable::Collective &result) {
  bool sends = isa<step::SendOp>(message);
  OperandRange buffers = message->getOperands();
  auto getType = [](Value buffer) { return getDataType(cast<ShapedType>(buffer.getType()).getElementType()); };
  executable::DataType type = getType(buffers.front());
  // Values of several types travel as bytes.
  bool asBytes = llvm::any_of(buffers, [&](Value buffer) { return getType(buffer) != type; });
  result.set_kind(sends ? "send" : "receive");
  result.add_axes("pp");
  result.set_peer(peer);
  result.set_data_type(asBytes ? executable::I8 : type);
  result.set_ticket(message.getTicket());
  if (auto instance = message->getAttrOfType<StringAttr>("instance"))
    result.set_instance(instance.str());
  for (Value buffer : buffers) {
    auto shaped = cast<ShapedType>(buffer.getType());
    int64_t bytes = byteSize(shaped);
    executable::Part &part = *result.add_parts();
    for (int64_t size : asBytes ? ArrayRef(bytes) : shaped.getShape())
      part.add_shape(size);
    if (failed(emitReference(buffer, sends ? *part.mutable_source() : *part.mutable_target())))
      return failure();
  }
  return success();
}

LogicalResult Emitter::emitOp(Operation &op, executable::Action &action) {
  return llvm::TypeSwitch<Operation *, LogicalResult>(&op)
      .Case([&](step::LaunchOp launch) -> LogicalResult {
        auto kernel = kernels.find(launch.getKernel());
        if (kernel == kernels.end())
          return launch.emitOpError("launches @") << launch.getKernel() << ", which is not a kernel of this module";
        action.mutable_launch()->set_kernel(kernel->second);
        for (Value operand : launch.getOperands())
          if (failed(emitReference(operand, *action.mutable_launch()->add_operands())))
            return failure();
        return success();
      })
      .Case([&](step::CopyOp copy) -> LogicalResult {
        action.mutable_copy()->set_bytes(byteSize(cast<ShapedType>(copy.getSource().getType())));
        return success(succeeded(emitReference(copy.getSource(), *action.mutable_copy()->mutable_source())) &&
                       succeeded(emitReference(copy.getTarget(), *action.mutable_copy()->mutable_target())));
      })
      .Case([&](step::FillOp fill) -> LogicalResult {
        action.mutable_fill()->set_bytes(byteSize(cast<ShapedType>(fill.getTarget().getType())));
        return emitReference(fill.getTarget(), *action.mutable_fill()->mutable_target());
      })
      .Case([&](step::CollectiveOp collective) -> LogicalResult {
        executable::Collective &result = *action.mutable_collective();
        emitCollective(collective, getDataType(cast<ShapedType>(collective.getSources().front().getType()).getElementType()), result);
        for (auto [part, source, target] : llvm::zip_equal(*result.mutable_parts(), collective.getSources(), collective.getTargets()))
          if (failed(emitReference(source, *part.mutable_source())) || failed(emitReference(target, *part.mutable_target())))
            return failure();
        return success();
      })
      .Case([&](step::SendOp send) { return emitMessage(send, send.getStage(), *action.mutable_collective()); })
      .Case([&](step::ReceiveOp receive) { return emitMessage(receive, receive.getStage(), *action.mutable_collective()); })
      .Case([&](step::WaitOp wait) -> LogicalResult {
        action.mutable_wait()->set_ticket(wait.getTicket());
        return success();
      })
      .Case([&](step::CallOp call) -> LogicalResult {
        auto function = functions.find(call.getCallee());
        if (function == functions.end())
          return call.emitOpError("calls @") << call.getCallee() << ", which is not a step function of this module";
        executable::Call &result = *action.mutable_call();
        result.set_function(function->second);
        result.set_instance(call.getInstance().str());
        for (Value argument : call.getArguments())
          if (failed(emitReference(argument, *result.add_arguments())))
            return failure();
        return call.getScratch() ? emitReference(call.getScratch(), *result.mutable_scratch()) : success();
      })
      .Case([&](step::LoopOp loop) -> LogicalResult {
        action.mutable_loop()->set_count(loop.getCount());
        return emitBlock(loop.getBody().front(), *action.mutable_loop()->mutable_body());
      })
      .Default([&](Operation *other) { return other->emitOpError("has no form in the executable format"); });
}

LogicalResult Emitter::emitBlock(Block &block, google::protobuf::RepeatedPtrField<executable::Action> &actions) {
  for (Operation &op : block)
    if (!isa<step::BufferOp, step::ViewOp, step::MicrobatchOp, step::ReturnOp>(op))
      if (failed(emitOp(op, *actions.Add())))
        return failure();
  return success();
}

void Emitter::emitKernel(kernel::FuncOp kernel) {
  kernels[kernel.getSymName()] = result.kernels_size();
  executable::Kernel &out = *result.add_kernels();
  out.set_name(kernel.getSymName().str());
  out.set_symbol(getKernelSymbol(kernel.getSymName()));
  for (int64_t size : kernel.getGrid())
    out.add_grid(size);
  for (BlockArgument argument : kernel.getBody().getArguments()) {
    executable::KernelArgument &described = *out.add_arguments();
    emitType(cast<ShapedType>(argument.getType()), *described.mutable_type());
    bool read = llvm::any_of(argument.getUsers(), [](Operation *user) { return isa<kernel::LoadOp>(user); });
    bool written = llvm::any_of(argument.getUsers(), [](Operation *user) { return isa<kernel::StoreOp>(user); });
    described.set_access(read && written ? "rw" : written ? "w" : "r");
  }
  auto figure = [&](StringRef name) {
    auto attribute = kernel->getAttrOfType<IntegerAttr>(name);
    return attribute ? attribute.getInt() : 0;
  };
  out.set_flops(figure("kernel.flops"));
  out.set_bytes(figure("kernel.bytes"));
  if (auto definition = kernel->getAttrOfType<StringAttr>("kernel.defined_by"))
    out.set_defined_by(definition.str());
}

LogicalResult Emitter::emitFunction(step::FunctionOp function) {
  functions[function.getSymName()] = result.functions_size();
  executable::Function &out = *result.add_functions();
  out.set_name(function.getSymName().str());
  out.set_scratch_bytes(function.getScratch());
  out.set_num_arguments(function.getArgumentTypes().size());
  return emitBlock(function.getBody().front(), *out.mutable_actions());
}

LogicalResult Emitter::emitProgram(step::ProgramOp program, executable::Program &out) {
  StringRef name = program.getSymName();
  if (std::optional<int64_t> stage = step::getStage(program))
    name.consume_back("." + std::to_string(*stage));
  out.set_name(name.str());
  for (BlockArgument argument : program.getBody().getArguments()) {
    unsigned index = argument.getArgNumber();
    executable::Port &port = program.getArgAttr(index, "step.output") ? *out.add_outputs() : *out.add_inputs();
    port.set_name(program.getArgAttrOfType<StringAttr>(index, "step.name").str());
    port.set_offset(program.getArgAttrOfType<IntegerAttr>(index, "step.offset").getInt());
    emitType(cast<ShapedType>(argument.getType()), *port.mutable_type());
    auto layout = program.getArgAttrOfType<graph::LayoutAttr>(index, step::kLayoutAttr);
    if (std::optional<executable::Layout> described = describeLayout(mesh, layout, cast<ShapedType>(argument.getType())))
      *port.mutable_layout() = *described;
  }
  return emitBlock(program.getBody().front(), *out.mutable_actions());
}

LogicalResult Emitter::emitVariable(graph::VariableOp variable, int64_t offset, executable::Variable &out) {
  out.set_name(variable.getSymName().str());
  emitType(variable.getTensorType(), *out.mutable_type());
  out.set_role(graph::stringifyRole(variable.getRole()).str());
  out.set_offset(offset);
  auto layout = dyn_cast_or_null<graph::LayoutAttr>(variable.getTensorType().getEncoding());
  if (std::optional<executable::Layout> described = describeLayout(mesh, layout, variable.getTensorType()))
    *out.mutable_layout() = *described;
  executable::Initializer &init = *out.mutable_initializer();
  init.set_kind(variable.getInit().getKind().str());
  init.set_stream(variable.getStream());
  if (DictionaryAttr params = variable.getInit().getParams())
    for (NamedAttribute entry : params) {
      if (auto number = dyn_cast<FloatAttr>(entry.getValue()))
        (*init.mutable_parameters())[entry.getName().str()] = number.getValueAsDouble();
      else if (auto list = dyn_cast<DenseF64ArrayAttr>(entry.getValue()))
        for (double frequency : list.asArrayRef())
          init.add_frequencies(frequency);
      else if (auto axes = dyn_cast<ArrayAttr>(entry.getValue()); axes && llvm::all_of(axes, llvm::IsaPred<StringAttr>))
        for (auto axis : axes.getAsRange<StringAttr>())
          init.add_axes(axis.str());
      else
        return variable.emitOpError("has the initialiser parameter '")
               << entry.getName() << "', which is neither a number nor a list of numbers or axes";
    }
  return success();
}

template <typename Rank>
LogicalResult Emitter::emitRank(Rank &rank, std::optional<int64_t> stage) {
  executable::Memory &memory = *rank.mutable_memory();
  for (auto program : module.getOps<step::ProgramOp>()) {
    if (step::getStage(program) != stage)
      continue;
    if (failed(emitProgram(program, *rank.add_programs())))
      return failure();
    memory.set_arena(std::max<int64_t>(memory.arena(), program.getArena()));
  }
  int64_t sums[4] = {};
  for (auto variable : module.getOps<graph::VariableOp>()) {
    std::optional<int64_t> offset = step::getOffset(variable, stage);
    if (!offset && variable->hasAttr(step::kOffsetsAttr))
      continue; // another rank's
    if (!offset)
      return variable.emitOpError("has no offset; run step-plan-memory first");
    if (failed(emitVariable(variable, *offset, *rank.add_variables())))
      return failure();
    sums[static_cast<unsigned>(variable.getRole())] += byteSize(variable.getTensorType());
  }
  memory.set_parameters(sums[static_cast<unsigned>(graph::Role::Parameter)]);
  memory.set_optimizer(sums[static_cast<unsigned>(graph::Role::Optimizer)]);
  memory.set_gradients(sums[static_cast<unsigned>(graph::Role::Gradient)]);
  memory.set_constants(sums[static_cast<unsigned>(graph::Role::Constant)]);
  // Programs share their part of the arena; the largest set of inputs stands for all.
  int64_t inputs = 0;
  for (const executable::Program &program : rank.programs()) {
    int64_t bytes = 0;
    for (const executable::Port &port : program.inputs()) {
      int64_t elements = 1;
      for (int64_t size : port.type().shape())
        elements *= size;
      bytes += elements * 4; // i32 tokens and f32 scalars
    }
    inputs = std::max(inputs, bytes);
  }
  memory.set_inputs(inputs);
  // What is left of the arena: activations, scratch and alignment.
  memory.set_activations(memory.arena() - sums[0] - sums[1] - sums[2] - sums[3] - inputs);
  return success();
}

LogicalResult Emitter::run() {
  emitMesh(mesh, result);
  for (auto kernel : module.getOps<kernel::FuncOp>())
    emitKernel(kernel);
  for (auto function : module.getOps<step::FunctionOp>())
    if (failed(emitFunction(function)))
      return failure();
  std::set<int64_t> stages;
  for (auto program : module.getOps<step::ProgramOp>())
    if (std::optional<int64_t> stage = step::getStage(program))
      stages.insert(*stage);
  for (int64_t stage : stages)
    if (failed(emitRank(*result.add_pipeline_ranks(), stage)))
      return failure();
  return stages.empty() ? emitRank(result, std::nullopt) : success();
}

LogicalResult primus::emitExecutable(ModuleOp module, executable::Executable &result) { return Emitter(module, result).run(); }
