//===- ParallelKeys.cpp - Parallel sizes and pipeline stages --------------===//

#include "frontend/config/ParallelSizes.h"
#include "frontend/config/SpecChecker.h"
#include "frontend/config/megatron/Megatron.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace primus::config::megatron {

static Setting<int64_t> parallelSize(Mapping &m, const char *key) {
  Setting<int64_t> size = m.keys.count(key, 1, 1);
  if (size.value <= mostRanks)
    return size;
  m.diagnostics.error(size.origin.location,
                      fmt::format("'{}' must be at most {}, but is {}", key, mostRanks, size.value));
  return size.with(int64_t(1));
}

/// The same number in every stage that `fixed` leaves open (0); nothing where they do not come out even.
static std::optional<std::vector<int64_t>> fillStages(std::vector<int64_t> fixed, int64_t layers) {
  int64_t open = 0;
  for (int64_t count : fixed) {
    open += count == 0;
    layers -= count;
  }
  if (layers < 0 || (open == 0 ? layers != 0 : layers % open != 0))
    return std::nullopt;
  for (int64_t &count : fixed)
    if (count == 0)
      count = layers / open;
  return fixed;
}

static void uneven(Mapping &m, const Origin &origin, int64_t layers, const Setting<int64_t> &pipeline,
                   const std::string &suggestion) {
  m.diagnostics.error(origin.location,
                      fmt::format("with '{}' the {} layers cannot be split over {} pipeline stages", origin.key,
                                  layers, pipeline.value),
                      suggestion);
}

/// The depth of the model, whichever key gave it.
static int64_t countLayers(const Mapping &m) {
  int64_t layers = 0;
  for (const spec::LayerGroup &group : m.spec.get().model().layers())
    layers += group.count();
  return layers;
}

/// Stages that do not all have the same number of layers, in Megatron's ways of asking for them.
static void mapStages(Mapping &m, const Setting<int64_t> &pipeline) {
  int64_t layers = countLayers(m), stages = pipeline.value;
  std::optional<Setting<int64_t>> first = m.keys.tryInteger("decoder_first_pipeline_num_layers");
  std::optional<Setting<int64_t>> last = m.keys.tryInteger("decoder_last_pipeline_num_layers");
  Setting<bool> embedding = m.keys.boolean("account_for_embedding_in_pipeline_split", false);
  Setting<bool> loss = m.keys.boolean("account_for_loss_in_pipeline_split", false);
  Setting<bool> padding = m.keys.boolean("allow_padding_num_layers", false);
  if (stages == 1 || layers > mostLayers)
    return;
  std::vector<int64_t> counts(static_cast<size_t>(stages), 0);
  if (first || last) {
    counts.front() = first ? first->value : 0;
    counts.back() = last ? last->value : 0;
    const Setting<int64_t> &said = first ? *first : *last;
    auto inRange = [&](const std::optional<Setting<int64_t>> &count) {
      return !count || (count->value >= 1 && count->value < layers);
    };
    std::optional<std::vector<int64_t>> filled;
    if (inRange(first) && inRange(last))
      filled = fillStages(counts, layers);
    if (!filled)
      return uneven(m, said.origin, layers, pipeline,
                    fmt::format("what they leave must divide by the other stages ({} pipeline stages from {})", stages,
                                pipeline.origin.location.str()));
    m.spec.set("parallelism.stage_layers", said.with(std::move(*filled)));
  } else if (embedding.value || loss.value) {
    const Setting<bool> &said = embedding.value ? embedding : loss;
    int64_t places = layers + embedding.value + loss.value;
    if (places % stages != 0)
      return uneven(m, said.origin, layers, pipeline,
                    fmt::format("with what counts as a layer they are {}; set {} to a divisor of that", places,
                                pipeline.origin.key));
    std::fill(counts.begin(), counts.end(), places / stages);
    counts.front() -= embedding.value;
    counts.back() -= loss.value;
    m.spec.set("parallelism.stage_layers", said.with(std::move(counts)));
  } else if (padding.value && layers % stages != 0) {
    // Upstream rounds the number of layers up and leaves the last places empty.
    int64_t most = (layers + stages - 1) / stages;
    for (int64_t &count : counts) {
      count = std::min(most, layers);
      layers -= count;
    }
    m.spec.set("parallelism.stage_layers", padding.with(std::move(counts)));
  }
}

