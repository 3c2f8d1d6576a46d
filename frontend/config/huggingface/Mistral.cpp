//===- Mistral.cpp - MistralForCausalLM -----------------------------------===//

#include "frontend/config/FateMacros.h"
#include "frontend/config/huggingface/LlamaBlock.h"

namespace primus::config::huggingface {

static constexpr Fate mistralKeys[] = {
#include "frontend/config/huggingface/KeysLlamaBlock.def"
#include "frontend/config/huggingface/KeysMistral.def"
#include "frontend/config/huggingface/KeysPretrained.def"
#include "frontend/config/huggingface/KeysTraining.def"
};

static const FateTable &mistralFates() {
  static const FateTable table(mistralKeys);
  return table;
}

static void mapMistral(Mapping &mapping) {
  mapLlamaBlock(mapping, {.window = LlamaBlock::Window::All, .feedForwardWidth = 14336, .groups = 8});
}

const Architecture mistral = makeLlamaClass("MistralForCausalLM", "mistral", mistralFates, mapMistral);

} // namespace primus::config::huggingface
