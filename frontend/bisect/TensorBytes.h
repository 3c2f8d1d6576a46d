//===- TensorBytes.h - The interpreter's values as they lie in memory -*- C++ -*-===//

#pragma once

#include "ir/interpreter/Tensor.h"

namespace primus::bisect {

/// A tensor's bytes as kernels see them: packed, row-major; i1 takes a byte.
std::vector<char> toBytes(const interpreter::Tensor &tensor);

/// The inverse. `bytes` holds as many bytes as the type takes.
interpreter::Tensor fromBytes(mlir::RankedTensorType type, const char *bytes);

/// How many those are.
int64_t getByteSize(mlir::RankedTensorType type);

} // namespace primus::bisect
