//===- Split.cpp - Megatron's split strings -------------------------------===//

#include "runtime/data/Split.h"

#include <cmath>
#include <cstdlib>
#include <fmt/format.h>
#include <optional>
#include <vector>

using namespace primus::runtime;

/// Numbers between commas, or nothing if the text is something else.
static std::optional<std::vector<double>> parseWeights(const std::string &text) {
  std::vector<double> weights;
  const char *position = text.c_str();
  while (true) {
    char *end;
    double weight = std::strtod(position, &end);
    if (end == position || !std::isfinite(weight) || weight < 0)
      return std::nullopt;
    weights.push_back(weight);
    while (*end == ' ')
      ++end;
    if (*end == '\0')
      return weights;
    if (*end != ',')
      return std::nullopt;
    position = end + 1;
  }
}

Expected<Split> primus::runtime::parseSplit(const std::string &text) {
  if (text.empty())
    return Split();
  std::optional<std::vector<double>> weights = parseWeights(text);
  double sum = 0;
  for (double weight : weights.value_or(std::vector<double>()))
    sum += weight;
  if (!weights || weights->size() > 3 || !(sum > 0) || !std::isfinite(sum))
    return Error::configuration(
        fmt::format("split '{}' is not three weights for training, validation and test, such as '99,1,0'", text));
  weights->resize(3);
  Split split;
  split.trainingEnd = (*weights)[0] / sum;
  // Without a test part the held-out part reaches the end, whatever rounding makes of the sum.
  split.validationEnd = (*weights)[2] == 0 ? 1 : split.trainingEnd + (*weights)[1] / sum;
  return split;
}
