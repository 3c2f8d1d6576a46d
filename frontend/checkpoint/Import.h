//===- Import.h - From a Hugging Face checkpoint to ours ---------*- C++ -*-===//

#pragma once

#include "runtime/support/Error.h"

#include <string>

namespace primus::checkpoint {

struct ImportOptions {
  /// The Hugging Face folder and the new folder of our checkpoint.
  std::string from, to;
  bool allowUnknown = false;
};

/// Writes a checkpoint of step 0 with the parameters in f32, in our layout and padding, and without an optimizer's
/// state. One tensor is in memory at a time. Says what it does on standard error.
runtime::Error importCheckpoint(const ImportOptions &options);

} // namespace primus::checkpoint
