//===- Types.h - Sizes of the executable's tensor types -------------------===//

#ifndef PRIMUS_RUNTIME_EXECUTABLE_TYPES_H
#define PRIMUS_RUNTIME_EXECUTABLE_TYPES_H

#include "runtime/executable/Executable.pb.h"

#include <cstdint>
#include <optional>
#include <string>

namespace primus::runtime {

/// Everything that lies in the arena by itself starts at a multiple of this.
inline constexpr int64_t arenaAlignment = 64;

/// No size or offset of an executable exceeds this (64 TiB), so that sums of a few never overflow.
inline constexpr int64_t maximumBytes = int64_t(1) << 46;

/// Bytes per element, or nothing for a data type that this runtime does not know.
std::optional<int64_t> getElementBytes(executable::DataType type);

/// The number of elements of a shape, or nothing if a dimension is not positive or the product exceeds maximumBytes.
std::optional<int64_t> getElementCount(const google::protobuf::RepeatedField<int64_t> &shape);

/// Bytes of a packed tensor, or nothing if the type is not valid.
std::optional<int64_t> getByteSize(const executable::TensorType &type);

/// For messages: f32[2x128].
std::string toString(const executable::TensorType &type);

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_EXECUTABLE_TYPES_H
