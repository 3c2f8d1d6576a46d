//===- CompiledStep.cpp - Kernels on the interpreter's values -------------===//

#include "frontend/bisect/CompiledStep.h"

#include "codegen/CompileExecutable.h"
#include "frontend/bisect/TensorBytes.h"
#include "ir/interpreter/Initialization.h"
#include "ir/kernel/TargetTraits.h"
#include "ir/step/StepDialect.h"
#include "passes/LayerFunction.h"
#include "passes/Program.h"
#include "passes/kernels/KernelFamily.h"
#include "runtime/devices/cpu/CpuDevice.h"
#include "runtime/executable/ExecutableFile.h"

using namespace mlir;
using namespace primus;
using namespace primus::bisect;
using runtime::Command;

double bisect::getKernelTolerance(unsigned bits) { return bits <= 8 ? kTolerance8Bits : bits < 32 ? 2e-2 : 1e-4; }

static unsigned getFloatBits(Type type) {
  auto element = dyn_cast<FloatType>(getElementTypeOrSelf(type));
  return element ? element.getWidth() : 64;
}

unsigned bisect::getNarrowestFloat(Operation *op) {
  unsigned bits = 64;
  op->walk([&](Operation *inner) {
    for (Type type : llvm::concat<const Type>(llvm::to_vector(inner->getOperandTypes()), llvm::to_vector(inner->getResultTypes())))
      bits = std::min(bits, getFloatBits(type));
  });
  return bits;
}

//===----------------------------------------------------------------------===//
// Loading and running
//===----------------------------------------------------------------------===//

FailureOr<std::unique_ptr<CompiledStep>> CompiledStep::create(ModuleOp module, const std::string &kernelCache) {
  std::unique_ptr<CompiledStep> step(new CompiledStep(module));
  if (failed(step->load(kernelCache)))
    return failure();
  return step;
}

LogicalResult CompiledStep::load(const std::string &kernelCache) {
  codegen::CompileOptions options;
  options.cacheDir = kernelCache;
  executable::Executable emitted;
  if (failed(codegen::compileExecutable(module, options, emitted)))
    return failure();
  emitted.set_format_version(runtime::executableFormatVersion);
  emitted.set_world_size(1);
  // Reading it back checks every index and offset before anything runs.
  auto parsed = runtime::parseExecutable(runtime::serializeExecutable(std::move(emitted)), "the compiled step");
  if (!parsed)
    return module.emitError() << parsed.takeError().getMessage();
  executable = std::move(*parsed);
  for (const executable::Program &candidate : executable.programs())
    if (candidate.name() == kTrainStepProgram)
      program = &candidate;
  if (!program)
    return module.emitError() << "has no program '" << kTrainStepProgram << "'";

  device = runtime::createCpuDevice(/*threads=*/1);
  if (runtime::Error error = device->loadCode(executable))
    return module.emitError() << error.getMessage();
  std::vector<const void *> kernels;
  for (const executable::Kernel &kernel : executable.kernels()) {
    auto found = device->findKernel(kernel);
    if (!found)
      return module.emitError() << found.takeError().getMessage();
    kernels.push_back(*found);
  }
  auto allocated = device->allocateArena(executable.memory().arena());
  if (!allocated)
    return module.emitError() << allocated.takeError().getMessage();
  arena = *allocated;
  auto flattened = runtime::flatten(executable, *program, arena, kernels);
  if (!flattened)
    return module.emitError() << flattened.takeError().getMessage();
  flat = std::move(*flattened);
  if (!flat.exchanges.empty())
    return module.emitError() << "the step has collectives: one rank alone cannot run it";
  commands = device->prepare(flat.commands);
  return success();
}

// What the CPU does cannot fail.

static void upload(runtime::Device &device, void *target, const Tensor &tensor) {
  std::vector<char> bytes = toBytes(tensor);
  (void)device.upload(target, bytes.data(), bytes.size());
}

static Tensor download(runtime::Device &device, const void *source, RankedTensorType type) {
  std::vector<char> bytes(getByteSize(type));
  (void)device.download(bytes.data(), source, bytes.size());
  return fromBytes(type, bytes.data());
}

