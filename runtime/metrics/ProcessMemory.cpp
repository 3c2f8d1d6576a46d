//===- ProcessMemory.cpp - What a process's memory is used for ------------===//

#include "runtime/metrics/ProcessMemory.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string_view>

using namespace primus::runtime;

/// The purpose of a mapping that is not the arena, by the name that the kernel gives it.
static std::string_view getPurpose(const std::string &name, const std::string &program) {
  if (name.empty() || name == "[heap]")
    return "heap";
  if (name == "[stack]")
    return "stack";
  if (name.find("memfd:primus-kernels") != std::string::npos)
    return "kernels";
  if (name == program || name.find(".so") != std::string::npos)
    return "libraries";
  return name[0] == '/' ? "data" : "other";
}

std::vector<MemoryUse> primus::runtime::getProcessMemory(const void *arena) {
  std::ifstream file("/proc/self/smaps");
  if (!file)
    return {};
  std::error_code code;
  std::string program = std::filesystem::read_symlink("/proc/self/exe", code).string();
  std::vector<MemoryUse> uses;
  for (const char *purpose : {"arena", "kernels", "libraries", "data", "heap", "stack", "other"})
    uses.push_back({purpose, 0, 0});

  auto address = reinterpret_cast<uintptr_t>(arena);
  // The zero-initialised data of a program or library is an unnamed mapping that follows its named ones.
  uintptr_t previousEnd = 0;
  bool previousIsLibrary = false;
  MemoryUse *use = nullptr;
  std::string line;
  while (std::getline(file, line)) {
    unsigned long begin, end, kilobytes;
    int nameOffset = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx %*s %*x %*s %*u %n", &begin, &end, &nameOffset) == 2) {
      std::string name = line.substr(static_cast<size_t>(nameOffset));
      std::string_view purpose = getPurpose(name, program);
      if (name.empty() && previousIsLibrary && begin == previousEnd)
        purpose = "libraries";
      if (address >= begin && address < end)
        purpose = "arena";
      previousEnd = end;
      previousIsLibrary = purpose == "libraries";
      for (MemoryUse &candidate : uses)
        if (candidate.purpose == purpose)
          use = &candidate;
      use->mappedBytes += static_cast<int64_t>(end - begin);
    } else if (use && std::sscanf(line.c_str(), "Rss: %lu kB", &kilobytes) == 1) {
      use->residentBytes += static_cast<int64_t>(kilobytes) * 1024;
    }
  }
  return uses;
}

/// The number that a file begins with. Nothing if there is no file, or it says "max".
static std::optional<int64_t> readNumber(const char *path) {
  std::ifstream file(path);
  int64_t number;
  return file >> number ? std::optional(number) : std::nullopt;
}

std::optional<int64_t> primus::runtime::getAvailableMemory() {
  std::ifstream file("/proc/meminfo");
  std::optional<int64_t> available;
  for (std::string line; !available && std::getline(file, line);)
    if (long long kilobytes; std::sscanf(line.c_str(), "MemAvailable: %lld kB", &kilobytes) == 1)
      available = kilobytes * 1024;
  std::optional<int64_t> limit = readNumber("/sys/fs/cgroup/memory.max"),
                         used = readNumber("/sys/fs/cgroup/memory.current");
  if (!available || !limit || !used)
    return available;
  // Cached files go when memory is needed.
  std::ifstream statistics("/sys/fs/cgroup/memory.stat");
  for (std::string line; std::getline(statistics, line);)
    if (long long cached; std::sscanf(line.c_str(), "file %lld", &cached) == 1)
      *used -= cached;
  return std::clamp<int64_t>(*limit - *used, 0, *available);
}
