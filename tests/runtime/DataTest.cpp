//===- DataTest.cpp - Tokens, splits and the order of samples -------------===//

#include "runtime/data/DataSet.h"
#include "runtime/data/Split.h"
#include "tests/runtime/TinyExecutable.h"

#include <algorithm>
#include <filesystem>
#include <gtest/gtest.h>
#include <numeric>
#include <set>

using namespace primus::runtime;
using namespace primus::test;

static Expected<std::unique_ptr<TokenSource>> openText(const std::string &path) {
  std::vector<std::string> paths = {path};
  return openText(paths);
}

static std::vector<int32_t> readTokens(const TokenSource &source, int64_t begin, size_t count) {
  std::vector<int32_t> tokens(count);
  source.read(begin, tokens);
  return tokens;
}

static std::string readText(const TokenSource &source) {
  std::vector<int32_t> tokens = readTokens(source, 0, static_cast<size_t>(source.getNumTokens()));
  return std::string(tokens.begin(), tokens.end());
}

//===----------------------------------------------------------------------===//
// Text and mock
//===----------------------------------------------------------------------===//

TEST(TextTokens, AFileIsItsBytes) {
  TemporaryFolder folder;
  writeFile(folder / "a.txt", "ab\xff\n");
  auto source = openText(folder / "a.txt");
  ASSERT_TRUE(source);
  EXPECT_EQ(readTokens(**source, 0, 4), (std::vector<int32_t>{'a', 'b', 255, '\n'}));
  EXPECT_EQ(readTokens(**source, 2, 1), (std::vector<int32_t>{255}));
  EXPECT_TRUE((*source)->isText());
}

TEST(TextTokens, AFolderIsItsFilesInOrderOfPath) {
  TemporaryFolder folder;
  std::filesystem::create_directories(folder / "b/deep");
  std::filesystem::create_directories(folder / ".git");
  writeFile(folder / "c.txt", "C");
  writeFile(folder / "b/deep/x", "xyz");
  writeFile(folder / "b/empty", "");
  writeFile(folder / "a.txt", "first");
  writeFile(folder / ".hidden", "no");
  writeFile(folder / ".git/config", "no");
  std::filesystem::create_symlink(folder / "a.txt", folder / "link");
  auto source = openText(folder.str());
  ASSERT_TRUE(source);
  EXPECT_EQ(readText(**source), "firstxyzC");
  EXPECT_EQ(readTokens(**source, 4, 4), (std::vector<int32_t>{'t', 'x', 'y', 'z'}));
}

TEST(TextTokens, SeveralPathsFollowOneAnother) {
  TemporaryFolder folder;
  writeFile(folder / "b", "first ");
  std::filesystem::create_directory(folder / "a");
  writeFile(folder / "a/x", "second");
  std::vector<std::string> paths = {folder / "b", folder / "a"};
  auto source = openText(paths);
  ASSERT_TRUE(source);
  EXPECT_EQ(readText(**source), "first second");
}

TEST(TextTokens, MissingFilesAreConfigurationErrors) {
  auto source = openText("/no/such/file");
  ASSERT_FALSE(source);
  EXPECT_EQ(source.takeError().getExitCode(), 2);
}

TEST(MockTokens, DependOnSeedAndPositionOnly) {
  auto mock = makeMock(5, 97), same = makeMock(5, 97), other = makeMock(6, 97);
  std::vector<int32_t> tokens = readTokens(*mock, 1000, 500);
  EXPECT_EQ(readTokens(*same, 1200, 300), std::vector<int32_t>(tokens.begin() + 200, tokens.end()));
  EXPECT_NE(readTokens(*other, 1000, 500), tokens);
  std::set<int32_t> values(tokens.begin(), tokens.end());
  EXPECT_GT(values.size(), 90u);
  EXPECT_GE(*values.begin(), 0);
  EXPECT_LT(*values.rbegin(), 97);
}

//===----------------------------------------------------------------------===//
// Megatron's indexed datasets
//===----------------------------------------------------------------------===//

template <typename T>
static void append(std::string &bytes, T value) {
  bytes.append(reinterpret_cast<const char *>(&value), sizeof(value));
}

