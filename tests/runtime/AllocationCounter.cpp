//===- AllocationCounter.cpp - Counts a process's allocations -------------===//
//
// Preloaded into a process (LD_PRELOAD), it stands before the C library's allocation functions and mmap, and counts
// every call of every thread. A test reads the count through the dynamic linker.
//
//===----------------------------------------------------------------------===//

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <dlfcn.h>
#include <sys/mman.h>

#define EXPORT extern "C" __attribute__((visibility("default")))

extern "C" {
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *pointer, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
}

static std::atomic<int64_t> allocations = 0;

EXPORT int64_t primus_count_allocations() { return allocations; }

EXPORT void *malloc(size_t size) {
  ++allocations;
  return __libc_malloc(size);
}

EXPORT void *calloc(size_t count, size_t size) {
  ++allocations;
  return __libc_calloc(count, size);
}

EXPORT void *realloc(void *pointer, size_t size) {
  ++allocations;
  return __libc_realloc(pointer, size);
}

EXPORT void *memalign(size_t alignment, size_t size) {
  ++allocations;
  return __libc_memalign(alignment, size);
}

EXPORT void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }

EXPORT int posix_memalign(void **pointer, size_t alignment, size_t size) {
  *pointer = memalign(alignment, size);
  return *pointer ? 0 : 12 /* ENOMEM */;
}

EXPORT void *mmap(void *address, size_t length, int protection, int flags, int descriptor, off_t offset) {
  ++allocations;
  using Function = void *(*)(void *, size_t, int, int, int, off_t);
  static auto real = reinterpret_cast<Function>(dlsym(RTLD_NEXT, "mmap"));
  return real(address, length, protection, flags, descriptor, offset);
}