/// The three keys say the same in different ways; the strongest is the one that upstream reads last.
static void mapVirtualStages(Mapping &m, const Setting<int64_t> &pipeline) {
  int64_t layers = countLayers(m);
  std::optional<Setting<int64_t>> stages;
  for (const char *key : {"virtual_pipeline_model_parallel_size", "num_virtual_stages_per_pipeline_rank"})
    if (m.keys.isSet(key))
      stages = m.keys.count(key, 1, 1);
  if (m.keys.isSet("num_layers_per_virtual_pipeline_stage")) {
    Setting<int64_t> each = m.keys.count("num_layers_per_virtual_pipeline_stage", 1, 1);
    stages = derived(std::max<int64_t>(1, layers / pipeline.value / each.value),
                     "num_layers_per_virtual_pipeline_stage (num_layers / pipeline_model_parallel_size / it)",
                     each.origin);
  }
  if (stages)
    m.spec.set("parallelism.virtual_stages", *stages);
}

/// What data ranks share. Each of the keys turns on one of Megatron's three ways to do it.
static Setting<int64_t> zeroStage(Mapping &m) {
  Setting<bool> torch = m.keys.boolean("use_torch_fsdp2", false), custom = m.keys.boolean("use_custom_fsdp", false);
  Setting<bool> fsdp = m.keys.boolean("use_megatron_fsdp", false);
  Setting<bool> optimizer = m.keys.boolean("use_distributed_optimizer", false);
  const std::vector<std::string> stages = {"no_shard", "optim", "optim_grads", "optim_grads_params"};
  Setting<std::string> strategy = m.keys.choice("data_parallel_sharding_strategy", "no_shard", stages);
  if (torch.value)
    return torch.with<int64_t>(3);
  if (fsdp.value || custom.value)
    return strategy.with<int64_t>(std::find(stages.begin(), stages.end(), strategy.value) - stages.begin());
  return optimizer.with<int64_t>(optimizer.value ? 1 : 0);
}

/// Data ranks are those that are left. Where they share state, a key says how many groups of them do.
static void mapDataRanks(Mapping &m, ParallelSizes &sizes) {
  Setting<int64_t> instances = parallelSize(m, "num_distributed_optimizer_instances");
  Setting<int64_t> replicas = parallelSize(m, "data_parallel_replicate_degree");
  Setting<int64_t> stage = zeroStage(m);
  m.spec.set("parallelism.zero_stage", stage);
  bool torch = m.keys.boolean("use_torch_fsdp2", false).value;
  sizes.replicate.size = torch ? replicas : instances;
  const Origin &origin = sizes.tensor.size.origin;
  sizes.shard.size = derived(int64_t(1), "data ranks share no state", origin);
  if (stage.value > 0) {
    sizes.shard.rest = origin;
    return;
  }
  sizes.replicate.size = derived(int64_t(1), "data ranks share no state", origin);
  sizes.replicate.rest = origin;
}

/// cp_comm_type: one word, or one for each layer.
static void mapContextExchange(Mapping &m, int64_t context) {
  std::optional<Setting<std::vector<std::string>>> types = m.keys.tryTexts("cp_comm_type");
  if (!types) {
    m.spec.set("parallelism.context_exchange", Setting<std::string>{"RING", m.keys.origin("cp_comm_type")});
    return;
  }
  auto isOneOf = [&](std::initializer_list<std::string_view> names) {
    return std::all_of(types->value.begin(), types->value.end(), [&](const std::string &type) {
      return std::find(names.begin(), names.end(), type) != names.end();
    });
  };
  bool gather = isOneOf({"all_gather", "allgather"});
  if (!gather && !isOneOf({"p2p"}) && context > 1)
    m.diagnostics.error(types->origin.location,
                        fmt::format("'cp_comm_type: {}' is not supported: another exchange than a ring or a gather",
                                    fmt::join(types->value, " ")),
                        "set cp_comm_type=p2p or cp_comm_type=all_gather");
  m.spec.set("parallelism.context_exchange", types->with<std::string>(gather ? "ALL_GATHER" : "RING"));
}

void mapParallelism(Mapping &m) {
  ParallelSizes sizes{{parallelSize(m, "tensor_model_parallel_size")},
                      {parallelSize(m, "pipeline_model_parallel_size")},
                      {parallelSize(m, "context_parallel_size")},
                      {parallelSize(m, "expert_model_parallel_size")},
                      {},
                      {}};
  mapDataRanks(m, sizes);
  setParallelSizes(m, sizes);
  const Setting<int64_t> &tensor = sizes.tensor.size;
  mapContextExchange(m, sizes.context.size.value);
  Setting<bool> sequence = m.keys.boolean("sequence_parallel", false);
  // Upstream turns it off without tensor parallelism.
  m.spec.set("parallelism.sequence_parallel",
             sequence.value && tensor.value == 1
                 ? derived(false, "sequence_parallel has no effect with one tensor rank", sequence.origin)
                 : sequence);
}

void mapPipeline(Mapping &m) {
  Setting<int64_t> pipeline = parallelSize(m, "pipeline_model_parallel_size");
  mapStages(m, pipeline);
  mapVirtualStages(m, pipeline);
}

} // namespace primus::config::megatron
