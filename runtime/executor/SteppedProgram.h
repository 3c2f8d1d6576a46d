//===- SteppedProgram.h - A program, one command at a time ------*- C++ -*-===//

#ifndef PRIMUS_RUNTIME_EXECUTOR_STEPPEDPROGRAM_H
#define PRIMUS_RUNTIME_EXECUTOR_STEPPEDPROGRAM_H

#include "runtime/executor/Flatten.h"

#include <functional>

namespace primus::runtime {

/// A flattened program that is run one command or exchange after the other, for whoever wants to look at what each of
/// them does.
class SteppedProgram {
public:
  struct Action {
    const Command *command = nullptr;            ///< null: an exchange
    const executable::Kernel *kernel = nullptr;  ///< of a launch
    Caller caller = {};                          ///< of a command
    Exchange::Kind kind = Exchange::Kind::Run;   ///< of an exchange
    size_t collective = 0;                       ///< of an exchange
    std::unique_ptr<CommandList> prepared = {};
  };

  /// `kernels` are what the device found for each kernel. All of it has to outlive the program.
  SteppedProgram(const executable::Executable &executable, const FlatProgram &flat,
                 std::span<const std::unique_ptr<Collective>> collectives, std::span<const void *const> kernels,
                 Device &device, Communicator &communicator);

  std::span<const Action> getActions() const { return actions; }
  const CollectiveDescription &getCollective(size_t index) const { return collectives[index]->getDescription(); }
  Device &getDevice() const { return device; }
  const Communicator &getCommunicator() const { return communicator; }

  /// Calls `after` behind each action; the device may still be at work on it. The first error ends the run.
  Error run(const std::function<Error(const Action &)> &after);

private:
  Error run(const Action &action);

  std::vector<Action> actions;
  std::span<const std::unique_ptr<Collective>> collectives;
  Device &device;
  Communicator &communicator;
};

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_EXECUTOR_STEPPEDPROGRAM_H
