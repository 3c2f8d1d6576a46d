//===- HipDevice.cpp - AMD GPUs -------------------------------------------===//

#include "runtime/devices/hip/HipDevice.h"

#include "runtime/communicators/rccl/RcclCommunicator.h"
#include "runtime/devices/hip/HipClock.h"
#include "runtime/devices/hip/HipCommands.h"
#include "runtime/devices/hip/HipStaging.h"

#include <algorithm>
#include <deque>
#include <fmt/format.h>

using namespace primus;
using namespace primus::runtime;
using namespace primus::runtime::hip;

static double toGiB(size_t bytes) { return static_cast<double>(bytes) / (1 << 30); }

namespace {

class HipDevice final : public Device {
public:
  explicit HipDevice(std::unique_ptr<Context> context)
      : context(std::move(context)), library(this->context->getLibrary()), clock(*this->context) {}
  ~HipDevice() override;
  Error initialize();

  std::string_view getName() const override { return "hip"; }
  Error loadCode(const executable::Executable &executable) override;
  Expected<const void *> findKernel(const executable::Kernel &kernel) override;
  Expected<std::byte *> allocateArena(int64_t bytes) override;
  int64_t getAllocatedBytes() const override { return arenaBytes; }
  int64_t getStagingBytes() const override { return Staging::bytes; }
  Expected<std::unique_ptr<Communicator>> createCommunicator(Communicator &host) override {
    return createRcclCommunicator(host, *context);
  }

  std::unique_ptr<CommandList> prepare(std::span<const Command> commands) override { return runner->prepare(commands); }
  Error run(CommandList &commands) override { return runner->run(static_cast<Commands &>(commands)); }

  Error synchronize(const Poll &poll) override {
    if (Error error = runner->synchronize(poll))
      return error;
    staging->reset();
    return Error::success();
  }

  Error mark() override { return clock.mark(); }
  Expected<std::vector<double>> takeMarks() override { return clock.takeMarks(); }

  Error upload(void *target, const void *source, int64_t bytes) override {
    return staging->upload(target, source, bytes);
  }
  Error download(void *target, const void *source, int64_t bytes) override {
    return staging->download(target, source, bytes);
  }

private:
  /// The architecture's family as far as HIP tells it ("gfx94x"); empty if it does not.
  std::string getArchitecture() const;
  Error refuse(const std::string &target, const std::string &reason) const;

  std::unique_ptr<Context> context;
  const Library &library;
  Clock clock;
  std::unique_ptr<Staging> staging;
  std::unique_ptr<CommandRunner> runner;
  /// HIP may read the images as long as their modules live.
  std::vector<std::string> images;
  std::vector<Module> modules;
  std::deque<Kernel> kernels;
  void *arena = nullptr;
  int64_t arenaBytes = 0;
};

} // namespace

Error HipDevice::initialize() {
  Expected<std::unique_ptr<Staging>> createdStaging = Staging::create(*context);
  if (!createdStaging)
    return createdStaging.takeError();
  staging = std::move(*createdStaging);
  Expected<std::unique_ptr<CommandRunner>> createdRunner = CommandRunner::create(*context);
  if (!createdRunner)
    return createdRunner.takeError();
  runner = std::move(*createdRunner);
  return Error::success();
}

HipDevice::~HipDevice() {
  if (!context->isLost())
    (void)context->synchronize({});
  if (context->isLost())
    return;
  for (Module module : modules)
    library.ModuleUnload(module);
  if (arena)
    library.Free(arena);
}

//===----------------------------------------------------------------------===//
// Code
//===----------------------------------------------------------------------===//

std::string HipDevice::getArchitecture() const {
  int major = 0, minor = 0;
  if (library.DeviceComputeCapability(&major, &minor, context->getIndex()) != Success)
    return {};
  return fmt::format("gfx{}{:x}x", major, minor);
}

Error HipDevice::refuse(const std::string &target, const std::string &reason) const {
  std::string present = getArchitecture();
  return Error::failure(fmt::format("the program is compiled for {}, and {} {}{}; compile it for this GPU (--target), or "
                                    "choose another one (HIP_VISIBLE_DEVICES)",
                                    target, context->getDescription(),
                                    present.empty() ? "cannot run it" : "is a " + present, reason));
}

Error HipDevice::loadCode(const executable::Executable &executable) {
  const std::string &target = executable.target();
  // Names of the same family differ in the last digit, which only the loader knows.
  std::string present = getArchitecture();
  bool isOther = !present.empty() && target.substr(0, target.size() - 1) != present.substr(0, present.size() - 1);
  if (isOther || !target.starts_with("gfx"))
    return refuse(target, "");
  images.assign(executable.code_objects().begin(), executable.code_objects().end());
  for (const std::string &image : images) {
    Module module = nullptr;
    Result result = library.ModuleLoadData(&module, image.data());
    if (result == NoBinaryForGpu || result == InvalidImage || result == SharedObjectInitFailed)
      return refuse(target, fmt::format(" ({})", library.check(result, "hipModuleLoadData", "its code").getMessage()));
    if (Error error = context->check(result, "hipModuleLoadData", fmt::format("loading code for {}", target)))
      return error;
    modules.push_back(module);
  }
  return Error::success();
}

Expected<const void *> HipDevice::findKernel(const executable::Kernel &kernel) {
  Function function = nullptr;
  Module module = modules[static_cast<size_t>(kernel.code_object())];
  if (Error error = context->check(library.ModuleGetFunction(&function, module, kernel.symbol().c_str()),
                                   "hipModuleGetFunction", fmt::format("looking for kernel '{}'", kernel.symbol())))
    return error;
  Kernel &found = kernels.emplace_back();
  found.name = kernel.name();
  found.function = function;
  found.block = static_cast<unsigned>(kernel.block(0));
  found.argumentBytes = static_cast<size_t>(kernel.arguments_size()) * sizeof(void *);
  return static_cast<const void *>(&found);
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

Expected<std::byte *> HipDevice::allocateArena(int64_t bytes) {
  // An empty arena has an address too.
  auto size = static_cast<size_t>(std::max<int64_t>(bytes, 1));
  Result result = library.Malloc(&arena, size);
  if (result == OutOfMemory) {
    size_t available = 0, total = 0;
    (void)library.MemGetInfo(&available, &total);
    return Error::failure(fmt::format("out of memory: the tensors need {:.2f} GiB, and {} has {:.2f} of its {:.2f} GiB "
                                      "available; choose a smaller micro batch, a shorter sequence, recomputation, or "
                                      "more ranks",
                                      toGiB(size), context->getDescription(), toGiB(available), toGiB(total)));
  }
  if (Error error = context->check(result, "hipMalloc", fmt::format("allocating {:.2f} GiB", toGiB(size))))
    return error;
  if (Error error = context->check(library.MemsetAsync(arena, 0, size, context->getStream()), "hipMemsetAsync",
                                   "clearing its memory"))
    return error;
  if (Error error = context->synchronize({}))
    return error;
  arenaBytes = bytes;
  return static_cast<std::byte *>(arena);
}

Expected<std::unique_ptr<Device>> primus::runtime::createHipDevice(int localRank) {
  Expected<std::unique_ptr<Context>> context = Context::create(localRank);
  if (!context)
    return context.takeError();
  auto device = std::make_unique<HipDevice>(std::move(*context));
  if (Error error = device->initialize())
    return error;
  return std::unique_ptr<Device>(std::move(device));
}
