//===- HipCommands.h - Kernels, copies and fills in a GPU's queue ---------===//

#ifndef PRIMUS_RUNTIME_DEVICES_HIP_HIPCOMMANDS_H
#define PRIMUS_RUNTIME_DEVICES_HIP_HIPCOMMANDS_H

#include "runtime/devices/hip/HipContext.h"

#include <array>
#include <vector>

namespace primus::runtime::hip {

/// A kernel of a loaded code object.
struct Kernel {
  std::string name;
  Function function = nullptr;
  unsigned block = 0;       ///< work items of a program instance
  size_t argumentBytes = 0; ///< one pointer per argument
};

/// Commands as HIP takes them. Its entries point into the list, which stays where it is.
class Commands final : public CommandList {
public:
  /// `firstNumber`: these commands' numbers among all of the device.
  Commands(std::span<const Command> list, int firstNumber);

  size_t size() const { return commands.size(); }
  int getFirstNumber() const { return firstNumber; }
  int getEndNumber() const { return firstNumber + static_cast<int>(commands.size()); }
  /// "kernel 'name'", "a copy of n bytes"
  std::string describe(size_t index) const;
  /// Puts a command into the queue; `call` receives the name of the function that did.
  Result enqueue(size_t index, const Context &context, const char *&call);

private:
  int firstNumber;
  std::vector<Command> commands;
  /// hipModuleLaunchKernel's `extra` of each command: the addresses of the arguments are the packed buffer itself.
  std::vector<std::array<void *, 5>> extras;
};

/// Runs command lists, and says afterwards how far they came: HIP reports what went wrong in a kernel much later, without
/// its name. Now and then the queue writes the number of the next command into the host's memory.
class CommandRunner {
public:
  static Expected<std::unique_ptr<CommandRunner>> create(Context &context);
  ~CommandRunner();
  CommandRunner(const CommandRunner &) = delete;
  CommandRunner &operator=(const CommandRunner &) = delete;

  std::unique_ptr<Commands> prepare(std::span<const Command> list);
  Error run(Commands &commands);
  /// Waits for all that runs. An error names the kernels that it may come from.
  Error synchronize(const Device::Poll &poll);

private:
  /// So many commands at most are to blame for an error.
  static constexpr size_t interval = 32;

  explicit CommandRunner(Context &context);
  /// Adds to an error of the queue what may have caused it.
  Error blame(const Error &error) const;

  Context &context;
  /// PRIMUS_HIP_SYNCHRONOUS: waits after each command, which slows everything down and names the culprit.
  bool isSynchronous;
  /// Written by the device: every command before this number has been run since the last wait; -1: none may have been.
  volatile int *progress = nullptr;
  int numCommands = 0;
  /// What has been run since the last wait.
  std::vector<const Commands *> running;
};

} // namespace primus::runtime::hip

#endif // PRIMUS_RUNTIME_DEVICES_HIP_HIPCOMMANDS_H
