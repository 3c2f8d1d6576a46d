//===- LlamaBlock.h - Classes with Llama's block -----------------*- C++ -*-===//
//
// RMSNorm before attention and feed-forward block, RoPE, grouped queries, a gated feed-forward block: what Llama, Mistral
// and Qwen have in common. A class says how it differs.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "frontend/config/huggingface/Architecture.h"

namespace primus::config::huggingface {

/// What a class always has, and what it takes for keys that its config.json does not mention.
struct LlamaBlock {
  /// Queries, keys and values have biases and the output has none, whatever the keys say; else attention_bias is for all.
  bool biasedQueries = false;
  /// The class has the keys attention_bias and mlp_bias.
  bool hasAttentionBias = false, hasMlpBias = false;
  /// Each head of queries and keys is normalised before RoPE.
  bool normalisedHeads = false;
  /// Which layers see only sliding_window tokens: none in the class, all where the key is set, or the ones that
  /// layer_types or max_window_layers names where use_sliding_window is true.
  enum class Window { None, All, ByLayer } window = Window::None;

  int64_t vocabulary = 32000;
  int64_t feedForwardWidth = 11008;
  /// Key/value heads; 0: as many as query heads.
  int64_t groups = 0;
  /// 0: hidden_size / num_attention_heads.
  int64_t headSize = 0;
};

/// Reads the keys of KeysLlamaBlock.def and those that `block` says the class has.
void mapLlamaBlock(Mapping &mapping, const LlamaBlock &block);

/// A class with the tensors of all these classes: a rule counts only where the model has its parameter.
Architecture makeLlamaClass(const char *name, const char *modelType, const FateTable &(*fates)(),
                            void (*mapModel)(Mapping &));

} // namespace primus::config::huggingface
