//===- Executor.h - Runs the programs of an executable --------------------===//

#ifndef PRIMUS_RUNTIME_EXECUTOR_EXECUTOR_H
#define PRIMUS_RUNTIME_EXECUTOR_EXECUTOR_H

#include "runtime/devices/Device.h"
#include "runtime/executable/Mesh.h"
#include "runtime/executor/Flatten.h"
#include "runtime/executor/ProfiledProgram.h"

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

/// This rank's part of an input that may be split over the ranks.
struct InputSlice {
  Tensor tensor;
  std::vector<int64_t> globalShape;
  TensorRegion region;
  /// Over how many ranks each dimension is split.
  std::vector<int64_t> ranksPerDim;
};

/// One rank of an executable, on a device: its code loaded, its arena allocated, its programs flattened. Nothing is
/// allocated after `create` and `initializeVariables`.
class Executor {
public:
  /// The executable must have been validated (loadExecutable, parseExecutable). The communicator outlives the executor and
  /// has as many ranks as the executable's mesh; one rank needs none.
  static Expected<std::unique_ptr<Executor>> create(executable::Executable executable, std::unique_ptr<Device> device,
                                                    Communicator *communicator = nullptr);

  /// Gives every variable its first value. Values of the whole tensor depend on the seed and the variable only.
  Error initializeVariables(uint64_t seed);
  /// The same for constants only, where all else comes from a checkpoint.
  Error initializeConstants();

  /// With what this rank runs and holds where the executable is a pipeline.
  const executable::Executable &getExecutable() const { return executable; }
  Device &getDevice() { return *device; }
  Communicator &getCommunicator() { return *communicator; }
  const RankMesh &getMesh() const { return mesh; }
  /// What carries the programs' collectives; differs from getCommunicator on a GPU.
  Communicator &getTensorCommunicator() { return deviceCommunicator ? *deviceCommunicator : *communicator; }
  int getRank() const { return communicator->getRank(); }
  /// Bytes allocated for tensors: the arena, all of it and nothing else.
  int64_t getAllocatedBytes() const { return device->getAllocatedBytes(); }
  const std::byte *getArena() const { return arena; }

  /// The program's index, or -1.
  int findProgram(std::string_view name) const;
  /// The tensor of a port, which has to have this type and be whole on each rank.
  Expected<Tensor> findInput(int program, std::string_view name, executable::DataType type,
                             std::vector<int64_t> shape) const;
  Expected<Tensor> findOutput(int program, std::string_view name, executable::DataType type,
                              std::vector<int64_t> shape) const;
  /// An input of i32 with `rank` dimensions.
  Expected<InputSlice> findInputSlice(int program, std::string_view name, size_t rank) const;
  Expected<Tensor> findVariable(std::string_view name) const;
  /// The tensor of one of the executable's variables.
  Tensor getTensor(const executable::Variable &variable) const;

  /// Runs a program once, with the inputs that were written last. Fails where another rank is lost or has failed; then
  /// this rank cannot go on either. Returns when all is done, on a device too.
  Error run(int program);

  /// Runs a program once more, slowly, and says where on which rank the first value came up that is no finite number, or
  /// that there is none. All ranks call it together and get the same text. Allocates.
  Expected<std::string> findNonFinite(int program);

  /// From now on, runs are noted in the profile as long as it is active; their commands go one at a time.
  void startProfile(Profile &profile);

  Error write(const Tensor &tensor, const void *source) { return device->upload(tensor.address, source, tensor.bytes); }
  Error read(const Tensor &tensor, void *target) { return device->download(target, tensor.address, tensor.bytes); }
  Expected<float> readScalar(const Tensor &tensor);

private:
  /// Commands, and what happens after them.
  struct Segment {
    std::unique_ptr<CommandList> commands; ///< null: none
    Exchange::Kind kind;
    Collective *collective = nullptr; ///< null: nothing
  };
  struct LoadedProgram {
    FlatProgram flat;
    std::vector<std::unique_ptr<Collective>> collectives;
    std::vector<Segment> segments;
    std::unique_ptr<ProfiledProgram> profiled;
  };

  Executor(executable::Executable executable, std::unique_ptr<Device> device, Communicator *communicator);

  Error load();
  /// Makes this rank's part of a variable's first value.
  Error initialize(const executable::Variable &variable, uint64_t seed);
  SteppedProgram makeStepped(const LoadedProgram &program);
  /// Divides a flattened program where ranks meet.
  LoadedProgram divide(FlatProgram flat);
  const executable::Port *findPort(const google::protobuf::RepeatedPtrField<executable::Port> &ports,
                                   std::string_view name) const;
  Expected<Tensor> findPort(const google::protobuf::RepeatedPtrField<executable::Port> &ports, std::string_view what,
                            int program, std::string_view name, executable::DataType type,
                            std::vector<int64_t> shape) const;

  executable::Executable executable;
  RankMesh mesh;
  std::unique_ptr<Device> device;
  /// Of an executor that was given none.
  std::unique_ptr<Communicator> ownCommunicator;
  Communicator *communicator;
  /// Over it, where tensors are out of the host's reach; null elsewhere.
  std::unique_ptr<Communicator> deviceCommunicator;
  /// Looks after the other ranks while the device is waited for; empty for one rank.
  Device::Poll poll;
  std::byte *arena = nullptr;
  /// What the device found for each kernel.
  std::vector<const void *> kernels;
  std::vector<LoadedProgram> programs;
  /// Null: nothing is noted.
  Profile *profile = nullptr;
};

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_EXECUTOR_EXECUTOR_H
