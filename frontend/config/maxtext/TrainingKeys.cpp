//===- TrainingKeys.cpp - Training as MaxText does it ---------------------===//

#include "frontend/config/CommonKeys.h"
#include "frontend/config/ParallelSizes.h"
#include "frontend/config/maxtext/MaxText.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <span>

namespace primus::config::maxtext {

/// `steps`, or the length of the schedule where it is -1.
static Setting<int64_t> trainSteps(Mapping &m) {
  Setting<int64_t> steps = m.keys.count("steps", 150001, -1);
  std::optional<Setting<int64_t>> schedule = m.keys.tryInteger("learning_rate_schedule_steps");
  if (steps.value == -1 && schedule)
    return *schedule;
  if (steps.value < 1)
    m.diagnostics.error(steps.origin.location, fmt::format("'steps' must be at least 1, but is {}", steps.value),
                        "or write -1 and give learning_rate_schedule_steps");
  return steps.value < 1 ? steps.with<int64_t>(1) : steps;
}

/// A fraction of the schedule's steps, cut to a whole number.
static int64_t fractionOf(Mapping &m, const Setting<double> &fraction, int64_t steps) {
  if (fraction.value >= 0 && fraction.value <= 1)
    return static_cast<int64_t>(static_cast<double>(steps) * fraction.value);
  m.diagnostics.error(fraction.origin.location,
                      fmt::format("'{}' must be from 0 to 1, but is {}", fraction.origin.key, fraction.value));
  return 0;
}

/// create_learning_rate_schedule of src/maxtext/utils/maxtext_utils.py: from 0 to the highest rate, a stable phase (wsd
/// only), and a decay that ends with the last step of the schedule.
static void mapSchedule(Mapping &m, const Setting<double> &rate) {
  Setting<int64_t> steps = trainSteps(m);
  Setting<int64_t> given = m.keys.integer("learning_rate_schedule_steps", -1);
  Setting<int64_t> length = given.value < 1 ? derived(steps.value, "steps", steps.origin) : given;
  if (length.value < steps.value)
    m.diagnostics.error(length.origin.location,
                        fmt::format("learning_rate_schedule_steps {} is less than steps {}, which would train at rate "
                                    "0",
                                    length.value, steps.value),
                        fmt::format("set learning_rate_schedule_steps={} or more", steps.value));
  Setting<double> warmupFraction = m.keys.real("warmup_steps_fraction", 0.1);
  int64_t warmup = fractionOf(m, warmupFraction, length.value);
  Setting<std::string> type = m.keys.choice("lr_schedule_type", "cosine", {"cosine", "wsd"});
  Setting<double> decayFraction = m.keys.real("wsd_decay_steps_fraction", 0.1);
  Setting<std::string> wsdStyle = m.keys.choice("wsd_decay_style", "linear", {"linear", "cosine"});
  bool wsd = type.value == "wsd";
  int64_t decay = wsd ? std::min(fractionOf(m, decayFraction, length.value), length.value - warmup)
                      : length.value - warmup;
  m.spec.set("optimizer.warmup_steps", derived(warmup, "warmup_steps_fraction * steps", warmupFraction.origin));
  m.spec.set("optimizer.warmup_init", derived(0.0, "warm-up starts at 0", warmupFraction.origin));
  if (wsd)
    m.spec.set("optimizer.stable_steps",
               derived(length.value - warmup - decay, "the steps between warm-up and decay", decayFraction.origin));
  m.spec.set("optimizer.decay_steps",
             derived(std::max<int64_t>(length.value - 1, 1), "the last step of the schedule", length.origin));
  Setting<std::string> style = wsd ? wsdStyle : type;
  m.spec.set("optimizer.decay_style", decay > 1 ? style
                                                : derived<std::string>("constant", "no steps are left for decay",
                                                                       warmupFraction.origin));
  Setting<double> fraction = m.keys.real("learning_rate_final_fraction", 0.1);
  m.spec.set("optimizer.min_learning_rate",
             derived(rate.value * fraction.value, "learning_rate * learning_rate_final_fraction", fraction.origin));
}

void mapOptimizer(Mapping &m) {
  Setting<std::string> kind = m.keys.choice("opt_type", "adamw", {"adamw"});
  m.spec.set("optimizer.kind", kind);
  Setting<double> rate = m.keys.real("learning_rate", 3e-5);
  m.spec.set("optimizer.learning_rate", rate);
  Setting<std::string> moment = m.keys.choice("mu_dtype", "", {"", "float32", "bfloat16"});
  m.spec.set("optimizer.first_moment", moment.with<std::string>(moment.value == "bfloat16" ? "BF16" : "F32"));
  m.spec.set("optimizer.beta1", m.keys.real("adam_b1", 0.9));
  m.spec.set("optimizer.beta2", m.keys.real("adam_b2", 0.95));
  m.spec.set("optimizer.epsilon", m.keys.real("adam_eps", 1e-8));
  Setting<double> decay = m.keys.real("adam_weight_decay", 0.1);
  m.spec.set("optimizer.weight_decay", decay);
  m.spec.set("optimizer.decay_all", derived(true, "MaxText's weight decay has no mask", decay.origin));
  m.spec.set("optimizer.clip", m.keys.real("gradient_clipping_threshold", 1.0));
  mapSchedule(m, rate);
}

/// The axes of MaxText's mesh that have a meaning here. Ranks along fsdp_transpose split the other dimension of a weight,
/// which is the same to whoever only looks at results.
static constexpr const char *tensorAxes[] = {"tensor", "tensor_sequence"}, *pipelineAxes[] = {"pipeline"},
                            *contextAxes[] = {"context", "sequence"}, *expertAxes[] = {"expert"},
                            *shardAxes[] = {"fsdp", "fsdp_transpose"}, *replicateAxes[] = {"data"};

static std::string meshKey(const char *level, const char *axis) { return fmt::format("{}_{}_parallelism", level, axis); }

/// The key that takes the ranks that are left (-1): of those within nodes (ici), else of those among them (dcn).
static std::optional<Origin> findTaker(Mapping &m) {
  for (const char *level : {"ici", "dcn"}) {
    std::optional<Origin> taker;
    for (std::span<const char *const> axes : std::initializer_list<std::span<const char *const>>{
             tensorAxes, pipelineAxes, contextAxes, expertAxes, shardAxes, replicateAxes})
      for (const char *axis : axes) {
        Setting<int64_t> part = m.keys.integer(meshKey(level, axis), 1);
        if (part.value != -1)
          continue;
        if (taker)
          m.diagnostics.error(part.origin.location,
                              fmt::format("'{}' and '{}' ({}) both ask for the ranks that are left", part.origin.key,
                                          taker->key, taker->location.str()),
                              "write a size for one of them");
        taker = part.origin;
      }
    if (taker)
      return taker;
  }
  return std::nullopt;
}

/// The product of the sizes of `axes` within nodes and among them.
static ParallelSize meshSize(Mapping &m, std::span<const char *const> axes, const std::optional<Origin> &taker) {
  std::optional<Setting<int64_t>> product;
  std::optional<Origin> rest;
  for (const char *axis : axes)
    for (const char *level : {"ici", "dcn"}) {
      Setting<int64_t> part = m.keys.count(meshKey(level, axis), 1, -1);
      if (part.value == 0)
        m.diagnostics.error(part.origin.location, fmt::format("'{}' must not be 0", part.origin.key),
                            "write 1, or -1 for the ranks that are left");
      if (taker && taker->key == part.origin.key)
        rest = taker;
      part.value = std::max<int64_t>(part.value, 1);
      if (!product || (product->value == 1 && part.value > 1))
        product = part;
      else
        product->value = saturatingProduct({product->value, part.value});
    }
  return {*product, rest};
}

/// Parameters and all that belongs to them are split over the axis fsdp. shard_optimizer_over_data splits the optimizer
/// over the axis data.
static ParallelSizes mapParallelism(Mapping &m) {
  std::optional<Origin> taker = findTaker(m);
  ParallelSizes sizes{meshSize(m, tensorAxes, taker),  meshSize(m, pipelineAxes, taker),
                      meshSize(m, contextAxes, taker), meshSize(m, expertAxes, taker),
                      meshSize(m, replicateAxes, taker), meshSize(m, shardAxes, taker)};
  Setting<bool> optimizer = m.keys.boolean("shard_optimizer_over_data", false);
  bool hasShards = sizes.shard.size.value > 1 || sizes.shard.rest;
  if (optimizer.value && !hasShards)
    std::swap(sizes.replicate, sizes.shard);
  m.spec.set("parallelism.zero_stage", optimizer.value && !hasShards
                                           ? optimizer.with<int64_t>(1)
                                           : derived(int64_t(3), "the mesh axis fsdp splits parameters",
                                                     sizes.shard.size.origin));
  sizes = setParallelSizes(m, sizes);
  ParallelSize sequence = meshSize(m, std::span(tensorAxes).last(1), taker);
  m.spec.set("parallelism.sequence_parallel",
             sequence.size.with((sequence.size.value > 1 || sequence.rest) && sizes.tensor.size.value > 1));
  Setting<std::string> strategy = m.keys.text("context_parallel_strategy", "all_gather");
  bool ring = strategy.value == "ring";
  if (!ring && strategy.value != "all_gather" && sizes.context.size.value > 1)
    m.diagnostics.error(strategy.origin.location,
                        fmt::format("'context_parallel_strategy: {}' is not supported: another exchange than a ring or "
                                    "a gather",
                                    strategy.value),
                        "set context_parallel_strategy=ring or context_parallel_strategy=all_gather");
  m.spec.set("parallelism.context_exchange", strategy.with<std::string>(ring ? "RING" : "ALL_GATHER"));
  return sizes;
}

/// What is stored instead of computed twice changes memory, never results.
static void mapRemat(Mapping &m) {
  Setting<std::string> policy = m.keys.text("remat_policy", "full");
  bool all = policy.value == "full", none = policy.value == "none" || policy.value == "minimal_flash";
  m.spec.set("training.recompute", policy.with<std::string>(all    ? "RECOMPUTE_FULL"
                                                            : none ? "RECOMPUTE_NONE"
                                                                   : "RECOMPUTE_SELECTIVE"));
}

/// A batch has per_device_batch_size sequences for each rank; ranks that share sequences hold those of all of them. A
/// pipeline takes it in microbatches.
static void mapBatch(Mapping &m, const ParallelSizes &sizes) {
  Setting<double> batch = m.keys.real("per_device_batch_size", 12);
  int64_t sharing = saturatingProduct(
      {sizes.tensor.size.value, sizes.pipeline.size.value, sizes.context.size.value});
  double sequences = batch.value * static_cast<double>(sharing);
  if (!(sequences >= 1 && sequences <= 1e9 && sequences == std::floor(sequences))) {
    m.diagnostics.error(batch.origin.location,
                        fmt::format("'per_device_batch_size: {}' makes {} sequences for {}", batch.value, sequences,
                                    sharing == 1 ? "a rank" : fmt::format("the {} ranks that share them", sharing)),
                        fmt::format("set per_device_batch_size={}", 1 / static_cast<double>(sharing)));
    sequences = 1;
  }
  Setting<int64_t> accumulation = m.keys.count("gradient_accumulation_steps", 1, 1);
  auto micro = static_cast<int64_t>(sequences);
  Setting<int64_t> microbatches = mapPipeline(m);
  if (micro % microbatches.value != 0)
    m.diagnostics.error(batch.origin.location,
                        fmt::format("the {} sequences of a data rank cannot be divided into {} microbatches of the pipeline", micro,
                                    microbatches.value),
                        fmt::format("set per_device_batch_size={}",
                                    static_cast<double>((micro / microbatches.value + 1) * microbatches.value) /
                                        static_cast<double>(sharing)));
  m.spec.set("training.micro_batch_size",
             microbatches.value == 1 ? batch.with(micro)
                                     : derived(std::max<int64_t>(micro / microbatches.value, 1),
                                               "sequences of a data rank / num_pipeline_microbatches", batch.origin));
  m.spec.set("training.global_batch_size",
             derived(saturatingProduct({micro, m.spec.get().parallelism().data(), accumulation.value}),
                     "per_device_batch_size * ranks * gradient_accumulation_steps",
                     accumulation.value > 1 ? accumulation.origin : batch.origin));
}

static void mapEvaluation(Mapping &m) {
  Setting<int64_t> interval = m.keys.integer("eval_interval", -1), steps = m.keys.integer("eval_steps", -1);
  if (interval.value < 1)
    return;
  m.spec.set("training.eval_interval", interval);
  if (steps.value < 1)
    m.diagnostics.error(interval.origin.location,
                        "'eval_interval' without 'eval_steps' would never end on synthetic data",
                        "set eval_steps=10, or eval_interval=-1");
  else
    m.spec.set("training.eval_steps", steps);
}

void mapTraining(Mapping &m) {
  m.spec.set("training.steps", trainSteps(m));
  ParallelSizes sizes = mapParallelism(m);
  padVocabulary(m, m.keys.origin("vocab_size"));
  mapBatch(m, sizes);
  m.spec.set("training.sequence_length", m.keys.count("max_target_length", 2048, 1));
  m.spec.set("training.seed", m.keys.count("init_weights_seed", 0, 0));
  Setting<std::string> precision = m.keys.choice("dtype", "bfloat16", {"bfloat16", "float32"});
  m.spec.set("training.precision", precision.with<std::string>(precision.value == "float32" ? "F32" : "BF16"));
  m.spec.set("training.log_interval", derived(int64_t(1), "MaxText logs each step", precision.origin));
  m.spec.set("training.trainable", derived(true, "MaxText always trains", precision.origin));
  mapEvaluation(m);
  mapRemat(m);
  Setting<std::string> dataset = m.keys.text("dataset_type", "tfds");
  if (dataset.value == "synthetic") {
    m.spec.set("data.kind", dataset.with<std::string>("mock"));
    m.notes.push_back("dataset_type synthetic draws new tokens for each step; MaxText repeats one batch.");
  } else {
    m.diagnostics.error(dataset.origin.location,
                        fmt::format("'dataset_type: \"{}\"' is not supported: turning text into tokens while training",
                                    dataset.value),
                        "set dataset_type=synthetic");
  }
}

} // namespace primus::config::maxtext
