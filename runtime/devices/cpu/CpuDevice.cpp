//===- CpuDevice.cpp - Kernels as a shared object, run by threads ---------===//

#include "runtime/devices/cpu/CpuDevice.h"

#include "runtime/devices/cpu/Arena.h"
#include "runtime/devices/cpu/SharedObject.h"
#include "runtime/devices/cpu/ThreadPool.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <fmt/format.h>
#include <vector>

using namespace primus;
using namespace primus::runtime;

namespace {

/// A kernel of the CPU: runs the program instances [begin, end) of the linear grid.
using KernelFunction = void (*)(void *const *arguments, int64_t begin, int64_t end);

/// Copies and fills are shared out in pieces of this size.
constexpr int64_t pieceBytes = 64 * 1024;

void runLaunch(const void *context, int64_t begin, int64_t end) {
  const auto &command = *static_cast<const Command *>(context);
  reinterpret_cast<KernelFunction>(const_cast<void *>(command.kernel))(command.arguments, begin, end);
}

void runCopy(const void *context, int64_t begin, int64_t end) {
  const auto &command = *static_cast<const Command *>(context);
  int64_t from = begin * pieceBytes, to = std::min(end * pieceBytes, command.bytes);
  std::memcpy(static_cast<char *>(command.target) + from, static_cast<const char *>(command.source) + from,
              static_cast<size_t>(to - from));
}

void runFill(const void *context, int64_t begin, int64_t end) {
  const auto &command = *static_cast<const Command *>(context);
  int64_t from = begin * pieceBytes, to = std::min(end * pieceBytes, command.bytes);
  std::memset(static_cast<char *>(command.target) + from, 0, static_cast<size_t>(to - from));
}

/// Whether one thread finishes about as fast as several that have to meet at a barrier afterwards (about 2 us, at rates
/// that one core reaches easily). Unknown costs are shared out.
bool isSmall(const Command &command) {
  constexpr int64_t flopsPerNanosecond = 20, bytesPerNanosecond = 10, nanoseconds = 2000;
  return (command.flops > 0 || command.bytes > 0) && command.flops < flopsPerNanosecond * nanoseconds &&
         command.bytes < bytesPerNanosecond * nanoseconds;
}

Task makeTask(const Command &command) {
  Task task = {nullptr, &command, 0, false};
  switch (command.kind) {
  case Command::Kind::Launch:
    task.function = runLaunch;
    task.items = command.instances;
    break;
  case Command::Kind::Copy:
    task.function = runCopy;
    task.items = (command.bytes + pieceBytes - 1) / pieceBytes;
    break;
  case Command::Kind::Fill:
    task.function = runFill;
    task.items = (command.bytes + pieceBytes - 1) / pieceBytes;
    break;
  }
  task.serial = task.items <= 1 || isSmall(command);
  return task;
}

class CpuCommandList final : public CommandList {
public:
  explicit CpuCommandList(std::span<const Command> list) : commands(list.begin(), list.end()) {
    tasks.reserve(commands.size());
    for (const Command &command : commands)
      tasks.push_back(makeTask(command));
  }

  std::span<const Task> getTasks() const { return tasks; }

private:
  std::vector<Command> commands;
  std::vector<Task> tasks;
};

class CpuDevice final : public Device {
public:
  explicit CpuDevice(int threads) : pool(threads > 0 ? threads : getDefaultThreads()) {}

  std::string_view getName() const override { return "cpu"; }

  Error loadCode(const executable::Executable &executable) override {
    if (executable.target() != "cpu")
      return Error::failure(fmt::format("the program is compiled for {}, but this device is a processor; compile it with "
                                        "--target cpu",
                                        executable.target()));
    if (executable.code().empty())
      return Error::success();
    Expected<SharedObject> loaded = SharedObject::open(executable.code());
    if (!loaded)
      return loaded.takeError();
    code = std::move(*loaded);
    return Error::success();
  }

  Expected<const void *> findKernel(const executable::Kernel &kernel) override {
    if (const void *found = code ? code->find(kernel.symbol()) : nullptr)
      return found;
    return Error::failure(fmt::format("the code has no symbol '{}'", kernel.symbol()));
  }

  Expected<std::byte *> allocateArena(int64_t bytes) override {
    Expected<Arena> allocated = Arena::allocate(bytes);
    if (!allocated)
      return allocated.takeError();
    arena = std::move(*allocated);
    return arena->getData();
  }

  int64_t getAllocatedBytes() const override { return arena ? arena->getBytes() : 0; }

  std::unique_ptr<CommandList> prepare(std::span<const Command> commands) override {
    return std::make_unique<CpuCommandList>(commands);
  }

  Error run(CommandList &commands) override {
    pool.run(static_cast<CpuCommandList &>(commands).getTasks());
    return Error::success();
  }

  // Nothing is in the background.
  Error synchronize(const Poll &) override { return Error::success(); }

  Error mark() override {
    marks.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count());
    return Error::success();
  }

  Expected<std::vector<double>> takeMarks() override { return std::exchange(marks, {}); }

  Error upload(void *target, const void *source, int64_t bytes) override {
    std::memcpy(target, source, static_cast<size_t>(bytes));
    return Error::success();
  }

  Error download(void *target, const void *source, int64_t bytes) override {
    std::memcpy(target, source, static_cast<size_t>(bytes));
    return Error::success();
  }

private:
  ThreadPool pool;
  std::vector<double> marks;
  std::optional<Arena> arena;
  std::optional<SharedObject> code;
};

} // namespace

std::unique_ptr<Device> primus::runtime::createCpuDevice(int threads) { return std::make_unique<CpuDevice>(threads); }
