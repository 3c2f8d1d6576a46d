//===- Validation.h - Is an executable safe to run? -----------------------===//

#ifndef PRIMUS_RUNTIME_EXECUTABLE_VALIDATION_H
#define PRIMUS_RUNTIME_EXECUTABLE_VALIDATION_H

#include "runtime/executable/Executable.pb.h"
#include "runtime/support/Error.h"

#include <string>

namespace primus::runtime {

/// Commands and operands of a flattened program do not exceed these, so that a small damaged file cannot ask for
/// unbounded memory.
inline constexpr int64_t maximumCommands = int64_t(1) << 22;
inline constexpr int64_t maximumOperands = int64_t(1) << 25;

/// Checks everything that the executor relies on: format version, target and processor features, every index, type,
/// offset, size and alignment, and that the code is an undamaged shared object. Arithmetic on the file's numbers never
/// overflows. The message says which entry is wrong and why, in one line.
Error validateExecutable(const executable::Executable &executable);

/// Checks the actions of functions and programs, whose kernels must have been checked already.
Error validateActions(const executable::Executable &executable);

/// Checks that `code` is a 64-bit shared object of this machine's architecture whose segments lie inside it.
Error validateCode(const std::string &code);

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_EXECUTABLE_VALIDATION_H
