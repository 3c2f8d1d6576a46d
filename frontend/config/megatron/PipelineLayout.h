//===- PipelineLayout.h - Megatron's strings for pipeline stages -*- C++ -*-===//

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace primus::config::megatron {

/// The layers of each stage, or what is wrong with the string.
struct PipelineLayout {
  std::vector<int64_t> stages;
  std::string error;
};

/// Reads pipeline_model_parallel_layout: E is the embedding, t a layer, L the head with its loss, | begins the next stage;
/// x*n repeats a character, (...)*n what stands in parentheses; commas and blanks mean nothing. "Et*3|(tt|)*29,|L".
PipelineLayout parseLayout(std::string_view text);

} // namespace primus::config::megatron
