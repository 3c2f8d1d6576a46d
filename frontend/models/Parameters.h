//===- Parameters.h - The parameters that a model has ------------*- C++ -*-===//

#pragma once

#include "frontend/config/TrainingSpec.pb.h"

#include <string>
#include <vector>

namespace primus::models {

/// A variable with the role `parameter`: a matrix [out, in] or a vector.
struct Parameter {
  std::string name;
  std::vector<int64_t> shape;
  /// Rows of the embedding and the head that no token uses: the last of shape[0].
  int64_t padding = 0;
};

/// The parameters of the model that ModelBuilder.h builds, without building it.
std::vector<Parameter> listParameters(const spec::Model &model);

} // namespace primus::models