LogicalResult CompiledStep::initialize(uint64_t seed) {
  for (auto variable : module.getOps<graph::VariableOp>()) {
    FailureOr<Tensor> value = interpreter::makeInitialValue(variable, variable.getTensorType(), seed);
    if (failed(value))
      return failure();
    value->round();
    upload(*device, arena + *step::getOffset(variable), *value);
  }
  return success();
}

LogicalResult CompiledStep::writeInputs(const StepSetup &setup, int64_t step) {
  auto lowered = module.lookupSymbol<step::ProgramOp>(kTrainStepProgram);
  SmallVector<ProgramInput> inputs;
  for (BlockArgument argument : lowered.getBody().getArguments()) {
    unsigned index = argument.getArgNumber();
    auto type = cast<MemRefType>(argument.getType());
    if (!lowered.getArgAttr(index, "step.output"))
      inputs.push_back({lowered.getArgAttrOfType<StringAttr>(index, "step.name").str(),
                        RankedTensorType::get(type.getShape(), type.getElementType())});
  }
  FailureOr<SmallVector<Tensor>> values = makeInputs(module, inputs, setup, step);
  if (failed(values))
    return failure();
  for (auto [index, value] : llvm::enumerate(*values))
    upload(*device, arena + program->inputs(index).offset(), value);
  return success();
}

void CompiledStep::readOutputs(Trace &trace) {
  for (const executable::Port &port : program->outputs()) {
    float value = 0;
    (void)device->download(&value, arena + port.offset(), sizeof(value));
    if (port.name() == "loss")
      trace.losses.push_back(value);
    else if (port.name() == "grad_norm")
      trace.gradNorms.push_back(value);
  }
}

void CompiledStep::readVariables(Trace &trace) {
  for (auto variable : module.getOps<graph::VariableOp>())
    if (variable.getRole() != graph::Role::Gradient)
      trace.variables[variable.getSymName().str()] = std::make_shared<Tensor>(
          download(*device, arena + *step::getOffset(variable), variable.getTensorType()));
}

FailureOr<Trace> CompiledStep::run(const StepSetup &setup) {
  Trace trace;
  if (failed(initialize(setup.seed)))
    return failure();
  for (int64_t step = 0; step < setup.steps; ++step) {
    if (failed(writeInputs(setup, step)))
      return failure();
    (void)device->run(*commands);
    readOutputs(trace);
  }
  readVariables(trace);
  return trace;
}

//===----------------------------------------------------------------------===//
// Kernel by kernel
//===----------------------------------------------------------------------===//

namespace primus::bisect {

/// Walks the step's program beside its list of commands and the interpreter's calls.
class KernelWalk {
public:
  KernelWalk(CompiledStep &step, ModuleOp fused, const Trace &trace, double tolerance, KernelCheck &check)
      : step(step), fused(fused), trace(trace), tolerance(tolerance), has8Bits(getNarrowestFloat(fused) <= 8), check(check) {}

  /// One training step. Stops at the first finding.
  LogicalResult run();

private:
  /// The operands of a fusion's launches, in the terms of the fusion.
  using Launches = SmallVector<SmallVector<kernels::Operand>>;

  LogicalResult walk(Block &block);
  LogicalResult walkCall(step::CallOp call);
  void checkFusion(graph::FusionOp fusion, const FusionRun &run, const Launches &launches, ArrayRef<step::LaunchOp> ops);
  /// Runs commands up to the next launch, without it.
  void runToLaunch();
  void runCommand();
  FailureOr<const std::vector<Launches> *> getLaunches(func::FuncOp function);
  void report(const Difference &difference, graph::FusionOp fusion, Value value, step::LaunchOp launch, StringRef note);

  CompiledStep &step;
  ModuleOp fused;
  const Trace &trace;
  double tolerance;
  /// Any tensor may follow from what was rounded to 8 bits.
  bool has8Bits;
  KernelCheck &check;
  const CallRun *call = nullptr;
  size_t nextCall = 0, nextCommand = 0;
  llvm::StringMap<std::vector<Launches>> launchesOf;
};

} // namespace primus::bisect

