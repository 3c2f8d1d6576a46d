//===- LearningRate.cpp - Learning rates over a run -----------------------===//

#include "runtime/train/LearningRate.h"

#include <cmath>
#include <fmt/format.h>
#include <numbers>

using namespace primus;
using namespace primus::runtime;

Expected<LearningRateSchedule> LearningRateSchedule::create(const executable::Training &training) {
  LearningRateSchedule schedule;
  schedule.maximum = training.learning_rate();
  schedule.minimum = training.min_learning_rate();
  schedule.warmupInit = training.warmup_init_learning_rate();
  schedule.warmupSteps = training.warmup_steps();
  schedule.stableSteps = training.stable_steps();
  schedule.decaySteps = training.decay_steps();
  const std::string &style = training.decay_style();
  if (style == "linear")
    schedule.decay = Decay::Linear;
  else if (style == "cosine")
    schedule.decay = Decay::Cosine;
  else if (style == "sqrt")
    schedule.decay = Decay::Sqrt;
  else if (style == "exponential")
    schedule.decay = Decay::Exponential;
  else if (style != "constant")
    return Error::configuration(
        fmt::format("learning-rate decay '{}'; there are constant, linear, cosine, sqrt and exponential", style));
  int64_t before = schedule.warmupSteps + schedule.stableSteps;
  if (schedule.decay != Decay::Constant && schedule.decaySteps <= before)
    return Error::configuration(fmt::format("the learning rate decays over {} steps, which have to be more than the {} "
                                            "steps of warm-up{}",
                                            schedule.decaySteps, before,
                                            schedule.stableSteps ? " and the stable phase" : ""));
  return schedule;
}

/// What is left above the lowest rate: 1 at progress 0, 0 at 1.
double LearningRateSchedule::decayed(double progress) const {
  switch (decay) {
  case Decay::Constant:
    return 1.0;
  case Decay::Linear:
    return 1.0 - progress;
  case Decay::Cosine:
    return 0.5 * (std::cos(std::numbers::pi * progress) + 1.0);
  case Decay::Sqrt:
    return 1.0 - std::sqrt(progress);
  case Decay::Exponential:
    return 2.0 * std::pow(0.5, progress) - 1.0;
  }
  return 1.0;
}

double LearningRateSchedule::get(int64_t stepsDone) const {
  if (warmupSteps > 0 && stepsDone <= warmupSteps)
    return warmupInit + (maximum - warmupInit) * static_cast<double>(stepsDone) / static_cast<double>(warmupSteps);
  int64_t decayStart = warmupSteps + stableSteps;
  if (decay == Decay::Constant || stepsDone <= decayStart)
    return maximum;
  if (stepsDone > decaySteps)
    return minimum;
  double progress = static_cast<double>(stepsDone - decayStart) / static_cast<double>(decaySteps - decayStart);
  return minimum + decayed(progress) * (maximum - minimum);
}
