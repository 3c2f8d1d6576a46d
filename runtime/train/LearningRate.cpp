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
  schedule.decaySteps = training.decay_steps();
  const std::string &style = training.decay_style();
  if (style == "linear")
    schedule.decay = Decay::Linear;
  else if (style == "cosine")
    schedule.decay = Decay::Cosine;
  else if (style != "constant")
    return Error::configuration(
        fmt::format("learning-rate decay '{}'; there are constant, linear and cosine", style));
  if (schedule.decay != Decay::Constant && schedule.decaySteps <= schedule.warmupSteps)
    return Error::configuration(fmt::format("the learning rate decays over {} steps, which have to be more than the {} "
                                            "steps of warm-up",
                                            schedule.decaySteps, schedule.warmupSteps));
  return schedule;
}

double LearningRateSchedule::get(int64_t stepsDone) const {
  if (warmupSteps > 0 && stepsDone <= warmupSteps)
    return warmupInit + (maximum - warmupInit) * static_cast<double>(stepsDone) / static_cast<double>(warmupSteps);
  if (decay == Decay::Constant)
    return maximum;
  if (stepsDone > decaySteps)
    return minimum;
  double ratio = static_cast<double>(stepsDone - warmupSteps) / static_cast<double>(decaySteps - warmupSteps);
  double coefficient = decay == Decay::Linear ? 1.0 - ratio : 0.5 * (std::cos(std::numbers::pi * ratio) + 1.0);
  return minimum + coefficient * (maximum - minimum);
}
