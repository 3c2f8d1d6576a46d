//===- MetricsTest.cpp - Metrics, progress and the byte model -------------===//

#include "runtime/metrics/ByteModel.h"
#include "runtime/metrics/MetricsFile.h"
#include "runtime/metrics/ProcessMemory.h"
#include "runtime/metrics/Progress.h"
#include "runtime/train/TextSampler.h"
#include "tests/runtime/TinyExecutable.h"

#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <nlohmann/json.hpp>
#include <unistd.h>

using namespace primus::runtime;
using namespace primus::test;

TEST(Metrics, NumbersReadBackBitForBit) {
  for (float loss : {3.4567891f, 1.0f / 3, 1e-30f, 16777216.0f, std::nextafter(5.5f, 6.0f)}) {
    StepMetrics metrics;
    metrics.step = 12;
    metrics.loss = loss;
    metrics.gradNorm = loss * 2;
    metrics.learningRate = 1.0 / 3 * 1e-4;
    metrics.tokens = 256;
    metrics.stepSeconds = 0.1234567890123456;
    std::string line = toJsonLine(metrics);
    ASSERT_EQ(line.back(), '\n');
    auto json = nlohmann::json::parse(line);
    EXPECT_EQ(json["step"], 12);
    EXPECT_EQ(json["tokens"], 256);
    EXPECT_EQ(json["loss"].get<double>(), static_cast<double>(loss));
    EXPECT_EQ(json["grad_norm"].get<double>(), static_cast<double>(loss * 2));
    EXPECT_EQ(json["learning_rate"].get<double>(), metrics.learningRate);
    EXPECT_EQ(json["step_seconds"].get<double>(), metrics.stepSeconds);
    EXPECT_EQ(json["tokens_per_second"].get<double>(), 256 / metrics.stepSeconds);
    EXPECT_FALSE(json.contains("validation_loss"));
  }
}

TEST(Metrics, WhatIsNotFiniteIsNull) {
  StepMetrics metrics;
  metrics.loss = std::numeric_limits<float>::quiet_NaN();
  metrics.validationLoss = std::numeric_limits<double>::infinity();
  auto json = nlohmann::json::parse(toJsonLine(metrics));
  EXPECT_TRUE(json["loss"].is_null());
  EXPECT_TRUE(json["validation_loss"].is_null());
}

TEST(Metrics, AFileIsWholeAfterEveryLine) {
  TemporaryFolder folder;
  Expected<MetricsFile> file = MetricsFile::create(folder / "m.jsonl");
  ASSERT_TRUE(file);
  StepMetrics metrics;
  ASSERT_FALSE(file->append(metrics));
  EXPECT_EQ(readFile(folder / "m.jsonl"), toJsonLine(metrics));
  Expected<MetricsFile> wrong = MetricsFile::create(folder / "no/m.jsonl");
  ASSERT_FALSE(wrong);
  EXPECT_NE(wrong.takeError().getMessage().find("no/m.jsonl"), std::string::npos);
}

TEST(Metrics, FullDisksAreFailures) {
  Expected<MetricsFile> file = MetricsFile::create("/dev/full");
  ASSERT_TRUE(file);
  Error error = file->append(StepMetrics());
  ASSERT_TRUE(error);
  EXPECT_EQ(error.getExitCode(), 3);
  EXPECT_NE(error.getMessage().find("/dev/full"), std::string::npos);
}

TEST(Progress, Durations) {
  EXPECT_EQ(formatDuration(0.2), "0 s");
  EXPECT_EQ(formatDuration(59.4), "59 s");
  EXPECT_EQ(formatDuration(125), "2 min 05 s");
  EXPECT_EQ(formatDuration(3 * 3600 + 7 * 60 + 40), "3 h 07 min");
  EXPECT_EQ(formatDuration(-5), "0 s");
  EXPECT_EQ(formatDuration(std::numeric_limits<double>::infinity()), formatDuration(1e15));
}

TEST(Progress, OneLine) {
  StepMetrics metrics;
  metrics.step = 7;
  metrics.loss = 3.25f;
  metrics.gradNorm = 0.5f;
  metrics.learningRate = 3e-4;
  metrics.tokens = 1000;
  metrics.stepSeconds = 0.25;
  EXPECT_EQ(formatProgress(metrics, 500, 61),
            "step   7/500  loss 3.2500  grad norm 0.500  lr 3.000e-04  4000 tokens/s  1 min 01 s left");
}

TEST(Progress, BytesAreSafeOnATerminal) {
  EXPECT_EQ(escapeBytes("a\tb\n\x1b[2J\x7f"), "a\tb\n\\x1b[2J\\x7f");
  EXPECT_EQ(escapeBytes(std::string_view("\0\r", 2)), "\\x00\\x0d");
  EXPECT_EQ(escapeBytes("\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"), "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80");
  // Overlong, truncated, surrogate, beyond Unicode, and a control character in two bytes.
  EXPECT_EQ(escapeBytes("\xc0\xaf"), "\\xc0\\xaf");
  EXPECT_EQ(escapeBytes("\xe2\x82"), "\\xe2\\x82");
  EXPECT_EQ(escapeBytes("\xed\xa0\x80"), "\\xed\\xa0\\x80");
  EXPECT_EQ(escapeBytes("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");
  EXPECT_EQ(escapeBytes("\xc2\x9b"), "\\xc2\\x9b");
}

TEST(ByteModel, IsADistributionThatFollowsItsCounts) {
  ByteModel model;
  // After 'a': 'b' three times out of four.
  for (char next : {'b', 'b', 'b', 'c'})
    model.count('a', static_cast<uint8_t>(next));
  model.finish();
  for (int byte : {int('a'), int('z')}) {
    double sum = 0;
    for (int next = 0; next < 256; ++next)
      sum += std::exp(-model.getLoss(static_cast<uint8_t>(byte), static_cast<uint8_t>(next)));
    EXPECT_NEAR(sum, 1, 1e-12);
  }
  // (3 + (3 + 1) / 260) / 5
  EXPECT_NEAR(std::exp(-model.getLoss('a', 'b')), (3 + 4.0 / 260) / 5, 1e-12);
  EXPECT_NEAR(std::exp(-model.getLoss('a', 'x')), (1.0 / 260) / 5, 1e-12);
  // Nothing is known after 'z' but how often bytes occur.
  EXPECT_NEAR(std::exp(-model.getLoss('z', 'b')), 4.0 / 260, 1e-12);
}

TEST(TextSampler, PicksByProbability) {
  std::vector<float> logits = {0, std::log(2.0f), std::log(5.0f)};
  // Cumulative probabilities 1/8, 3/8, 1.
  EXPECT_EQ(pickToken(logits, 1, 0.1), 0u);
  EXPECT_EQ(pickToken(logits, 1, 0.13), 1u);
  EXPECT_EQ(pickToken(logits, 1, 0.37), 1u);
  EXPECT_EQ(pickToken(logits, 1, 0.38), 2u);
  EXPECT_EQ(pickToken(logits, 1, 1.0), 2u);
  // Cold: always the likeliest.
  EXPECT_EQ(pickToken(logits, 0.01, 0.001), 2u);
}

TEST(ProcessMemory, WhatIsAvailableIsLessThanThereIs) {
  std::optional<int64_t> available = getAvailableMemory();
  ASSERT_TRUE(available);
  EXPECT_GT(*available, 0);
  EXPECT_LT(*available, sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE));
}
