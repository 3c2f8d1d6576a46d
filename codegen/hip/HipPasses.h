//===- HipPasses.h - From tile programs to code for AMD GPUs -----*- C++ -*-===//

#pragma once

#include "mlir/Pass/Pass.h"

namespace primus::codegen::hip {

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "codegen/hip/HipPasses.h.inc"

} // namespace primus::codegen::hip
