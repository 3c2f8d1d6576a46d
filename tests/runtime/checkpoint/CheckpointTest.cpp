//===- CheckpointTest.cpp - Reading and writing checkpoints ---------------===//

#include "runtime/checkpoint/Checkpoint.h"
#include "runtime/checkpoint/CheckpointWriter.h"
#include "runtime/support/Checksum.h"
#include "tests/runtime/TinyExecutable.h"

#include <cstring>
#include <filesystem>
#include <functional>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <numeric>

using namespace primus::runtime;
using namespace primus::test;

static CheckpointTensor makeTensor(const std::string &name, std::vector<int64_t> shape, const std::string &role) {
  CheckpointTensor tensor;
  tensor.name = name;
  tensor.type = StoredType::I32;
  tensor.shape = std::move(shape);
  tensor.role = role;
  return tensor;
}

static std::vector<int32_t> count(size_t size, int32_t first = 0) {
  std::vector<int32_t> values(size);
  std::iota(values.begin(), values.end(), first);
  return values;
}

static std::vector<int32_t> read(const Checkpoint &checkpoint, const std::string &name, const TensorRegion &region) {
  int64_t elements = std::accumulate(region.shape.begin(), region.shape.end(), int64_t(1), std::multiplies<>());
  std::vector<int32_t> values(static_cast<size_t>(elements), -1);
  checkpoint.read(*checkpoint.find(name), region, [&](uint64_t offset, std::span<const std::byte> bytes) {
    ASSERT_LE(offset + bytes.size(), values.size() * sizeof(int32_t));
    std::memcpy(reinterpret_cast<std::byte *>(values.data()) + offset, bytes.data(), bytes.size());
  });
  return values;
}

static Expected<CheckpointWriter> createWriter(const std::string &folder, CheckpointIndex index = {}) {
  Expected<CheckpointDraft> draft = CheckpointDraft::create(folder, std::move(index));
  if (!draft)
    return draft.takeError();
  return CheckpointWriter::create(std::move(*draft));
}

/// A checkpoint of two tensors, 0 to 5 and 6 to 7.
static void writeCheckpoint(const std::string &folder) {
  CheckpointIndex index;
  index.state = {12, 96, 12, 0xffffffffffffffff, 1, {{"model.width", "64"}}};
  index.number = 3;
  // Not in the order of their names.
  index.tensors = {makeTensor("w", {2, 3}, "parameter"), makeTensor("m", {2}, "optimizer")};
  Expected<CheckpointWriter> writer = createWriter(folder, index);
  ASSERT_TRUE(writer);
  EXPECT_FALSE(std::filesystem::exists(folder));
  std::vector<int32_t> values = count(8);
  ASSERT_FALSE(writer->append(std::as_bytes(std::span(values))));
  ASSERT_FALSE(writer->finish());
}

static std::string getError(const std::string &folder) {
  Expected<Checkpoint> checkpoint = Checkpoint::open(folder);
  if (!checkpoint)
    return checkpoint.takeError().getMessage();
  Error error = checkpoint->verify();
  return error ? error.getMessage() : "";
}

TEST(Checkpoint, RoundTrip) {
  TemporaryFolder folder;
  writeCheckpoint(folder / "c/");
  Expected<Checkpoint> checkpoint = Checkpoint::open(folder / "c");
  ASSERT_TRUE(checkpoint) << checkpoint.takeError().getMessage();
  EXPECT_FALSE(checkpoint->verify());
  const CheckpointState &state = checkpoint->getState();
  EXPECT_EQ(state.step, 12);
  EXPECT_EQ(state.samples, 96);
  EXPECT_EQ(state.seed, 0xffffffffffffffff);
  EXPECT_EQ(state.settings.at("model.width"), "64");
  EXPECT_EQ(checkpoint->getIndex().number, 3);
  EXPECT_TRUE(checkpoint->getIndex().hasRole("optimizer"));
  EXPECT_EQ(checkpoint->find("w")->role, "parameter");
  EXPECT_EQ(read(*checkpoint, "w", {{0, 0}, {2, 3}}), count(6));
  EXPECT_EQ(read(*checkpoint, "w", {{1, 1}, {1, 2}}), count(2, 4));
  EXPECT_EQ(read(*checkpoint, "m", {{0}, {2}}), count(2, 6));
  EXPECT_FALSE(checkpoint->find("v"));
  // Nothing temporary is left.
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.str()), {}), 1);
}

