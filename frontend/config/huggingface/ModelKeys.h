//===- ModelKeys.h - What the keys of several classes share ------*- C++ -*-===//

#pragma once

#include "frontend/config/Flavour.h"

namespace primus::config::huggingface {

/// An integer of 1 to `most`.
Setting<int64_t> readCount(Mapping &mapping, const std::string &key, int64_t fallback, int64_t most);

/// Sizes that a model may have: far above any that exists, and small enough that no product overflows.
inline constexpr int64_t mostLayers = 1 << 14, mostWidth = 1 << 24, mostVocabulary = 1 << 28;

/// The size of a head: `key` (null: there is none), or the width divided by the number of heads.
Setting<int64_t> readHeadSize(Mapping &mapping, const char *key, const Setting<int64_t> &width,
                              const Setting<int64_t> &heads);

/// Our name of an activation function.
Setting<std::string> readActivation(Mapping &mapping, const std::string &key, const std::string &fallback);

/// "model.layers[<group>].layer."
std::string layerPath(int64_t group);

/// A norm with all its weights; `kind` is RMS_NORM or LAYER_NORM, which has a bias.
void setNorm(Mapping &mapping, const std::string &path, const char *kind, const Setting<double> &epsilon);

/// Vocabulary, and its padding by make_vocab_size_divisible_by.
void mapVocabulary(Mapping &mapping, int64_t fallback);

/// The token whose row of the embedding is not trained, as torch's `padding_idx`: pad_token_id.
void mapPaddingToken(Mapping &mapping);

/// RoPE at `path` ("...attention."), in either dialect: rope_theta and rope_scaling, or rope_parameters.
void mapRope(Mapping &mapping, const std::string &path, const Setting<int64_t> &headSize);

} // namespace primus::config::huggingface
