//===- ExecutableFile.h - Reading and writing .primus files ---------------===//

#ifndef PRIMUS_RUNTIME_EXECUTABLE_EXECUTABLEFILE_H
#define PRIMUS_RUNTIME_EXECUTABLE_EXECUTABLEFILE_H

#include "runtime/executable/Executable.pb.h"
#include "runtime/support/Error.h"

#include <string>
#include <string_view>

namespace primus::runtime {

/// The format that this library reads and writes.
inline constexpr int executableFormatVersion = 3;

/// The executable as bytes, equal for equal executables. Fills in the format version and the checksum.
std::string serializeExecutable(executable::Executable executable);

/// Parses and validates. `name` is what messages call it. What this returns is whole, by its checksum, and safe to
/// execute: every index, offset and size has been checked (see Validation.h); the machine code itself has to be trusted
/// like any program.
Expected<executable::Executable> parseExecutable(std::string_view bytes, const std::string &name);

/// The same without a look at the checksum.
Expected<executable::Executable> parseUnsealedExecutable(std::string_view bytes, const std::string &name);

/// The same for a file.
Expected<executable::Executable> loadExecutable(const std::string &path);

/// Writes to a temporary name beside `path`, syncs and renames, so that a reader never sees half a file.
Error saveExecutable(const executable::Executable &executable, const std::string &path);

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_EXECUTABLE_EXECUTABLEFILE_H
