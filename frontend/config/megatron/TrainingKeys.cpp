//===- TrainingKeys.cpp - Steps, batches, precision, optimizer -------------===//

#include "frontend/config/CommonKeys.h"
#include "frontend/config/megatron/Megatron.h"

#include <fmt/format.h>

namespace primus::config::megatron {

static void mapPrecision(Mapping &m) {
  Setting<bool> bf16 = m.keys.boolean("bf16", false), fp16 = m.keys.boolean("fp16", false);
  if (fp16.value && bf16.value)
    m.diagnostics.error(fp16.origin.location, "'fp16' and 'bf16' exclude each other", "set one of them only");
  else if (fp16.value)
    m.diagnostics.error(fp16.origin.location, "fp16 is not supported: loss scaling is missing", "use bf16: true");
  m.spec.set("training.precision", bf16.with<std::string>(bf16.value ? "BF16" : "F32"));
}

/// recompute_method block recomputes the first recompute_num_layers layers; uniform recomputes all, in chunks whose
/// size changes memory only.
static void mapRecompute(Mapping &m) {
  Setting<bool> oldFlag = m.keys.boolean("recompute_activations", false);
  std::optional<Setting<std::string>> granularity = m.keys.tryText("recompute_granularity");
  Setting<std::string> method = m.keys.choice("recompute_method", "uniform", {"uniform", "block"});
  Setting<int64_t> layers = m.keys.count("recompute_num_layers", 0, 0);
  bool hasLayers = m.keys.isSet("recompute_num_layers");
  if (!granularity) {
    m.spec.set("training.recompute",
               oldFlag.with<std::string>(oldFlag.value ? "RECOMPUTE_SELECTIVE" : "RECOMPUTE_NONE"));
    return;
  }
  if (m.keys.choice("recompute_granularity", "full", {"full", "selective"}).value == "selective") {
    m.spec.set("training.recompute", granularity->with<std::string>("RECOMPUTE_SELECTIVE"));
    return;
  }
  bool block = method.value == "block" && hasLayers;
  // A block of no layers recomputes nothing.
  bool none = block && layers.value == 0;
  m.spec.set("training.recompute",
             none ? layers.with<std::string>("RECOMPUTE_NONE") : granularity->with<std::string>("RECOMPUTE_FULL"));
  if (block && !none)
    m.spec.set("training.recompute_layers", layers);
}

void mapTraining(Mapping &m) {
  m.spec.set("training.steps", m.keys.requiredCount("train_iters", "number of steps"));
  m.spec.set("training.micro_batch_size", m.keys.requiredCount("micro_batch_size", "sequences of one microbatch"));
  Setting<int64_t> micro = m.keys.count("micro_batch_size", 1, 1);
  m.spec.set("training.global_batch_size",
             m.keys.isSet("global_batch_size")
                 ? m.keys.requiredCount("global_batch_size", "sequences of one step")
                 : derived(saturatingProduct({micro.value, m.spec.get().parallelism().data()}),
                           "micro_batch_size * data ranks (global_batch_size is not set)", micro.origin));
  m.spec.set("training.sequence_length", m.keys.requiredCount("seq_length", "tokens of one sequence"));
  m.spec.set("training.seed", m.keys.count("seed", 1234, 0));
  m.spec.set("training.eval_interval", m.keys.count("eval_interval", 1000, 0));
  m.spec.set("training.eval_steps", m.keys.count("eval_iters", 100, 0));
  m.spec.set("training.log_interval", m.keys.count("log_interval", 100, 1));
  m.spec.set("training.sample_bytes", m.keys.count("sample_bytes", 0, 0));
  Setting<bool> stops = m.keys.boolean("check_for_nan_in_loss_and_grad", true);
  m.spec.set("training.skips_non_finite", stops.with(!stops.value));
  m.spec.set("training.trainable", m.keys.boolean("trainable", true));
  Setting<double> minutes = m.keys.real("exit_duration_in_mins", 0);
  if (minutes.value < 0)
    m.diagnostics.error(minutes.origin.location,
                        fmt::format("'exit_duration_in_mins' must not be negative, but is {}", minutes.value));
  m.spec.set("training.time_limit_seconds", minutes.with(60 * minutes.value));
  Setting<bool> perToken = m.keys.boolean("calculate_per_token_loss", false);
  m.spec.set("training.per_microbatch_mean", perToken.with(!perToken.value));
  mapPrecision(m);
  mapFp8(m);
  mapRecompute(m);
}

/// WSD (warm-up, stable, decay) keeps the highest rate until lr_wsd_decay_iters before the end of the schedule.
static void mapDecayStyle(Mapping &m, const Setting<std::string> &style, const Setting<int64_t> &end,
                          const Setting<int64_t> &warmup) {
  Setting<std::string> wsdStyle =
      m.keys.choice("lr_wsd_decay_style", "exponential", {"exponential", "linear", "cosine", "minus_sqrt"});
  std::optional<Setting<int64_t>> decay = m.keys.tryInteger("lr_wsd_decay_iters");
  if (style.value != "WSD") {
    m.spec.set("optimizer.decay_style", style);
    return;
  }
  m.spec.set("optimizer.decay_style", wsdStyle.value == "minus_sqrt" ? wsdStyle.with<std::string>("sqrt") : wsdStyle);
  if (!decay)
    return m.keys.missing("lr_wsd_decay_iters", "steps of decay with lr_decay_style WSD");
  if (decay->value < 1 || decay->value > end.value - warmup.value)
    m.diagnostics.error(decay->origin.location,
                        fmt::format("lr_wsd_decay_iters {} does not lie between 1 and the {} steps after warm-up",
                                    decay->value, end.value - warmup.value),
                        "lower it, or raise lr_decay_iters");
  m.spec.set("optimizer.stable_steps",
             derived(end.value - warmup.value - decay->value, "decay steps - warm-up - lr_wsd_decay_iters",
                     decay->origin));
}

static void mapMoment(Mapping &m, const char *key, const char *field) {
  Setting<std::string> type = m.keys.choice(key, "fp32", {"fp32", "bf16", "fp16", "fp8"});
  // Upstream reads it only then.
  bool isRead = m.keys.boolean("use_precision_aware_optimizer", false).value;
  if (isRead && type.value != "fp32" && type.value != "bf16")
    m.diagnostics.error(type.origin.location, fmt::format("'{}: {}' is not supported", key, type.value),
                        "the optimizer's moments can be fp32 or bf16");
  m.spec.set(field, type.with<std::string>(isRead && type.value == "bf16" ? "BF16" : "F32"));
}

void mapOptimizer(Mapping &m) {
  Setting<std::string> kind = m.keys.choice("optimizer", "adam", {"adam"});
  m.spec.set("optimizer.kind",
             derived<std::string>("adamw", "optimizer adam (Megatron's Adam decays weights apart from the gradient)",
                                  kind.origin));
  std::optional<Setting<double>> rate = m.keys.tryReal("lr");
  if (!rate && !m.keys.isSet("lr"))
    m.keys.missing("lr", "learning rate");
  m.spec.set("optimizer.learning_rate", rate.value_or(m.keys.real("lr", 0)));
  m.spec.set("optimizer.min_learning_rate", m.keys.real("min_lr", 0));
  Setting<std::string> style = m.keys.choice("lr_decay_style", "linear", {"constant", "linear", "cosine", "WSD"});

  Setting<int64_t> steps = m.keys.count("train_iters", 1, 1);
  std::optional<Setting<int64_t>> decay = m.keys.tryInteger("lr_decay_iters");
  if (!decay)
    decay = derived(steps.value, "train_iters (lr_decay_iters is not set)", steps.origin);
  m.spec.set("optimizer.decay_steps", *decay);
  std::optional<Setting<double>> fraction = m.keys.tryReal("lr_warmup_fraction");
  Setting<int64_t> warmup = m.keys.count("lr_warmup_iters", 0, 0);
  if (fraction && warmup.value != 0)
    m.diagnostics.error(fraction->origin.location, "'lr_warmup_fraction' and 'lr_warmup_iters' exclude each other",
                        "set one of them only");
  if (fraction && !(fraction->value >= 0 && fraction->value < 1))
    m.diagnostics.error(fraction->origin.location,
                        fmt::format("'lr_warmup_fraction' must be at least 0 and below 1, but is {}", fraction->value),
                        "it is a share of the steps; a number of steps is lr_warmup_iters");
  else if (fraction)
    warmup =
        derived(int64_t(fraction->value * double(decay->value)), "lr_warmup_fraction * decay steps", fraction->origin);
  m.spec.set("optimizer.warmup_steps", warmup);
  m.spec.set("optimizer.warmup_init", m.keys.real("lr_warmup_init", 0));
  mapDecayStyle(m, style, *decay, warmup);
  m.spec.set("optimizer.beta1", m.keys.real("adam_beta1", 0.9));
  m.spec.set("optimizer.beta2", m.keys.real("adam_beta2", 0.999));
  m.spec.set("optimizer.epsilon", m.keys.real("adam_eps", 1e-8));
  m.spec.set("optimizer.weight_decay", m.keys.real("weight_decay", 0.01));
  m.spec.set("optimizer.clip", m.keys.real("clip_grad", 1.0));
  mapMoment(m, "exp_avg_dtype", "optimizer.first_moment");
  mapMoment(m, "exp_avg_sq_dtype", "optimizer.second_moment");
}

} // namespace primus::config::megatron
