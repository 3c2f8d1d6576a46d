//===- FoldLinesTest.cpp - Repeated layers of a text, shown once ----------===//

#include "frontend/dump/FoldLines.h"

#include "gtest/gtest.h"

using namespace primus::cli;

namespace {

const std::vector<std::string> kStems = {"layers."};

TEST(FoldLinesTest, FoldsLayersAndKeepsTheRest) {
  std::string text = "begin\n";
  for (int layer = 0; layer < 3; ++layer) {
    std::string name = "layers." + std::to_string(layer);
    text += "%" + name + "_" + std::to_string(10 + layer) + " = buffer offset " + std::to_string(64 * layer) + " \"" + name + ".x\" : memref<4x8xf32>\n";
    text += "call @f(%" + (layer ? "layers." + std::to_string(layer - 1) + "#0" : "embedding") + ") instance \"" + name + "\"\n";
  }
  text += "end\n";
  std::vector<FoldedLines> parts = foldLines(text, kStems);
  ASSERT_EQ(parts.size(), 3u);
  EXPECT_EQ(parts[0].text, "begin");
  EXPECT_EQ(parts[0].repeats, 1);
  EXPECT_EQ(parts[1].repeats, 3);
  EXPECT_EQ(parts[1].first, "layers.0");
  EXPECT_EQ(parts[1].last, "layers.2");
  EXPECT_EQ(parts[1].text, "%layers.0_10 = buffer offset 0 \"layers.0.x\" : memref<4x8xf32>\ncall @f(%embedding) instance \"layers.0\"");
  EXPECT_EQ(parts[2].text, "end");
}

TEST(FoldLinesTest, FoldsBackwards) {
  std::vector<FoldedLines> parts = foldLines("call \"layers.11\"\ncall \"layers.10\"\ncall \"layers.9\"\n", kStems);
  ASSERT_EQ(parts.size(), 1u);
  EXPECT_EQ(parts[0].repeats, 3);
  EXPECT_EQ(parts[0].first, "layers.11");
  EXPECT_EQ(parts[0].last, "layers.9");
}

TEST(FoldLinesTest, KeepsWhatDiffers) {
  // Another type, another instance twice, a step of another size, no instance at all.
  for (const char *text : {"\"layers.0\" : memref<4xf32>\n\"layers.1\" : memref<8xf32>", "\"layers.0\" : a\n\"layers.0\" : a", "x = 1\nx = 2",
                           "\"blocks.0\"\n\"blocks.1\""}) {
    std::vector<FoldedLines> parts = foldLines(text, kStems);
    ASSERT_EQ(parts.size(), 1u) << text;
    EXPECT_EQ(parts[0].repeats, 1) << text;
    EXPECT_EQ(parts[0].text, text);
  }
  std::vector<FoldedLines> parts = foldLines("\"layers.0\"\n\"layers.1\"\n\"layers.5\"\n", kStems);
  ASSERT_EQ(parts.size(), 2u);
  EXPECT_EQ(parts[0].repeats, 2);
  EXPECT_EQ(parts[1].text, "\"layers.5\"");
}

TEST(FoldLinesTest, OddTexts) {
  EXPECT_TRUE(foldLines("", kStems).empty());
  // Numbers that no layer has, ends inside of names, and blank lines.
  for (const char *text : {"layers.", "%", "a\n\nb", "layers.99999999999999999999999\nlayers.99999999999999999999998"}) {
    std::vector<FoldedLines> parts = foldLines(text, kStems);
    ASSERT_EQ(parts.size(), 1u) << text;
    EXPECT_EQ(parts[0].text, text);
  }
}

} // namespace
