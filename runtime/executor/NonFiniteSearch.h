//===- NonFiniteSearch.h - Where the first NaN came up ----------*- C++ -*-===//

#ifndef PRIMUS_RUNTIME_EXECUTOR_NONFINITESEARCH_H
#define PRIMUS_RUNTIME_EXECUTOR_NONFINITESEARCH_H

#include "runtime/executor/SteppedProgram.h"

namespace primus::runtime {

/// Runs a program with the inputs that were written last, and looks at what each kernel and collective writes. Says which
/// one wrote the first value that is no finite number: the tensor's name, its layer, type and place, the value, and the
/// rank. All ranks of `host` call it together and get the same text, that of the earliest action, which each counts in its own program: between stages
/// of a pipeline that is no order in time.
Expected<std::string> findNonFinite(SteppedProgram &program, Communicator &host, const Device::Poll &poll);

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_EXECUTOR_NONFINITESEARCH_H
