//===- VocabularyKeys.cpp - How many tokens there are ---------------------===//

#include "frontend/config/Suggestion.h"
#include "frontend/config/megatron/Megatron.h"

#include <fmt/format.h>

#include <algorithm>

namespace primus::config::megatron {

/// Rows of the embedding of the models whose tokenizers presets name. Upstream asks the tokenizer, which is a download.
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
    {"Qwen/Qwen2.5-3B", 151936},
    {"Qwen/Qwen2.5-7B", 152064},
    {"Qwen/Qwen2.5-14B", 152064},
    {"Qwen/Qwen2.5-32B", 152064},
    {"Qwen/Qwen2.5-72B", 152064},
    {"Qwen/Qwen3-4B", 151936},
    {"Qwen/Qwen3-8B", 151936},
    {"Qwen/Qwen3-14B", 151936},
    {"Qwen/Qwen3-32B", 151936},
    {"Qwen/Qwen3-30B-A3B", 151936},
    {"Qwen/Qwen3-235B-A22B", 151936},
    {"mistralai/Mixtral-8x7B-v0.1", 32000},
    {"deepseek-ai/DeepSeek-V2", 102400},
    {"deepseek-ai/DeepSeek-V2-Lite", 102400},
    {"deepseek-ai/DeepSeek-V3", 129280},
    {"gpt2", 50257},
    {"openai-community/gpt2", 50257},
};

/// Upstream's mock data forgets the model's vocabulary: it always draws from this many tokens, plus one that ends
/// documents. We do so only where the model's own vocabulary is not known.
static constexpr int64_t mockVocabulary = 131072 + 1;

static Setting<int64_t> vocabulary(Mapping &m) {
  std::optional<Setting<std::string>> type = m.keys.tryText("tokenizer_type");
  std::optional<Setting<std::string>> model = m.keys.tryText("tokenizer_model");
  std::optional<Setting<int64_t>> size = m.keys.tryInteger("vocab_size");
  Setting<bool> mock = m.keys.boolean("mock_data", false);
  if (mock.value)
    m.notes.push_back("mock_data keeps the model's own vocabulary where it is known; upstream always takes 131072 tokens.");
  if (type && type->value == "bytes") {
    if (size && size->value != 256)
      m.diagnostics.error(size->origin.location,
                          fmt::format("tokenizer_type bytes has 256 tokens, but vocab_size is {}", size->value),
                          "remove vocab_size");
    return derived(int64_t(256), "tokenizer_type bytes", type->origin);
  }
  // NullTokenizer reads numbers and adds one token, which ends documents.
  if (size && type && type->value == "NullTokenizer")
    return derived(size->value + 1, "vocab_size + 1 (NullTokenizer ends documents with a token of its own)",
                   size->origin);
  if (size)
    return *size;
  if (model) {
    for (const KnownTokenizer &known : knownTokenizers)
      if (model->value == known.model)
        return derived(known.vocabulary, "tokenizer_model", model->origin);
  }
  if (mock.value)
    return derived(mockVocabulary, "mock_data: upstream draws from 131072 tokens and one that ends documents",
                   mock.origin);
  if (model)
    m.diagnostics.error(model->origin.location,
                        fmt::format("the size of the vocabulary of tokenizer '{}' is not known here", model->value),
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
    m.diagnostics.error(tokens.origin.location, fmt::format("a vocabulary of {} tokens is out of range", tokens.value),
                        "1 to 2147483648 tokens");
    return;
  }
  m.spec.set("model.embedding.padded_vocabulary",
             derived((tokens.value + multiple - 1) / multiple * multiple,
                     "vocabulary rounded up to make_vocab_size_divisible_by * tensor_model_parallel_size",
                     divisor.origin));
}

} // namespace primus::config::megatron
