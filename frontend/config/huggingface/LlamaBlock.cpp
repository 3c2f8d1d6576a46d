//===- LlamaBlock.cpp - Classes with Llama's block ------------------------===//

#include "frontend/config/huggingface/LlamaBlock.h"

#include "frontend/config/huggingface/ModelKeys.h"

#include <fmt/format.h>

namespace primus::config::huggingface {

namespace {

/// Consecutive layers with the same window (0: they see everything before them).
struct LayerRun {
  int64_t count;
  Setting<int64_t> window;
};

} // namespace

static bool isGiven(Mapping &m, const char *key) { return m.config.params.count(key) != 0; }

/// The window of the layers that have one; nullopt where none has. An absent key and null are not the same.
static std::optional<Setting<int64_t>> readWindow(Mapping &m, const LlamaBlock &block) {
  bool used = block.window == LlamaBlock::Window::All;
  if (block.window == LlamaBlock::Window::ByLayer)
    used = m.keys.boolean("use_sliding_window", false).value;
  if (block.window == LlamaBlock::Window::None || (isGiven(m, "sliding_window") && !m.keys.isSet("sliding_window")))
    return std::nullopt;
  Setting<int64_t> window = m.keys.count("sliding_window", 4096, 1);
  return used ? std::optional(window) : std::nullopt;
}

/// Whether each layer has the window, as layer_types names them one by one.
static std::vector<bool> readLayerTypes(Mapping &m, const Value &types, int64_t layers, bool hasWindow) {
  std::vector<bool> sliding(static_cast<size_t>(layers), false);
  const List *list = types.asList();
  if (!list || static_cast<int64_t>(list->size()) != layers) {
    m.diagnostics.error(types.location(),
                        fmt::format("'layer_types' must be a list of {} names, one for each layer", layers),
                        "remove it, or change num_hidden_layers");
    return sliding;
  }
  for (size_t i = 0; i < list->size(); ++i) {
    const std::string *name = (*list)[i].asString();
    sliding[i] = name && *name == "sliding_attention";
    if (sliding[i] && !hasWindow)
      m.diagnostics.error((*list)[i].location(), "'layer_types' asks for sliding_attention, but there is no window",
                          "set use_sliding_window=true and sliding_window");
    else if (!sliding[i] && (!name || *name != "full_attention"))
      m.diagnostics.error((*list)[i].location(), fmt::format("'layer_types' cannot hold {}", (*list)[i].str()),
                          "supported: full_attention, sliding_attention");
  }
  return sliding;
}

static std::vector<LayerRun> readRuns(Mapping &m, const LlamaBlock &block, const Setting<int64_t> &layers) {
  std::optional<Setting<int64_t>> window = readWindow(m, block);
  Setting<int64_t> none = derived(int64_t(0), "no sliding window", layers.origin);
  if (block.window != LlamaBlock::Window::ByLayer)
    return {{layers.value, window.value_or(none)}};

  std::vector<bool> sliding(static_cast<size_t>(layers.value), false);
  // The first max_window_layers layers see everything.
  Setting<int64_t> first = m.keys.count("max_window_layers", 28, 0);
  if (const Value *types = m.keys.value("layer_types"))
    sliding = readLayerTypes(m, *types, layers.value, window.has_value());
  else if (window)
    for (size_t i = 0; i < sliding.size(); ++i)
      sliding[i] = static_cast<int64_t>(i) >= first.value;
  std::vector<LayerRun> runs;
  for (size_t i = 0; i < sliding.size(); ++i) {
    if (i == 0 || sliding[i] != sliding[i - 1])
      runs.push_back({0, sliding[i] && window ? *window : none});
    ++runs.back().count;
  }
  return runs;
}

static void mapAttention(Mapping &m, const LlamaBlock &block, const std::string &path,
                         const Setting<int64_t> &width) {
  Setting<int64_t> heads = readCount(m, "num_attention_heads", 32, mostWidth);
  m.spec.set(path + "heads", heads);
  bool asMany = !m.keys.isSet("num_key_value_heads") && (block.groups == 0 || isGiven(m, "num_key_value_heads"));
  m.spec.set(path + "groups", asMany ? derived(heads.value, "num_attention_heads (no grouped queries)", heads.origin)
                                     : readCount(m, "num_key_value_heads", block.groups, mostWidth));
  Setting<int64_t> headSize = block.headSize && !isGiven(m, "head_dim")
                                  ? readCount(m, "head_dim", block.headSize, mostWidth)
                                  : readHeadSize(m, "head_dim", width, heads);
  m.spec.set(path + "head_size", headSize);
  Setting<bool> bias = block.hasAttentionBias ? m.keys.boolean("attention_bias", false)
                                              : derived(false, "the model's class", heads.origin);
  m.spec.set(path + "qkv_bias", block.biasedQueries ? derived(true, "the model's class", heads.origin) : bias);
  m.spec.set(path + "output_bias", bias);
  m.spec.set(path + "causal", derived(true, "the model's class", heads.origin));
  m.spec.set(path + "position", derived<std::string>("ROPE", "the model's class", heads.origin));
  mapRope(m, path, headSize);
}

static void mapLayer(Mapping &m, const LlamaBlock &block, const std::string &path, const Setting<int64_t> &width,
                     const Setting<double> &epsilon) {
  m.spec.set(path + "topology", derived<std::string>("PRE_NORM", "the model's class", epsilon.origin));
  setNorm(m, path + "attention_norm", "RMS_NORM", epsilon);
  setNorm(m, path + "feed_forward_norm", "RMS_NORM", epsilon);
  mapAttention(m, block, path + "attention.", width);
  if (block.normalisedHeads) {
    setNorm(m, path + "attention.query_norm", "RMS_NORM", epsilon);
    setNorm(m, path + "attention.key_norm", "RMS_NORM", epsilon);
  }
  m.spec.set(path + "feed_forward.kind", derived<std::string>("GATED", "the model's class", width.origin));
  m.spec.set(path + "feed_forward.width", readCount(m, "intermediate_size", block.feedForwardWidth, mostWidth));
  m.spec.set(path + "feed_forward.activation", readActivation(m, "hidden_act", "silu"));
  m.spec.set(path + "feed_forward.bias", block.hasMlpBias ? m.keys.boolean("mlp_bias", false)
                                                          : derived(false, "the model's class", width.origin));
}

void mapLlamaBlock(Mapping &m, const LlamaBlock &block) {
  Setting<int64_t> width = readCount(m, "hidden_size", 4096, mostWidth);
  Setting<int64_t> layers = readCount(m, "num_hidden_layers", 32, mostLayers);
  m.spec.set("model.width", width);
  mapVocabulary(m, block.vocabulary);
  mapPaddingToken(m);
  Setting<double> epsilon = m.keys.real("rms_norm_eps", 1e-6);
  setNorm(m, "model.head.norm", "RMS_NORM", epsilon);
  std::vector<LayerRun> runs = readRuns(m, block, layers);
  for (size_t i = 0; i < runs.size(); ++i) {
    int64_t group = static_cast<int64_t>(i);
    m.spec.set(fmt::format("model.layers[{}].count", i),
               runs.size() == 1 ? layers
                                : derived(runs[i].count, "num_hidden_layers and which layers slide", layers.origin));
    mapLayer(m, block, layerPath(group), width, epsilon);
    m.spec.set(layerPath(group) + "attention.window", runs[i].window);
  }
  m.spec.set("model.head.tied", m.keys.boolean("tie_word_embeddings", false));
  Setting<double> std = m.keys.real("initializer_range", 0.02);
  m.spec.set("model.init_std", std);
  m.spec.set("model.output_init_std", std);
}

static constexpr TensorRule tensors[] = {
    {"model.embed_tokens.weight", {"embedding.weight"}},
    {"model.layers.{}.input_layernorm.weight", {"layers.{}.attention_norm.weight"}},
    {"model.layers.{}.self_attn.q_proj.weight", {"layers.{}.attention.q.weight"}},
    {"model.layers.{}.self_attn.q_proj.bias", {"layers.{}.attention.q.bias"}},
    {"model.layers.{}.self_attn.k_proj.weight", {"layers.{}.attention.k.weight"}},
    {"model.layers.{}.self_attn.k_proj.bias", {"layers.{}.attention.k.bias"}},
    {"model.layers.{}.self_attn.v_proj.weight", {"layers.{}.attention.v.weight"}},
    {"model.layers.{}.self_attn.v_proj.bias", {"layers.{}.attention.v.bias"}},
    {"model.layers.{}.self_attn.q_norm.weight", {"layers.{}.attention.q_norm.weight"}},
    {"model.layers.{}.self_attn.k_norm.weight", {"layers.{}.attention.k_norm.weight"}},
    {"model.layers.{}.self_attn.o_proj.weight", {"layers.{}.attention.output.weight"}},
    {"model.layers.{}.self_attn.o_proj.bias", {"layers.{}.attention.output.bias"}},
    {"model.layers.{}.post_attention_layernorm.weight", {"layers.{}.feed_forward_norm.weight"}},
    {"model.layers.{}.mlp.gate_proj.weight", {"layers.{}.feed_forward.gate.weight"}},
    {"model.layers.{}.mlp.gate_proj.bias", {"layers.{}.feed_forward.gate.bias"}},
    {"model.layers.{}.mlp.up_proj.weight", {"layers.{}.feed_forward.up.weight"}},
    {"model.layers.{}.mlp.up_proj.bias", {"layers.{}.feed_forward.up.bias"}},
    {"model.layers.{}.mlp.down_proj.weight", {"layers.{}.feed_forward.down.weight"}},
    {"model.layers.{}.mlp.down_proj.bias", {"layers.{}.feed_forward.down.bias"}},
    {"model.norm.weight", {"head.norm.weight"}},
    {"lm_head.weight", {"head.weight"}},
};

static constexpr std::string_view ignored[] = {
    "model.layers.{}.self_attn.rotary_emb.inv_freq",
    "model.rotary_emb.inv_freq",
};

static constexpr std::string_view trainingKeys[] = {"attention_dropout"};

Architecture makeLlamaClass(const char *name, const char *modelType, const FateTable &(*fates)(),
                            void (*mapModel)(Mapping &)) {
  return {
      .name = name,
      .modelType = modelType,
      .fates = fates,
      .mapModel = mapModel,
      .positionsKey = "max_position_embeddings",
      .trainingKeys = trainingKeys,
      .tensors = tensors,
      .prefix = "model.",
      .ignored = ignored,
      .embedding = "model.embed_tokens.weight",
      .head = "lm_head.weight",
  };
}

} // namespace primus::config::huggingface
