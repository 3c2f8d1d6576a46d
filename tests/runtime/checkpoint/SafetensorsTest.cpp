//===- SafetensorsTest.cpp - The safetensors format -----------------------===//

#include "runtime/checkpoint/SafetensorsFile.h"
#include "runtime/checkpoint/SafetensorsWriter.h"
#include "tests/runtime/TinyExecutable.h"

#include <cstring>
#include <filesystem>
#include <gtest/gtest.h>

using namespace primus::runtime;
using namespace primus::test;

/// A file with this header and `dataBytes` bytes of tensors.
static std::string makeFile(const std::string &header, size_t dataBytes) {
  uint64_t size = header.size();
  return std::string(reinterpret_cast<const char *>(&size), sizeof(size)) + header + std::string(dataBytes, 'x');
}

/// What is wrong with a file, or "".
static std::string getError(const std::string &bytes) {
  Expected<SafetensorsHeader> header = parseSafetensors(bytes);
  return header ? "" : header.takeError().getMessage();
}

static std::span<const std::byte> asBytes(std::string_view text) { return std::as_bytes(std::span(text)); }

TEST(Safetensors, ReadsWhatOthersWrite) {
  // Any order in the header, blanks at its end, a scalar, an empty tensor, metadata.
  std::string bytes = makeFile(R"({"b":{"dtype":"F32","shape":[],"data_offsets":[6,10]},"__metadata__":{"format":"pt"},)"
                               R"("e":{"shape":[3,0],"dtype":"I64","data_offsets":[6,6]},)"
                               R"("a":{"dtype":"BF16","shape":[3,1],"data_offsets":[0,6]}}   )",
                               10);
  Expected<SafetensorsHeader> header = parseSafetensors(bytes);
  ASSERT_TRUE(header) << header.takeError().getMessage();
  ASSERT_EQ(header->tensors.size(), 3u);
  EXPECT_EQ(header->tensors[0].name, "a");
  EXPECT_EQ(header->tensors[0].type, StoredType::BF16);
  EXPECT_EQ(header->tensors[0].shape, (std::vector<int64_t>{3, 1}));
  EXPECT_EQ(header->tensors[1].name, "e");
  EXPECT_EQ(header->tensors[2].str(), "F32[]");
  EXPECT_EQ(header->metadata.at("format"), "pt");
}

TEST(Safetensors, SaysWhatIsWrong) {
  auto entry = [](const std::string &fields) { return makeFile("{\"w\":{" + fields + "}}", 8); };
  const std::pair<std::string, const char *> cases[] = {
      {"", "0 bytes"},
      {std::string(7, '\0'), "7 bytes"},
      {makeFile("[]", 0), "not a safetensors file"},
      {std::string(8, '\xff') + "{}", "not a safetensors file"},
      {makeFile("{", 0), "not valid JSON"},
      {makeFile("{\"\xff\":1}", 0), "not valid JSON"},
      {makeFile("{\"a\":1e999}", 0), "not valid JSON"},
      {makeFile("{\"a\":" + std::string(1000, '[') + std::string(1000, ']') + "}", 0), "nested"},
      {makeFile(R"({"w":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"w":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})", 8),
       "'w' twice"},
      {makeFile(R"({"__metadata__":{"a":1}})", 0), "not a string"},
      {makeFile("{}", 1), "1 bytes after"},
      {entry(R"("dtype":"F32","shape":[2])"), "not an object of"},
      {entry(R"("dtype":"F31","shape":[2],"data_offsets":[0,8])"), "unknown dtype \"F31\""},
      {entry(R"("dtype":4,"shape":[2],"data_offsets":[0,8])"), "unknown dtype 4"},
      {entry(R"("dtype":"F32","shape":[-2],"data_offsets":[0,8])"), "shape"},
      {entry(R"("dtype":"F32","shape":[2.0],"data_offsets":[0,8])"), "shape"},
      {entry(R"("dtype":"F32","shape":2,"data_offsets":[0,8])"), "shape"},
      {entry(R"("dtype":"F32","shape":[2],"data_offsets":[8,0])"), "data_offsets"},
      {entry(R"("dtype":"F32","shape":[2],"data_offsets":[0])"), "data_offsets"},
      {entry(R"("dtype":"F32","shape":[3],"data_offsets":[0,12])"), "ends at byte 12 of 8"},
      {entry(R"("dtype":"F32","shape":[3],"data_offsets":[0,8])"), "F32[3] in 8 bytes"},
      // 2^62 * 4 elements of 4 bytes are 0 modulo 2^64.
      {entry(R"("dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0])"), "in 0 bytes"},
      {entry(R"("dtype":"U8","shape":[7],"data_offsets":[1,8])"), "at byte 1 where"},
      {makeFile(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[5],"data_offsets":[3,8]}})", 8),
       "at byte 3 where the one before it ends at 4"},
  };
  for (const auto &[bytes, expected] : cases)
    EXPECT_NE(getError(bytes).find(expected), std::string::npos) << expected << ": " << getError(bytes);
}

