//===- HuggingFace.h - The huggingface flavour -------------------*- C++ -*-===//
//
// The model is the folder of a checkpoint, whose config.json describes it; keys of training are Megatron's. All of them
// stand side by side among the resolved keys, so that any can be given again on the command line.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "frontend/config/huggingface/Architecture.h"

namespace primus::config::huggingface {

/// The table of the class that the keys name; null after an error.
const FateTable *selectFates(const ResolvedConfig &config, Diagnostics &diagnostics);

/// Reads every mapped key.
void map(Mapping &mapping);

/// Whether `path` is a model as it stands: a folder with a config.json, or such a file.
bool isModel(const std::string &path);

/// The experiment that trains the model at `path` with the settings of modules/huggingface/pre_trainer.yaml.
Value makeExperiment(const std::string &path);

/// Reads the config.json of the folder (or file) `path`. The keys are not judged. `at` is where the path was written;
/// nullopt after an error.
std::optional<Value> readModelConfig(const std::string &path, const Location &at, Diagnostics &diagnostics);

/// What follows from the model where nobody said it: the length of sequences (as long as the model takes, at most 1024)
/// and mock data. With `evaluation`, dropout is off: its keys go.
void addDefaults(ResolvedConfig &config, bool evaluation);

} // namespace primus::config::huggingface
