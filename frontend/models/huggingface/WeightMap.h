//===- WeightMap.h - Tensors of a checkpoint and parameters of ours -*- C++ -*-===//

#pragma once

#include "frontend/config/TrainingSpec.pb.h"
#include "frontend/config/huggingface/Architecture.h"
#include "frontend/models/Parameters.h"
#include "runtime/checkpoint/Safetensors.h"

namespace primus::models::huggingface {

using config::huggingface::Architecture;

/// A tensor of a Hugging Face checkpoint.
struct WeightTensor {
  /// As the checkpoint calls it.
  std::string name;
  /// In the checkpoint: of a matrix [in, out] where it is `transposed`, else [out, in].
  std::vector<int64_t> shape;
  bool transposed = false;
  /// The parameters of ours that are stacked along `out`, all but their padding.
  std::vector<Parameter> parts;

  /// Columns of the parts, `in`: 1 for vectors.
  int64_t getColumns() const;
  /// Rows of all parts together, `out`.
  int64_t getRows() const;
};

/// Rows of a parameter that a checkpoint holds.
inline int64_t getRows(const Parameter &parameter) { return parameter.shape[0] - parameter.padding; }

/// The tensors of a whole checkpoint, in the order of the layers, under their full names.
std::vector<WeightTensor> listTensors(const Architecture &architecture, const spec::Model &model);

/// What a checkpoint holds for a model.
struct WeightMap {
  std::vector<WeightTensor> tensors;
  /// A second copy of the embedding, where the head is tied and the checkpoint holds both. Has to equal tensors[0].
  std::string tiedCopy;
};

/// Finds the model's tensors among those of a checkpoint, which may lack the prefix of the base model and may hold
/// masks and tables besides. The error lists all tensors that are missing, unknown, of another shape or no floats.
runtime::Expected<WeightMap> matchTensors(const Architecture &architecture, const spec::Model &model,
                                          const std::map<std::string, runtime::TensorDescription> &present);

} // namespace primus::models::huggingface
