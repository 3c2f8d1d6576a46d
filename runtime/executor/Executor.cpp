//===- Executor.cpp - Runs the programs of an executable ------------------===//

#include "runtime/executor/Executor.h"

#include "runtime/communicators/local/LocalCommunicator.h"
#include "runtime/executable/PipelineRank.h"
#include "runtime/executable/Types.h"
#include "runtime/executor/NonFiniteSearch.h"

#include <algorithm>
#include <fmt/format.h>

using namespace primus;
using namespace primus::runtime;

Executor::Executor(executable::Executable given, std::unique_ptr<Device> device, Communicator *communicator)
    : executable(std::move(given)), mesh(executable.mesh()), device(std::move(device)), communicator(communicator) {
  if (communicator)
    return;
  ownCommunicator = std::move(createLocalCommunicators(1, {}).front());
  this->communicator = ownCommunicator.get();
}

Expected<std::unique_ptr<Executor>> Executor::create(executable::Executable executable, std::unique_ptr<Device> device,
                                                     Communicator *communicator) {
  std::unique_ptr<Executor> executor(new Executor(std::move(executable), std::move(device), communicator));
  int ranks = executor->mesh.getNumRanks(), present = executor->communicator->getNumRanks();
  if (ranks != present)
    return Error::configuration(fmt::format("the program is compiled for {} rank{}, but {} run{} it", ranks,
                                            ranks == 1 ? "" : "s", present, present == 1 ? "s" : ""));
  selectPipelineRank(executor->executable, getPipelinePlace(executor->executable, executor->getRank()));
  if (Error error = executor->load())
    return error;
  return executor;
}

Error Executor::load() {
  if (Error error = device->loadCode(executable))
    return error;
  for (const executable::Kernel &kernel : executable.kernels()) {
    Expected<const void *> found = device->findKernel(kernel);
    if (!found)
      return found.takeError();
    kernels.push_back(*found);
  }
  // The device has its own copy now, and nothing else reads the code.
  executable.clear_code();
  executable.clear_code_objects();

  Expected<std::unique_ptr<Communicator>> created = device->createCommunicator(*communicator);
  if (!created)
    return created.takeError();
  deviceCommunicator = std::move(*created);
  if (communicator->getNumRanks() > 1)
    poll = [this] { return getTensorCommunicator().checkProgress(); };

  Expected<std::byte *> allocated = device->allocateArena(executable.memory().arena());
  if (!allocated)
    return allocated.takeError();
  arena = *allocated;

  for (const executable::Program &program : executable.programs()) {
    Expected<FlatProgram> flat = flatten(executable, program, arena, kernels, getRank());
    if (!flat)
      return flat.takeError();
    programs.push_back(divide(std::move(*flat)));
  }
  return Error::success();
}

Executor::LoadedProgram Executor::divide(FlatProgram flat) {
  LoadedProgram program;
  program.flat = std::move(flat);
  for (CollectiveDescription &description : program.flat.collectives)
    program.collectives.push_back(getTensorCommunicator().prepare(std::move(description)));
  program.flat.collectives.clear();
  std::span<const Command> commands = program.flat.commands;
  size_t begin = 0;
  auto take = [&](size_t end) {
    Segment &segment = program.segments.emplace_back();
    if (end > begin)
      segment.commands = device->prepare(commands.subspan(begin, end - begin));
    begin = end;
    return &segment;
  };
  for (const Exchange &exchange : program.flat.exchanges) {
    Segment &segment = *take(exchange.command);
    segment.kind = exchange.kind;
    segment.collective = program.collectives[exchange.collective].get();
  }
  take(commands.size());
  return program;
}

void Executor::startProfile(Profile &started) {
  profile = &started;
  for (size_t i = 0; i < programs.size(); ++i)
    programs[i].profiled = std::make_unique<ProfiledProgram>(executable.programs(static_cast<int>(i)).name(),
                                                             makeStepped(programs[i]), started);
}

SteppedProgram Executor::makeStepped(const LoadedProgram &program) {
  return {executable, program.flat, program.collectives, kernels, *device, getTensorCommunicator()};
}

Expected<std::string> Executor::findNonFinite(int index) {
  SteppedProgram stepped = makeStepped(programs[static_cast<size_t>(index)]);
  return runtime::findNonFinite(stepped, *communicator, poll);
}