namespace {

/// Writes an indexed dataset of sequences; `documents` are boundaries, empty for the older layout.
struct DatasetWriter {
  std::string index = std::string("MMIDIDX\0\0", 9), tokens;

  template <typename T>
  DatasetWriter(uint8_t code, const std::vector<std::vector<T>> &sequences, const std::vector<int64_t> &documents,
                bool modes = false) {
    append<uint64_t>(index, 1);
    append(index, code);
    append<uint64_t>(index, sequences.size());
    if (!documents.empty())
      append<uint64_t>(index, documents.size());
    std::string offsets;
    for (const std::vector<T> &sequence : sequences) {
      append(index, static_cast<int32_t>(sequence.size()));
      append(offsets, static_cast<int64_t>(tokens.size()));
      for (T token : sequence)
        append(tokens, token);
    }
    index += offsets;
    for (int64_t document : documents)
      append(index, document);
    if (modes)
      index += std::string(sequences.size(), '\0');
  }

  void write(const std::string &prefix) const {
    writeFile(prefix + ".idx", index);
    writeFile(prefix + ".bin", tokens);
  }
};

} // namespace

template <typename T>
static void checkIndexed(uint8_t code, bool modes, std::vector<int64_t> documents) {
  TemporaryFolder folder;
  std::vector<std::vector<T>> sequences = {{1, 2, 3}, {}, {4}, {5, 6, 7, 100}};
  DatasetWriter(code, sequences, documents, modes).write(folder / "d");
  auto source = openIndexed(folder / "d");
  ASSERT_TRUE(source) << source.takeError().getMessage();
  ASSERT_EQ((*source)->getNumTokens(), 8);
  EXPECT_EQ(readTokens(**source, 0, 8), (std::vector<int32_t>{1, 2, 3, 4, 5, 6, 7, 100}));
  EXPECT_EQ(readTokens(**source, 2, 3), (std::vector<int32_t>{3, 4, 5}));
  EXPECT_FALSE((*source)->isText());
}

TEST(IndexedTokens, EveryLayoutAndTokenType) {
  for (bool modes : {false, true}) {
    checkIndexed<uint8_t>(1, modes, {0, 2, 4});
    checkIndexed<int8_t>(2, modes, {0, 2, 4});
    checkIndexed<int16_t>(3, modes, {0, 2, 4});
    checkIndexed<int32_t>(4, modes, {0, 2, 4});
    checkIndexed<int64_t>(5, modes, {0, 2, 4});
    checkIndexed<uint16_t>(8, modes, {0, 2, 4});
  }
  checkIndexed<int32_t>(4, false, {});
}

TEST(IndexedTokens, TokensBeyondInt32AreNotCutOff) {
  TemporaryFolder folder;
  DatasetWriter(5, std::vector<std::vector<int64_t>>{{int64_t(1) << 32, 7, -3}}, {0, 1}).write(folder / "d");
  auto source = openIndexed(folder / "d");
  ASSERT_TRUE(source);
  EXPECT_EQ(readTokens(**source, 0, 3), (std::vector<int32_t>{-1, 7, -3}));
}

TEST(IndexedTokens, SplitsBetweenDocuments) {
  TemporaryFolder folder;
  std::vector<std::vector<int32_t>> sequences(100, std::vector<int32_t>(3, 1));
  sequences[98] = std::vector<int32_t>(50, 2);
  std::vector<int64_t> documents(101);
  std::iota(documents.begin(), documents.end(), 0);
  DatasetWriter(4, sequences, documents).write(folder / "d");
  auto source = openIndexed(folder / "d");
  ASSERT_TRUE(source);
  EXPECT_EQ((*source)->getSplitPosition(0.99), 98 * 3 + 50);
  EXPECT_EQ((*source)->getSplitPosition(0.5), 150);
  EXPECT_EQ((*source)->getSplitPosition(1), 99 * 3 + 50);
}

