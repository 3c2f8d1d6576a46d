//===- TrainingKeys.cpp - Training as TorchTitan does it ------------------===//

#include "frontend/config/CommonKeys.h"
#include "frontend/config/ParallelSizes.h"
#include "frontend/config/torchtitan/TorchTitan.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

namespace primus::config::torchtitan {

/// The schedule of torchtitan/components/lr_scheduler.py. Step n, from 0, has (n + 1) / warmup of the rate during
/// warm-up; a stable phase follows, and the decay reaches its end one step after the last.
static void mapSchedule(Mapping &m, const Setting<double> &rate, const Setting<int64_t> &steps) {
  std::optional<Setting<int64_t>> given = m.keys.tryInteger("lr_scheduler.total_steps");
  Setting<int64_t> total = given ? *given : derived(steps.value, "training.steps", steps.origin);
  if (total.value < steps.value)
    m.diagnostics.error(total.origin.location,
                        fmt::format("lr_scheduler.total_steps {} ends before training.steps {}", total.value,
                                    steps.value),
                        fmt::format("set lr_scheduler.total_steps={} or more", steps.value));
  Setting<int64_t> warmup = m.keys.count("lr_scheduler.warmup_steps", 200, 0);
  if (warmup.value > total.value) {
    m.diagnostics.warning(warmup.origin.location,
                          fmt::format("lr_scheduler.warmup_steps {} is cut to all {} steps", warmup.value,
                                      total.value));
    warmup = derived(total.value, "lr_scheduler.warmup_steps, cut to all steps", warmup.origin);
  }
  std::optional<Setting<double>> ratio = m.keys.tryReal("lr_scheduler.decay_ratio");
  if (ratio && !(ratio->value >= 0 && ratio->value <= 1))
    m.diagnostics.error(ratio->origin.location,
                        fmt::format("'lr_scheduler.decay_ratio' must be from 0 to 1, but is {}", ratio->value));
  int64_t decay = total.value - warmup.value;
  // Python rounds halves to even, as nearbyint does.
  if (ratio)
    decay = std::min(decay, static_cast<int64_t>(std::nearbyint(static_cast<double>(total.value) * ratio->value)));
  const Origin &origin = ratio ? ratio->origin : warmup.origin;

  int64_t rising = std::max<int64_t>(warmup.value - 1, 0);
  m.spec.set("optimizer.warmup_steps",
             derived(rising, "lr_scheduler.warmup_steps - 1: the last step of warm-up has the full rate",
                     warmup.origin));
  m.spec.set("optimizer.warmup_init", derived(warmup.value > 0 ? rate.value / static_cast<double>(warmup.value) : 0.0,
                                              "optimizer.lr / lr_scheduler.warmup_steps", warmup.origin));
  m.spec.set("optimizer.stable_steps",
             derived(total.value - decay - rising, "the steps before decay, less warm-up", origin));
  m.spec.set("optimizer.decay_steps", derived(total.value, "where the decay ends", total.origin));
  Setting<std::string> style = m.keys.choice("lr_scheduler.decay_type", "linear", {"linear", "sqrt", "cosine"});
  m.spec.set("optimizer.decay_style",
             decay > 0 ? style : derived<std::string>("constant", "no steps are left for decay", origin));
  Setting<double> factor = m.keys.real("lr_scheduler.min_lr_factor", 0);
  m.spec.set("optimizer.min_learning_rate",
             derived(rate.value * factor.value, "optimizer.lr * lr_scheduler.min_lr_factor", factor.origin));
}

void mapOptimizer(Mapping &m) {
  Setting<std::string> name = m.keys.choice("optimizer.name", "AdamW", {"AdamW", "Adam"});
  Setting<double> decay = m.keys.real("optimizer.weight_decay", 0.1);
  if (name.value == "Adam" && decay.value != 0)
    m.diagnostics.error(name.origin.location,
                        "'optimizer.name: \"Adam\"' with weight decay is not supported: decay inside the gradient",
                        "set optimizer.name=AdamW, or optimizer.weight_decay=0");
  m.spec.set("optimizer.kind", derived<std::string>("adamw", "optimizer.name", name.origin));
  Setting<double> rate = m.keys.real("optimizer.lr", 8e-4);
  m.spec.set("optimizer.learning_rate", rate);
  m.spec.set("optimizer.beta1", m.keys.real("optimizer.beta1", 0.9));
  m.spec.set("optimizer.beta2", m.keys.real("optimizer.beta2", 0.95));
  m.spec.set("optimizer.epsilon", m.keys.real("optimizer.eps", 1e-8));
  m.spec.set("optimizer.weight_decay", decay);
  m.spec.set("optimizer.decay_all", derived(true, "TorchTitan's optimizer has one group of parameters", decay.origin));
  m.spec.set("optimizer.clip", m.keys.real("training.max_norm", 1.0));
  mapSchedule(m, rate, m.keys.count("training.steps", 10000, 1));
}

static void mapRecompute(Mapping &m) {
  Setting<std::string> mode = m.keys.choice("activation_checkpoint.mode", "selective",
                                            {"none", "selective", "full", "memory_budget"});
  // A number is text in TorchTitan, and a number where the command line says it.
  const std::string optionKey = "activation_checkpoint.selective_ac_option";
  const Value *written = m.keys.value(optionKey);
  Setting<std::string> option = written && written->asInt()
                                    ? Setting<std::string>{written->str(), m.keys.origin(optionKey)}
                                    : m.keys.text(optionKey, "2");
  Setting<int64_t> depth = m.keys.requiredCount("model.n_layers", "number of layers");
  if (mode.value != "selective" || option.value == "op") {
    m.spec.set("training.recompute", mode.with<std::string>(mode.value == "none"   ? "RECOMPUTE_NONE"
                                                            : mode.value == "full" ? "RECOMPUTE_FULL"
                                                                                   : "RECOMPUTE_SELECTIVE"));
    return;
  }
  int64_t every = 0;
  const char *end = option.value.data() + option.value.size();
  bool isNumber = std::from_chars(option.value.data(), end, every).ptr == end && every >= 1;
  if (!isNumber)
    m.diagnostics.error(option.origin.location,
                        fmt::format("'activation_checkpoint.selective_ac_option' cannot be '{}'", option.value),
                        "write 'op', or \"2\" for every second layer");
  m.spec.set("training.recompute", option.with<std::string>("RECOMPUTE_FULL"));
  m.spec.set("training.recompute_layers", derived(isNumber ? depth.value / every : depth.value,
                                                  "as many layers as activation_checkpoint.selective_ac_option names",
                                                  option.origin));
}

static void mapParallelism(Mapping &m) {
  Setting<int64_t> shards = m.keys.count("parallelism.data_parallel_shard_degree", -1, -1);
  if (shards.value == 0)
    m.diagnostics.error(shards.origin.location, "'parallelism.data_parallel_shard_degree' must not be 0",
                        "write 1, or -1 for the ranks that are left");
  ParallelSizes sizes{{m.keys.count("parallelism.tensor_parallel_degree", 1, 1)},
                      {m.keys.count("parallelism.pipeline_parallel_degree", 1, 1)},
                      {m.keys.count("parallelism.context_parallel_degree", 1, 1)},
                      {m.keys.count("parallelism.expert_parallel_degree", 1, 1)},
                      {m.keys.count("parallelism.data_parallel_replicate_degree", 1, 1)},
                      {shards.with(std::max<int64_t>(shards.value, 1))}};
  if (shards.value < 1)
    sizes.shard.rest = shards.origin;
  setParallelSizes(m, sizes);
  const Setting<int64_t> &tensor = sizes.tensor.size, &pipeline = sizes.pipeline.size;
  m.spec.set("parallelism.sequence_parallel",
             derived(tensor.value > 1, "TorchTitan's tensor parallelism splits the sequence too", tensor.origin));

  // FSDP2: gradients are scattered in any case; gathered parameters are dropped or kept until the backward pass.
  Setting<std::string> reshard =
      m.keys.choice("parallelism.fsdp_reshard_after_forward", "default", {"default", "always", "never"});
  bool keeps = reshard.value == "never" || (reshard.value == "default" && pipeline.value > 1);
  m.spec.set("parallelism.zero_stage", reshard.with<int64_t>(keeps ? 2 : 3));
  Setting<std::string> rotate =
      m.keys.choice("parallelism.context_parallel_rotate_method", "allgather", {"allgather", "alltoall"});
  m.spec.set("parallelism.context_exchange",
             rotate.with<std::string>(rotate.value == "allgather" ? "ALL_GATHER" : "RING"));
}

static void mapData(Mapping &m) {
  Setting<bool> mock = m.keys.boolean("training.mock_data", false);
  Setting<std::string> dataset = m.keys.text("training.dataset", "c4_test");
  std::optional<Setting<std::string>> path = m.keys.tryText("training.dataset_path");
  if (mock.value) {
    m.spec.set("data.kind", mock.with<std::string>("mock"));
  } else if (std::string prefix = path ? indexedPrefix(path->value) : std::string(); !prefix.empty()) {
    m.spec.set("data.kind", path->with<std::string>("indexed"));
    m.spec.set("data.paths", path->with(std::vector<std::string>{prefix}));
    m.spec.set("data.split", derived<std::string>("1,0,0", "TorchTitan trains on the whole set", path->origin));
  } else {
    m.diagnostics.error(path ? path->origin.location : dataset.origin.location,
                        fmt::format("'training.dataset: \"{}\"' is not supported: turning text into tokens while "
                                    "training",
                                    dataset.value),
                        "set training.mock_data=true, or training.dataset_path to a .bin/.idx pair of tokens");
  }
}

void mapTraining(Mapping &m) {
  mapParallelism(m);
  padVocabulary(m, m.keys.origin("model.vocab_size"));
  m.spec.set("training.steps", m.keys.count("training.steps", 10000, 1));
  Setting<int64_t> local = m.keys.count("training.local_batch_size", 8, 1);
  Setting<int64_t> global = m.keys.count("training.global_batch_size", -1, -1);
  m.spec.set("training.micro_batch_size", mapPipeline(m, local));
  m.spec.set("training.global_batch_size",
             global.value < 1 ? derived(saturatingProduct({local.value, m.spec.get().parallelism().data()}),
                                        "training.local_batch_size * data ranks", local.origin)
                              : global);
  m.spec.set("training.sequence_length", m.keys.count("training.seq_len", 2048, 1));
  Setting<std::string> precision =
      m.keys.choice("training.mixed_precision_param", "bfloat16", {"bfloat16", "float32"});
  m.spec.set("training.precision", precision.with<std::string>(precision.value == "float32" ? "F32" : "BF16"));
  std::optional<Setting<int64_t>> seed = m.keys.tryInteger("debug.seed");
  if (seed && seed->value < 0)
    m.diagnostics.error(seed->origin.location,
                        fmt::format("'debug.seed' must not be negative, but is {}", seed->value));
  if (!seed)
    m.notes.push_back("debug.seed is 0 here where it is not set; TorchTitan draws one.");
  m.spec.set("training.seed", seed.value_or(Setting<int64_t>{0, m.keys.origin("debug.seed")}));
  m.spec.set("training.trainable", derived(true, "TorchTitan always trains", local.origin));
  mapRecompute(m);
  mapData(m);
}

} // namespace primus::config::torchtitan
