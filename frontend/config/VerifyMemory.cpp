//===- VerifyMemory.cpp - State of a rank against the hardware ------------===//
//
// A lower bound before anything is compiled: f32 parameters and gradients and Adam's two moments, as far as the layout
// splits them. Activations and packed copies come on top; the memory plan knows them exactly (`--report`).
//
//===----------------------------------------------------------------------===//

#include "frontend/config/PipelineStages.h"
#include "frontend/config/SpecChecker.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <vector>

namespace primus::config {

/// Bytes of state for each parameter of a model of which `sharing` ranks share what `zeroStage` says: f32 parameter,
/// gradient and two moments. What is split and used whole in a step is gathered in the type of computation.
static double bytesPerParameter(const spec::TrainingSpec &spec, int64_t zeroStage, int64_t sharing) {
  double moments = 0;
  for (spec::Precision moment : {spec.optimizer().first_moment(), spec.optimizer().second_moment()})
    moments += moment == spec::BF16 ? 2 : 4;
  if (zeroStage == 0 || sharing == 1)
    return 4 + 4 + moments;
  double shares = static_cast<double>(sharing), gathered = spec.training().precision() == spec::F32 ? 4 : 2;
  double gradient = zeroStage == 1 ? 4 : 4 / shares;
  return (4 + moments) / shares + gradient + (zeroStage == 3 ? 0 : gathered);
}

/// The ranks that share state: shards, and ranks of context parallelism, which have the same parameters.
static int64_t countSharing(const spec::Parallelism &parallel) { return parallel.shard() * parallel.context(); }

namespace {

/// Parameters that one rank holds of the parts of a model, with `tensor` ranks beside each other. In double, which no
/// size overflows.
class RankParameters {
public:
  RankParameters(const spec::Model &model, int64_t tensor) : model(model), tensor(tensor) {}

  /// Of the rank with the most. `stages` has the layers of each stage of the pipeline, `ranks` the rank of each.
  double ofFullestRank(const std::vector<int64_t> &stages, const std::vector<int64_t> &ranks) const {
    std::vector<double> layers;
    for (const spec::LayerGroup &group : model.layers())
      layers.insert(layers.end(), static_cast<size_t>(group.count()), ofLayer(group.layer()));
    double width = static_cast<double>(model.width());
    double table = static_cast<double>(model.embedding().padded_vocabulary()) / static_cast<double>(tensor) * width;
    std::vector<double> sums(static_cast<size_t>(*std::max_element(ranks.begin(), ranks.end()) + 1));
    auto next = layers.begin();
    for (size_t stage = 0; stage < stages.size(); ++stage) {
      sums[ranks[stage]] += std::accumulate(next, next + stages[stage], 0.0);
      next += stages[stage];
    }
    sums[ranks.front()] += table + static_cast<double>(model.embedding().learned_positions()) * width;
    // A tied head on another rank needs a copy of the table.
    if (ranks.front() != ranks.back() || !model.head().tied())
      sums[ranks.back()] += table;
    return *std::max_element(sums.begin(), sums.end());
  }

private:
  static double norm(const spec::Norm &norm, double width) {
    return norm.kind() == spec::NORM_NONE ? 0 : width * (norm.weight() + norm.bias());
  }

  double ofLayer(const spec::Layer &layer) const {
    double width = static_cast<double>(model.width()), shares = static_cast<double>(tensor);
    double count = 0;
    for (const spec::Norm *each : {&layer.attention_norm(), &layer.feed_forward_norm(), &layer.attention_post_norm(),
                                   &layer.feed_forward_post_norm()})
      count += norm(*each, width);
    if (layer.has_attention()) {
      const spec::Attention &attention = layer.attention();
      double headSize = static_cast<double>(attention.head_size());
      double queries = static_cast<double>(attention.heads()) * headSize / shares;
      double keys = static_cast<double>(attention.groups()) * headSize / shares;
      count += (queries + 2 * keys) * (width + attention.qkv_bias());
      count += queries * width + attention.output_bias() * width;
      count += norm(attention.query_norm(), headSize) + norm(attention.key_norm(), headSize);
    }
    if (layer.has_feed_forward()) {
      const spec::FeedForward &block = layer.feed_forward();
      double inputs = block.kind() == spec::GATED ? 2 : 1;
      double inner = static_cast<double>(block.width()) / shares;
      count += inner * (inputs * (width + block.bias()) + width) + block.bias() * width;
    }
    return count;
  }

