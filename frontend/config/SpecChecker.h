//===- SpecChecker.h - Rules over the fields of a TrainingSpec ---*- C++ -*-===//
//
// What the checks of a finished spec share: messages call a field by the key that set it and stand at its value.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "frontend/config/Diagnostic.h"
#include "frontend/config/TrainingSpec.pb.h"

#include <string>
#include <unordered_map>

namespace primus::config {

/// Far above any model and any machine; beyond lies a slip of the pen, and arithmetic that overflows.
constexpr int64_t mostLayers = 1 << 16, mostRanks = 1 << 15;

class SpecChecker {
public:
  SpecChecker(const spec::TrainingSpec &spec, Diagnostics &diagnostics);

  /// The place of a field's value.
  Location at(const std::string &field) const;
  /// What the user calls a field: the key that set it.
  std::string name(const std::string &field) const;
  /// "num_attention_heads stands at x.yaml:3:4": for the second key of a message.
  std::string place(const std::string &field) const;

  void error(const std::string &field, std::string message, std::string suggestion = {});
  /// `value` of `field` must be at least `minimum`.
  bool atLeast(const std::string &field, int64_t value, int64_t minimum);

  const spec::TrainingSpec &spec;
  Diagnostics &diagnostics;

private:
  std::unordered_map<std::string, const spec::Source *> sources;
};

/// Whether sizes and settings fit the recipe of 8-bit products.
void verifyFp8(SpecChecker &check);

/// Whether the parallel sizes divide what they split.
void verifyParallelism(SpecChecker &check);

/// Whether layers can be cut into the stages of a pipeline and whether its schedule works. A warning where another cut were
/// clearly better. The parallel sizes are in range.
void verifyPipeline(SpecChecker &check);

/// Errors for parallel sizes that nothing honours yet.
void refuseUnsupportedAxes(SpecChecker &check);

/// Parameters, gradients and optimizer state of the fullest rank against the memory of the hardware, where it is known.
void verifyMemory(SpecChecker &check);

} // namespace primus::config