TEST(Safetensors, AllTypesInPieces) {
  TemporaryFolder folder;
  std::vector<TensorDescription> tensors;
  std::string content;
  for (int i = 0; i <= static_cast<int>(StoredType::U64); ++i) {
    auto type = static_cast<StoredType>(i);
    ASSERT_EQ(parseStoredType(toString(type)), type);
    tensors.push_back({std::string(toString(type)) + " \"ü\"", type, {3, 1}});
    content += std::string(3 * getElementBytes(type), static_cast<char>('a' + i));
  }
  Expected<SafetensorsWriter> writer = SafetensorsWriter::create(folder / "x.safetensors", tensors, {{"k", "v"}});
  ASSERT_TRUE(writer);
  for (size_t i = 0; i < content.size(); i += 5) {
    EXPECT_FALSE(std::filesystem::exists(folder / "x.safetensors"));
    ASSERT_FALSE(writer->append(asBytes(std::string_view(content).substr(i, 5))));
  }
  EXPECT_TRUE(writer->append(asBytes("y"))) << "one byte too many";
  ASSERT_FALSE(writer->finish());

  Expected<SafetensorsFile> file = SafetensorsFile::open(folder / "x.safetensors");
  ASSERT_TRUE(file) << file.takeError().getMessage();
  EXPECT_EQ(file->getFileBytes().size(), writer->getFileBytes());
  EXPECT_EQ(file->getMetadata().at("k"), "v");
  for (size_t i = 0; i < tensors.size(); ++i) {
    const StoredTensor *tensor = file->find(tensors[i].name);
    ASSERT_TRUE(tensor);
    EXPECT_EQ(tensor->type, tensors[i].type);
    std::span<const std::byte> bytes = file->getBytes(*tensor);
    ASSERT_EQ(bytes.size(), 3 * getElementBytes(tensor->type));
    file->release(*tensor);
    for (std::byte byte : bytes)
      EXPECT_EQ(static_cast<char>(byte), static_cast<char>('a' + i));
  }
  EXPECT_FALSE(file->find("none"));
}

TEST(Safetensors, AnUnfinishedFileLeavesNothing) {
  TemporaryFolder folder;
  {
    Expected<SafetensorsWriter> writer = SafetensorsWriter::create(folder / "x", {{"a", StoredType::U8, {4}}});
    ASSERT_TRUE(writer);
    EXPECT_TRUE(writer->finish());
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.str()));
  auto refuses = [&](std::vector<TensorDescription> tensors) {
    return !SafetensorsWriter::create(folder / "x", tensors);
  };
  EXPECT_TRUE(refuses({{"a", StoredType::U8, {1}}, {"a", StoredType::U8, {1}}}));
  EXPECT_TRUE(refuses({{"__metadata__", StoredType::U8, {1}}}));
  EXPECT_TRUE(refuses({{"a", StoredType::F64, {INT64_MAX, 2}}}));
  EXPECT_TRUE(refuses({{"a", StoredType::U8, {-1}}}));
  EXPECT_TRUE(std::filesystem::is_empty(folder.str()));
}

TEST(Safetensors, AFailureNamesThePath) {
  Expected<SafetensorsWriter> writer = SafetensorsWriter::create("/nowhere/at/all", {{"a", StoredType::U8, {1}}});
  ASSERT_FALSE(writer);
  EXPECT_EQ(writer.takeError().getMessage(), "cannot write '/nowhere/at/all': No such file or directory");
}
