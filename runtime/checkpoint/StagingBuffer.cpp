//===- StagingBuffer.cpp - Bytes on their way to another thread -----------===//

#include "runtime/checkpoint/StagingBuffer.h"

#include <algorithm>

using namespace primus::runtime;

void StagingBuffer::start(size_t bytes) {
  total = bytes;
  published = released = 0;
  abandoned = false;
}

std::span<std::byte> StagingBuffer::reserve() {
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return abandoned || published - released < memory.size(); });
  if (abandoned)
    return {};
  size_t begin = published % memory.size();
  size_t bytes = std::min({memory.size() - (published - released), memory.size() - begin, total - published});
  return std::span(memory).subspan(begin, bytes);
}

void StagingBuffer::publish(size_t bytes) {
  {
    std::lock_guard lock(mutex);
    published += bytes;
  }
  changed.notify_all();
}

std::span<const std::byte> StagingBuffer::next() {
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return abandoned || released == total || released < published; });
  if (abandoned)
    return {};
  size_t begin = released % memory.size();
  return std::span(memory).subspan(begin, std::min(published - released, memory.size() - begin));
}

void StagingBuffer::release(size_t bytes) {
  {
    std::lock_guard lock(mutex);
    released += bytes;
  }
  changed.notify_all();
}

void StagingBuffer::abandon() {
  {
    std::lock_guard lock(mutex);
    abandoned = true;
  }
  changed.notify_all();
}
