//===- ModelKeys.cpp - What the keys of several classes share -------------===//

#include "frontend/config/huggingface/ModelKeys.h"

#include <fmt/format.h>

#include <algorithm>

namespace primus::config::huggingface {

Setting<int64_t> readCount(Mapping &m, const std::string &key, int64_t fallback, int64_t most) {
  Setting<int64_t> count = m.keys.count(key, fallback, 1);
  if (count.value > most) {
    m.diagnostics.error(count.origin.location, fmt::format("'{}' is {}, which is out of range", key, count.value),
                        fmt::format("1 to {}", most));
    count.value = fallback;
  }
  return count;
}

Setting<int64_t> readHeadSize(Mapping &m, const char *key, const Setting<int64_t> &width,
                              const Setting<int64_t> &heads) {
  if (key && m.keys.isSet(key))
    return readCount(m, key, 1, mostWidth);
  if (width.value % heads.value != 0)
    m.diagnostics.error(heads.origin.location,
                        fmt::format("{} {} is not a multiple of {} {}", width.origin.key, width.value,
                                    heads.origin.key, heads.value),
                        "change one of them");
  return derived(width.value / heads.value, fmt::format("{} / {}", width.origin.key, heads.origin.key), heads.origin);
}

Setting<std::string> readActivation(Mapping &m, const std::string &key, const std::string &fallback) {
  static constexpr std::pair<const char *, const char *> names[] = {
      {"gelu", "gelu"},          {"gelu_new", "gelu_tanh"}, {"gelu_pytorch_tanh", "gelu_tanh"},
      {"gelu_fast", "gelu_tanh"}, {"silu", "silu"},          {"swish", "silu"},
      {"relu", "relu"},          {"relu2", "squared_relu"}, {"quick_gelu", "quick_gelu"},
      {"sigmoid", "sigmoid"},
  };
  std::vector<std::string> choices;
  for (auto [theirs, ours] : names)
    choices.push_back(theirs);
  Setting<std::string> chosen = m.keys.choice(key, fallback, choices);
  for (auto [theirs, ours] : names)
    if (chosen.value == theirs)
      return chosen.with<std::string>(ours);
  return chosen;
}

std::string layerPath(int64_t group) { return fmt::format("model.layers[{}].layer.", group); }

void setNorm(Mapping &m, const std::string &path, const char *kind, const Setting<double> &epsilon) {
  bool layerNorm = std::string_view(kind) == "LAYER_NORM";
  const Origin &from = epsilon.origin;
  m.spec.set(path + ".kind", derived<std::string>(kind, "the model's class", from));
  m.spec.set(path + ".epsilon", epsilon);
  m.spec.set(path + ".weight", derived(true, "the model's class", from));
  m.spec.set(path + ".bias", derived(layerNorm, "the model's class", from));
}

void mapVocabulary(Mapping &m, int64_t fallback) {
  Setting<int64_t> tokens = readCount(m, "vocab_size", fallback, mostVocabulary);
  m.spec.set("model.embedding.vocabulary", tokens);
  Setting<int64_t> divisor = m.keys.count("make_vocab_size_divisible_by", 128, 1);
  int64_t multiple = divisor.value * m.keys.count("tensor_model_parallel_size", 1, 1).value;
  if (divisor.value > mostVocabulary || multiple > mostVocabulary)
    return m.diagnostics.error(
        divisor.origin.location,
        fmt::format("'make_vocab_size_divisible_by' is {}, which is out of range", divisor.value), "the usual is 128");
  m.spec.set("model.embedding.padded_vocabulary",
             derived((tokens.value + multiple - 1) / multiple * multiple,
                     "vocab_size rounded up to make_vocab_size_divisible_by * tensor_model_parallel_size",
                     divisor.origin));
}

void mapPaddingToken(Mapping &m) {
  std::optional<Setting<int64_t>> token = m.keys.tryInteger("pad_token_id");
  if (!token)
    return;
  int64_t vocabulary = m.keys.count("vocab_size", 32000, 1).value;
  // Torch counts negative rows from the end.
  if (token->value < -vocabulary || token->value >= vocabulary)
    return m.diagnostics.error(
        token->origin.location,
        fmt::format("'pad_token_id' {} is no token of a vocabulary of {}", token->value, vocabulary),
        "set pad_token_id=None");
  m.spec.set("model.embedding.padding_token",
             token->with(token->value < 0 ? token->value + vocabulary : token->value));
}

/// A number above 0 that has to be there.
static Setting<double> readPositive(Mapping &m, const std::string &key, const std::string &kind) {
  std::optional<Setting<double>> number = m.keys.tryReal(key);
  if (!number) {
    if (!m.keys.isSet(key))
      m.keys.missing(key, fmt::format("needed by rope_type {}", kind));
    return {1, m.keys.origin(key)};
  }
  if (!(number->value > 0)) {
    m.diagnostics.error(number->origin.location,
                        fmt::format("'{}' must be greater than 0, but is {}", key, number->value));
    number->value = 1;
  }
  return *number;
}

static void mapRopeScaling(Mapping &m, const std::string &path, const std::string &section) {
  // `type` is the older spelling.
  std::string typeKey = section + (m.keys.isSet(section + "rope_type") ? "rope_type" : "type");
  Setting<std::string> kind = m.keys.choice(typeKey, "default", {"default", "linear", "llama3"});
  bool none = kind.value == "default";
  m.spec.set(path + "kind", kind.with<std::string>(none ? "none" : kind.value));
  if (none)
    return;
  m.spec.set(path + "factor", readPositive(m, section + "factor", kind.value));
  if (kind.value != "llama3")
    return;
  Setting<double> low = readPositive(m, section + "low_freq_factor", kind.value);
  Setting<double> high = readPositive(m, section + "high_freq_factor", kind.value);
  if (low.value >= high.value)
    m.diagnostics.error(high.origin.location,
                        fmt::format("'high_freq_factor' {} must be above 'low_freq_factor' {}", high.value, low.value));
  m.spec.set(path + "low_frequency_factor", low);
  m.spec.set(path + "high_frequency_factor", high);
  std::string original = section + "original_max_position_embeddings";
  if (!m.keys.isSet(original))
    m.keys.missing(original, "needed by rope_type llama3");
  m.spec.set(path + "original_positions", m.keys.count(original, 1, 1));
}

void mapRope(Mapping &m, const std::string &path, const Setting<int64_t> &headSize) {
  auto isGiven = [&](const char *section) {
    auto it = m.config.params.find(section);
    return it != m.config.params.end() && !it->second.value.isNull();
  };
  bool isNew = isGiven("rope_parameters");
  if (isNew && isGiven("rope_scaling"))
    m.diagnostics.error(m.keys.origin("rope_scaling").location, "both 'rope_scaling' and 'rope_parameters' are given",
                        "keep one of them");
  std::string section = isNew ? "rope_parameters." : "rope_scaling.";
  bool isInside = m.keys.isSet(section + "rope_theta");
  m.spec.set(path + "rope.theta", m.keys.real(isInside ? section + "rope_theta" : "rope_theta", 10000));
  m.spec.set(path + "rope.dimensions", headSize);
  m.spec.set(path + "rope.style", derived<std::string>("HALF", "the model's class", headSize.origin));
  mapRopeScaling(m, path + "rope.scaling.", section);
}

} // namespace primus::config::huggingface
