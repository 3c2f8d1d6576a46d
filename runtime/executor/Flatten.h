//===- Flatten.h - A program as one list of commands ----------------------===//

#ifndef PRIMUS_RUNTIME_EXECUTOR_FLATTEN_H
#define PRIMUS_RUNTIME_EXECUTOR_FLATTEN_H

#include "runtime/communicators/Communicator.h"
#include "runtime/devices/Device.h"
#include "runtime/executable/Executable.pb.h"

#include <vector>

namespace primus::runtime {

/// Something that happens between commands.
struct Exchange {
  enum class Kind : uint8_t {
    Run,   ///< a collective, to its end
    Start, ///< a collective in the background
    Wait,  ///< for its end
  };

  Kind kind;
  size_t command;    ///< it happens before this one
  size_t collective; ///< index into FlatProgram::collectives
};

/// Whose a command is, for people: block.forward of layers.3. Both are empty outside calls; the executable's strings.
struct Caller {
  const std::string *function, *instance;
};

/// Calls and loops unrolled; commands point into `operands`.
struct FlatProgram {
  std::vector<Command> commands;
  std::vector<void *> operands;
  std::vector<Caller> callers; ///< of each command
  std::vector<CollectiveDescription> collectives;
  std::vector<Exchange> exchanges; ///< in order
};

/// Flattens a program of a validated executable for a rank, with absolute addresses: `arena` is the arena's start and
/// `kernels` what the device found for each kernel.
Expected<FlatProgram> flatten(const executable::Executable &executable, const executable::Program &program,
                              std::byte *arena, std::span<const void *const> kernels, int rank = 0);

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_EXECUTOR_FLATTEN_H
