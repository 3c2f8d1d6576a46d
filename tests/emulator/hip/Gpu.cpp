//===- Gpu.cpp - Emulated GPUs: memory, queues, events --------------------===//

#include "tests/emulator/hip/Gpu.h"

#include "tests/emulator/Machine.h"

#include "llvm/Support/MathExtras.h"
#include "llvm/Support/raw_ostream.h"

using namespace llvm;
using namespace primus::emulator;
using namespace primus::emulator::hip;

//===----------------------------------------------------------------------===//
// Queues and events
//===----------------------------------------------------------------------===//

Queue::Queue(Gpu &gpu) : gpu(gpu), thread([this] { work(); }) {}

Queue::~Queue() {
  {
    std::lock_guard lock(mutex);
    stops = true;
  }
  changed.notify_all();
  thread.join();
}

void Queue::add(std::function<Result()> job) {
  {
    std::lock_guard lock(mutex);
    jobs.push_back(std::move(job));
  }
  changed.notify_all();
}

void Queue::work() {
  std::unique_lock lock(mutex);
  while (true) {
    changed.wait(lock, [&] { return stops || !jobs.empty(); });
    if (jobs.empty())
      return;
    std::function<Result()> job = std::move(jobs.front());
    jobs.pop_front();
    isBusy = true;
    lock.unlock();
    // Nothing runs after an error.
    if (gpu.getError() == Result::Success)
      if (Result result = job(); result != Result::Success)
        gpu.setError(result);
    lock.lock();
    isBusy = false;
    changed.notify_all();
  }
}

bool Queue::isIdle() {
  std::lock_guard lock(mutex);
  return jobs.empty() && !isBusy;
}

Result Queue::synchronize() {
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return jobs.empty() && !isBusy; });
  return gpu.getError();
}

void hip::Event::record(Queue &queue) {
  std::lock_guard lock(state->mutex);
  queue.add([state = state, number = ++state->recorded] {
    {
      std::lock_guard lock(state->mutex);
      state->done = number;
      state->time = Clock::now();
    }
    state->changed.notify_all();
    return Result::Success;
  });
}

void hip::Event::holdUp(Queue &queue) {
  std::lock_guard lock(state->mutex);
  queue.add([state = state, &queue, number = state->recorded] {
    std::unique_lock lock(state->mutex);
    // An error on the way is no reason to wait forever.
    while (state->done < number && queue.getGpu().getError() == Result::Success)
      state->changed.wait_for(lock, std::chrono::milliseconds(1));
    return Result::Success;
  });
}

bool hip::Event::isDone() {
  std::lock_guard lock(state->mutex);
  return state->done == state->recorded;
}

