//===- LearningRateTest.cpp - Schedules against Megatron's formula --------===//

#include "runtime/train/LearningRate.h"

#include <cmath>
#include <gtest/gtest.h>

using namespace primus;
using namespace primus::runtime;

static executable::Training makeTraining(const std::string &style) {
  executable::Training training;
  training.set_learning_rate(1e-3);
  training.set_min_learning_rate(1e-4);
  training.set_warmup_init_learning_rate(1e-5);
  training.set_warmup_steps(10);
  training.set_decay_steps(110);
  training.set_decay_style(style);
  return training;
}

static double get(const executable::Training &training, int64_t stepsDone) {
  Expected<LearningRateSchedule> schedule = LearningRateSchedule::create(training);
  if (!schedule) {
    ADD_FAILURE() << schedule.takeError().getMessage();
    return NAN;
  }
  return schedule->get(stepsDone);
}

TEST(LearningRate, WarmsUpLinearlyFromItsInitialValue) {
  for (const char *style : {"constant", "linear", "cosine"}) {
    EXPECT_DOUBLE_EQ(get(makeTraining(style), 0), 1e-5);
    EXPECT_DOUBLE_EQ(get(makeTraining(style), 5), 1e-5 + (1e-3 - 1e-5) / 2);
    EXPECT_DOUBLE_EQ(get(makeTraining(style), 10), 1e-3);
  }
}

TEST(LearningRate, Decays) {
  EXPECT_DOUBLE_EQ(get(makeTraining("constant"), 1000), 1e-3);
  // A quarter, half and all of the way from 10 to 110, and beyond.
  EXPECT_DOUBLE_EQ(get(makeTraining("linear"), 35), 1e-4 + 0.75 * 9e-4);
  EXPECT_DOUBLE_EQ(get(makeTraining("cosine"), 35), 1e-4 + (1 + std::sqrt(0.5)) / 2 * 9e-4);
  EXPECT_DOUBLE_EQ(get(makeTraining("cosine"), 60), 1e-4 + 0.5 * 9e-4);
  for (const char *style : {"linear", "cosine"}) {
    EXPECT_DOUBLE_EQ(get(makeTraining(style), 110), 1e-4);
    EXPECT_DOUBLE_EQ(get(makeTraining(style), 500), 1e-4);
  }
}

TEST(LearningRate, StaysBeforeItDecays) {
  executable::Training training = makeTraining("sqrt");
  training.set_stable_steps(20);
  for (int64_t step : {10, 20, 30})
    EXPECT_DOUBLE_EQ(get(training, step), 1e-3);
  // A quarter and all of the way from 30 to 110.
  EXPECT_DOUBLE_EQ(get(training, 50), 1e-4 + (1 - std::sqrt(0.25)) * 9e-4);
  EXPECT_DOUBLE_EQ(get(training, 110), 1e-4);
  training.set_decay_style("exponential");
  EXPECT_DOUBLE_EQ(get(training, 70), 1e-4 + (2 * std::sqrt(0.5) - 1) * 9e-4);
  EXPECT_DOUBLE_EQ(get(training, 110), 1e-4);
  training.set_stable_steps(100);
  EXPECT_FALSE(LearningRateSchedule::create(training));
}

TEST(LearningRate, NoWarmupStartsAtTheMaximum) {
  executable::Training training = makeTraining("cosine");
  training.set_warmup_steps(0);
  EXPECT_DOUBLE_EQ(get(training, 0), 1e-3);
}

TEST(LearningRate, RefusesWhatIsNoSchedule) {
  EXPECT_FALSE(LearningRateSchedule::create(makeTraining("inverse")));
  executable::Training training = makeTraining("linear");
  training.set_decay_steps(10);
  EXPECT_FALSE(LearningRateSchedule::create(training));
  training.set_decay_style("constant");
  EXPECT_TRUE(LearningRateSchedule::create(training));
}
