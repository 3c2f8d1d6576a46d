//===- SafetensorsFolderTest.cpp - A model's safetensors files ------------===//

#include "runtime/checkpoint/SafetensorsFolder.h"
#include "runtime/checkpoint/SafetensorsWriter.h"
#include "tests/runtime/TinyExecutable.h"

#include <filesystem>
#include <gtest/gtest.h>

using namespace primus::runtime;
using namespace primus::test;

namespace {

class Folder : public testing::Test {
protected:
  /// A file with tensors of one byte, which is the last character of their name.
  void writeShard(const std::string &name, const std::vector<std::string> &tensors) {
    std::vector<TensorDescription> descriptions;
    std::string content;
    for (const std::string &tensor : tensors) {
      descriptions.push_back({tensor, StoredType::U8, {1}});
      content += tensor.back();
    }
    Expected<SafetensorsWriter> writer = SafetensorsWriter::create(folder / name, descriptions);
    ASSERT_TRUE(writer);
    ASSERT_FALSE(writer->append(std::as_bytes(std::span(content))));
    ASSERT_FALSE(writer->finish());
  }

  void writeIndex(const std::string &json) { writeFile(folder / "model.safetensors.index.json", json); }

  /// What is wrong with the folder, or "".
  std::string getError() {
    Expected<SafetensorsFolder> opened = SafetensorsFolder::open(folder.str());
    return opened ? "" : opened.takeError().getMessage();
  }

  bool says(const std::string &text) { return getError().find(text) != std::string::npos; }

  TemporaryFolder folder;
};

} // namespace

TEST_F(Folder, OneFile) {
  writeShard("model.safetensors", {"x.a", "x.b"});
  Expected<SafetensorsFolder> opened = SafetensorsFolder::open(folder.str());
  ASSERT_TRUE(opened) << opened.takeError().getMessage();
  EXPECT_EQ(opened->getTensors().size(), 2u);
  ASSERT_TRUE(opened->find("x.b"));
  EXPECT_EQ(opened->find("x.b")->getBytes()[0], std::byte{'b'});
  EXPECT_FALSE(opened->find("x.c"));
}

TEST_F(Folder, ShardsAndAnIndex) {
  writeShard("model-1.safetensors", {"x.a", "x.b"});
  writeShard("elsewhere", {"x.c"});
  std::filesystem::create_symlink("elsewhere", folder / "model-2.safetensors");
  writeIndex(R"({"metadata": {"total_size": 3}, "weight_map":
    {"x.a": "model-1.safetensors", "x.c": "model-2.safetensors", "x.b": "model-1.safetensors"}})");
  Expected<SafetensorsFolder> opened = SafetensorsFolder::open(folder.str());
  ASSERT_TRUE(opened) << opened.takeError().getMessage();
  for (const char *name : {"x.a", "x.b", "x.c"})
    EXPECT_EQ(opened->find(name)->getBytes()[0], std::byte(name[2]));
}

TEST_F(Folder, NamesThatLeaveTheFolderAreRefused) {
  std::filesystem::create_directory(folder / "sub");
  for (const char *name : {"../outside.safetensors", "/etc/passwd", "sub/a.safetensors", "..", ".", "", "a\\\\b",
                           "a\\u0000.safetensors"}) {
    writeIndex(std::string(R"({"weight_map": {"x.a": ")") + name + "\"}}");
    EXPECT_TRUE(says("index.json' puts tensor 'x.a' into the file ")) << name << ": " << getError();
  }
  writeIndex(R"({"weight_map": {"x.a": 3}})");
  EXPECT_TRUE(says("into the file 3"));
}

TEST_F(Folder, WhatIsMissingIsListed) {
  EXPECT_TRUE(says("neither model.safetensors nor an index")) << getError();
  writeShard("model-1.safetensors", {"x.a", "x.b", "x.e"});
  writeIndex(R"({"weight_map": {"x.a": "model-1.safetensors", "x.c": "model-2.safetensors", "x.d": "model-3.safetensors"}})");
  EXPECT_TRUE(says("not there: 'model-2.safetensors', 'model-3.safetensors'")) << getError();
  writeIndex(R"({"weight_map": {"x.a": "model-1.safetensors", "x.c": "model-1.safetensors", "x.d": "model-1.safetensors"}})");
  EXPECT_TRUE(says("'x.c in model-1.safetensors', 'x.d in model-1.safetensors'")) << getError();
  writeIndex(R"({"weight_map": {"x.a": "model-1.safetensors"}})");
  EXPECT_TRUE(says("does not name: 'x.b in model-1.safetensors', 'x.e in model-1.safetensors'")) << getError();
  writeFile(folder / "model-1.safetensors", "damaged");
  EXPECT_TRUE(says("model-1.safetensors' has 7 bytes")) << getError();
}

TEST_F(Folder, ADamagedIndexIsRefused) {
  for (const char *text : {"", "[]", "{}", R"({"weight_map": {}})", R"({"weight_map": []})"}) {
    writeIndex(text);
    EXPECT_TRUE(says("model.safetensors.index.json' ")) << text << ": " << getError();
  }
  writeIndex(R"({"weight_map": {"a": "x", "a": "y"}})");
  EXPECT_TRUE(says("has 'a' twice"));
  writeFile(folder / "other.safetensors.index.json", "{}");
  EXPECT_TRUE(says("several indices: 'model.safetensors.index.json', 'other.safetensors.index.json'")) << getError();
  EXPECT_NE(SafetensorsFolder::open(folder / "none").takeError().getMessage().find("/none': No such file"), std::string::npos);
}
