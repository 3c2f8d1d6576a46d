//===- ModelKeys.cpp - Architecture of a Megatron model -------------------===//

#include "frontend/config/megatron/Megatron.h"

#include <fmt/format.h>

#include <cmath>
#include <filesystem>

namespace primus::config::megatron {

static const std::string layerPath = "model.layers[0].layer.";

/// RMSNorm has a weight, LayerNorm a weight and a bias.
static void setNorm(Mapping &m, const std::string &path, const Setting<std::string> &kind,
                    const Setting<double> &epsilon, const Setting<bool> &onePlus) {
  bool rms = kind.value == "RMSNorm";
  m.spec.set(path + ".kind", kind.with<std::string>(rms ? "RMS_NORM" : "LAYER_NORM"));
  m.spec.set(path + ".epsilon", epsilon);
  m.spec.set(path + ".weight", derived(true, "normalization", kind.origin));
  m.spec.set(path + ".bias", derived(!rms, "normalization", kind.origin));
  m.spec.set(path + ".offset", onePlus.with(onePlus.value ? 1.0 : 0.0));
}

/// Megatron's field is layernorm_epsilon; its flag and nearly every preset say norm_epsilon and mean the same. Upstream
/// loses norm_epsilon on the way. Both count here; layernorm_epsilon is the stronger one.
static Setting<double> normEpsilon(Mapping &m) {
  std::optional<Setting<double>> byFlag = m.keys.tryReal("norm_epsilon"), byField = m.keys.tryReal("layernorm_epsilon");
  if (byField && byFlag && byField->value != byFlag->value)
    m.diagnostics.warning(
        byFlag->origin.location,
        fmt::format("norm_epsilon {} gives way to layernorm_epsilon {}", byFlag->value, byField->value),
        "set one of them only");
  if (byFlag && !byField)
    m.notes.push_back("norm_epsilon counts here as it is meant; upstream trains with layernorm_epsilon's default of 1e-5.");
  Setting<double> epsilon = byField ? *byField : byFlag.value_or(Setting<double>{1e-5, m.keys.origin("norm_epsilon")});
  if (epsilon.value <= 0)
    m.diagnostics.error(epsilon.origin.location,
                        fmt::format("'{}' must be greater than 0, but is {}", epsilon.origin.key, epsilon.value));
  return epsilon;
}

static void mapRope(Mapping &m, const Setting<int64_t> &headSize) {
  const std::string path = layerPath + "attention.rope.";
  m.spec.set(path + "theta", m.keys.real("rotary_base", 10000));
  Setting<double> percent = m.keys.real("rotary_percent", 1.0);
  m.spec.set(path + "dimensions",
             derived(int64_t(double(headSize.value) * percent.value), "head size * rotary_percent", percent.origin));
  Setting<bool> interleaved = m.keys.boolean("rotary_interleaved", false);
  m.spec.set(path + "style", interleaved.with<std::string>(interleaved.value ? "INTERLEAVED" : "HALF"));

  Setting<bool> llama3 = m.keys.boolean("use_rope_scaling", false);
  Setting<double> factor = m.keys.real("rope_scaling_factor", 8.0);
  Setting<double> interpolation = m.keys.real("rotary_seq_len_interpolation_factor", 1.0);
  if (llama3.value) {
    // The other three numbers are constants in Megatron.
    m.spec.set(path + "scaling.kind", llama3.with<std::string>("llama3"));
    m.spec.set(path + "scaling.factor", factor);
    m.spec.set(path + "scaling.low_frequency_factor", derived(1.0, "use_rope_scaling", llama3.origin));
    m.spec.set(path + "scaling.high_frequency_factor", derived(4.0, "use_rope_scaling", llama3.origin));
    m.spec.set(path + "scaling.original_positions", derived(int64_t(8192), "use_rope_scaling", llama3.origin));
    if (interpolation.value != 1.0)
      m.diagnostics.error(interpolation.origin.location,
                          "'rotary_seq_len_interpolation_factor' and 'use_rope_scaling' exclude each other",
                          "set one of them only");
    return;
  }
  m.spec.set(path + "scaling.kind", interpolation.with<std::string>(interpolation.value == 1.0 ? "none" : "linear"));
  m.spec.set(path + "scaling.factor", interpolation);
}

static void mapAttention(Mapping &m, const Setting<int64_t> &width, const Setting<std::string> &position) {
  const std::string path = layerPath + "attention.";
  Setting<int64_t> heads = m.keys.requiredCount("num_attention_heads", "query heads of a layer");
  m.spec.set(path + "heads", heads);

  Setting<bool> grouped = m.keys.boolean("group_query_attention", false);
  std::optional<Setting<int64_t>> groups = m.keys.tryInteger("num_query_groups");
  bool useGroups = grouped.value && groups;
  m.spec.set(path + "groups",
             useGroups ? *groups : derived(heads.value, "num_attention_heads (no grouped queries)", heads.origin));

  std::optional<Setting<int64_t>> headSize = m.keys.tryInteger("kv_channels");
  if (!headSize) {
    if (width.value % heads.value != 0)
      m.diagnostics.error(
          heads.origin.location,
          fmt::format("hidden_size {} is not a multiple of num_attention_heads {}", width.value, heads.value),
          "change one of them, or give the head size as kv_channels");
    headSize = derived(width.value / heads.value, "hidden_size / num_attention_heads", heads.origin);
  }
  m.spec.set(path + "head_size", *headSize);

  Setting<bool> bias = m.keys.boolean("add_bias_linear", true), qkvBias = m.keys.boolean("add_qkv_bias", false);
  m.spec.set(path + "qkv_bias", qkvBias.value ? qkvBias : bias);
  m.spec.set(path + "output_bias", bias);
  m.spec.set(path + "causal", derived(true, "model_type gpt", m.keys.origin("model_type")));
  Setting<double> scale = m.keys.real("softmax_scale", 0);
  m.spec.set(path + "scale", scale);
  if (position.value == "rope")
    mapRope(m, *headSize);
  else if (Setting<bool> scaling = m.keys.boolean("use_rope_scaling", false); scaling.value)
    m.diagnostics.error(scaling.origin.location,
                        fmt::format("'use_rope_scaling' has nothing to scale: the positions are {}", position.value),
                        fmt::format("set position_embedding_type=rope ({})", position.origin.location.str()));
  m.spec.set(path + "position", position.with<std::string>(position.value == "rope"   ? "ROPE"
                                                           : position.value == "none" ? "POSITION_NONE"
                                                                                      : "LEARNED"));
}

/// Megatron passes a window as (tokens before, tokens after) the query.
static void mapWindow(Mapping &m) {
  if (!m.keys.isSet("window_size"))
    return;
  const Value &value = m.config.params.find("window_size")->second.value;
  const List *list = value.asList();
  bool isPair = list && list->size() == 2 && (*list)[0].asInt() && (*list)[1].asInt();
  if (!isPair || *(*list)[0].asInt() < 0 || *(*list)[1].asInt() != 0) {
    m.diagnostics.error(value.location(),
                        fmt::format("'window_size' must be [tokens before the query, 0], but is {}", value.str()),
                        "write [127, 0] for a window of 128 tokens, or None");
    return;
  }
  m.spec.set(layerPath + "attention.window", Setting<int64_t>{*(*list)[0].asInt() + 1, m.keys.origin("window_size")});
}

/// Which activation Megatron picks: a chain of flags, and its fused bias-GELU is the tanh form.
static Setting<std::string> activation(Mapping &m, const Setting<bool> &gated) {
  Setting<bool> swiglu = m.keys.boolean("swiglu", false), quickGeglu = m.keys.boolean("quick_geglu", false);
  Setting<bool> squaredRelu = m.keys.boolean("squared_relu", false), tanhGelu = m.keys.boolean("openai_gelu", false);
  Setting<bool> fusedGelu = m.keys.boolean("bias_gelu_fusion", true), bias = m.keys.boolean("add_bias_linear", true);
  const Setting<bool> *chosen = nullptr;
  for (const Setting<bool> *flag : {&swiglu, &quickGeglu, &squaredRelu, &tanhGelu}) {
    if (!flag->value)
      continue;
    if (chosen)
      m.diagnostics.error(flag->origin.location,
                          fmt::format("'{}' and '{}' exclude each other", chosen->origin.key, flag->origin.key),
                          "set one of them only");
    chosen = flag;
  }
  if (swiglu.value)
    return swiglu.with<std::string>("silu");
  if (quickGeglu.value)
    return quickGeglu.with<std::string>("quick_gelu");
  if (squaredRelu.value)
    return squaredRelu.with<std::string>("squared_relu");
  if (tanhGelu.value)
    return tanhGelu.with<std::string>("gelu_tanh");
  if (fusedGelu.value && bias.value)
    return derived<std::string>("gelu_tanh", "bias_gelu_fusion (the fused kernel computes the tanh form)",
                                fusedGelu.origin);
  return derived<std::string>("gelu", "no activation flag is set", gated.origin);
}

static void mapFeedForward(Mapping &m, const Setting<int64_t> &width) {
  const std::string path = layerPath + "feed_forward.";
  Setting<bool> swiglu = m.keys.boolean("swiglu", false), quickGeglu = m.keys.boolean("quick_geglu", false);
  Setting<bool> gated = quickGeglu.value ? quickGeglu : swiglu;
  m.spec.set(path + "kind", gated.with<std::string>(gated.value ? "GATED" : "PLAIN"));
  std::optional<Setting<int64_t>> inner = m.keys.tryInteger("ffn_hidden_size");
  if (!inner && swiglu.value)
    inner = derived((width.value * 8 / 3) / 64 * 64, "hidden_size * 8 / 3, rounded down to 64", width.origin);
  if (!inner)
    inner = derived(4 * width.value, "4 * hidden_size", width.origin);
  m.spec.set(path + "width", *inner);
  m.spec.set(path + "activation", activation(m, gated));
  m.spec.set(path + "bias", m.keys.boolean("add_bias_linear", true));
}

static Setting<std::string> positionKind(Mapping &m) {
  Setting<bool> oldFlag = m.keys.boolean("use_rotary_position_embeddings", false);
  if (oldFlag.value)
    return oldFlag.with<std::string>("rope");
  return m.keys.choice("position_embedding_type", "learned_absolute", {"learned_absolute", "rope", "none"});
}

void mapModel(Mapping &m) {
  Setting<int64_t> width = m.keys.requiredCount("hidden_size", "width of the residual stream");
  Setting<int64_t> depth = m.keys.requiredCount("num_layers", "number of layers");
  if (Setting<std::string> type = m.keys.text("model_type", "gpt"); type.value != "gpt")
    m.diagnostics.error(type.origin.location,
                        fmt::format("'model_type: \"{}\"' is not supported: {} models", type.value, type.value),
                        "set model_type=gpt");
  Setting<std::string> position = positionKind(m);
  Setting<std::string> name = m.keys.text("model", "unnamed");
  m.spec.set("model.name", name.with(std::filesystem::path(name.value).replace_extension().string()));
  m.spec.set("model.width", width);
  m.spec.set("model.layers[0].count", depth);

  Setting<std::string> norm = m.keys.choice("normalization", "LayerNorm", {"RMSNorm", "LayerNorm"});
  Setting<double> epsilon = normEpsilon(m);
  Setting<bool> onePlus = m.keys.boolean("apply_layernorm_1p", false);
  m.spec.set("model.family",
             derived<std::string>(norm.value == "RMSNorm" ? "llama" : "gpt", "normalization", norm.origin));

  m.spec.set(layerPath + "topology", derived<std::string>("PRE_NORM", "model_type gpt", m.keys.origin("model_type")));
  setNorm(m, layerPath + "attention_norm", norm, epsilon, onePlus);
  setNorm(m, layerPath + "feed_forward_norm", norm, epsilon, onePlus);
  setNorm(m, "model.head.norm", norm, epsilon, onePlus);
  mapAttention(m, width, position);
  if (Setting<bool> qkNorm = m.keys.boolean("qk_layernorm", false); qkNorm.value) {
    setNorm(m, layerPath + "attention.query_norm", norm, epsilon, onePlus);
    setNorm(m, layerPath + "attention.key_norm", norm, epsilon, onePlus);
  }
  mapWindow(m);
  mapFeedForward(m, width);

  Setting<bool> untied = m.keys.boolean("untie_embeddings_and_output_weights", false);
  m.spec.set("model.head.tied", untied.with(!untied.value));
  std::optional<Setting<int64_t>> positions = m.keys.tryInteger("max_position_embeddings");
  if (position.value == "learned_absolute")
    m.spec.set("model.embedding.learned_positions",
               positions ? *positions : m.keys.requiredCount("max_position_embeddings", "rows of the position table"));

  Setting<double> std = m.keys.real("init_method_std", 0.02);
  m.spec.set("model.init_std", std);
  m.spec.set("model.output_init_std", derived(std.value / std::sqrt(2.0 * double(depth.value)),
                                              "init_method_std / sqrt(2 * num_layers)", std.origin));
  mapVocabulary(m);
}

} // namespace primus::config::megatron
