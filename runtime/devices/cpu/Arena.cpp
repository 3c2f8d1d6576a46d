//===- Arena.cpp - One mapping for all tensors ----------------------------===//

#include "runtime/devices/cpu/Arena.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <fstream>
#include <string>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>

// Newer than the C library's headers of some systems that can run this; the kernel refuses what it does not know.
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

using namespace primus::runtime;

static constexpr size_t hugePage = size_t(2) << 20;

/// The memory that the system could give away now, by its own estimate; -1 if it does not say.
static int64_t getAvailableBytes() {
  std::ifstream file("/proc/meminfo");
  std::string key, unit;
  int64_t kilobytes;
  while (file >> key >> kilobytes) {
    if (key == "MemAvailable:")
      return kilobytes * 1024;
    std::getline(file, unit);
  }
  return -1;
}

static double toGiB(int64_t bytes) { return static_cast<double>(bytes) / (1 << 30); }

Expected<Arena> Arena::allocate(int64_t bytes) {
  int64_t available = getAvailableBytes();
  if (available >= 0 && bytes > available)
    return Error::failure(fmt::format("out of memory: the tensors need {:.2f} GiB and {:.2f} GiB are available; choose a "
                                      "smaller micro batch, a shorter sequence or recomputation",
                                      toGiB(bytes), toGiB(available)));

  size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  size_t mappedBytes = std::max(page, (static_cast<size_t>(bytes) + page - 1) / page * page);
  // Map enough to cut out a piece that starts on a huge page.
  size_t slack = mappedBytes >= hugePage ? hugePage : 0;
  void *mapping = mmap(nullptr, mappedBytes + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED)
    return Error::failure(
        fmt::format("out of memory: cannot map {:.2f} GiB for tensors: {}", toGiB(bytes), std::strerror(errno)));
  auto *data = static_cast<std::byte *>(mapping);
  if (slack) {
    size_t before = (hugePage - reinterpret_cast<uintptr_t>(mapping) % hugePage) % hugePage;
    if (before)
      munmap(data, before);
    data += before;
    if (slack > before)
      munmap(data + mappedBytes, slack - before);
    (void)madvise(data, mappedBytes, MADV_HUGEPAGE);
  }
  // Leaves tensors out of core dumps, and so keeps the kernel from joining the mapping with a neighbour: its figures for
  // the arena stay the arena's.
  (void)madvise(data, mappedBytes, MADV_DONTDUMP);
  // All of it now, so that no step waits for the kernel.
  (void)madvise(data, mappedBytes, MADV_POPULATE_WRITE);
  return Arena(data, bytes, mappedBytes);
}

Arena::Arena(Arena &&other) noexcept
    : data(std::exchange(other.data, nullptr)), bytes(other.bytes), mappedBytes(other.mappedBytes) {}

Arena &Arena::operator=(Arena &&other) noexcept {
  std::swap(data, other.data);
  std::swap(bytes, other.bytes);
  std::swap(mappedBytes, other.mappedBytes);
  return *this;
}

Arena::~Arena() {
  if (data)
    munmap(data, mappedBytes);
}
