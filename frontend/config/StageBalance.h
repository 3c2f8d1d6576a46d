//===- StageBalance.h - Whether pipeline ranks have equal work ---*- C++ -*-===//

#pragma once

#include "frontend/config/TrainingSpec.pb.h"
#include "passes/schedules/Simulate.h"

#include <string>
#include <vector>

namespace primus::config {

/// What layers, the embedding in front of them and the head with its loss behind them cost: multiplications of a forward
/// pass for each token. A backward pass takes twice as many of each, and as many again where it computes the forward pass
/// again.
struct ModelWork {
  explicit ModelWork(const spec::TrainingSpec &spec);

  std::vector<double> layers;
  double embedding, head;
  /// The part of each layer's work that has no weights: attention's scores and their sums of values.
  std::vector<double> attention;
  /// Layers from the first on that compute their forward pass again for the backward pass.
  int64_t recomputed = 0;

  /// A third of what a layer costs in a step, as `head` is of what the head costs.
  double getStepWork(size_t layer) const { return layers[layer] * (static_cast<int64_t>(layer) < recomputed ? 4.0 / 3 : 1); }

  /// Of the rank with the most, over the mean of all. `stages` has the layers of each stage, `ranks` the rank of each.
  double getImbalance(const std::vector<int64_t> &stages, const std::vector<int64_t> &ranks) const;

  /// What one token costs each stage, for schedules that decide by it. The head computes its gradients with its forward
  /// pass.
  std::vector<schedules::StageSeconds> getCosts(const std::vector<int64_t> &stages) const;

  /// Layers of each of `stages` stages, such that the most that a stage has is as little as can be. The first stage has the
  /// embedding, the last the head; those may have no layer. Empty where there are too few layers.
  std::vector<int64_t> divide(int64_t stages) const;
};

/// A layout of Megatron (pipeline_model_parallel_layout) with these layers in each stage: "Et*3(|t*4)*2|t*3L".
std::string writeLayout(const std::vector<int64_t> &stages);

} // namespace primus::config
