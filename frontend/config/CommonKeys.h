//===- CommonKeys.h - What all flavours have in common -----------*- C++ -*-===//

#pragma once

#include "frontend/config/Flavour.h"

#include <optional>
#include <string>

namespace primus::config {

/// Where results go and how much is logged: the experiment's own keys and sink_level, file_sink_level,
/// stderr_sink_level.
void mapOutput(Mapping &mapping);

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
