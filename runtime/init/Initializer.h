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
  /// and one frequency per column of the table; rows are positions).
  std::string kind;
  std::map<std::string, double> parameters;
  std::vector<double> frequencies;
  /// Random stream of the variable.
  int64_t stream = 0;
};

/// The kinds that `initialize` knows, in alphabetical order.
std::vector<std::string> getInitializerKinds();

/// Says what is wrong with an initialiser for a variable of this shape, or std::nullopt.
std::optional<std::string> checkInitializer(const InitializerSpec &spec, std::span<const int64_t> shape);

/// Writes elements [begin, end) (row-major indices into the whole variable) to `out[0 .. end - begin)`. Returns what is
/// wrong, in which case nothing is written, or std::nullopt.
std::optional<std::string> initialize(const InitializerSpec &spec, std::span<const int64_t> shape, uint64_t seed,
                                      int64_t begin, int64_t end, float *out);

} // namespace primus::runtime