void KernelWalk::runCommand() {
  std::unique_ptr<runtime::CommandList> one = step.device->prepare(std::span(step.flat.commands).subspan(nextCommand++, 1));
  (void)step.device->run(*one);
}

void KernelWalk::runToLaunch() {
  while (nextCommand < step.flat.commands.size() && step.flat.commands[nextCommand].kind != Command::Kind::Launch)
    runCommand();
}

/// Asks the kernel family again how it computes a fusion: the step keeps buffers, but not which tensor each is.
FailureOr<const std::vector<KernelWalk::Launches> *> KernelWalk::getLaunches(func::FuncOp function) {
  auto [entry, isNew] = launchesOf.try_emplace(function.getName());
  if (!isNew)
    return &entry->second;
  OwningOpRef<ModuleOp> scratch = ModuleOp::create(function.getLoc());
  OpBuilder builder = OpBuilder::atBlockEnd(scratch->getBody());
  kernel::TargetTraits traits = kernel::TargetTraits::get(fused);
  for (auto fusion : function.getOps<graph::FusionOp>()) {
    const kernels::KernelFamily *family = kernels::findFamily(fusion.getFamily());
    if (!family)
      return fusion.emitOpError("is of the unknown kernel family '") << fusion.getFamily() << "'";
    auto lowered = family->lower(fusion, builder, "kernel" + std::to_string(entry->second.size()), traits);
    if (failed(lowered))
      return failure();
    Launches &launches = entry->second.emplace_back();
    for (const kernels::Launch &launch : lowered->launches)
      launches.push_back(launch.operands);
  }
  return &entry->second;
}

void KernelWalk::report(const Difference &difference, graph::FusionOp fusion, Value value, step::LaunchOp launch, StringRef note) {
  auto type = cast<RankedTensorType>(value.getType());
  Finding &finding = check.finding.emplace();
  finding.function = call->function;
  finding.instance = call->instance;
  finding.occurrence = call->occurrence;
  finding.kernel = launch.getKernel();
  finding.family = fusion.getFamily();
  if (auto result = dyn_cast<OpResult>(value); result && result.getOwner() == fusion)
    if (Operation *op = fusion.getBody().front().getTerminator()->getOperand(result.getResultNumber()).getDefiningOp())
      finding.op = op->getName().getStringRef();
  finding.value = getValueName(value);
  llvm::raw_string_ostream(finding.type) << RankedTensorType::get(type.getShape(), type.getElementType());
  finding.element = unflatten(difference.element, type.getShape());
  finding.expected = difference.expected;
  finding.actual = difference.actual;
  finding.relative = difference.elementRelative;
  finding.count = difference.count;
  finding.size = type.getNumElements();
  finding.note = note;
}

void KernelWalk::checkFusion(graph::FusionOp fusion, const FusionRun &run, const Launches &launches, ArrayRef<step::LaunchOp> ops) {
  // Operands of 8 bits are what they are; only what the kernel rounds to them may end at neighbours.
  bool roundsTo8Bits = llvm::any_of(fusion.getBody().getOps<graph::ConvertOp>(), [](graph::ConvertOp op) { return getFloatBits(op.getType()) <= 8; });
  unsigned bits = roundsTo8Bits ? 8 : std::max(getNarrowestFloat(fusion), 16u);
  double allowed = tolerance > 0 ? tolerance : getKernelTolerance(bits);
  runToLaunch();
  const Command *first = &step.flat.commands[nextCommand];
  auto getAddress = [&](unsigned launch, unsigned operand) {
    return static_cast<std::byte *>(first[launch].arguments[operand]) - launches[launch][operand].byteOffset;
  };
  auto forEach = [&](kernels::Operand::Kind kind, auto visit) {
    for (unsigned launch = 0; launch < launches.size(); ++launch)
      for (unsigned operand = 0; operand < launches[launch].size() && !check.finding; ++operand)
        if (launches[launch][operand].kind == kind)
          visit(launch, launches[launch][operand].index, getAddress(launch, operand));
  };
  forEach(kernels::Operand::Input, [&](unsigned launch, unsigned index, std::byte *address) {
    Value input = fusion.getInputs()[index];
    Tensor present = download(*step.device, address, cast<RankedTensorType>(input.getType()));
    // Its producer may have been less exact than this kernel is.
    unsigned producerBits = has8Bits ? 8 : getFloatBits(input.getType());
    double loose = tolerance > 0 ? tolerance : std::max(allowed, getKernelTolerance(producerBits));
    if (Difference difference = compare(run.inputs[index]->values, present.values, loose))
      return report(difference, fusion, input, ops[launch],
                    "the kernel finds this in its input's buffer, although what computed it was right: the buffer is a wrong one or was "
                    "overwritten");
    upload(*step.device, address, *run.inputs[index]);
  });
  for (unsigned launch = 0; launch < launches.size(); ++launch) {
    runToLaunch();
    runCommand();
    ++check.kernels;
  }
  forEach(kernels::Operand::Output, [&](unsigned launch, unsigned index, std::byte *address) {
    Value result = fusion.getResult(index);
    Tensor present = download(*step.device, address, cast<RankedTensorType>(result.getType()));
    Difference difference = compare(run.results[index]->values, present.values, allowed);
    check.relative = std::max(check.relative, difference.relative);
    if (difference)
      report(difference, fusion, result, ops[launch], "");
  });
}

