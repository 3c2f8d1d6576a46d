//===- ProcessMemory.h - What a process's memory is used for --------------===//

#ifndef PRIMUS_RUNTIME_METRICS_PROCESSMEMORY_H
#define PRIMUS_RUNTIME_METRICS_PROCESSMEMORY_H

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace primus::runtime {

/// A purpose, with the address space that it takes and the memory that is present.
struct MemoryUse {
  std::string purpose; ///< arena, kernels, libraries, data, heap, stack, other
  int64_t mappedBytes = 0;
  int64_t residentBytes = 0;
};

/// Reads the kernel's figures for this process (/proc/self/smaps). `arena` is any address inside the arena. Libraries
/// include the program; data is every other file; heap is all other anonymous memory, threads' stacks included. Empty if
/// the kernel gives no figures.
std::vector<MemoryUse> getProcessMemory(const void *arena);

/// Memory that can be had without pushing others out: the kernel's estimate, and no more than the limit on this process's
/// control group leaves. Nothing if the kernel gives no figures.
std::optional<int64_t> getAvailableMemory();

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_METRICS_PROCESSMEMORY_H
