//===- VocabularyKeys.cpp - How many tokens there are ---------------------===//

#include "frontend/config/Suggestion.h"
#include "frontend/config/megatron/Megatron.h"

#include <fmt/format.h>

#include <algorithm>

namespace primus::config::megatron {

/// Vocabularies of tokenizers that presets name. Upstream asks the tokenizer itself, which is a download.
struct KnownTokenizer {
  const char *model;
  int64_t vocabulary;
};

static constexpr KnownTokenizer knownTokenizers[] = {
    {"meta-llama/Llama-2-7b-hf", 32000},
    {"meta-llama/Llama-2-13b-hf", 32000},
    {"meta-llama/Llama-2-70b-hf", 32000},
    {"meta-llama/Meta-Llama-3-8B", 128256},
    {"meta-llama/Meta-Llama-3-70B", 128256},
    {"meta-llama/Llama-3.1-8B", 128256},
    {"meta-llama/Llama-3.1-70B", 128256},
    {"meta-llama/Llama-3.1-405B", 128256},
    {"meta-llama/Meta-Llama-3.1-8B", 128256},
    {"meta-llama/Meta-Llama-3.1-70B", 128256},
    {"meta-llama/Meta-Llama-3.1-405B", 128256},
    {"meta-llama/Meta-Llama-3.2-1B", 128256},
    {"meta-llama/Meta-Llama-3.2-3B", 128256},
    {"meta-llama/Llama-3.2-1B", 128256},
    {"meta-llama/Llama-3.2-3B", 128256},
    {"meta-llama/Llama-3.3-70B-Instruct", 128256},
    {"gpt2", 50257},
    {"openai-community/gpt2", 50257},
};

/// Upstream's mock data does not look at the model: it always draws from this many tokens, plus one that ends documents.
static constexpr int64_t mockVocabulary = 131072 + 1;

static Setting<int64_t> vocabulary(Mapping &m) {
  std::optional<Setting<std::string>> type = m.keys.tryText("tokenizer_type");
  std::optional<Setting<std::string>> model = m.keys.tryText("tokenizer_model");
  std::optional<Setting<int64_t>> size = m.keys.tryInteger("vocab_size");
  Setting<bool> mock = m.keys.boolean("mock_data", false);
  if (type && type->value == "bytes") {
    if (size && size->value != 256)
      m.diagnostics.error(size->origin.location, fmt::format("tokenizer_type bytes has 256 tokens, but vocab_size is {}", size->value),
                          "remove vocab_size");
    return derived(int64_t(256), "tokenizer_type bytes", type->origin);
  }
  // NullTokenizer reads numbers and adds one token, which ends documents.
  if (size && type && type->value == "NullTokenizer")
    return derived(size->value + 1, "vocab_size + 1 (NullTokenizer ends documents with a token of its own)", size->origin);
  if (size)
    return *size;
  if (model) {
    for (const KnownTokenizer &known : knownTokenizers)
      if (model->value == known.model)
        return derived(known.vocabulary, "tokenizer_model", model->origin);
  }
  if (mock.value)
    return derived(mockVocabulary, "mock_data: upstream draws from 131072 tokens and one that ends documents", mock.origin);
  if (model)
    m.diagnostics.error(model->origin.location, fmt::format("the size of the vocabulary of tokenizer '{}' is not known here", model->value),
                        "set vocab_size");
  else
    m.keys.missing("vocab_size", "number of tokens; tokenizer_type: bytes implies 256");
  return {1, m.keys.origin("vocab_size")};
}

void mapVocabulary(Mapping &m) {
  Setting<int64_t> tokens = vocabulary(m);
  m.spec.set("model.embedding.vocabulary", tokens);
  // Upstream pads to a multiple of this times the tensor parallel size.
  Setting<int64_t> divisor = m.keys.count("make_vocab_size_divisible_by", 128, 1);
  int64_t multiple = divisor.value * std::max<int64_t>(1, m.keys.integer("tensor_model_parallel_size", 1).value);
  if (tokens.value < 1 || tokens.value > (int64_t(1) << 31)) {
    m.diagnostics.error(tokens.origin.location, fmt::format("a vocabulary of {} tokens is out of range", tokens.value), "1 to 2147483648 tokens");
    return;
  }
  m.spec.set("model.embedding.padded_vocabulary", derived((tokens.value + multiple - 1) / multiple * multiple,
                                                          "vocabulary rounded up to make_vocab_size_divisible_by * tensor_model_parallel_size",
                                                          divisor.origin));
}

} // namespace primus::config::megatron
