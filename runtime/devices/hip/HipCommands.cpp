//===- HipCommands.cpp - Kernels, copies and fills in a GPU's queue -------===//

#include "runtime/devices/hip/HipCommands.h"

#include <algorithm>
#include <cstdlib>
#include <fmt/format.h>
#include <string_view>

using namespace primus::runtime;
using namespace primus::runtime::hip;

Commands::Commands(std::span<const Command> list, int firstNumber)
    : firstNumber(firstNumber), commands(list.begin(), list.end()), extras(list.size()) {
  for (size_t i = 0; i < commands.size(); ++i) {
    if (commands[i].kind != Command::Kind::Launch)
      continue;
    const auto &kernel = *static_cast<const Kernel *>(commands[i].kernel);
    extras[i] = {launchBufferPointer, const_cast<void **>(commands[i].arguments), launchBufferSize,
                 const_cast<size_t *>(&kernel.argumentBytes), launchEnd};
  }
}

std::string Commands::describe(size_t index) const {
  const Command &command = commands[index];
  switch (command.kind) {
  case Command::Kind::Launch:
    return fmt::format("kernel '{}'", static_cast<const Kernel *>(command.kernel)->name);
  case Command::Kind::Copy:
    return fmt::format("a copy of {} bytes", command.bytes);
  case Command::Kind::Fill:
    return fmt::format("a fill of {} bytes", command.bytes);
  }
  return {};
}

Result Commands::enqueue(size_t index, const Context &context, const char *&call) {
  const Command &command = commands[index];
  const Library &library = context.getLibrary();
  auto bytes = static_cast<size_t>(command.bytes);
  switch (command.kind) {
  case Command::Kind::Launch: {
    const auto &kernel = *static_cast<const Kernel *>(command.kernel);
    call = "hipModuleLaunchKernel";
    return library.ModuleLaunchKernel(kernel.function, static_cast<unsigned>(command.instances), 1, 1, kernel.block, 1, 1,
                                      /*sharedBytes=*/0, context.getStream(), nullptr, extras[index].data());
  }
  case Command::Kind::Copy:
    call = "hipMemcpyAsync";
    return library.MemcpyAsync(command.target, command.source, bytes, DeviceToDevice, context.getStream());
  case Command::Kind::Fill:
    call = "hipMemsetAsync";
    return library.MemsetAsync(command.target, 0, bytes, context.getStream());
  }
  return InvalidValue;
}

CommandRunner::CommandRunner(Context &context) : context(context) {
  const char *text = std::getenv("PRIMUS_HIP_SYNCHRONOUS");
  isSynchronous = text && *text && std::string_view(text) != "0";
}

Expected<std::unique_ptr<CommandRunner>> CommandRunner::create(Context &context) {
  std::unique_ptr<CommandRunner> runner(new CommandRunner(context));
  void *pointer = nullptr;
  if (Error error = context.check(context.getLibrary().HostMalloc(&pointer, sizeof(int), hostMallocDefault),
                                  "hipHostMalloc", "allocating pinned memory of the host"))
    return error;
  runner->progress = static_cast<int *>(pointer);
  *runner->progress = -1;
  return runner;
}

CommandRunner::~CommandRunner() {
  if (!context.isLost())
    context.getLibrary().HostFree(const_cast<int *>(progress));
}

std::unique_ptr<Commands> CommandRunner::prepare(std::span<const Command> list) {
  auto commands = std::make_unique<Commands>(list, numCommands);
  numCommands = commands->getEndNumber();
  // Each list runs once before a wait, usually.
  running.reserve(running.capacity() + 1);
  return commands;
}

Error CommandRunner::run(Commands &commands) {
  const Library &library = context.getLibrary();
  // An error of its first commands may show when its last ones are started.
  running.push_back(&commands);
  for (size_t i = 0; i < commands.size(); ++i) {
    const char *call = nullptr;
    if (Result result = commands.enqueue(i, context, call); result != Success)
      return blame(context.check(result, call, "starting " + commands.describe(i)));
    if (isSynchronous) {
      if (Result result = library.StreamSynchronize(context.getStream()); result != Success)
        return context.check(result, "hipStreamSynchronize", "running " + commands.describe(i));
    } else if ((i + 1) % interval == 0 || i + 1 == commands.size()) {
      int next = commands.getFirstNumber() + static_cast<int>(i) + 1;
      if (Result result = library.MemsetD32Async(const_cast<int *>(progress), next, 1, context.getStream());
          result != Success)
        return blame(context.check(result, "hipMemsetD32Async", "noting the progress"));
    }
  }
  return Error::success();
}

Error CommandRunner::synchronize(const Device::Poll &poll) {
  Error polled = Error::success();
  Device::Poll ask;
  if (poll)
    ask = [&] { return polled = poll(); };
  Error error = context.synchronize(ask);
  if (error)
    return polled ? std::move(error) : blame(error);
  running.clear();
  *progress = -1;
  return Error::success();
}

Error CommandRunner::blame(const Error &error) const {
  int done = *progress;
  for (size_t i = 0; i < running.size(); ++i) {
    const Commands &commands = *running[i];
    if (done >= 0 && (done < commands.getFirstNumber() || done > commands.getEndNumber()))
      continue;
    // All of this list is done: the next one is at work.
    size_t first = done < 0 ? 0 : static_cast<size_t>(done - commands.getFirstNumber());
    if (first == commands.size()) {
      done = -1;
      continue;
    }
    size_t last = std::min(first + interval, commands.size()) - 1;
    return Error::failure(fmt::format("{}; after {} of {} commands: in {} or one of the {} after it, up to {} "
                                      "(PRIMUS_HIP_SYNCHRONOUS=1 finds out which; the system's log has more about the GPU)",
                                      error.getMessage(), first, commands.size(), commands.describe(first), last - first,
                                      commands.describe(last)));
  }
  return error;
}
