//===- WeightLayout.h - From a checkpoint's layout to ours and back -*- C++ -*-===//

#pragma once

#include "frontend/models/huggingface/WeightMap.h"

#include <cstddef>
#include <functional>
#include <span>

namespace primus::models::huggingface {

/// Takes elements of a parameter, from its element number `first` on.
using TakeElements =
    std::function<runtime::Error(const Parameter &part, int64_t first, std::span<const std::byte> elements)>;
/// Fills `elements` with those of a parameter, from its element number `first` on.
using GiveElements = std::function<runtime::Error(const Parameter &part, int64_t first, std::span<std::byte> elements)>;

/// Hands the elements of a checkpoint's tensor, `elementBytes` each, to its parameters, in pieces of a few MiB. Padding
/// is not touched.
runtime::Error splitTensor(const WeightTensor &tensor, int64_t elementBytes, std::span<const std::byte> bytes,
                           const TakeElements &take);

/// The reverse: appends the bytes of the checkpoint's tensor in order. Holds the tensor in memory if it is transposed,
/// else a few MiB.
runtime::Error joinTensor(const WeightTensor &tensor, int64_t elementBytes, const GiveElements &give,
                          const std::function<runtime::Error(std::span<const std::byte>)> &append);

/// Rounds floats of a checkpoint (F64, F32, F16, BF16) to f32; only F64 loses anything.
void convertToFloat(runtime::StoredType type, std::span<const std::byte> source, std::span<float> target);

/// Rounds f32 to the nearest float of a checkpoint, ties to even. What convertToFloat made of one comes back bit for
/// bit.
void convertFromFloat(runtime::StoredType type, std::span<const float> source, std::span<std::byte> target);

} // namespace primus::models::huggingface
