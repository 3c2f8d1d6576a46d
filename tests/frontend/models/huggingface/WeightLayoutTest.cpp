//===- WeightLayoutTest.cpp - From a checkpoint's layout to ours and back -===//

#include "frontend/models/huggingface/WeightLayout.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>

using namespace primus::models;
using namespace primus::models::huggingface;
using primus::runtime::Error;
using primus::runtime::StoredType;

namespace {

//===----------------------------------------------------------------------===//
// Layout
//===----------------------------------------------------------------------===//

/// Splits a tensor whose elements are 0, 1, 2... into parts of ours, and joins them again.
template <typename T>
std::map<std::string, std::vector<T>> splitAndJoin(const WeightTensor &tensor) {
  std::vector<T> source(size_t(tensor.getRows() * tensor.getColumns()));
  for (size_t i = 0; i < source.size(); ++i)
    source[i] = T(i);
  std::map<std::string, std::vector<T>> parts;
  Error split = splitTensor(tensor, sizeof(T), std::as_bytes(std::span(source)),
                            [&](const Parameter &part, int64_t first, std::span<const std::byte> elements) {
                              std::vector<T> &values = parts[part.name];
                              EXPECT_EQ(int64_t(values.size()), first);
                              values.resize(values.size() + elements.size() / sizeof(T));
                              std::memcpy(values.data() + first, elements.data(), elements.size());
                              return Error::success();
                            });
  EXPECT_FALSE(split);
  std::vector<T> joined;
  Error join = joinTensor(
      tensor, sizeof(T),
      [&](const Parameter &part, int64_t first, std::span<std::byte> elements) {
        std::memcpy(elements.data(), parts[part.name].data() + first, elements.size());
        return Error::success();
      },
      [&](std::span<const std::byte> bytes) {
        size_t before = joined.size();
        joined.resize(before + bytes.size() / sizeof(T));
        std::memcpy(joined.data() + before, bytes.data(), bytes.size());
        return Error::success();
      });
  EXPECT_FALSE(join);
  EXPECT_EQ(joined, source);
  return parts;
}

TEST(WeightLayout, StackedAndTransposed) {
  // [in 2, out 1 + 2]: columns are ours in rows.
  WeightTensor tensor = {"t", {2, 3}, true, {{"a", {1, 2}}, {"b", {2, 2}}}};
  auto parts = splitAndJoin<uint32_t>(tensor);
  EXPECT_EQ(parts["a"], (std::vector<uint32_t>{0, 3}));
  EXPECT_EQ(parts["b"], (std::vector<uint32_t>{1, 4, 2, 5}));
}

TEST(WeightLayout, StackedVectors) {
  WeightTensor tensor = {"t", {5}, false, {{"a", {2}}, {"b", {3}}}};
  auto parts = splitAndJoin<uint16_t>(tensor);
  EXPECT_EQ(parts["b"], (std::vector<uint16_t>{2, 3, 4}));
}

TEST(WeightLayout, PaddingIsLeftOut) {
  WeightTensor tensor = {"t", {3, 2}, false, {{"a", {8, 2}, /*padding=*/5}}};
  EXPECT_EQ(splitAndJoin<uint64_t>(tensor)["a"], (std::vector<uint64_t>{0, 1, 2, 3, 4, 5}));
}

/// More than one piece, in odd sizes.
TEST(WeightLayout, LargeTensors) {
  splitAndJoin<uint32_t>({"t", {1500, 1501}, false, {{"a", {701, 1501}}, {"b", {799, 1501}}}});
  splitAndJoin<uint32_t>({"t", {1501, 1500}, true, {{"a", {701, 1501}}, {"b", {799, 1501}}}});
}

//===----------------------------------------------------------------------===//
// Types
//===----------------------------------------------------------------------===//

/// All 65536 values, infinities and NaNs included, come back bit for bit.
TEST(WeightLayout, HalvesSurviveFloats) {
  std::vector<uint16_t> halves(65536), back(halves.size());
  for (size_t i = 0; i < halves.size(); ++i)
    halves[i] = uint16_t(i);
  std::vector<float> floats(halves.size());
  for (StoredType type : {StoredType::F16, StoredType::BF16}) {
    convertToFloat(type, std::as_bytes(std::span(halves)), floats);
    convertFromFloat(type, floats, std::as_writable_bytes(std::span(back)));
    EXPECT_EQ(back, halves);
  }
}

float toFloat(StoredType type, uint16_t bits) {
  float value;
  convertToFloat(type, std::as_bytes(std::span(&bits, 1)), std::span(&value, 1));
  return value;
}

uint16_t fromFloat(StoredType type, float value) {
  uint16_t bits;
  convertFromFloat(type, std::span(&value, 1), std::as_writable_bytes(std::span(&bits, 1)));
  return bits;
}

TEST(WeightLayout, ValuesOfHalves) {
  EXPECT_EQ(toFloat(StoredType::F16, 0x3c00), 1.0f);
  EXPECT_EQ(toFloat(StoredType::F16, 0xc500), -5.0f);
  EXPECT_EQ(toFloat(StoredType::F16, 0x0001), 0x1p-24f);
  EXPECT_EQ(toFloat(StoredType::F16, 0x7bff), 65504.0f);
  EXPECT_EQ(toFloat(StoredType::F16, 0xfc00), -INFINITY);
  EXPECT_EQ(toFloat(StoredType::BF16, 0x3f80), 1.0f);
  EXPECT_TRUE(std::signbit(toFloat(StoredType::F16, 0x8000)));
}

/// Every float that lies between two neighbours goes to the nearer one, and in the middle to the even one.
TEST(WeightLayout, FloatsRoundToNearestEven) {
  for (StoredType type : {StoredType::F16, StoredType::BF16}) {
    uint16_t infinity = type == StoredType::F16 ? 0x7c00 : 0x7f80;
    for (uint16_t low = 0; low + 1 < infinity; ++low) {
      float a = toFloat(type, low), b = toFloat(type, low + 1), middle = float((double(a) + double(b)) / 2);
      uint16_t even = low % 2 ? low + 1 : low;
      ASSERT_EQ(fromFloat(type, middle), even) << low;
      ASSERT_EQ(fromFloat(type, std::nextafterf(middle, a)), low) << low;
      ASSERT_EQ(fromFloat(type, std::nextafterf(middle, b)), low + 1) << low;
      ASSERT_EQ(fromFloat(type, -middle), even | 0x8000) << low;
    }
  }
  EXPECT_EQ(fromFloat(StoredType::F16, 65519.9f), 0x7bff);
  EXPECT_EQ(fromFloat(StoredType::F16, 65520.0f), 0x7c00);
  EXPECT_EQ(fromFloat(StoredType::BF16, 3.4e38f), 0x7f80);
  // A NaN whose payload lies in the bits that go is still one.
  float nan = std::bit_cast<float>(0x7f800001u);
  EXPECT_TRUE(std::isnan(toFloat(StoredType::F16, fromFloat(StoredType::F16, nan))));
  EXPECT_TRUE(std::isnan(toFloat(StoredType::BF16, fromFloat(StoredType::BF16, nan))));
}

TEST(WeightLayout, DoublesAreRounded) {
  double source = 1.0 + 0x1p-40, back;
  float value;
  convertToFloat(StoredType::F64, std::as_bytes(std::span(&source, 1)), std::span(&value, 1));
  EXPECT_EQ(value, 1.0f);
  convertFromFloat(StoredType::F64, std::span(&value, 1), std::as_writable_bytes(std::span(&back, 1)));
  EXPECT_EQ(back, 1.0);
}

} // namespace
