//===- HipContext.cpp - A GPU that a rank uses ----------------------------===//

#include "runtime/devices/hip/HipContext.h"

#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <thread>

using namespace primus::runtime;
using namespace primus::runtime::hip;

static Expected<int> countDevices(const Library &library) {
  int count = 0;
  Error error = library.check(library.GetDeviceCount(&count), "hipGetDeviceCount", "looking for GPUs");
  if (!error && count > 0)
    return count;
  return Error::failure(
      fmt::format("there is no GPU that this process can use{}{}; is the amdgpu driver loaded, may this user open /dev/kfd "
                  "and /dev/dri/renderD* (groups render and video; in a container --device /dev/kfd --device /dev/dri), "
                  "and what do HIP_VISIBLE_DEVICES and ROCR_VISIBLE_DEVICES leave?",
                  error ? ": " : "", error ? error.getMessage() : ""));
}

Expected<std::unique_ptr<Context>> Context::create(int localRank) {
  Expected<const Library *> library = Library::open();
  if (!library)
    return library.takeError();
  Expected<int> count = countDevices(**library);
  if (!count)
    return count.takeError();
  if (localRank >= *count && *count > 1)
    return Error::configuration(fmt::format("this host has {} GPUs for rank {} of those that run on it: start at most one "
                                            "rank per GPU",
                                            *count, localRank));
  std::unique_ptr<Context> context(new Context(**library, localRank < *count ? localRank : 0));
  if (Error error = context->initialize())
    return error;
  return context;
}

Error Context::initialize() {
  char name[256] = "";
  description = fmt::format("GPU {}", index);
  if (Error error = check(library.SetDevice(index), "hipSetDevice", "taking it"))
    return error;
  if (library.DeviceGetName(name, sizeof(name) - 1, index) == Success && *name)
    description += fmt::format(" ({})", name);
  if (Error error = check(library.StreamCreateWithFlags(&stream, streamNonBlocking), "hipStreamCreateWithFlags",
                          "making a queue"))
    return error;
  return check(library.EventCreateWithFlags(&end, eventDisableTiming), "hipEventCreateWithFlags", "making an event");
}

Context::~Context() {
  if (lost)
    return;
  if (end)
    library.EventDestroy(end);
  if (stream)
    library.StreamDestroy(stream);
}

Error Context::check(Result result, const char *call, std::string_view doing) {
  if (result == Success)
    return Error::success();
  lost = true;
  return library.check(result, call, fmt::format("{}: {}", description, doing));
}

Error Context::synchronize(const Device::Poll &poll) {
  constexpr const char *doing = "waiting for its work";
  if (!poll)
    return check(library.StreamSynchronize(stream), "hipStreamSynchronize", doing);
  if (Error error = check(library.EventRecord(end, stream), "hipEventRecord", doing))
    return error;
  std::chrono::microseconds pause(10);
  constexpr std::chrono::microseconds longest(1000);
  while (true) {
    Result result = library.EventQuery(end);
    if (result != NotReady)
      return check(result, "hipEventQuery", doing);
    if (Error error = poll()) {
      lost = true;
      return error;
    }
    std::this_thread::sleep_for(pause);
    pause = std::min(2 * pause, longest);
  }
}
