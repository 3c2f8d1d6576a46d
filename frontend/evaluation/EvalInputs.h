//===- EvalInputs.h - Token ids and labels from a file -----------*- C++ -*-===//

#pragma once

#include "frontend/config/TrainingSpec.pb.h"
#include "runtime/support/Error.h"

#include <cstdint>
#include <string>
#include <vector>

namespace primus::evaluation {

/// A batch as the compiled programs take it.
struct EvalInputs {
  /// How messages call the file.
  std::string path;
  int64_t batch = 0;
  int64_t tokens = 0; ///< of one sequence
  /// [batch, tokens]
  std::vector<int32_t> inputIds;
  /// [batch, tokens]: the label of what comes next, negative where none counts.
  std::vector<int32_t> labels;

  /// Labels that count.
  int64_t countLabels() const;
};

/// Reads `input_ids` (I64 [B, T]) and, if they are there, `labels` (the same, -100 is ignored; default: input_ids),
/// which are shifted by one here. `attention_mask` and `position_ids` may say what holds anyway: that every token is
/// seen, and that positions count from 0. Any other tensor is refused by name.
runtime::Expected<EvalInputs> readEvalInputs(const std::string &path);

/// Whether the model has these tokens and positions.
runtime::Error checkEvalInputs(const EvalInputs &inputs, const spec::Model &model);

} // namespace primus::evaluation
