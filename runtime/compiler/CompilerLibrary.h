//===- CompilerLibrary.h - The compiler, opened when it is needed ---------===//

#ifndef PRIMUS_RUNTIME_COMPILER_COMPILERLIBRARY_H
#define PRIMUS_RUNTIME_COMPILER_COMPILERLIBRARY_H

#include "runtime/compiler/CompilerInterface.h"
#include "runtime/support/Error.h"

#include <string>
#include <vector>

namespace primus::runtime {

/// Opens libprimus_compiler.so beside this library (or by the system's search) and compiles an experiment into the cache.
/// `arguments` are the experiment, overrides and compile options, without the program's name.
Expected<PrimusCompileResult> compileForTraining(const std::vector<std::string> &arguments);

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_COMPILER_COMPILERLIBRARY_H