void hip::Event::synchronize(Gpu &gpu) {
  std::unique_lock lock(state->mutex);
  while (state->done < state->recorded && gpu.getError() == Result::Success)
    state->changed.wait_for(lock, std::chrono::milliseconds(1));
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

Result Gpu::getError() {
  std::lock_guard lock(mutex);
  return error;
}

void Gpu::setError(Result result) {
  std::lock_guard lock(mutex);
  if (error == Result::Success)
    error = result;
}

/// Far from what a host's addresses are, and below where the emulator places what belongs to a launch.
static constexpr uint64_t firstAddress = uint64_t(1) << 44, bytesPerDevice = uint64_t(1) << 40;

Result Gpu::allocate(size_t bytes, void *&pointer) {
  std::lock_guard lock(mutex);
  if (bytes > size_t(settings.memory) - allocated)
    return Result::OutOfMemory;
  uint64_t address = firstAddress + uint64_t(index) * bytesPerDevice + next;
  // Nothing lies at the end of an allocation.
  next = alignTo(next + bytes, 1 << 16) + (1 << 20);
  allocated += bytes;
  buffers[address] = std::make_unique<Buffer>("an allocation of device " + std::to_string(index), bytes);
  pointer = reinterpret_cast<void *>(address);
  return Result::Success;
}

Result Gpu::release(void *pointer) {
  std::lock_guard lock(mutex);
  if (!pointer)
    return Result::Success;
  auto found = buffers.find(reinterpret_cast<uint64_t>(pointer));
  if (found == buffers.end())
    return Result::InvalidValue;
  allocated -= found->second->data.size();
  buffers.erase(found);
  return Result::Success;
}

size_t Gpu::getFreeBytes() {
  std::lock_guard lock(mutex);
  return size_t(settings.memory) - allocated;
}

Gpu::Bytes Gpu::find(const void *pointer, size_t bytes) {
  std::lock_guard lock(mutex);
  auto address = reinterpret_cast<uint64_t>(pointer);
  auto after = buffers.upper_bound(address);
  if (after == buffers.begin())
    return {};
  auto &[start, buffer] = *std::prev(after);
  uint64_t offset = address - start;
  if (offset > buffer->data.size() || bytes > buffer->data.size() - offset)
    return {};
  return {buffer->data.data() + offset, buffer->poison.data() + offset};
}

bool hip::copy(Gpu &gpu, void *target, size_t targetPitch, const void *source, size_t sourcePitch, size_t width,
               size_t height) {
  Machine &machine = Machine::get();
  if (width == 0 || height == 0)
    return true;
  size_t targetBytes = targetPitch * (height - 1) + width, sourceBytes = sourcePitch * (height - 1) + width;
  Gpu::Bytes to = gpu.find(target, targetBytes), from = gpu.find(source, sourceBytes);
  if ((!to.data && !machine.isPinned(target, targetBytes)) || (!from.data && !machine.isPinned(source, sourceBytes))) {
    errs() << "emulated HIP: a copy between memory that is neither on the device nor pinned\n";
    return false;
  }
  if (width > targetPitch || width > sourcePitch)
    return false;
  for (size_t row = 0; row < height; ++row) {
    size_t t = row * targetPitch, s = row * sourcePitch;
    uint8_t *targetRow = (to.data ? to.data : static_cast<uint8_t *>(target)) + t;
    const uint8_t *sourceRow = (from.data ? from.data : static_cast<const uint8_t *>(source)) + s;
    std::memcpy(targetRow, sourceRow, width);
    if (to.data && from.data)
      std::memcpy(to.poison + t, from.poison + s, width);
    else if (to.data)
      std::memset(to.poison + t, 0, width);
  }
  return true;
}

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

bool Gpu::accepts(Chip chip) {
  std::lock_guard lock(mutex);
  StringRef name = chip == Chip::Gfx942 ? "gfx942" : "gfx950";
  if (architecture.empty())
    architecture = name;
  return architecture == name;
}

std::string Gpu::getArchitecture() {
  std::lock_guard lock(mutex);
  return architecture;
}

Result Gpu::launch(const LoadedFunction &function, std::array<uint32_t, 3> grid, std::array<uint32_t, 3> block,
                   const std::vector<uint64_t> &values) {
  std::vector<Mapping> memory;
  {
    std::lock_guard lock(mutex);
    ++launches;
    if (index == settings.faultDevice && launches == settings.loseLaunch)
      return Result::Unknown;
    if (index == settings.faultDevice && launches == settings.faultLaunch)
      return Result::IllegalAddress;
    for (auto &[address, buffer] : buffers)
      memory.push_back({address, buffer->data.data(), buffer->poison.data(), buffer->data.size(), Access::ReadWrite,
                        buffer->name});
  }
  if (index == settings.faultDevice && launches == settings.hangLaunch)
    while (true)
      std::this_thread::sleep_for(std::chrono::hours(1));
  std::vector<KernelArgument> arguments;
  for (uint64_t value : values)
    arguments.push_back(KernelArgument::value(value));
  LaunchOptions options;
  options.memory = memory;
  Machine &machine = Machine::get();
  ++machine.runningKernels;
  auto statistics = emulator::launch(*function.code, function.kernel->name, {grid[0], grid[1], grid[2]},
                                     {block[0], block[1], block[2]}, arguments, options);
  --machine.runningKernels;
  if (statistics)
    return Result::Success;
  errs() << "emulated HIP: " << toString(statistics.takeError()) << "\n";
  return Result::IllegalAddress;
}

//===----------------------------------------------------------------------===//
// The process
//===----------------------------------------------------------------------===//

/// Queues of a lost device are given up with what is in them. No kernel of theirs may run while the process takes down what
/// LLVM has built.
static void stopAll() {
  Machine &machine = Machine::get();
  for (Gpu &gpu : machine.gpus)
    gpu.setError(Result::Unknown);
  while (machine.runningKernels > 0)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

Machine::Machine() {
  for (int64_t i = 0; i < settings.devices; ++i)
    gpus.emplace_back(int(i), settings);
  std::atexit(stopAll);
}

Machine &Machine::get() {
  // Queues that are never destroyed, of a device that hangs, still use it when the process ends.
  static Machine &machine = *new Machine();
  return machine;
}

void *Machine::allocatePinned(size_t bytes) {
  std::lock_guard lock(mutex);
  auto memory = std::make_unique<std::byte[]>(bytes);
  void *pointer = memory.get();
  auto address = reinterpret_cast<uintptr_t>(pointer);
  pinned[address] = std::move(memory);
  pinnedBytes[address] = bytes;
  return pointer;
}

bool Machine::releasePinned(void *pointer) {
  std::lock_guard lock(mutex);
  auto address = reinterpret_cast<uintptr_t>(pointer);
  return !pointer || (pinned.erase(address) && pinnedBytes.erase(address));
}

bool Machine::isPinned(const void *pointer, size_t bytes) {
  std::lock_guard lock(mutex);
  auto address = reinterpret_cast<uintptr_t>(pointer);
  auto after = pinnedBytes.upper_bound(address);
  if (after == pinnedBytes.begin())
    return false;
  auto [start, size] = *std::prev(after);
  return address - start <= size && bytes <= size - (address - start);
}