TEST(IndexedTokens, DamagedFilesAreRefused) {
  TemporaryFolder folder;
  DatasetWriter good(4, std::vector<std::vector<int32_t>>{{1, 2, 3}, {4, 5}}, {0, 1, 2});
  struct {
    size_t position;
    int64_t value;
    size_t size;
    const char *message;
  } changes[] = {
      {0, 0, 1, "MMIDIDX"},
      {9, 2, 8, "version 2"},
      {17, 7, 1, "data type code 7"},
      {18, INT64_MAX, 8, "truncated"},
      {18, 3, 8, ""},
      {26, int64_t(1) << 61, 8, "truncated"},
      {34, 4, 4, "sequence 0 of 4 tokens"},   // runs into the next sequence's end: 16 of 20 bytes are fine ...
      {34, 6, 4, "outside the .bin file"},    // ... but not 24
      {34, -1, 4, "sequence 0 of -1 tokens"},
      {42, -4, 8, "outside the .bin file"},
      {50, INT64_MAX, 8, "outside the .bin file"},
      {66, 3, 8, "document boundary"},
      {66, -1, 8, "document boundary"},
  };
  for (const auto &change : changes) {
    DatasetWriter damaged = good;
    std::memcpy(damaged.index.data() + change.position, &change.value, change.size);
    damaged.write(folder / "d");
    auto source = openIndexed(folder / "d");
    if (change.value == 4 && change.position == 34) {
      // Sequences may overlap; nothing is read outside the file.
      EXPECT_TRUE(source);
      continue;
    }
    ASSERT_FALSE(source) << change.message;
    Error error = source.takeError();
    EXPECT_EQ(error.getExitCode(), 3);
    EXPECT_NE(error.getMessage().find(change.message), std::string::npos) << error.getMessage();
    EXPECT_NE(error.getMessage().find("d.idx"), std::string::npos) << error.getMessage();
  }
  for (size_t size = 0; size < good.index.size(); ++size) {
    DatasetWriter truncated = good;
    truncated.index.resize(size);
    truncated.write(folder / "d");
    auto source = openIndexed(folder / "d");
    // What is left may look like the older layout or one without its last documents only by the exact size.
    EXPECT_FALSE(source) << size;
  }
  DatasetWriter shortTokens = good;
  shortTokens.tokens.pop_back();
  shortTokens.write(folder / "d");
  EXPECT_FALSE(openIndexed(folder / "d"));
}

//===----------------------------------------------------------------------===//
// Splits and samples
//===----------------------------------------------------------------------===//

TEST(Split, NormalisesWeights) {
  Expected<Split> split = parseSplit("969, 30, 1");
  ASSERT_TRUE(split);
  EXPECT_DOUBLE_EQ(split->trainingEnd, 0.969);
  EXPECT_DOUBLE_EQ(split->validationEnd, 0.999);
  split = parseSplit("99,1,0");
  EXPECT_DOUBLE_EQ(split->trainingEnd, 0.99);
  EXPECT_EQ(split->validationEnd, 1);
  split = parseSplit("3");
  EXPECT_EQ(split->trainingEnd, 1);
  for (const char *wrong : {"a", "1,2,3,4", "-1,2", "0,0,0", "99;1", "nan", "1,", "1e308,1e308"})
    EXPECT_FALSE(parseSplit(wrong)) << wrong;
}

TEST(Samples, EveryEpochVisitsEachSequenceOnce) {
  std::shared_ptr<const TokenSource> source = makeMock(1, 50);
  for (int64_t tokens : {17, 33, 160, 1003}) {
    Samples samples(source, 5, 5 + tokens, 16, 50, Samples::Order::Shuffled, /*seed=*/3);
    int64_t n = samples.getNumSequences();
    ASSERT_EQ(n, (tokens - 1) / 16);
    std::vector<int64_t> order[2];
    for (int64_t epoch = 0; epoch < 2; ++epoch) {
      std::set<int64_t> places;
      for (int64_t i = 0; i < n; ++i) {
        int64_t start = samples.getStart(epoch * n + i);
        EXPECT_GE(start, 5);
        EXPECT_LE(start + 16 + 1, 5 + tokens);
        places.insert(start / 16 * 16 + start % 16);
        order[epoch].push_back(start);
      }
      EXPECT_EQ(static_cast<int64_t>(places.size()), n);
      // All cuts of one epoch are alike, so that sequences do not overlap.
      EXPECT_EQ((*places.rbegin() - *places.begin()) % 16, 0);
      EXPECT_EQ(*places.rbegin() - *places.begin(), (n - 1) * 16);
    }
    if (n > 10) {
      EXPECT_NE(order[0], order[1]);
    }
  }
}

