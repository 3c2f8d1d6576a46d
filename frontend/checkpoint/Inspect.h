//===- Inspect.h - What a checkpoint holds -----------------------*- C++ -*-===//

#pragma once

#include "runtime/support/Error.h"

#include <string>

namespace primus::checkpoint {

/// Describes a safetensors file, a Hugging Face folder or a checkpoint of ours (of a folder of them: the newest):
/// names, types, shapes and bytes of the tensors, sums and metadata; as a table or as JSON.
runtime::Expected<std::string> inspect(const std::string &path, bool asJson);

} // namespace primus::checkpoint
