//===- Llama.cpp - LlamaForCausalLM ---------------------------------------===//

#include "frontend/config/FateMacros.h"
#include "frontend/config/huggingface/Architecture.h"
#include "frontend/config/huggingface/ModelKeys.h"

#include <fmt/format.h>

namespace primus::config::huggingface {

static constexpr Fate keys[] = {
#include "frontend/config/huggingface/KeysLlama.def"
#include "frontend/config/huggingface/KeysPretrained.def"
#include "frontend/config/huggingface/KeysTraining.def"
};

static const FateTable &fates() {
  static const FateTable table(keys);
  return table;
}

static void mapAttention(Mapping &m, const std::string &path, const Setting<int64_t> &width) {
  Setting<int64_t> heads = readCount(m, "num_attention_heads", 32, mostWidth);
  m.spec.set(path + "heads", heads);
  m.spec.set(path + "groups", m.keys.isSet("num_key_value_heads")
                                  ? readCount(m, "num_key_value_heads", 1, mostWidth)
                                  : derived(heads.value, "num_attention_heads (no grouped queries)", heads.origin));
  Setting<int64_t> headSize = readHeadSize(m, "head_dim", width, heads);
  m.spec.set(path + "head_size", headSize);
  Setting<bool> bias = m.keys.boolean("attention_bias", false);
  m.spec.set(path + "qkv_bias", bias);
  m.spec.set(path + "output_bias", bias);
  m.spec.set(path + "causal", derived(true, "the model's class", heads.origin));
  m.spec.set(path + "position", derived<std::string>("ROPE", "the model's class", heads.origin));
  mapRope(m, path, headSize);
}

static void mapModel(Mapping &m) {
  Setting<int64_t> width = readCount(m, "hidden_size", 4096, mostWidth);
  m.spec.set("model.width", width);
  m.spec.set("model.layers[0].count", readCount(m, "num_hidden_layers", 32, mostLayers));
  mapVocabulary(m, 32000);
  mapPaddingToken(m);

  const std::string path = layerPath(0);
  Setting<double> epsilon = m.keys.real("rms_norm_eps", 1e-6);
  m.spec.set(path + "topology", derived<std::string>("PRE_NORM", "the model's class", epsilon.origin));
  setNorm(m, path + "attention_norm", "RMS_NORM", epsilon);
  setNorm(m, path + "feed_forward_norm", "RMS_NORM", epsilon);
  setNorm(m, "model.head.norm", "RMS_NORM", epsilon);
  mapAttention(m, path + "attention.", width);

  m.spec.set(path + "feed_forward.kind", derived<std::string>("GATED", "the model's class", width.origin));
  m.spec.set(path + "feed_forward.width", readCount(m, "intermediate_size", 11008, mostWidth));
  m.spec.set(path + "feed_forward.activation", readActivation(m, "hidden_act", "silu"));
  m.spec.set(path + "feed_forward.bias", m.keys.boolean("mlp_bias", false));

  m.spec.set("model.head.tied", m.keys.boolean("tie_word_embeddings", false));
  Setting<double> std = m.keys.real("initializer_range", 0.02);
  m.spec.set("model.init_std", std);
  m.spec.set("model.output_init_std", std);
}

static constexpr std::string_view trainingKeys[] = {"attention_dropout"};

static constexpr TensorRule tensors[] = {
    {"model.embed_tokens.weight", {"embedding.weight"}},
    {"model.layers.{}.input_layernorm.weight", {"layers.{}.attention_norm.weight"}},
    {"model.layers.{}.self_attn.q_proj.weight", {"layers.{}.attention.q.weight"}},
    {"model.layers.{}.self_attn.q_proj.bias", {"layers.{}.attention.q.bias"}},
    {"model.layers.{}.self_attn.k_proj.weight", {"layers.{}.attention.k.weight"}},
    {"model.layers.{}.self_attn.k_proj.bias", {"layers.{}.attention.k.bias"}},
    {"model.layers.{}.self_attn.v_proj.weight", {"layers.{}.attention.v.weight"}},
    {"model.layers.{}.self_attn.v_proj.bias", {"layers.{}.attention.v.bias"}},
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

const Architecture llama = {
    .name = "LlamaForCausalLM",
    .modelType = "llama",
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

} // namespace primus::config::huggingface
