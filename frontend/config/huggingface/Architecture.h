//===- Architecture.h - One class of Hugging Face models ---------*- C++ -*-===//
//
// All that is known of a class: what the keys of its config.json mean and which tensors of its checkpoints are which
// parameters of ours. A new class is a file with an `Architecture`, a table of its keys and a line in
// Architectures.cpp.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "frontend/config/Flavour.h"

#include <array>
#include <span>
#include <string_view>

namespace primus::config::huggingface {

/// How a tensor of a checkpoint holds parameters of ours. "{}" in a name is the number of a layer.
struct TensorRule {
  /// Name in the checkpoint.
  const char *theirs;
  /// Parameters of ours, [out, in] or [out]; several are stacked along `out` in this order. Null after the last. A rule
  /// counts where the model has its parameters: biases, for one, are optional.
  std::array<const char *, 3> ours;
  /// The checkpoint holds a matrix as [in, out].
  bool transposed = false;
};

struct Architecture {
  /// As config.json names it in `architectures` and `model_type`.
  const char *name;
  const char *modelType;
  /// The fate of each key of its config.json, and of the keys of training.
  const FateTable &(*fates)();
  /// Fills `model` of the spec.
  void (*mapModel)(Mapping &mapping);
  /// The key that limits the length of sequences.
  const char *positionsKey;
  /// Keys that matter in training only: dropout.
  std::span<const std::string_view> trainingKeys;

  std::span<const TensorRule> tensors;
  /// Names of a checkpoint saved from the base model lack this.
  const char *prefix;
  /// Tensors that hold no parameters: masks and tables.
  std::span<const std::string_view> ignored;
  /// The tensors of the embedding and of the head, which are one tensor where they are tied.
  const char *embedding;
  const char *head;
};

/// All classes.
std::span<const Architecture *const> architectures();

/// The class that a config.json names: by `architectures`, else by `model_type`. Null after an error, which lists the
/// supported ones.
const Architecture *findArchitecture(const Map &config, const Location &whole, Diagnostics &diagnostics);

extern const Architecture gpt2, llama, mistral, qwen2, qwen3;

} // namespace primus::config::huggingface
