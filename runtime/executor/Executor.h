//===- Executor.h - Runs the programs of an executable --------------------===//

#ifndef PRIMUS_RUNTIME_EXECUTOR_EXECUTOR_H
#define PRIMUS_RUNTIME_EXECUTOR_EXECUTOR_H

#include "runtime/devices/Device.h"
#include "runtime/executable/Executable.pb.h"
#include "runtime/executor/Flatten.h"

#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace primus::runtime {

/// A tensor in the arena that the host may read and write between runs: a program's input or output, or a variable.
struct Tensor {
  std::byte *address = nullptr;
  int64_t bytes = 0;
};

/// An executable on a device: its code loaded, its arena allocated, its programs flattened. Nothing is allocated after
/// `create` and `initializeVariables`.
class Executor {
public:
  /// The executable must have been validated (loadExecutable, parseExecutable).
  static Expected<std::unique_ptr<Executor>> create(executable::Executable executable, std::unique_ptr<Device> device);

  /// Gives every variable its first value. Values depend on the seed and the variable only.
  Error initializeVariables(uint64_t seed);
  /// The same for constants only, where all else comes from a checkpoint.
  Error initializeConstants();

  const executable::Executable &getExecutable() const { return executable; }
  Device &getDevice() { return *device; }
  /// Bytes allocated for tensors: the arena, all of it and nothing else.
  int64_t getAllocatedBytes() const { return device->getAllocatedBytes(); }
  const std::byte *getArena() const { return arena; }

  /// The program's index, or -1.
  int findProgram(std::string_view name) const;
  /// The tensor of a port, which has to have this type.
  Expected<Tensor> findInput(int program, std::string_view name, executable::DataType type,
                             std::vector<int64_t> shape) const;
  Expected<Tensor> findOutput(int program, std::string_view name, executable::DataType type,
                              std::vector<int64_t> shape) const;
  Expected<Tensor> findVariable(std::string_view name) const;
  /// The tensor of one of the executable's variables.
  Tensor getTensor(const executable::Variable &variable) const;

  /// Runs a program once, with the inputs that were written last.
  void run(int program) { device->run(*programs[static_cast<size_t>(program)].list); }

  void write(const Tensor &tensor, const void *source) { device->upload(tensor.address, source, tensor.bytes); }
  void read(const Tensor &tensor, void *target) { device->download(target, tensor.address, tensor.bytes); }
  float readScalar(const Tensor &tensor);

private:
  struct LoadedProgram {
    FlatProgram flat;
    std::unique_ptr<CommandList> list;
  };

  Executor(executable::Executable executable, std::unique_ptr<Device> device)
      : executable(std::move(executable)), device(std::move(device)) {}

  Error load();
  Expected<Tensor> findPort(const google::protobuf::RepeatedPtrField<executable::Port> &ports, std::string_view what,
                            int program, std::string_view name, executable::DataType type,
                            std::vector<int64_t> shape) const;

  executable::Executable executable;
  std::unique_ptr<Device> device;
  std::byte *arena = nullptr;
  std::vector<LoadedProgram> programs;
};

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_EXECUTOR_EXECUTOR_H
