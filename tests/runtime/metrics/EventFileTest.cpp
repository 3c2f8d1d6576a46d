//===- EventFileTest.cpp - Metrics for TensorBoard ------------------------===//

#include "runtime/metrics/EventFile.h"

#include "runtime/metrics/TensorBoardEvent.pb.h"
#include "tests/runtime/TrainFixture.h"

#include <cstring>
#include <filesystem>
#include <gtest/gtest.h>

using namespace primus;
using namespace primus::runtime;
using namespace primus::test;

TEST(EventFile, ChecksumsAreCastagnolis) {
  // RFC 3720, appendix B.4: 32 bytes of zeros, of ones, and counting up.
  std::string counting;
  for (char i = 0; i < 32; ++i)
    counting += i;
  EXPECT_EQ(computeCrc32c(std::string(32, '\0')), 0x8A9136AAu);
  EXPECT_EQ(computeCrc32c(std::string(32, '\xff')), 0x62A8AB43u);
  EXPECT_EQ(computeCrc32c(counting), 0x46DD794Eu);
  EXPECT_EQ(computeCrc32c("123456789"), 0xE3069283u);
}

/// The records' data, with all checksums compared.
static std::vector<std::string> readRecords(const std::string &bytes) {
  std::vector<std::string> records;
  for (size_t at = 0; at < bytes.size();) {
    uint64_t length;
    std::memcpy(&length, bytes.data() + at, sizeof(length));
    records.push_back(bytes.substr(at + 12, length));
    EXPECT_EQ(bytes.substr(at, 16 + length), makeTfRecord(records.back()));
    at += 16 + length;
  }
  return records;
}

using EventFileTrain = TrainFixture;

TEST_F(EventFileTrain, HasARecordForEachStepOfTheInterval) {
  executable.mutable_training()->set_tensorboard_folder(folder / "events/run");
  executable.mutable_training()->set_tensorboard_interval(5);
  ASSERT_EQ(train({"--metrics", folder / "m.jsonl"}), 0) << output;
  std::filesystem::directory_iterator file(folder / "events/run");
  EXPECT_TRUE(file->path().filename().string().starts_with("events.out.tfevents.")) << file->path();
  std::vector<std::string> records = readRecords(readFile(file->path()));
  ASSERT_EQ(records.size(), 5u);
  tensorboard::Event event;
  ASSERT_TRUE(event.ParseFromString(records[0]));
  EXPECT_EQ(event.file_version(), "brain.Event:2");
  std::vector<nlohmann::json> metrics = readMetrics("m.jsonl");
  for (size_t i = 1; i < records.size(); ++i) {
    ASSERT_TRUE(event.ParseFromString(records[i]));
    const nlohmann::json &expected = metrics[5 * i - 1];
    EXPECT_EQ(event.step(), expected["step"].get<int64_t>());
    bool hasValidation = expected.contains("validation_loss");
    ASSERT_EQ(event.summary().value_size(), hasValidation ? 6 : 5);
    for (const tensorboard::Value &value : event.summary().value())
      EXPECT_EQ(value.simple_value(), expected[value.tag()].get<float>()) << value.tag();
  }
}

TEST_F(EventFileTrain, AFolderThatCannotBeMadeIsAnError) {
  writeFile(folder / "file", "");
  executable.mutable_training()->set_tensorboard_folder(folder / "file/events");
  EXPECT_EQ(train(), 3);
  EXPECT_TRUE(says("cannot create the folder '" + (folder / "file/events") + "' for TensorBoard")) << output;
}
