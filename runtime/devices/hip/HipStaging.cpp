//===- HipStaging.cpp - Copies between host and GPU -----------------------===//

#include "runtime/devices/hip/HipStaging.h"

#include <algorithm>
#include <cstring>

using namespace primus::runtime;
using namespace primus::runtime::hip;

Expected<std::unique_ptr<Staging>> Staging::create(Context &context) {
  std::unique_ptr<Staging> staging(new Staging(context));
  if (Error error = staging->initialize())
    return error;
  return staging;
}

Error Staging::initialize() {
  const Library &library = context.getLibrary();
  void *pointer = nullptr;
  if (Error error = context.check(library.HostMalloc(&pointer, bytes, hostMallocDefault), "hipHostMalloc",
                                  "allocating pinned memory of the host for copies"))
    return error;
  memory = static_cast<std::byte *>(pointer);
  for (Event &event : arrived)
    if (Error error = context.check(library.EventCreateWithFlags(&event, eventDisableTiming), "hipEventCreateWithFlags",
                                    "making an event"))
      return error;
  return Error::success();
}

Staging::~Staging() {
  if (context.isLost())
    return;
  for (Event event : arrived)
    if (event)
      context.getLibrary().EventDestroy(event);
  context.getLibrary().HostFree(memory);
}

Error Staging::upload(void *target, const void *source, int64_t count) {
  // Several pieces, so that one is copied here while another is on its way.
  constexpr int64_t piece = bytes / 4;
  auto *to = static_cast<std::byte *>(target);
  auto *from = static_cast<const std::byte *>(source);
  while (count > 0) {
    if (used == bytes) {
      if (Error error = context.synchronize({}))
        return error;
      reset();
    }
    int64_t size = std::min({count, piece, bytes - used});
    std::memcpy(memory + used, from, static_cast<size_t>(size));
    if (Error error = context.check(context.getLibrary().MemcpyAsync(to, memory + used, static_cast<size_t>(size),
                                                                     HostToDevice, context.getStream()),
                                    "hipMemcpyAsync", "copying to it"))
      return error;
    used += size;
    to += size;
    from += size;
    count -= size;
  }
  return Error::success();
}

Error Staging::download(void *target, const void *source, int64_t count) {
  const Library &library = context.getLibrary();
  if (Error error = context.synchronize({}))
    return error;
  reset();
  constexpr int64_t half = bytes / 2;
  constexpr const char *doing = "copying from it";
  auto getSize = [&](int64_t begin) { return static_cast<size_t>(std::min(half, count - begin)); };
  auto start = [&](int64_t begin) {
    int64_t side = begin / half % 2;
    const auto *from = static_cast<const std::byte *>(source) + begin;
    if (Error error = context.check(
            library.MemcpyAsync(memory + side * half, from, getSize(begin), DeviceToHost, context.getStream()),
            "hipMemcpyAsync", doing))
      return error;
    return context.check(library.EventRecord(arrived[side], context.getStream()), "hipEventRecord", doing);
  };
  if (count > 0)
    if (Error error = start(0))
      return error;
  for (int64_t begin = 0; begin < count; begin += half) {
    if (begin + half < count)
      if (Error error = start(begin + half))
        return error;
    int64_t side = begin / half % 2;
    if (Error error = context.check(library.EventSynchronize(arrived[side]), "hipEventSynchronize", doing))
      return error;
    std::memcpy(static_cast<std::byte *>(target) + begin, memory + side * half, getSize(begin));
  }
  return Error::success();
}