  const spec::Model &model;
  int64_t tensor;
};

} // namespace

static std::string gibibytes(double bytes) { return fmt::format("{:.4g} GiB", bytes / (int64_t(1) << 30)); }

/// True if `tensor` ranks can share every layer.
static bool divides(const spec::Model &model, int64_t tensor) {
  return std::all_of(model.layers().begin(), model.layers().end(), [&](const spec::LayerGroup &group) {
    const spec::Layer &layer = group.layer();
    return layer.attention().heads() % tensor == 0 && layer.attention().groups() % tensor == 0 &&
           layer.feed_forward().width() % tensor == 0;
  });
}

/// The fewest ranks whose state leaves a quarter of the memory to activations, by tensor parallelism within a node of eight
/// and by splitting all state over data ranks.
static std::string suggestSizes(SpecChecker &check, double memory) {
  const spec::TrainingSpec &spec = check.spec;
  // What the flavour calls it, where it does not do so by itself.
  bool isMaxText = spec.framework() == "maxtext", isMegatron = spec.framework() == "megatron";
  if (!isMaxText && !isMegatron && spec.framework() != "torchtitan")
    return "choose a smaller model";
  int64_t batches =
      std::min(spec.training().global_batch_size() / spec.training().micro_batch_size(), mostRanks);
  int64_t bestRanks = std::numeric_limits<int64_t>::max();
  std::string best;
  for (int64_t tensor : {1, 2, 4, 8})
    for (int64_t shard = 1; shard <= batches; shard *= 2) {
      if (batches % shard != 0 || !divides(spec.model(), tensor) || tensor * shard > bestRanks)
        continue;
      double bytes = bytesPerParameter(spec, /*zeroStage=*/3, shard * spec.parallelism().context()) *
                     RankParameters(spec.model(), tensor).ofFullestRank({countLayers(spec.model())}, {0});
      if (bytes > 0.75 * memory)
        continue;
      bestRanks = tensor * shard;
      std::string sharing = isMaxText ? fmt::format("ici_fsdp_parallelism={}", shard)
                                      : fmt::format("{}--ranks {}", isMegatron && shard > 1 ? "use_torch_fsdp2=true " : "",
                                                    tensor * shard * spec.parallelism().context());
      best = fmt::format("use {}={} {}, which takes {}", check.name("parallelism.tensor"), tensor, sharing,
                         gibibytes(bytes));
    }
  return best.empty() ? "choose a smaller model, or a larger global batch for more ranks" : best;
}

void verifyMemory(SpecChecker &check) {
  const spec::TrainingSpec &spec = check.spec;
  double memory = static_cast<double>(spec.hardware().memory_bytes());
  if (memory <= 0 || !divides(spec.model(), spec.parallelism().tensor()))
    return;
  int64_t sharing = countSharing(spec.parallelism());
  double bytes = bytesPerParameter(spec, spec.parallelism().zero_stage(), sharing) *
                 RankParameters(spec.model(), spec.parallelism().tensor())
                     .ofFullestRank(getStageLayers(spec), getStageRanks(spec.parallelism()));
  if (bytes <= memory)
    return;
  auto size = [&](const char *field, int64_t value) {
    return fmt::format("{}={} ({})", check.name(field), value, check.at(field).str());
  };
  check.error("hardware.name",
              fmt::format("parameters, gradients and optimizer state take {} with {} and {}, but {} {} has {}",
                          gibibytes(bytes),
                          size("parallelism.tensor", spec.parallelism().tensor()),
                          size("parallelism.pipeline", spec.parallelism().pipeline()), check.name("hardware.name"),
                          spec.hardware().name(), gibibytes(memory)),
              suggestSizes(check, memory));
}

} // namespace primus::config
