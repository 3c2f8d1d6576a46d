//===- Suggestion.cpp - "did you mean ...?" -------------------------------===//

#include "frontend/config/Suggestion.h"

#include <algorithm>

namespace primus::config {

size_t editDistance(std::string_view a, std::string_view b) {
  // Three rows of the Damerau-Levenshtein table: before[-2], before[-1], current.
  std::vector<size_t> twoBack(b.size() + 1), back(b.size() + 1), current(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j)
    back[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    current[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      current[j] = std::min({back[j] + 1, current[j - 1] + 1, back[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        current[j] = std::min(current[j], twoBack[j - 2] + 1);
    }
    std::swap(twoBack, back);
    std::swap(back, current);
  }
  return back[b.size()];
}

std::string nearest(std::string_view name, const std::vector<std::string> &candidates) {
  std::string best;
  // A third of the letters may differ; more is another word.
  size_t bestDistance = std::max<size_t>(2, name.size() / 3) + 1;
  for (const std::string &candidate : candidates) {
    size_t difference =
        name.size() > candidate.size() ? name.size() - candidate.size() : candidate.size() - name.size();
    if (difference >= bestDistance)
      continue;
    size_t distance = editDistance(name, candidate);
    if (distance < bestDistance) {
      bestDistance = distance;
      best = candidate;
    }
  }
  return best;
}

std::string didYouMean(std::string_view name, const std::vector<std::string> &candidates, std::string otherwise) {
  std::string best = nearest(name, candidates);
  return best.empty() ? otherwise : "did you mean '" + best + "'?";
}

} // namespace primus::config
