//===- StagingBufferTest.cpp - Bytes on their way to another thread -------===//

#include "runtime/checkpoint/StagingBuffer.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <numeric>
#include <random>
#include <thread>

using namespace primus::runtime;

static std::vector<std::byte> makeBytes(size_t count, unsigned seed) {
  std::mt19937 engine(seed);
  std::vector<std::byte> bytes(count);
  std::ranges::generate(bytes, [&] { return static_cast<std::byte>(engine()); });
  return bytes;
}

/// Hands over all bytes, at most `most` at a time; false if the consumer gave up.
static bool produce(StagingBuffer &buffer, std::span<const std::byte> bytes, size_t most) {
  while (!bytes.empty()) {
    std::span<std::byte> free = buffer.reserve();
    if (free.empty())
      return false;
    size_t count = std::min({free.size(), most, bytes.size()});
    std::ranges::copy(bytes.first(count), free.begin());
    buffer.publish(count);
    bytes = bytes.subspan(count);
  }
  return true;
}

TEST(StagingBuffer, BytesArriveInOrderWhateverTheSizes) {
  for (size_t capacity : {1u, 7u, 64u, 1000u})
    for (size_t most : {1u, 13u, 4096u}) {
      StagingBuffer buffer(capacity);
      // Again and again, through the same memory.
      for (size_t count : {0u, 1u, 63u, 64u, 1000u, 3000u}) {
        std::vector<std::byte> bytes = makeBytes(count, static_cast<unsigned>(count)), received;
        buffer.start(count);
        std::thread consumer([&] {
          for (auto piece = buffer.next(); !piece.empty(); piece = buffer.next()) {
            size_t taken = std::min<size_t>(piece.size(), 17);
            received.insert(received.end(), piece.begin(), piece.begin() + static_cast<ptrdiff_t>(taken));
            buffer.release(taken);
          }
        });
        EXPECT_TRUE(produce(buffer, bytes, most));
        consumer.join();
        EXPECT_EQ(received, bytes) << capacity << " " << most << " " << count;
      }
    }
}

TEST(StagingBuffer, WhatFitsIsTakenAtOnce) {
  StagingBuffer buffer(100);
  buffer.start(100);
  // There is no consumer to wait for.
  EXPECT_TRUE(produce(buffer, makeBytes(100, 1), 9));
  EXPECT_EQ(buffer.next().size(), 100u);
}

TEST(StagingBuffer, NobodyWaitsForAThreadThatGaveUp) {
  StagingBuffer buffer(8);
  buffer.start(100);
  std::thread consumer([&] {
    buffer.release(buffer.next().size());
    buffer.abandon();
  });
  EXPECT_FALSE(produce(buffer, makeBytes(100, 1), 3));
  consumer.join();

  buffer.start(100);
  std::thread producer([&] {
    std::ranges::fill(buffer.reserve(), std::byte());
    buffer.publish(2);
    buffer.abandon();
  });
  producer.join();
  EXPECT_TRUE(buffer.next().empty());
}
