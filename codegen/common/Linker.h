//===- Linker.h - Object files to one shared object --------------*- C++ -*-===//

#pragma once

#include "llvm/ADT/ArrayRef.h"
#include "llvm/Support/Error.h"

#include <string>

namespace primus::codegen {

/// Links object files into a shared object with LLD, inside this process. Undefined symbols are errors. Equal inputs give equal bytes. Safe to
/// call from several threads, which take turns.
llvm::Expected<std::string> linkSharedObject(llvm::ArrayRef<std::string> objects);

} // namespace primus::codegen
