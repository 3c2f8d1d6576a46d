//===- Qwen.cpp - Qwen2ForCausalLM and Qwen3ForCausalLM -------------------===//

#include "frontend/config/FateMacros.h"
#include "frontend/config/huggingface/LlamaBlock.h"

namespace primus::config::huggingface {

static constexpr Fate qwen2Keys[] = {
#include "frontend/config/huggingface/KeysLlamaBlock.def"
#include "frontend/config/huggingface/KeysQwen2.def"
#include "frontend/config/huggingface/KeysPretrained.def"
#include "frontend/config/huggingface/KeysTraining.def"
};

static const FateTable &qwen2Fates() {
  static const FateTable table(qwen2Keys);
  return table;
}

static void mapQwen2(Mapping &mapping) {
  mapLlamaBlock(mapping, {.biasedQueries = true,
                          .window = LlamaBlock::Window::ByLayer,
                          .vocabulary = 151936,
                          .feedForwardWidth = 22016,
                          .groups = 32});
}

const Architecture qwen2 = makeLlamaClass("Qwen2ForCausalLM", "qwen2", qwen2Fates, mapQwen2);

static constexpr Fate qwen3Keys[] = {
#include "frontend/config/huggingface/KeysLlamaBlock.def"
#include "frontend/config/huggingface/KeysQwen3.def"
#include "frontend/config/huggingface/KeysPretrained.def"
#include "frontend/config/huggingface/KeysTraining.def"
};

static const FateTable &qwen3Fates() {
  static const FateTable table(qwen3Keys);
  return table;
}

static void mapQwen3(Mapping &mapping) {
  mapLlamaBlock(mapping, {.hasAttentionBias = true,
                          .normalisedHeads = true,
                          .window = LlamaBlock::Window::ByLayer,
                          .vocabulary = 151936,
                          .feedForwardWidth = 22016,
                          .groups = 32,
                          .headSize = 128});
}

const Architecture qwen3 = makeLlamaClass("Qwen3ForCausalLM", "qwen3", qwen3Fates, mapQwen3);

} // namespace primus::config::huggingface