TEST(Checkpoint, NoneIsReplacedAndAnUnfinishedOneLeavesNothing) {
  TemporaryFolder folder;
  writeCheckpoint(folder / "c");
  {
    Expected<CheckpointWriter> writer = createWriter(folder / "c");
    ASSERT_TRUE(writer);
    EXPECT_TRUE(writer->finish());
    Expected<CheckpointWriter> other = createWriter(folder / "d");
    EXPECT_TRUE(other);
  }
  EXPECT_EQ(getError(folder / "c"), "");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.str()), {}), 1);
  EXPECT_EQ(createWriter(folder / "no/c").takeError().getMessage(),
            "cannot write the checkpoint '" + folder / "no/c" + "': No such file or directory");
}

TEST(Checkpoint, AChangedByteAndATruncationAreFound) {
  TemporaryFolder folder;
  writeCheckpoint(folder / "c");
  for (const char *name : {"checkpoint.json", "rank-00000-of-00001.safetensors"}) {
    std::string path = folder / "c/" + name, bytes = readFile(path);
    for (size_t i = 0; i < bytes.size(); i += 7) {
      std::string damaged = bytes;
      damaged[i] ^= 1;
      writeFile(path, damaged);
      std::string message = getError(folder / "c");
      EXPECT_NE(message.find(name), std::string::npos) << "byte " << i << " of " << name << ": " << message;
      // A line feed at the end of the index says nothing.
      if (i + 1 == bytes.size() && bytes.back() == '\n')
        continue;
      writeFile(path, bytes.substr(0, i));
      EXPECT_NE(getError(folder / "c").find(name), std::string::npos) << i;
    }
    writeFile(path, bytes);
    EXPECT_EQ(getError(folder / "c"), "");
    std::filesystem::rename(path, path + ".away");
    EXPECT_NE(getError(folder / "c").find(name), std::string::npos);
    std::filesystem::rename(path + ".away", path);
  }
}

//===----------------------------------------------------------------------===//
// Several ranks
//===----------------------------------------------------------------------===//

/// A 4x6 tensor in three files: the left half of all rows, and the upper and lower right quarters.
static CheckpointIndex writeSlices(const TemporaryFolder &folder) {
  CheckpointIndex index;
  index.tensors = {makeTensor("w", {4, 6}, "parameter")};
  const TensorRegion regions[] = {{{0, 0}, {4, 3}}, {{0, 3}, {2, 3}}, {{2, 3}, {2, 3}}};
  for (const TensorRegion &region : regions) {
    size_t file = index.files.size();
    std::string name = "rank-" + std::to_string(file) + ".safetensors";
    Expected<SafetensorsWriter> writer =
        SafetensorsWriter::create(folder / name, {{"w", StoredType::I32, region.shape}});
    for (int64_t row = region.begin[0]; row < region.begin[0] + region.shape[0]; ++row) {
      std::vector<int32_t> values = count(3, static_cast<int32_t>(row * 6 + region.begin[1]));
      EXPECT_FALSE(writer->append(std::as_bytes(std::span(values))));
    }
    EXPECT_FALSE(writer->finish());
    index.files.push_back({name, writer->getFileBytes(), writer->getChecksum()});
    index.tensors[0].slices.push_back({region, file});
  }
  writeFile(folder / checkpointIndexName, printCheckpointIndex(index));
  return index;
}

TEST(Checkpoint, RegionsComeFromWhicheverFilesHoldThem) {
  TemporaryFolder folder;
  writeSlices(folder);
  Expected<Checkpoint> checkpoint = Checkpoint::open(folder.str());
  ASSERT_TRUE(checkpoint) << checkpoint.takeError().getMessage();
  EXPECT_FALSE(checkpoint->verify());
  // All regions that there are.
  for (int64_t top = 0; top < 4; ++top)
    for (int64_t bottom = top + 1; bottom <= 4; ++bottom)
      for (int64_t left = 0; left < 6; ++left)
        for (int64_t right = left + 1; right <= 6; ++right) {
          std::vector<int32_t> expected;
          for (int64_t row = top; row < bottom; ++row)
            for (int64_t column = left; column < right; ++column)
              expected.push_back(static_cast<int32_t>(row * 6 + column));
          EXPECT_EQ(read(*checkpoint, "w", {{top, left}, {bottom - top, right - left}}), expected);
        }
}