TEST(Samples, LabelsAreTheNextTokens) {
  std::shared_ptr<const TokenSource> source = makeMock(1, 50);
  Samples samples(source, 0, 1000, 16, 50, Samples::Order::Shuffled, 3);
  std::vector<int32_t> tokens(16), labels(16), again(16), ignored(16);
  ASSERT_FALSE(samples.read(7, tokens, labels));
  std::vector<int32_t> expected = readTokens(*source, samples.getStart(7), 17);
  EXPECT_TRUE(std::equal(tokens.begin(), tokens.end(), expected.begin()));
  EXPECT_TRUE(std::equal(labels.begin(), labels.end(), expected.begin() + 1));
  // A function of seed and index only.
  Samples same(source, 0, 1000, 16, 50, Samples::Order::Shuffled, 3), other(source, 0, 1000, 16, 50,
                                                                           Samples::Order::Shuffled, 4);
  ASSERT_FALSE(same.read(7, again, ignored));
  EXPECT_EQ(again, tokens);
  int differences = 0;
  for (int64_t i = 0; i < 10; ++i)
    differences += samples.getStart(i) != other.getStart(i);
  EXPECT_GT(differences, 5);
}

TEST(Samples, TokensOutsideTheVocabularyAreErrors) {
  std::shared_ptr<const TokenSource> source = makeMock(1, 50);
  Samples samples(source, 0, 1000, 16, 20, Samples::Order::Sequential, 3);
  std::vector<int32_t> tokens(16), labels(16);
  Error error = samples.read(0, tokens, labels);
  ASSERT_TRUE(error);
  EXPECT_NE(error.getMessage().find("outside the vocabulary of 20"), std::string::npos);
}

TEST(OpenData, TooFewTokensSayHowManyAreNeeded) {
  TemporaryFolder folder;
  writeFile(folder / "a.txt", std::string(100, 'x'));
  DataConfig config;
  config.kind = "text";
  config.paths = {folder / "a.txt"};
  config.split = "90,10,0";
  config.sequenceLength = 90;
  config.vocabulary = 256;
  std::string field;
  Expected<DataSet> data = openData(config, field);
  ASSERT_FALSE(data);
  Error error = data.takeError();
  EXPECT_EQ(error.getExitCode(), 2);
  EXPECT_EQ(field, "data.paths");
  EXPECT_NE(error.getMessage().find("has 90 tokens, but one sequence of 90 needs 91"), std::string::npos)
      << error.getMessage();

  config.sequenceLength = 80;
  config.needsValidation = true;
  data = openData(config, field);
  ASSERT_FALSE(data);
  EXPECT_EQ(field, "data.split");
  EXPECT_NE(data.takeError().getMessage().find("has 10 tokens"), std::string::npos);

  config.sequenceLength = 9;
  data = openData(config, field);
  ASSERT_TRUE(data);
  EXPECT_EQ(data->training.getEnd(), 90);
  ASSERT_TRUE(data->validation);
  EXPECT_EQ(data->validation->getBegin(), 90);
  EXPECT_EQ(data->validation->getEnd(), 100);

  writeFile(folder / "b.txt", std::string(20, 'y'));
  config.validationPaths = {folder / "b.txt"};
  data = openData(config, field);
  ASSERT_TRUE(data);
  EXPECT_EQ(data->training.getEnd(), 100);
  EXPECT_EQ(data->validation->getEnd(), 20);

  config.kind = "parquet";
  data = openData(config, field);
  ASSERT_FALSE(data);
  EXPECT_EQ(data.takeError().getExitCode(), 2);
}

TEST(OpenData, DetectsIndexedDatasets) {
  TemporaryFolder folder;
  writeFile(folder / "d.idx", "");
  for (const char *name : {"d", "d.bin", "d.idx"}) {
    std::string path = folder / name;
    EXPECT_EQ(detectDataKind(path), "indexed");
    EXPECT_EQ(path, folder / "d");
  }
  std::string path = folder / "e.txt";
  EXPECT_EQ(detectDataKind(path), "text");
  EXPECT_EQ(path, folder / "e.txt");
}