LogicalResult KernelWalk::walkCall(step::CallOp op) {
  auto lowered = step.module.lookupSymbol<step::FunctionOp>(op.getCallee());
  SmallVector<step::LaunchOp> ops(lowered.getBody().getOps<step::LaunchOp>());
  auto function = fused.lookupSymbol<func::FuncOp>(op.getCallee());
  if (!function) {
    // What the lowering adds of its own, like the sums over microbatches: judged where their results are read.
    for (size_t i = 0; i < ops.size(); ++i) {
      runToLaunch();
      runCommand();
    }
    return success();
  }
  if (nextCall == trace.calls.size() || trace.calls[nextCall].function != op.getCallee() || trace.calls[nextCall].instance != op.getInstance())
    return op.emitOpError("has no counterpart in phase 'fused'");
  call = &trace.calls[nextCall++];
  FailureOr<const std::vector<Launches> *> launches = getLaunches(function);
  if (failed(launches))
    return failure();
  size_t total = 0;
  for (const Launches &fusion : **launches)
    total += fusion.size();
  if (total != ops.size() || (*launches)->size() != call->fusions.size())
    return lowered.emitOpError() << "has " << ops.size() << " launches, but the fusions of its graph function make " << total;
  ArrayRef<step::LaunchOp> rest = ops;
  for (auto [index, fusion] : llvm::enumerate(function.getOps<graph::FusionOp>())) {
    const Launches &present = (**launches)[index];
    checkFusion(fusion, call->fusions[index], present, rest.take_front(present.size()));
    if (check.finding)
      return success();
    rest = rest.drop_front(present.size());
  }
  return success();
}

LogicalResult KernelWalk::walk(Block &block) {
  for (Operation &op : block) {
    if (check.finding)
      return success();
    if (auto call = dyn_cast<step::CallOp>(op)) {
      if (failed(walkCall(call)))
        return failure();
    } else if (auto loop = dyn_cast<step::LoopOp>(op)) {
      for (int64_t i = 0, count = loop.getCount(); i < count; ++i)
        if (failed(walk(loop.getBody().front())))
          return failure();
    }
  }
  return success();
}

LogicalResult KernelWalk::run() {
  nextCommand = 0;
  if (failed(walk(step.module.lookupSymbol<step::ProgramOp>(kTrainStepProgram).getBody().front())))
    return failure();
  while (nextCommand < step.flat.commands.size() && !check.finding)
    runCommand();
  return success();
}

FailureOr<KernelCheck> CompiledStep::compareKernels(ModuleOp fused, const Trace &trace, const StepSetup &setup, double tolerance) {
  KernelCheck check;
  KernelWalk walk(*this, fused, trace, tolerance, check);
  if (failed(initialize(setup.seed)))
    return failure();
  for (int64_t step = 0; step < setup.steps && !check.finding; ++step)
    if (failed(writeInputs(setup, step)) || failed(walk.run()))
      return failure();
  return check;
}
