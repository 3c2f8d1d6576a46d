//===- Suggestion.h - "did you mean ...?" ------------------------*- C++ -*-===//

#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace primus::config {

/// Edits (insert, delete, replace, swap of neighbours) that turn `a` into `b`.
size_t editDistance(std::string_view a, std::string_view b);

/// The candidate nearest to `name`, or empty if none is near enough to be meant.
std::string nearest(std::string_view name, const std::vector<std::string> &candidates);

/// "did you mean 'x'?", or `otherwise` where no candidate is near.
std::string didYouMean(std::string_view name, const std::vector<std::string> &candidates, std::string otherwise = {});

} // namespace primus::config
