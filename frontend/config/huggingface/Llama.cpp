//===- Llama.cpp - LlamaForCausalLM ---------------------------------------===//

#include "frontend/config/FateMacros.h"
#include "frontend/config/huggingface/LlamaBlock.h"

namespace primus::config::huggingface {

static constexpr Fate llamaKeys[] = {
#include "frontend/config/huggingface/KeysLlamaBlock.def"
#include "frontend/config/huggingface/KeysLlama.def"
#include "frontend/config/huggingface/KeysPretrained.def"
#include "frontend/config/huggingface/KeysTraining.def"
};

static const FateTable &llamaFates() {
  static const FateTable table(llamaKeys);
  return table;
}

static void mapLlama(Mapping &mapping) {
  mapLlamaBlock(mapping, {.hasAttentionBias = true, .hasMlpBias = true});
}

const Architecture llama = makeLlamaClass("LlamaForCausalLM", "llama", llamaFates, mapLlama);

} // namespace primus::config::huggingface
