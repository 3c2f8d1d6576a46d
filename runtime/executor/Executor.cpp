//===- Executor.cpp - Runs the programs of an executable ------------------===//

#include "runtime/executor/Executor.h"

#include "runtime/executable/Types.h"

#include <algorithm>
#include <fmt/format.h>

using namespace primus;
using namespace primus::runtime;

Expected<std::unique_ptr<Executor>> Executor::create(executable::Executable executable,
                                                     std::unique_ptr<Device> device) {
  std::unique_ptr<Executor> executor(new Executor(std::move(executable), std::move(device)));
  if (Error error = executor->load())
    return error;
  return executor;
}

Error Executor::load() {
  if (!executable.code().empty())
    if (Error error = device->loadCode(executable.code()))
      return error;
  std::vector<const void *> kernels;
  for (const executable::Kernel &kernel : executable.kernels()) {
    Expected<const void *> found = device->findKernel(kernel.symbol());
    if (!found)
      return found.takeError();
    kernels.push_back(*found);
  }
  // The linker has its own copy now, and nothing else reads the code.
  executable.clear_code();

  Expected<std::byte *> allocated = device->allocateArena(executable.memory().arena());
  if (!allocated)
    return allocated.takeError();
  arena = *allocated;

  for (const executable::Program &program : executable.programs()) {
    Expected<FlatProgram> flat = flatten(executable, program, arena, kernels);
    if (!flat)
      return flat.takeError();
    std::unique_ptr<CommandList> list = device->prepare(flat->commands);
    programs.push_back({std::move(*flat), std::move(list)});
  }
  return Error::success();
}

int Executor::findProgram(std::string_view name) const {
  for (int i = 0; i < executable.programs_size(); ++i)
    if (executable.programs(i).name() == name)
      return i;
  return -1;
}

Expected<Tensor> Executor::findPort(const google::protobuf::RepeatedPtrField<executable::Port> &ports,
                                    std::string_view what, int program, std::string_view name,
                                    executable::DataType type, std::vector<int64_t> shape) const {
  executable::TensorType expected;
  expected.set_data_type(type);
  expected.mutable_shape()->Add(shape.begin(), shape.end());
  const std::string &programName = executable.programs(program).name();
  for (const executable::Port &port : ports) {
    if (port.name() != name)
      continue;
    if (port.type().data_type() == type && std::ranges::equal(port.type().shape(), shape))
      return Tensor{arena + port.offset(), *getByteSize(port.type())};
    return Error::failure(fmt::format("program '{}': {} '{}' is {}, not {}", programName, what, name,
                                      toString(port.type()), toString(expected)));
  }
  return Error::failure(fmt::format("program '{}' has no {} '{}'", programName, what, name));
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

float Executor::readScalar(const Tensor &tensor) {
  float value;
  device->download(&value, tensor.address, sizeof(value));
  return value;
}
