//===- ParallelKeys.cpp - Parallel sizes ----------------------------------===//

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

} // namespace primus::config::megatron
