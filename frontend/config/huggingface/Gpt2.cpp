//===- Gpt2.cpp - GPT2LMHeadModel -----------------------------------------===//

#include "frontend/config/FateMacros.h"
#include "frontend/config/huggingface/Architecture.h"
#include "frontend/config/huggingface/ModelKeys.h"

#include <fmt/format.h>

#include <cmath>

namespace primus::config::huggingface {

static constexpr Fate keys[] = {
#include "frontend/config/huggingface/KeysGpt2.def"
#include "frontend/config/huggingface/KeysPretrained.def"
#include "frontend/config/huggingface/KeysTraining.def"
};

static const FateTable &fates() {
  static const FateTable table(keys);
  return table;
}

static void mapAttention(Mapping &m, const std::string &path, const Setting<int64_t> &width) {
  Setting<int64_t> heads = readCount(m, "n_head", 12, mostWidth);
  m.spec.set(path + "heads", heads);
  m.spec.set(path + "groups", derived(heads.value, "n_head (no grouped queries)", heads.origin));
  m.spec.set(path + "head_size", readHeadSize(m, nullptr, width, heads));
  for (const char *field : {"qkv_bias", "output_bias", "causal"})
    m.spec.set(path + field, derived(true, "the model's class", heads.origin));
  m.spec.set(path + "position", derived<std::string>("LEARNED", "the model's class", heads.origin));
}

static void mapLayer(Mapping &m, const std::string &path, const Setting<int64_t> &width) {
  Setting<double> epsilon = m.keys.real("layer_norm_epsilon", 1e-5);
  m.spec.set(path + "topology", derived<std::string>("PRE_NORM", "the model's class", epsilon.origin));
  setNorm(m, path + "attention_norm", "LAYER_NORM", epsilon);
  setNorm(m, path + "feed_forward_norm", "LAYER_NORM", epsilon);
  mapAttention(m, path + "attention.", width);
  m.spec.set(path + "feed_forward.kind", derived<std::string>("PLAIN", "the model's class", width.origin));
  m.spec.set(path + "feed_forward.width", m.keys.isSet("n_inner")
                                              ? readCount(m, "n_inner", 1, mostWidth)
                                              : derived(4 * width.value, "4 * n_embd", width.origin));
  m.spec.set(path + "feed_forward.activation", readActivation(m, "activation_function", "gelu_new"));
  m.spec.set(path + "feed_forward.bias", derived(true, "the model's class", width.origin));
}

/// The scale of the scores. With scale_attn_by_inverse_layer_idx no two layers are alike.
static void mapLayers(Mapping &m, const Setting<int64_t> &depth, const Setting<int64_t> &width) {
  Setting<bool> scaled = m.keys.boolean("scale_attn_weights", true);
  Setting<bool> byLayer = m.keys.boolean("scale_attn_by_inverse_layer_idx", false);
  double headSize = double(width.value) / double(m.keys.count("n_head", 12, 1).value);
  double scale = scaled.value ? 1 / std::sqrt(headSize) : 1;
  int64_t groups = byLayer.value ? depth.value : 1;
  for (int64_t i = 0; i < groups; ++i) {
    m.spec.set(fmt::format("model.layers[{}].count", i),
               byLayer.value ? derived(int64_t(1), "scale_attn_by_inverse_layer_idx", byLayer.origin) : depth);
    mapLayer(m, layerPath(i), width);
    if (byLayer.value)
      m.spec.set(layerPath(i) + "attention.scale", byLayer.with(scale / double(i + 1)));
    else
      m.spec.set(layerPath(i) + "attention.scale", scaled.with(scaled.value ? 0.0 : 1.0));
  }
}

static void mapModel(Mapping &m) {
  Setting<int64_t> width = readCount(m, "n_embd", 768, mostWidth);
  Setting<int64_t> depth = readCount(m, "n_layer", 12, mostLayers);
  m.spec.set("model.width", width);
  mapVocabulary(m, 50257);
  m.spec.set("model.embedding.learned_positions", readCount(m, "n_positions", 1024, mostWidth));
  mapLayers(m, depth, width);
  setNorm(m, "model.head.norm", "LAYER_NORM", m.keys.real("layer_norm_epsilon", 1e-5));
  m.spec.set("model.head.tied", m.keys.boolean("tie_word_embeddings", true));
  Setting<double> std = m.keys.real("initializer_range", 0.02);
  m.spec.set("model.init_std", std);
  m.spec.set("model.output_init_std",
             derived(std.value / std::sqrt(2.0 * double(depth.value)), "initializer_range / sqrt(2 * n_layer)",
                     std.origin));
}

static constexpr std::string_view trainingKeys[] = {"attn_pdrop", "embd_pdrop", "resid_pdrop"};

static constexpr TensorRule tensors[] = {
    {"transformer.wte.weight", {"embedding.weight"}},
    {"transformer.wpe.weight", {"embedding.position.weight"}},
    {"transformer.h.{}.ln_1.weight", {"layers.{}.attention_norm.weight"}},
    {"transformer.h.{}.ln_1.bias", {"layers.{}.attention_norm.bias"}},
    {"transformer.h.{}.attn.c_attn.weight",
     {"layers.{}.attention.q.weight", "layers.{}.attention.k.weight", "layers.{}.attention.v.weight"},
     /*transposed=*/true},
    {"transformer.h.{}.attn.c_attn.bias",
     {"layers.{}.attention.q.bias", "layers.{}.attention.k.bias", "layers.{}.attention.v.bias"}},
    {"transformer.h.{}.attn.c_proj.weight", {"layers.{}.attention.output.weight"}, /*transposed=*/true},
    {"transformer.h.{}.attn.c_proj.bias", {"layers.{}.attention.output.bias"}},
    {"transformer.h.{}.ln_2.weight", {"layers.{}.feed_forward_norm.weight"}},
    {"transformer.h.{}.ln_2.bias", {"layers.{}.feed_forward_norm.bias"}},
    {"transformer.h.{}.mlp.c_fc.weight", {"layers.{}.feed_forward.up.weight"}, /*transposed=*/true},
    {"transformer.h.{}.mlp.c_fc.bias", {"layers.{}.feed_forward.up.bias"}},
    {"transformer.h.{}.mlp.c_proj.weight", {"layers.{}.feed_forward.down.weight"}, /*transposed=*/true},
    {"transformer.h.{}.mlp.c_proj.bias", {"layers.{}.feed_forward.down.bias"}},
    {"transformer.ln_f.weight", {"head.norm.weight"}},
    {"transformer.ln_f.bias", {"head.norm.bias"}},
    {"lm_head.weight", {"head.weight"}},
};

static constexpr std::string_view ignored[] = {
    "transformer.h.{}.attn.bias",
    "transformer.h.{}.attn.masked_bias",
};

const Architecture gpt2 = {
    .name = "GPT2LMHeadModel",
    .modelType = "gpt2",
    .fates = fates,
    .mapModel = mapModel,
    .positionsKey = "n_positions",
    .trainingKeys = trainingKeys,
    .tensors = tensors,
    .prefix = "transformer.",
    .ignored = ignored,
    .embedding = "transformer.wte.weight",
    .head = "lm_head.weight",
};

} // namespace primus::config::huggingface