TEST(Checkpoint, AnIndexThatCannotBeIsRefused) {
  TemporaryFolder folder;
  CheckpointIndex valid = writeSlices(folder);
  const std::pair<const char *, std::function<void(CheckpointIndex &)>> cases[] = {
      {"do not cover it", [](CheckpointIndex &index) { index.tensors[0].slices.pop_back(); }},
      {"do not cover it", [](CheckpointIndex &index) { index.tensors[0].slices.clear(); }},
      {"overlap", [](CheckpointIndex &index) { index.tensors[0].slices[1].begin = {0, 2}; }},
      {"lie outside it", [](CheckpointIndex &index) { index.tensors[0].slices[1].begin = {3, 3}; }},
      {"have another rank", [](CheckpointIndex &index) { index.tensors[0].slices[1].begin = {3}; }},
      {"a file that there is not", [](CheckpointIndex &index) { index.tensors[0].slices[1].file = 3; }},
      {"I32[4x9223372036854775807]", [](CheckpointIndex &index) { index.tensors[0].shape[1] = INT64_MAX; }},
      {"not the name of a file in its folder", [](CheckpointIndex &index) { index.files[0].name = "../x"; }},
      {"not the name of a file in its folder", [](CheckpointIndex &index) { index.files[0].name = "rank-1.safetensors"; }},
      {"does not hold the slice", [](CheckpointIndex &index) { index.tensors[0].name = "v"; }},
      {"does not hold the slice", [](CheckpointIndex &index) { index.tensors[0].type = StoredType::F32; }},
      {"checksum does not match", [](CheckpointIndex &index) { index.files[2].checksum ^= 1; }},
      {"checksum does not match", [](CheckpointIndex &index) { index.files[2].bytes += 1; }},
      {"'step' that it cannot have", [](CheckpointIndex &index) { index.state.step = -1; }},
  };
  for (const auto &[expected, change] : cases) {
    CheckpointIndex index = valid;
    change(index);
    writeFile(folder / checkpointIndexName, printCheckpointIndex(index));
    EXPECT_NE(getError(folder.str()).find(expected), std::string::npos) << expected << ": " << getError(folder.str());
  }
}

TEST(Checkpoint, AnIndexOfOtherKindsIsRefused) {
  TemporaryFolder folder;
  auto valid = nlohmann::json::parse(printCheckpointIndex(writeSlices(folder)));
  auto getIndexError = [](const nlohmann::json &index) {
    Expected<CheckpointIndex> parsed = parseCheckpointIndex(index.dump());
    return parsed ? "" : parsed.takeError().getMessage();
  };
  ASSERT_EQ(getIndexError(valid), "");
  nlohmann::json other = valid;
  other["version"] = 2;
  EXPECT_EQ(getIndexError(other), "has version 2, this program reads version 1");
  other = valid;
  other["format"] = "something else";
  EXPECT_EQ(getIndexError(other), "is not the index of a checkpoint");
  // Every value in turn is missing or null, with a checksum that fits.
  std::function<void(nlohmann::json &)> spoil = [&](nlohmann::json &value) {
    for (auto &element : value) {
      nlohmann::json kept = std::exchange(element, nullptr);
      other["checksum"] = addToChecksum(0, other["content"].dump());
      EXPECT_NE(getIndexError(other), "") << other;
      element = kept;
      if (element.is_structured())
        spoil(element);
    }
  };
  other = valid;
  spoil(other["content"]);
  for (auto &[key, value] : valid["content"].items()) {
    other = valid;
    other["content"].erase(key);
    other["checksum"] = addToChecksum(0, other["content"].dump());
    EXPECT_EQ(getIndexError(other), "lacks '" + key + "'");
  }
}
