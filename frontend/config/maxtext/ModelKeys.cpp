//===- ModelKeys.cpp - Architecture of a MaxText model --------------------===//

#include "frontend/config/CommonKeys.h"
#include "frontend/config/Suggestion.h"
#include "frontend/config/maxtext/MaxText.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>

namespace primus::config::maxtext {

static const std::string layerPath = "model.layers[0].layer.";

/// Makes what `model_name` stands for, over base.yml, the defaults of the keys. "default" stands for base.yml alone.
static bool addFacts(Mapping &m, const Setting<std::string> &name) {
  std::optional<Map> facts =
      readModelFacts("models/maxtext/facts/models.yaml", name.origin.location, m.diagnostics);
  if (!facts)
    return false;
  m.keys.addDefaults(*findPath(*facts, "defaults")->asMap());
  if (name.value == "default")
    return true;
  const Map &models = *findPath(*facts, "models")->asMap();
  auto it = models.find(name.value);
  if (it != models.end()) {
    m.keys.addDefaults(*it->second.value.asMap());
    return true;
  }
  std::vector<std::string> names;
  for (const auto &[known, entry] : models)
    names.push_back(known);
  m.diagnostics.error(name.origin.location, fmt::format("MaxText has no model '{}'", name.value),
                      didYouMean(name.value, names, "write model_name: default and give its base_* sizes"));
  return false;
}

/// What the decoder blocks need that does not exist yet; null for those that can be built.
static const char *missingFeature(const std::string &block) {
  static const std::map<std::string_view, const char *> missing = {
      {"deepseek", "multi-latent attention"},
      {"deepseek4", "compressed attention"},
      {"gemma", "Gemma's scaled embedding and norms"},
      {"gemma2", "Gemma 2's norms and alternating windows"},
      {"gemma3", "Gemma 3's norms and alternating windows"},
      {"gemma4", "Gemma 4's layers, which differ from one another"},
      {"gemma4_small", "Gemma 4's layers, which differ from one another"},
      {"gpt3", "MaxText's GPT-3 block"},
      {"gpt_oss", "mixture of experts"},
      {"llama4", "mixture of experts"},
      {"mixtral", "mixture of experts"},
      {"olmo3", "OLMo 3's norms and alternating windows"},
      {"qwen3_5", "linear attention"},
      {"qwen3_custom_moe", "mixture of experts"},
      {"qwen3_moe", "mixture of experts"},
      {"qwen3_next", "linear attention"},
  };
  for (const char *known : {"llama2", "mistral", "qwen2", "qwen3"})
    if (block == known)
      return nullptr;
  auto it = missing.find(block);
  return it == missing.end() ? "this decoder block" : it->second;
}

/// RMSNorm with a weight and no bias.
static void setNorm(Mapping &m, const std::string &path, const Setting<double> &epsilon) {
  m.spec.set(path + ".kind", derived<std::string>("RMS_NORM", "MaxText's norm", epsilon.origin));
  m.spec.set(path + ".epsilon", epsilon);
  m.spec.set(path + ".weight", derived(true, "MaxText's norm", epsilon.origin));
}

static void mapRope(Mapping &m, const Setting<std::string> &name, const Setting<int64_t> &headSize) {
  const std::string path = layerPath + "attention.rope.";
  m.spec.set(path + "theta", m.keys.real("rope_max_timescale", 10000));
  m.spec.set(path + "dimensions", derived(headSize.value, "the whole head", headSize.origin));
  Setting<std::string> type = m.keys.choice("rope_type", "default", {"default", "llama3.1"});
  Setting<bool> scale = m.keys.boolean("rope_use_scale", true);
  Setting<double> linear = m.keys.real("rope_linear_scaling_factor", 1.0);
  // Names of Llama 3.1 imply its type; it alone pairs neighbours.
  bool llama = type.value == "llama3.1" || name.value.starts_with("llama3.1");
  const Origin &origin = type.value == "llama3.1" ? type.origin : name.origin;
  m.spec.set(path + "style", derived<std::string>(llama ? "INTERLEAVED" : "HALF", "model_name and rope_type", origin));
  if (llama && scale.value) {
    m.spec.set(path + "scaling.kind", derived<std::string>("llama3", "model_name and rope_type", origin));
    m.spec.set(path + "scaling.factor", derived(8.0, "rope_use_scale", scale.origin));
    m.spec.set(path + "scaling.low_frequency_factor", derived(1.0, "rope_use_scale", scale.origin));
    m.spec.set(path + "scaling.high_frequency_factor", derived(4.0, "rope_use_scale", scale.origin));
    m.spec.set(path + "scaling.original_positions", derived(int64_t(8192), "rope_use_scale", scale.origin));
    return;
  }
  bool scaled = !llama && linear.value != 1.0;
  m.spec.set(path + "scaling.kind", linear.with<std::string>(scaled ? "linear" : "none"));
  m.spec.set(path + "scaling.factor", linear);
}

static void mapAttention(Mapping &m, const Setting<std::string> &name, const Setting<std::string> &block,
                         const Setting<double> &epsilon) {
  const std::string path = layerPath + "attention.";
  m.spec.set(path + "heads", m.keys.requiredCount("base_num_query_heads", "query heads of a layer"));
  m.spec.set(path + "groups", m.keys.requiredCount("base_num_kv_heads", "key/value heads of a layer"));
  Setting<int64_t> headSize = m.keys.requiredCount("head_dim", "elements of one head");
  m.spec.set(path + "head_size", headSize);
  m.spec.set(path + "qkv_bias", m.keys.boolean("attention_bias", false));
  m.spec.set(path + "causal", derived(true, "decoder_block", block.origin));
  m.spec.set(path + "softcap", m.keys.real("attn_logits_soft_cap", 0));
  m.spec.set(path + "position", derived<std::string>("ROPE", "decoder_block", block.origin));
  mapRope(m, name, headSize);
  Setting<bool> norm = m.keys.boolean("use_qk_norm", false);
  if (norm.value) {
    setNorm(m, path + "query_norm", epsilon);
    setNorm(m, path + "key_norm", epsilon);
  }
  // Without normed queries the usual factor is part of the queries' initial weights.
  bool inWeights = block.value != "qwen3" && !norm.value;
  m.spec.set(path + "scale", derived(inWeights ? 1.0 : 0.0, "decoder_block and use_qk_norm", block.origin));
}

/// mlp_activations: [silu, linear] is SwiGLU, one name a plain block.
static bool mapFeedForward(Mapping &m) {
  const std::string path = layerPath + "feed_forward.";
  Setting<int64_t> inner = m.keys.requiredCount("base_mlp_dim", "inner width of the feed-forward block");
  m.spec.set(path + "width", inner);
  Setting<std::vector<std::string>> names = m.keys.tryTexts("mlp_activations")
                                                .value_or(Setting<std::vector<std::string>>{
                                                    {"silu", "linear"}, m.keys.origin("mlp_activations")});
  bool gated = names.value.size() == 2 && names.value[1] == "linear";
  // jax.nn.gelu is the tanh form.
  static const std::map<std::string, std::string> known = {
      {"silu", "silu"}, {"gelu", "gelu_tanh"}, {"relu", "relu"}, {"sigmoid", "sigmoid"}};
  auto it = names.value.empty() ? known.end() : known.find(names.value.front());
  if (it == known.end() || names.value.size() > (gated ? 2u : 1u)) {
    m.diagnostics.error(names.origin.location,
                        fmt::format("'mlp_activations' cannot be [{}]", fmt::join(names.value, ", ")),
                        "write [silu, linear], [gelu, linear] or one of silu, gelu, relu, sigmoid");
    return false;
  }
  m.spec.set(path + "kind", names.with<std::string>(gated ? "GATED" : "PLAIN"));
  m.spec.set(path + "activation", names.with(it->second));
  m.spec.set(path + "bias", m.keys.boolean("mlp_bias", false));
  return gated;
}

/// Variance scaling with the number of inputs; feed-forward blocks and the head have their tails cut at two standard
/// deviations, with the variance kept (src/maxtext/layers/initializers.py, attentions.py, linears.py).
static void mapInitialization(Mapping &m, const Setting<int64_t> &width, bool gated, bool tied) {
  // The standard deviation of a normal distribution that is cut at two of its own.
  constexpr double cutDeviation = 0.87962566103423978;
  auto count = [&](const char *key) { return static_cast<double>(m.keys.requiredCount(key, "a size").value); };
  double heads = count("base_num_query_heads"), headSize = count("head_dim"), inner = count("base_mlp_dim");
  Setting<double> scale = m.keys.real("dense_init_scale", 1.0);
  auto set = [&](const std::string &part, double inputs, bool cut, double factor = 1) {
    std::string path = "model.initialization." + part;
    double std = factor / std::sqrt(inputs) / (cut ? cutDeviation : 1);
    m.spec.set(path + ".std", derived(std, "MaxText's variance scaling", scale.origin));
    if (cut)
      m.spec.set(path + ".cutoff", derived(2.0, "MaxText's variance scaling", scale.origin));
  };
  double inputs = static_cast<double>(width.value);
  bool inWeights =
      m.keys.text("decoder_block", "llama2").value != "qwen3" && !m.keys.boolean("use_qk_norm", false).value;
  double mlp = std::sqrt(scale.value);
  set("embedding", inputs, false);
  set("query", inputs, false, inWeights ? 1 / std::sqrt(headSize) : 1);
  set("key_value", inputs, false);
  set("attention_output", heads * headSize, false);
  if (gated)
    set("gate", inputs, true, mlp);
  set("up", inputs, true, mlp);
  set("down", inner, true, mlp);
  if (!tied)
    set("head", inputs, true);
}

bool mapModel(Mapping &m) {
  Setting<std::string> name = m.keys.text("model_name", "default");
  if (!addFacts(m, name))
    return false;
  Setting<std::string> block = m.keys.text("decoder_block", "llama2");
  Setting<int64_t> experts = m.keys.count("num_experts", 1, 1);
  const char *missing = experts.value > 1 ? "mixture of experts" : missingFeature(block.value);
  if (missing) {
    // The name is to blame where nobody wrote the key itself.
    const std::string key = experts.value > 1 ? "num_experts" : "decoder_block";
    const Value *written = findPath(m.config.params, key);
    m.diagnostics.error(written ? written->location() : name.origin.location,
                        written ? fmt::format("'{}: {}' is not supported: {}", key, written->str(), missing)
                                : fmt::format("'model_name: \"{}\"' is not supported: {}", name.value, missing),
                        "the blocks llama2, mistral, qwen2 and qwen3 without experts are supported");
    return false;
  }

  Setting<int64_t> width = m.keys.requiredCount("base_emb_dim", "width of the residual stream");
  m.spec.set("model.name", name);
  m.spec.set("model.family", block);
  m.spec.set("model.width", width);
  m.spec.set("model.layers[0].count", m.keys.requiredCount("base_num_decoder_layers", "number of layers"));
  Setting<double> epsilon = m.keys.real("normalization_layer_epsilon", 1e-5);
  if (epsilon.value <= 0)
    m.diagnostics.error(epsilon.origin.location,
                        fmt::format("'normalization_layer_epsilon' must be greater than 0, but is {}", epsilon.value));
  m.spec.set(layerPath + "topology", derived<std::string>("PRE_NORM", "decoder_block", block.origin));
  for (const std::string &path : {layerPath + "attention_norm", layerPath + "feed_forward_norm",
                                  std::string("model.head.norm")})
    setNorm(m, path, epsilon);
  mapAttention(m, name, block, epsilon);
  bool gated = mapFeedForward(m);
  Setting<bool> tied = m.keys.boolean("logits_via_embedding", false);
  m.spec.set("model.head.tied", tied);
  Setting<bool> scaled = m.keys.boolean("normalize_embedding_logits", true);
  if (tied.value && scaled.value)
    m.spec.set("model.head.logit_scale", derived(1 / std::sqrt(static_cast<double>(width.value)),
                                                 "normalize_embedding_logits", scaled.origin));
  Setting<int64_t> tokens = m.keys.requiredCount("vocab_size", "number of tokens");
  m.spec.set("model.embedding.vocabulary", tokens);
  mapInitialization(m, width, gated, tied.value);
  return true;
}

} // namespace primus::config::maxtext