Error Executor::run(int index) {
  LoadedProgram &program = programs[static_cast<size_t>(index)];
  if (profile && profile->isActive())
    return program.profiled->run(poll);
  Communicator &collectives = getTensorCommunicator();
  for (Segment &segment : program.segments) {
    if (segment.commands)
      if (Error error = device->run(*segment.commands))
        return error;
    if (!segment.collective)
      continue;
    if (segment.kind == Exchange::Kind::Start) {
      collectives.start(*segment.collective);
      continue;
    }
    bool isWait = segment.kind == Exchange::Kind::Wait;
    if (Error error = isWait ? collectives.wait(*segment.collective) : collectives.run(*segment.collective))
      return error;
  }
  return device->synchronize(poll);
}

int Executor::findProgram(std::string_view name) const {
  for (int i = 0; i < executable.programs_size(); ++i)
    if (executable.programs(i).name() == name)
      return i;
  return -1;
}

const executable::Port *Executor::findPort(const google::protobuf::RepeatedPtrField<executable::Port> &ports,
                                           std::string_view name) const {
  for (const executable::Port &port : ports)
    if (port.name() == name)
      return &port;
  return nullptr;
}

Expected<Tensor> Executor::findPort(const google::protobuf::RepeatedPtrField<executable::Port> &ports,
                                    std::string_view what, int program, std::string_view name,
                                    executable::DataType type, std::vector<int64_t> shape) const {
  executable::TensorType expected;
  expected.set_data_type(type);
  expected.mutable_shape()->Add(shape.begin(), shape.end());
  const std::string &programName = executable.programs(program).name();
  const executable::Port *port = findPort(ports, name);
  if (!port)
    return Error::failure(fmt::format("program '{}' has no {} '{}'", programName, what, name));
  if (port->type().data_type() != type || !std::ranges::equal(port->type().shape(), shape))
    return Error::failure(fmt::format("program '{}': {} '{}' is {}, not {}", programName, what, name,
                                      toString(port->type()), toString(expected)));
  bool isSplit = port->has_layout() && !std::ranges::equal(port->layout().global_shape(), shape);
  if (isSplit || port->layout().partial_size() > 0)
    return Error::failure(fmt::format("program '{}': {} '{}' is {} over ranks", programName, what, name,
                                      isSplit ? "split" : "a sum"));
  return Tensor{arena + port->offset(), *getByteSize(port->type())};
}

Expected<InputSlice> Executor::findInputSlice(int program, std::string_view name, size_t rank) const {
  const executable::Program &owner = executable.programs(program);
  const executable::Port *port = findPort(owner.inputs(), name);
  if (!port)
    return Error::failure(fmt::format("program '{}' has no input '{}'", owner.name(), name));
  std::vector<int64_t> shape(port->type().shape().begin(), port->type().shape().end());
  if (port->type().data_type() != executable::I32 || shape.size() != rank)
    return Error::failure(fmt::format("program '{}': input '{}' is {}, not i32 of {} dimensions", owner.name(), name,
                                      toString(port->type()), rank));
  InputSlice slice;
  slice.tensor = {arena + port->offset(), *getByteSize(port->type())};
  const executable::Layout *layout = port->has_layout() ? &port->layout() : nullptr;
  slice.region = mesh.getRegion(getRank(), shape, layout);
  for (size_t d = 0; d < rank; ++d)
    slice.ranksPerDim.push_back(layout ? mesh.getGroupSize(layout->dims(static_cast<int>(d)).names()) : 1);
  slice.globalShape = layout ? std::vector<int64_t>(layout->global_shape().begin(), layout->global_shape().end()) : shape;
  return slice;
}

Expected<Tensor> Executor::findInput(int program, std::string_view name, executable::DataType type,
                                     std::vector<int64_t> shape) const {
  return findPort(executable.programs(program).inputs(), "input", program, name, type, std::move(shape));
}

Expected<Tensor> Executor::findOutput(int program, std::string_view name, executable::DataType type,
                                      std::vector<int64_t> shape) const {
  return findPort(executable.programs(program).outputs(), "output", program, name, type, std::move(shape));
}

Expected<Tensor> Executor::findVariable(std::string_view name) const {
  for (const executable::Variable &variable : executable.variables())
    if (variable.name() == name)
      return getTensor(variable);
  return Error::failure(fmt::format("there is no variable '{}'", name));
}

Tensor Executor::getTensor(const executable::Variable &variable) const {
  return {arena + variable.offset(), *getByteSize(variable.type())};
}

Expected<float> Executor::readScalar(const Tensor &tensor) {
  float value;
  if (Error error = device->download(&value, tensor.address, sizeof(value)))
    return error;
  return value;
}
