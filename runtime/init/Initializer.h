//===- Initializer.h - First values of variables -----------------*- C++ -*-===//
//
// How a variable's first value is made, on the host. A value depends on the initialiser, the seed, and the element's
// index in the whole variable, and on nothing else: any split of the work, and any layout, gives the same weights.
//
//===----------------------------------------------------------------------===//

#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace primus::runtime {

/// What to fill a variable with. Mirrors the message of the same name in runtime/executable/Executable.proto.
struct InitializerSpec {
  /// `zeros`, `ones`, `constant` (parameter value), `normal` (std = 1, mean = 0, cutoff = 0: standard deviations, 0 = none), `rope_cos` and `rope_sin` (scale = 1,
  /// ranks = 1, and one frequency per column of the table; row i belongs to position getContextPosition(i)), `positions`
  /// (ranks = 1: element i is getContextPosition(i)), `axis_index` (the scalar `axisIndex`).
  std::string kind;
  std::map<std::string, double> parameters;
  std::vector<double> frequencies;
  /// Random stream of the variable.
  int64_t stream = 0;
  /// Of `axis_index`: the mesh axes, major first, and this rank's index in the group over them. Who knows the rank sets it.
  std::vector<std::string> axes = {};
  int64_t axisIndex = 0;
};

/// The position in its sequence of the token that is stored as number `index` of `length`, where context parallelism
/// over `ranks` ranks splits sequences. Of 2 ranks equal chunks of a sequence, rank r stores chunk r and then chunk
/// 2 ranks - 1 - r, so that a causal mask leaves all ranks the same work. `length` is a multiple of 2 ranks, if ranks > 1.
constexpr int64_t getContextPosition(int64_t index, int64_t length, int64_t ranks) {
  if (ranks == 1)
    return index;
  int64_t chunk = length / (2 * ranks), stored = index / chunk, rank = stored / 2;
  return (stored % 2 == 0 ? rank : 2 * ranks - 1 - rank) * chunk + index % chunk;
}

/// The kinds that `initialize` knows, in alphabetical order.
std::vector<std::string> getInitializerKinds();

/// Says what is wrong with an initialiser for a variable of this shape, or std::nullopt.
std::optional<std::string> checkInitializer(const InitializerSpec &spec, std::span<const int64_t> shape);

/// Writes elements [begin, end) (row-major indices into the whole variable) to `out[0 .. end - begin)`. Returns what is
/// wrong, in which case nothing is written, or std::nullopt.
std::optional<std::string> initialize(const InitializerSpec &spec, std::span<const int64_t> shape, uint64_t seed,
                                      int64_t begin, int64_t end, float *out);

} // namespace primus::runtime
