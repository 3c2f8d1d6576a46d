//===- StageBalance.cpp - Whether pipeline ranks have equal work ----------===//

#include "frontend/config/StageBalance.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace primus::config {

/// Attention's scores and their sums of values, of one token. A causal token sees half of the others on average.
static double getAttentionWork(const spec::Layer &layer, double tokens) {
  if (!layer.has_attention())
    return 0;
  const spec::Attention &attention = layer.attention();
  double seen = attention.window() > 0 ? std::min(static_cast<double>(attention.window()), tokens / 2) : tokens / 2;
  return 2 * static_cast<double>(attention.heads()) * static_cast<double>(attention.head_size()) * seen;
}

/// Of one token.
static double getWork(const spec::Layer &layer, double width, double tokens) {
  double work = getAttentionWork(layer, tokens);
  if (layer.has_attention()) {
    const spec::Attention &attention = layer.attention();
    double queries = static_cast<double>(attention.heads()) * static_cast<double>(attention.head_size());
    double keys = static_cast<double>(attention.groups()) * static_cast<double>(attention.head_size());
    work += 2 * width * (queries + keys);
  }
  if (layer.has_feed_forward())
    work += (layer.feed_forward().kind() == spec::GATED ? 3 : 2) * width * static_cast<double>(layer.feed_forward().width());
  return work;
}

ModelWork::ModelWork(const spec::TrainingSpec &spec) {
  const spec::Model &model = spec.model();
  double width = static_cast<double>(model.width()), tokens = static_cast<double>(spec.training().sequence_length());
  for (const spec::LayerGroup &group : model.layers()) {
    layers.insert(layers.end(), static_cast<size_t>(group.count()), getWork(group.layer(), width, tokens));
    attention.insert(attention.end(), static_cast<size_t>(group.count()), getAttentionWork(group.layer(), tokens));
  }
  if (spec.training().recompute() == spec::RECOMPUTE_FULL)
    recomputed = spec.training().recompute_layers() > 0 ? spec.training().recompute_layers() : static_cast<int64_t>(layers.size());
  // A row is looked up.
  embedding = width;
  head = static_cast<double>(model.embedding().padded_vocabulary()) * width;
}

double ModelWork::getImbalance(const std::vector<int64_t> &stages, const std::vector<int64_t> &ranks) const {
  std::vector<double> work(static_cast<size_t>(*std::max_element(ranks.begin(), ranks.end()) + 1));
  size_t layer = 0;
  for (size_t stage = 0; stage < stages.size(); ++stage)
    for (int64_t each = 0; each < stages[stage]; ++each)
      work[ranks[stage]] += getStepWork(layer++);
  work[ranks.front()] += embedding;
  work[ranks.back()] += head;
  double sum = std::accumulate(work.begin(), work.end(), 0.0);
  return *std::max_element(work.begin(), work.end()) * static_cast<double>(work.size()) / sum;
}

std::vector<schedules::StageSeconds> ModelWork::getCosts(const std::vector<int64_t> &stages) const {
  std::vector<schedules::StageSeconds> costs;
  size_t layer = 0;
  for (int64_t count : stages) {
    schedules::StageSeconds cost{0, 0, 0};
    for (int64_t end = static_cast<int64_t>(layer) + count; static_cast<int64_t>(layer) < end; ++layer) {
      cost.forward += layers[layer];
      cost.inputGradient += layers[layer] + attention[layer] + (static_cast<int64_t>(layer) < recomputed ? layers[layer] : 0);
      cost.weightGradient += layers[layer] - attention[layer];
    }
    costs.push_back(cost);
  }
  costs.front().forward += embedding;
  costs.front().weightGradient += embedding;
  costs.back().forward += 3 * head;
  return costs;
}

namespace {

/// Consecutive layers for each stage.
class Division {
public:
  Division(const ModelWork &work, int64_t stages)
      : work(work), stages(stages), count(static_cast<int64_t>(work.layers.size())), sums(work.layers.size() + 1) {
    for (size_t layer = 0; layer < work.layers.size(); ++layer)
      sums[layer + 1] = sums[layer] + work.getStepWork(layer);
  }

  std::vector<int64_t> divide() {
    if (count < std::max<int64_t>(stages - 2, 0))
      return {};
    double low = 0, high = getCost(0, 0, count) + work.head;
    for (int step = 0; step < 50; ++step) {
      double middle = (low + high) / 2;
      (canHold(middle) ? high : low) = middle;
    }
    canHold(high);
    return spread(high);
  }

private:
  /// Of layers `begin` to `end` as a stage.
  double getCost(int64_t stage, int64_t begin, int64_t end) const {
    return sums[end] - sums[begin] + (stage == 0 ? work.embedding : 0) + (stage + 1 == stages ? work.head : 0);
  }
  /// How few layers a stage may have, and stages before it together.
  int64_t fewest(int64_t stage) const { return stage == 0 || stage + 1 == stages ? 0 : 1; }
  int64_t fewestBefore(int64_t stage) const { return std::max<int64_t>(stage - 1, 0); }

  /// Whether no stage needs more than `limit`. Sets `earliest`: the first layer that each stage can begin with.
  bool canHold(double limit) {
    earliest.assign(stages + 1, count);
    for (int64_t stage = stages - 1; stage >= 0; --stage) {
      int64_t end = earliest[stage + 1], begin = end - fewest(stage);
      if (begin < fewestBefore(stage) || getCost(stage, begin, end) > limit)
        return false;
      while (begin > fewestBefore(stage) && getCost(stage, begin - 1, end) <= limit)
        --begin;
      earliest[stage] = begin;
    }
    return earliest[0] == 0;
  }

  /// Of the ways to keep to `limit`, that in which each stage comes nearest to an equal share of what is left.
  std::vector<int64_t> spread(double limit) const {
    std::vector<int64_t> result;
    int64_t begin = 0;
    for (int64_t stage = 0; stage < stages; ++stage) {
      bool isLast = stage + 1 == stages;
      int64_t latest = isLast ? count : count - std::max<int64_t>(stages - 2 - stage, 0);
      int64_t end = std::max(earliest[stage + 1], begin + fewest(stage));
      double share = (getCost(stage, begin, count) + (isLast ? 0 : work.head)) / static_cast<double>(stages - stage);
      while (end < latest && getCost(stage, begin, end + 1) <= limit &&
             std::abs(getCost(stage, begin, end + 1) - share) < std::abs(getCost(stage, begin, end) - share))
        ++end;
      result.push_back(end - begin);
      begin = end;
    }
    return result;
  }

  const ModelWork &work;
  int64_t stages, count;
  /// Of the layers before each.
  std::vector<double> sums;
  std::vector<int64_t> earliest;
};

} // namespace

std::vector<int64_t> ModelWork::divide(int64_t stages) const { return Division(*this, stages).divide(); }

std::string writeLayout(const std::vector<int64_t> &stages) {
  auto layersOf = [](int64_t count) {
    return count == 0 ? std::string() : count == 1 ? std::string("t") : fmt::format("t*{}", count);
  };
  std::string layout = "E" + layersOf(stages.front());
  for (size_t stage = 1; stage < stages.size();) {
    if (stage + 1 == stages.size()) {
      layout += "|" + layersOf(stages[stage++]);
      continue;
    }
    size_t end = stage;
    while (end + 1 < stages.size() && stages[end] == stages[stage])
      ++end;
    layout += end - stage == 1 ? "|" + layersOf(stages[stage]) : fmt::format("(|{})*{}", layersOf(stages[stage]), end - stage);
    stage = end;
  }
  return layout + "L";
}

} // namespace primus::config
