//===- RecipeTable.h - The recipes of 8-bit products -------------*- C++ -*-===//
//
// What is said of them without MLIR: configurations are checked by it, too. How each quantises: Recipe.h.
//
//===----------------------------------------------------------------------===//

#pragma once

#include <cstdint>
#include <string_view>

namespace primus::fp8 {

inline constexpr int64_t kBlockwiseSize = 128, kMxfp8Size = 32;

struct RecipeTraits {
  /// In configurations, and as a graph::Fp8Recipe.
  std::string_view name;
  /// How many of the values that a product sums share a scale, and as many rows of a weight where blocks are square; 0: all.
  int64_t block;
  /// Scales follow from earlier steps, not from the operand.
  bool hasState;
};

inline constexpr RecipeTraits kRecipes[] = {
    {"delayed", 0, true}, {"tensorwise", 0, false}, {"rowwise", 0, false}, {"blockwise", kBlockwiseSize, false}, {"mxfp8", kMxfp8Size, false},
};

} // namespace primus::fp8
