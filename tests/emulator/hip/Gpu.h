//===- Gpu.h - Emulated GPUs: memory, queues, events --------------*- C++ -*-===//
//
// A queue is a thread: what is put into it happens later, in order, while the caller goes on. Device memory has addresses
// that mean nothing to the host, and is poisoned until it is written. Host memory is read and written when a copy happens,
// not when it is asked for, and has to be pinned.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "runtime/devices/hip/HipApi.h"
#include "tests/emulator/CodeObject.h"
#include "tests/emulator/Memory.h"
#include "tests/emulator/hip/Settings.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <thread>

namespace primus::emulator::hip {

using runtime::hip::Result;

class Gpu;

class Queue {
public:
  explicit Queue(Gpu &gpu);
  /// Waits for what is in it.
  ~Queue();

  Gpu &getGpu() { return gpu; }
  /// Returns at once. What fails says so by its result, which is the device's from then on.
  void add(std::function<Result()> job);
  /// Waits until all of it is done, or the device has an error.
  Result synchronize();
  bool isIdle();

private:
  void work();

  Gpu &gpu;
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::function<Result()>> jobs;
  bool isBusy = false, stops = false;
  std::thread thread;
};

/// May go while queues still have to come to it.
class Event {
public:
  using Clock = std::chrono::steady_clock;

  void record(Queue &queue);
  /// Makes the queue wait for the latest record until now.
  void holdUp(Queue &queue);
  bool isDone();
  void synchronize(Gpu &gpu);
  Clock::time_point getTime() { return state->time; }

private:
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
    uint64_t recorded = 0, done = 0;
    Clock::time_point time;
  };
  std::shared_ptr<State> state = std::make_shared<State>();
};

struct LoadedModule {
  CodeObject code;
};
struct LoadedFunction {
  const CodeObject *code;
  const KernelInfo *kernel;
};

class Gpu {
public:
  Gpu(int index, const Settings &settings) : index(index), settings(settings), architecture(settings.architecture) {}

  /// Whether the device can run this code; the first code decides what it is where nothing else has.
  bool accepts(Chip chip);
  /// Empty before that.
  std::string getArchitecture();

  /// The error that the device is in, if any.
  Result getError();
  void setError(Result result);

  Result allocate(size_t bytes, void *&pointer);
  Result release(void *pointer);
  size_t getFreeBytes();

  /// The memory at an address of this device, or null if not all of the bytes are in one allocation.
  struct Bytes {
    uint8_t *data, *poison;
  };
  Bytes find(const void *pointer, size_t bytes);

  /// Runs a kernel to its end, and counts it.
  Result launch(const LoadedFunction &function, std::array<uint32_t, 3> grid, std::array<uint32_t, 3> block,
                const std::vector<uint64_t> &arguments);

private:
  int index;
  const Settings &settings;
  std::string architecture;
  std::mutex mutex;
  Result error = Result::Success;
  size_t allocated = 0;
  /// By address.
  std::map<uint64_t, std::unique_ptr<Buffer>> buffers;
  uint64_t next = 0;
  int64_t launches = 0;
};

/// All of the process.
class Machine {
public:
  static Machine &get();

  Settings settings = Settings::read();
  std::deque<Gpu> gpus;
  std::atomic<int> runningKernels = 0;

  void *allocatePinned(size_t bytes);
  bool releasePinned(void *pointer);
  bool isPinned(const void *pointer, size_t bytes);

private:
  Machine();

  std::mutex mutex;
  std::map<uintptr_t, std::unique_ptr<std::byte[]>> pinned;
  std::map<uintptr_t, size_t> pinnedBytes;
};

/// Copies rows between places that may be on the host or on the device; false if some place is neither.
bool copy(Gpu &gpu, void *target, size_t targetPitch, const void *source, size_t sourcePitch, size_t width, size_t height);

} // namespace primus::emulator::hip
