//===- ModelKeys.cpp - Architecture of a TorchTitan model -----------------===//

#include "frontend/config/CommonKeys.h"
#include "frontend/config/Suggestion.h"
#include "frontend/config/torchtitan/TorchTitan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>

namespace primus::config::torchtitan {

static const std::string layerPath = "model.layers[0].layer.";

/// Reads the facts of `model.name` and `model.flavor` and makes them the defaults of the keys `model.*`.
static bool addFacts(Mapping &m, const Setting<std::string> &name, const Setting<std::string> &flavor) {
  // llama3_ft is llama3 with fault tolerance around it.
  std::string family = name.value == "llama3_ft" ? "llama3" : name.value;
  std::optional<Map> facts =
      readModelFacts(fmt::format("models/torchtitan/flavors/{}.yaml", family), name.origin.location, m.diagnostics);
  if (!facts)
    return false;
  const Value *flavors = findPath(*facts, "flavors"), *defaults = findPath(*facts, "defaults");
  std::vector<std::string> names;
  for (const auto &[known, entry] : *flavors->asMap())
    names.push_back(known);
  const Value *sizes = flavors->find(flavor.value);
  if (!sizes) {
    m.diagnostics.error(flavor.origin.location,
                        fmt::format("model '{}' of TorchTitan has no flavor '{}'", name.value, flavor.value),
                        didYouMean(flavor.value, names, fmt::format("it has: {}", fmt::join(names, ", "))));
    return false;
  }
  Map model = *defaults->asMap();
  mergeMap(model, *sizes->asMap());
  Map section;
  section.emplace("model", Entry{sizes->location(), Value(std::move(model), sizes->location())});
  m.keys.addDefaults(std::move(section));
  return true;
}

/// RMSNorm with a weight and no bias.
static void setNorm(Mapping &m, const std::string &path, const Setting<double> &epsilon) {
  m.spec.set(path + ".kind", derived<std::string>("RMS_NORM", "TorchTitan's norm", epsilon.origin));
  m.spec.set(path + ".epsilon", epsilon);
  m.spec.set(path + ".weight", derived(true, "TorchTitan's norm", epsilon.origin));
}

static void mapRope(Mapping &m, const Setting<std::string> &name, const Setting<int64_t> &headSize) {
  const std::string path = layerPath + "attention.rope.";
  m.spec.set(path + "theta", m.keys.real("model.rope_theta", 10000));
  m.spec.set(path + "dimensions", derived(headSize.value, "the whole head", headSize.origin));
  // Llama multiplies complex numbers, which pairs neighbours; Qwen rotates halves.
  m.spec.set(path + "style", derived<std::string>(name.value == "qwen3" ? "HALF" : "INTERLEAVED", "model.name",
                                                  name.origin));
  Setting<double> factor = m.keys.real("model.rope_scaling_args.scaling_factor", 1);
  Setting<double> low = m.keys.real("model.rope_scaling_args.low_freq_factor", 1);
  Setting<double> high = m.keys.real("model.rope_scaling_args.high_freq_factor", 4);
  Setting<int64_t> original = m.keys.count("model.rope_scaling_args.original_max_position_embeddings", 8192, 1);
  bool scaled = factor.value != 1;
  m.spec.set(path + "scaling.kind", factor.with<std::string>(scaled ? "llama3" : "none"));
  m.spec.set(path + "scaling.factor", factor);
  if (!scaled)
    return;
  m.spec.set(path + "scaling.low_frequency_factor", low);
  m.spec.set(path + "scaling.high_frequency_factor", high);
  m.spec.set(path + "scaling.original_positions", original);
}

static void mapAttention(Mapping &m, const Setting<std::string> &name, const Setting<int64_t> &width,
                         const Setting<double> &epsilon) {
  const std::string path = layerPath + "attention.";
  Setting<int64_t> heads = m.keys.requiredCount("model.n_heads", "query heads of a layer");
  m.spec.set(path + "heads", heads);
  std::optional<Setting<int64_t>> groups = m.keys.tryInteger("model.n_kv_heads");
  m.spec.set(path + "groups", groups ? *groups : derived(heads.value, "model.n_heads", heads.origin));
  std::optional<Setting<int64_t>> headSize = m.keys.tryInteger("model.head_dim");
  if (!headSize) {
    if (width.value % heads.value != 0)
      m.diagnostics.error(heads.origin.location,
                          fmt::format("model.dim {} is not a multiple of model.n_heads {}", width.value, heads.value),
                          "change one of them");
    headSize = derived(width.value / heads.value, "model.dim / model.n_heads", heads.origin);
  }
  m.spec.set(path + "head_size", *headSize);
  m.spec.set(path + "causal", derived(true, "model.name", name.origin));
  m.spec.set(path + "position", derived<std::string>("ROPE", "model.name", name.origin));
  mapRope(m, name, *headSize);
  if (m.keys.boolean("model.qk_norm", false).value) {
    setNorm(m, path + "query_norm", epsilon);
    setNorm(m, path + "key_norm", epsilon);
  }
  Setting<std::string> mask = m.keys.text("model.attn_mask_type", "causal");
  if (mask.value != "causal")
    m.diagnostics.error(mask.origin.location,
                        fmt::format("'model.attn_mask_type: \"{}\"' is not supported: attention that ends with a "
                                    "document",
                                    mask.value),
                        "set model.attn_mask_type=causal");
}

static void mapFeedForward(Mapping &m, const Setting<std::string> &name, const Setting<int64_t> &width) {
  const std::string path = layerPath + "feed_forward.";
  m.spec.set(path + "kind", derived<std::string>("GATED", "model.name", name.origin));
  m.spec.set(path + "activation", derived<std::string>("silu", "model.name", name.origin));
  std::optional<Setting<int64_t>> inner = m.keys.tryInteger("model.hidden_dim");
  // Two thirds of four times the width, times a factor, rounded up.
  std::optional<Setting<double>> factor = m.keys.tryReal("model.ffn_dim_multiplier");
  Setting<int64_t> multiple = m.keys.count("model.multiple_of", 256, 1);
  if (!inner) {
    int64_t size = 4 * width.value * 2 / 3;
    if (factor)
      size = static_cast<int64_t>(factor->value * static_cast<double>(size));
    size = (size + multiple.value - 1) / multiple.value * multiple.value;
    inner = derived(size, "model.dim * 8 / 3 * model.ffn_dim_multiplier, rounded up to model.multiple_of",
                    width.origin);
  }
  m.spec.set(path + "width", *inner);
}

/// torch's trunc_normal_ cuts at +-2 whatever the spread is, which cuts nothing here; the head is cut at three standard
/// deviations.
static void mapInitialization(Mapping &m, const Setting<int64_t> &width, const Setting<bool> &tied) {
  Setting<bool> byDepth = m.keys.boolean("model.depth_init", true);
  Setting<int64_t> depth = m.keys.requiredCount("model.n_layers", "number of layers");
  Origin origin = byDepth.origin;
  auto set = [&](const std::string &part, double std, bool residual, double cutoff = 0) {
    std::string path = "model.initialization." + part;
    if (residual && !byDepth.value)
      std /= std::sqrt(2.0 * static_cast<double>(depth.value));
    m.spec.set(path + ".std", derived(std, "TorchTitan's initial weights", origin));
    if (residual && byDepth.value)
      m.spec.set(path + ".by_depth", byDepth);
    if (cutoff)
      m.spec.set(path + ".cutoff", derived(cutoff, "TorchTitan's initial weights", origin));
  };
  double headStd = 1 / std::sqrt(static_cast<double>(width.value));
  // A shared table is filled last as the head.
  if (tied.value)
    set("embedding", headStd, false, 3);
  else
    set("embedding", 1, false);
  set("query", 0.02, false);
  set("key_value", 0.02, false);
  set("attention_output", 0.02, true);
  set("gate", 0.02, false);
  set("up", 0.02, true);
  set("down", 0.02, true);
  if (!tied.value)
    set("head", headStd, false, 3);
}

bool mapModel(Mapping &m) {
  Setting<std::string> name = m.keys.choice(
      "model.name", "llama3", {"llama3", "llama3_ft", "llama4", "qwen3", "deepseek_v3", "gpt_oss"});
  Setting<std::string> flavor = m.keys.text("model.flavor", "debugmodel");
  if (!addFacts(m, name, flavor))
    return false;
  bool always = name.value == "llama4" || name.value == "deepseek_v3" || name.value == "gpt_oss";
  if (Setting<bool> experts = m.keys.boolean("model.moe_enabled", always); experts.value) {
    // The flavor is to blame where nobody wrote the key itself.
    bool written = findPath(m.config.params, "model.moe_enabled") != nullptr;
    m.diagnostics.error(written ? experts.origin.location : flavor.origin.location,
                        written ? "'model.moe_enabled: true' is not supported: mixture of experts"
                                : fmt::format("'model.flavor: \"{}\"' of {} is not supported: mixture of experts",
                                              flavor.value, name.value),
                        "llama3 and the dense flavors of qwen3 are supported");
    return false;
  }

  Setting<int64_t> width = m.keys.requiredCount("model.dim", "width of the residual stream");
  m.spec.set("model.name", derived(fmt::format("{}_{}", name.value, flavor.value), "model.name and model.flavor",
                                   flavor.origin));
  m.spec.set("model.family", name);
  m.spec.set("model.width", width);
  m.spec.set("model.layers[0].count", m.keys.requiredCount("model.n_layers", "number of layers"));
  Setting<double> epsilon = m.keys.real("model.norm_eps", 1e-5);
  if (epsilon.value <= 0)
    m.diagnostics.error(epsilon.origin.location,
                        fmt::format("'model.norm_eps' must be greater than 0, but is {}", epsilon.value));
  m.spec.set(layerPath + "topology", derived<std::string>("PRE_NORM", "model.name", name.origin));
  for (const std::string &path : {layerPath + "attention_norm", layerPath + "feed_forward_norm",
                                  std::string("model.head.norm")})
    setNorm(m, path, epsilon);
  mapAttention(m, name, width, epsilon);
  mapFeedForward(m, name, width);
  Setting<bool> tied = m.keys.boolean("model.enable_weight_tying", false);
  m.spec.set("model.head.tied", tied);
  Setting<int64_t> tokens = m.keys.requiredCount("model.vocab_size", "number of tokens");
  m.spec.set("model.embedding.vocabulary", tokens);
  mapInitialization(m, width, tied);
  return true;
}

} // namespace primus::config::torchtitan
