//===- CommonKeys.h - What all flavours have in common -----------*- C++ -*-===//

#pragma once

#include "frontend/config/Flavour.h"

#include <filesystem>
#include <optional>
#include <string>

namespace primus::config {

/// Where results go and how much is logged: the experiment's own keys and sink_level, file_sink_level,
/// stderr_sink_level.
void mapOutput(Mapping &mapping);
/// The folder of the experiment's results: workspace/work_group/user_name/exp_name, as far as they are set.
std::filesystem::path getRunFolder(const Mapping &mapping);
/// Writes the metrics to a folder as events for TensorBoard too.
void mapTensorBoard(Mapping &mapping, const Setting<std::string> &folder, const Setting<int64_t> &interval);

/// The product, or the largest number where that does not hold it.
int64_t saturatingProduct(std::initializer_list<int64_t> factors);

/// The prefix of a pair of Megatron's .bin and .idx files, with either suffix taken off; empty if there is no such
/// pair.
std::string indexedPrefix(const std::string &path);

/// Sets parallelism.schedule_table from the file that the key names, where there are several pipeline ranks.
void mapScheduleTable(Mapping &mapping, const std::string &key);

/// What a model's name stands for: the mapping in a file of our own configs folder ("models/torchtitan/llama3.yaml").
/// An error at `at` if it can't be read.
std::optional<Map> readModelFacts(const std::string &file, const Location &at, Diagnostics &diagnostics);

} // namespace primus::config
