//===- Flatten.h - A program as one list of commands ----------------------===//

#ifndef PRIMUS_RUNTIME_EXECUTOR_FLATTEN_H
#define PRIMUS_RUNTIME_EXECUTOR_FLATTEN_H

#include "runtime/devices/Device.h"
#include "runtime/executable/Executable.pb.h"

#include <vector>

namespace primus::runtime {

/// Calls and loops unrolled; commands point into `operands`.
struct FlatProgram {
  std::vector<Command> commands;
  std::vector<void *> operands;
};

/// Flattens a program of a validated executable, with absolute addresses: `arena` is the arena's start and `kernels` what
/// the device found for each kernel.
Expected<FlatProgram> flatten(const executable::Executable &executable, const executable::Program &program,
                              std::byte *arena, std::span<const void *const> kernels);

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_EXECUTOR_FLATTEN_H
