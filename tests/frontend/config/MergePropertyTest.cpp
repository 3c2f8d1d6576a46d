//===- MergePropertyTest.cpp - Rules of merging, on random mappings -------===//

#include "frontend/config/yaml/Merge.h"

#include <gtest/gtest.h>

#include <random>

using namespace primus::config;

namespace {

/// Makes mappings over few keys, so that they meet. Every value is marked with the mapping's own number as its line.
class Generator {
public:
  explicit Generator(uint64_t seed) : random(seed) {}

  /// `fixedKinds`: whether a key holds a mapping or something else depends on its name alone.
  Map map(int line, bool fixedKinds, int depth = 3) {
    Map result;
    for (int i = 0, count = static_cast<int>(random() % 5); i < count; ++i) {
      int name = static_cast<int>(random() % 6);
      bool isMap = depth > 0 && (fixedKinds ? name < 3 : random() % 3 == 0);
      Location at{nullptr, line, 0, Layer::Experiment};
      Value value = isMap ? Value(map(line, fixedKinds, depth - 1), at) : leaf(at);
      // At the bottom a fixed kind can't be kept, so the key is left out.
      if (fixedKinds && name < 3 && !isMap)
        continue;
      result.insert_or_assign(std::string(1, static_cast<char>('a' + name)), Entry{at, std::move(value)});
    }
    return result;
  }

private:
  Value leaf(const Location &at) {
    switch (random() % 6) {
    case 0:
      return Value(static_cast<int64_t>(random() % 10), at);
    case 1:
      return Value(random() % 2 == 0, at);
    case 2:
      return Value(std::string("null"), at);
    case 3:
      return Value::null(at);
    case 4:
      return Value(List{Value(static_cast<int64_t>(random() % 3)), Value(std::string("x"))}, at);
    default:
      return Value(std::string("text"), at);
    }
  }

  std::mt19937_64 random;
};

std::string merge(Map base, const Map &over, const MergeOptions &options = {}) {
  mergeMap(base, over, options);
  return Value(std::move(base)).str();
}

/// What a merge has to give, key by key.
void expectMerged(const Map &base, const Map &over, const Map &merged, bool nullStrings) {
  for (const auto &[key, entry] : base)
    if (!over.contains(key))
      EXPECT_EQ(merged.find(key)->second.value.str(), entry.value.str());
  for (const auto &[key, entry] : over) {
    auto below = base.find(key);
    const Value &result = merged.find(key)->second.value;
    if (below != base.end() && below->second.value.isMap() && entry.value.isMap())
      expectMerged(*below->second.value.asMap(), *entry.value.asMap(), *result.asMap(), nullStrings);
    else if (nullStrings && entry.value.asString() && *entry.value.asString() == "null")
      EXPECT_TRUE(result.isNull()) << key;
    else
      EXPECT_EQ(result.str(), entry.value.str()) << key;
  }
  for (const auto &[key, entry] : merged)
    EXPECT_TRUE(base.contains(key) || over.contains(key)) << key;
}

TEST(MergeProperty, EachKeyComesFromTheStrongerSide) {
  Generator generator(1);
  for (int i = 0; i < 2000; ++i) {
    Map base = generator.map(1, false), over = generator.map(2, false);
    for (bool nullStrings : {false, true}) {
      Map merged = base;
      mergeMap(merged, over, {nullStrings, nullptr});
      expectMerged(base, over, merged, nullStrings);
    }
  }
}

TEST(MergeProperty, NothingIsNeutralAndTheSameChangesNothing) {
  Generator generator(2);
  for (int i = 0; i < 2000; ++i) {
    Map map = generator.map(1, false);
    EXPECT_EQ(merge(map, {}), Value(map).str());
    EXPECT_EQ(merge({}, map), Value(map).str());
    EXPECT_EQ(merge(map, map), Value(map).str());
  }
}

/// Where a key is a mapping in all layers or in none. Otherwise the order of merging matters.
TEST(MergeProperty, MergingIsAssociativeWhereKindsAgree) {
  Generator generator(3);
  for (int i = 0; i < 2000; ++i) {
    Map a = generator.map(1, true), b = generator.map(2, true), c = generator.map(3, true);
    Map left = a, right = b;
    mergeMap(left, b);
    mergeMap(right, c);
    EXPECT_EQ(merge(left, c), merge(a, right));
  }
  auto entry = [](Value value) { return Entry{{}, std::move(value)}; };
  Map one{{"k", entry(Value(Map{{"x", entry(Value(int64_t(1)))}}))}}, two{{"k", entry(Value(int64_t(5)))}},
      three{{"k", entry(Value(Map{{"y", entry(Value(int64_t(2)))}}))}};
  Map left = one, right = two;
  mergeMap(left, two);
  mergeMap(right, three);
  EXPECT_EQ(merge(left, three), R"({"k":{"y":2}})");
  EXPECT_EQ(merge(one, right), R"({"k":{"x":1,"y":2}})");
}

/// Keys of both sides, except where both hold mappings.
size_t countReplaced(const Map &base, const Map &over) {
  size_t count = 0;
  for (const auto &[key, entry] : over) {
    auto below = base.find(key);
    if (below == base.end())
      continue;
    bool maps = below->second.value.isMap() && entry.value.isMap();
    count += maps ? countReplaced(*below->second.value.asMap(), *entry.value.asMap()) : 1;
  }
  return count;
}

/// What lost is noted with what beat it, and nothing else is.
TEST(MergeProperty, HiddenValuesAreThoseThatWereReplaced) {
  Generator generator(4);
  for (int i = 0; i < 2000; ++i) {
    Map base = generator.map(1, false), over = generator.map(2, false), merged = base;
    std::vector<Hidden> hidden;
    mergeMap(merged, over, {/*nullStrings=*/false, &hidden});
    for (const Hidden &entry : hidden) {
      EXPECT_EQ(findPath(base, entry.key)->str(), entry.value.str());
      EXPECT_EQ(entry.value.location().line, 1);
      EXPECT_EQ(entry.winner.line, 2);
      EXPECT_EQ(findPath(merged, entry.key)->location().line, 2);
    }
    EXPECT_EQ(hidden.size(), countReplaced(base, over));
  }
}

} // namespace
