//===- HoistLoads.h - Loads before what waits for others ---------*- C++ -*-===//

#pragma once

#include "ir/kernel/KernelDialect.h"

namespace primus::codegen::hip {

/// Moves each load of a kernel up to where its position is known, within its block and never past a store, so that all
/// loads of a row are on their way before its first sum waits for one of them.
void hoistLoads(kernel::FuncOp kernel);

} // namespace primus::codegen::hip
