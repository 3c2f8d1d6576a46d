//===- EntryPoints.cpp - libamdhip64_emulated.so --------------------------===//
//
// HIP's functions as runtime/devices/hip/HipApi.h declares them, on emulated GPUs.
//
//===----------------------------------------------------------------------===//

#include "tests/emulator/hip/EntryPoints.h"
#include "tests/emulator/hip/Gpu.h"

#include "llvm/BinaryFormat/ELF.h"
#include "llvm/Support/raw_ostream.h"

using namespace llvm;
using namespace primus::emulator;
using namespace primus::emulator::hip;
namespace api = primus::runtime::hip;

static thread_local int currentDevice = 0;

static Gpu &getGpu() { return Machine::get().gpus[size_t(currentDevice)]; }
static Queue &get(api::Stream stream) { return *reinterpret_cast<Queue *>(stream); }
static hip::Event &get(api::Event event) { return *reinterpret_cast<hip::Event *>(event); }

/// Puts a job into a queue, unless the device has an error already.
static Result enqueue(api::Stream stream, std::function<Result()> job) {
  Queue &queue = get(stream);
  if (Result error = queue.getGpu().getError(); error != Result::Success)
    return error;
  queue.add(std::move(job));
  return Result::Success;
}

#define HIP(type) extern "C" __attribute__((visibility("default"))) type

//===----------------------------------------------------------------------===//
// The library and its devices
//===----------------------------------------------------------------------===//

HIP(const char *) hipGetErrorName(Result result) {
  switch (result) {
  case Result::Success:
    return "hipSuccess";
  case Result::InvalidValue:
    return "hipErrorInvalidValue";
  case Result::OutOfMemory:
    return "hipErrorOutOfMemory";
  case Result::NoDevice:
    return "hipErrorNoDevice";
  case Result::InvalidDevice:
    return "hipErrorInvalidDevice";
  case Result::InvalidImage:
    return "hipErrorInvalidImage";
  case Result::NoBinaryForGpu:
    return "hipErrorNoBinaryForGpu";
  case Result::NotFound:
    return "hipErrorNotFound";
  case Result::NotReady:
    return "hipErrorNotReady";
  case Result::IllegalAddress:
    return "hipErrorIllegalAddress";
  case Result::NotSupported:
    return "hipErrorNotSupported";
  default:
    return "hipErrorUnknown";
  }
}

HIP(const char *) hipGetErrorString(Result result) {
  switch (result) {
  case Result::Success:
    return "no error";
  case Result::OutOfMemory:
    return "out of memory";
  case Result::NoDevice:
    return "no ROCm-capable device is detected";
  case Result::NoBinaryForGpu:
    return "no kernel image is available for execution on the device";
  case Result::IllegalAddress:
    return "an illegal memory access was encountered";
  case Result::Unknown:
    return "unknown error";
  default:
    return "emulated error";
  }
}

HIP(Result) hipInit(unsigned) { return Result::Success; }

HIP(Result) hipRuntimeGetVersion(int *version) {
  *version = int(Machine::get().settings.version);
  return Result::Success;
}

HIP(Result) hipGetDeviceCount(int *count) {
  *count = int(Machine::get().gpus.size());
  return *count ? Result::Success : Result::NoDevice;
}

HIP(Result) hipSetDevice(int device) {
  if (device < 0 || size_t(device) >= Machine::get().gpus.size())
    return Result::InvalidDevice;
  currentDevice = device;
  return Result::Success;
}

HIP(Result) hipDeviceGetName(char *name, int length, int) {
  StringRef text = "emulated";
  if (size_t(length) <= text.size())
    return Result::InvalidValue;
  std::copy(text.begin(), text.end(), name);
  name[text.size()] = 0;
  return Result::Success;
}

HIP(Result) hipDeviceComputeCapability(int *major, int *minor, int device) {
  std::string architecture = Machine::get().gpus[size_t(device)].getArchitecture();
  if (architecture.empty())
    return Result::NotSupported;
  *major = 9;
  *minor = architecture == "gfx950" ? 5 : 4;
  return Result::Success;
}

HIP(Result) hipMemGetInfo(size_t *free, size_t *total) {
  *free = getGpu().getFreeBytes();
  *total = size_t(Machine::get().settings.memory);
  return Result::Success;
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

HIP(Result) hipMalloc(void **pointer, size_t bytes) { return getGpu().allocate(bytes, *pointer); }
HIP(Result) hipFree(void *pointer) { return getGpu().release(pointer); }

HIP(Result) hipHostMalloc(void **pointer, size_t bytes, unsigned) {
  *pointer = Machine::get().allocatePinned(bytes);
  return Result::Success;
}
HIP(Result) hipHostFree(void *pointer) {
  return Machine::get().releasePinned(pointer) ? Result::Success : Result::InvalidValue;
}

HIP(Result)
hipMemcpy2DAsync(void *target, size_t targetPitch, const void *source, size_t sourcePitch, size_t width, size_t height,
                 api::CopyKind, api::Stream stream) {
  return enqueue(stream, [=, &gpu = get(stream).getGpu()] {
    bool isValid = copy(gpu, target, targetPitch, source, sourcePitch, width, height);
    return isValid ? Result::Success : Result::InvalidValue;
  });
}

HIP(Result)
hipMemcpyAsync(void *target, const void *source, size_t bytes, api::CopyKind kind, api::Stream stream) {
  return hipMemcpy2DAsync(target, bytes, source, bytes, bytes, 1, kind, stream);
}

/// Fills memory on either side.
static Result fill(api::Stream stream, void *target, size_t bytes, uint32_t word) {
  return enqueue(stream, [=, &gpu = get(stream).getGpu()] {
    Gpu::Bytes to = gpu.find(target, bytes);
    if (!to.data && !Machine::get().isPinned(target, bytes))
      return Result::InvalidValue;
    auto *begin = to.data ? to.data : static_cast<uint8_t *>(target);
    for (size_t i = 0; i < bytes; ++i)
      begin[i] = uint8_t(word >> i % 4 * 8);
    if (to.data)
      std::memset(to.poison, 0, bytes);
    return Result::Success;
  });
}

HIP(Result) hipMemsetAsync(void *target, int value, size_t bytes, api::Stream stream) {
  return fill(stream, target, bytes, uint32_t(value & 0xff) * 0x01010101u);
}
HIP(Result) hipMemsetD32Async(void *target, int value, size_t count, api::Stream stream) {
  return fill(stream, target, 4 * count, uint32_t(value));
}

//===----------------------------------------------------------------------===//
// Queues and events
//===----------------------------------------------------------------------===//

HIP(Result) hipStreamCreateWithFlags(api::Stream *stream, unsigned) {
  *stream = reinterpret_cast<api::Stream>(new Queue(getGpu()));
  return Result::Success;
}
HIP(Result) hipStreamDestroy(api::Stream stream) {
  delete &get(stream);
  return Result::Success;
}
HIP(Result) hipStreamQuery(api::Stream stream) {
  Result error = get(stream).getGpu().getError();
  return error != Result::Success ? error : get(stream).isIdle() ? Result::Success : Result::NotReady;
}
HIP(Result) hipStreamSynchronize(api::Stream stream) { return get(stream).synchronize(); }
HIP(Result) hipStreamWaitEvent(api::Stream stream, api::Event event, unsigned) {
  get(event).holdUp(get(stream));
  return get(stream).getGpu().getError();
}

HIP(Result) hipEventCreateWithFlags(api::Event *event, unsigned) {
  *event = reinterpret_cast<api::Event>(new hip::Event());
  return Result::Success;
}
HIP(Result) hipEventDestroy(api::Event event) {
  delete &get(event);
  return Result::Success;
}
HIP(Result) hipEventRecord(api::Event event, api::Stream stream) {
  get(event).record(get(stream));
  return get(stream).getGpu().getError();
}
HIP(Result) hipEventQuery(api::Event event) {
  Result error = getGpu().getError();
  return error != Result::Success ? error : get(event).isDone() ? Result::Success : Result::NotReady;
}
HIP(Result) hipEventSynchronize(api::Event event) {
  get(event).synchronize(getGpu());
  return getGpu().getError();
}
HIP(Result) hipEventElapsedTime(float *milliseconds, api::Event start, api::Event stop) {
  if (!get(start).isDone() || !get(stop).isDone())
    return Result::NotReady;
  *milliseconds = std::chrono::duration<float, std::milli>(get(stop).getTime() - get(start).getTime()).count();
  return Result::Success;
}

//===----------------------------------------------------------------------===//
// Code
//===----------------------------------------------------------------------===//

/// HIP is given an image without its size: that is where the ELF file's parts end.
static size_t getImageBytes(const char *image) {
  ELF::Elf64_Ehdr header;
  std::memcpy(&header, image, sizeof header);
  size_t end = header.e_shoff + size_t(header.e_shnum) * header.e_shentsize;
  for (unsigned i = 0; i < header.e_phnum; ++i) {
    ELF::Elf64_Phdr segment;
    std::memcpy(&segment, image + header.e_phoff + i * sizeof segment, sizeof segment);
    end = std::max<size_t>(end, segment.p_offset + segment.p_filesz);
  }
  return end;
}

HIP(Result) hipModuleLoadData(api::Module *module, const void *image) {
  auto *bytes = static_cast<const char *>(image);
  if (!StringRef(bytes, 4).starts_with(StringRef("\177ELF", 4)))
    return Result::InvalidImage;
  Expected<CodeObject> code = CodeObject::load({bytes, getImageBytes(bytes)});
  if (!code) {
    errs() << "emulated HIP: " << toString(code.takeError()) << "\n";
    return Result::InvalidImage;
  }
  if (!getGpu().accepts(code->getChip()))
    return Result::NoBinaryForGpu;
  *module = reinterpret_cast<api::Module>(new LoadedModule{std::move(*code)});
  return Result::Success;
}

HIP(Result) hipModuleUnload(api::Module module) {
  delete reinterpret_cast<LoadedModule *>(module);
  return Result::Success;
}

HIP(Result) hipModuleGetFunction(api::Function *function, api::Module module, const char *name) {
  const CodeObject &code = reinterpret_cast<LoadedModule *>(module)->code;
  const KernelInfo *kernel = code.findKernel(name);
  if (!kernel)
    return Result::NotFound;
  // They live as long as the process: HIP has no call that would release them.
  *function = reinterpret_cast<api::Function>(new LoadedFunction{&code, kernel});
  return Result::Success;
}

HIP(Result)
hipModuleLaunchKernel(api::Function function, unsigned gridX, unsigned gridY, unsigned gridZ, unsigned blockX,
                      unsigned blockY, unsigned blockZ, unsigned sharedBytes, api::Stream stream, void **parameters,
                      void **extra) {
  bool isPacked = !parameters && extra && extra[0] == api::launchBufferPointer && extra[2] == api::launchBufferSize &&
                  extra[4] == api::launchEnd;
  if (!isPacked || sharedBytes)
    return Result::InvalidValue;
  // HIP copies the arguments before it returns.
  auto *values = static_cast<const uint64_t *>(extra[1]);
  std::vector<uint64_t> arguments(values, values + *static_cast<size_t *>(extra[3]) / sizeof(uint64_t));
  auto &loaded = *reinterpret_cast<LoadedFunction *>(function);
  return enqueue(stream, [=, &loaded, &gpu = get(stream).getGpu(), arguments = std::move(arguments)] {
    return gpu.launch(loaded, {gridX, gridY, gridZ}, {blockX, blockY, blockZ}, arguments);
  });
}

//===----------------------------------------------------------------------===//
// For librccl_emulated.so
//===----------------------------------------------------------------------===//

HIP(void) primusEmulatedEnqueue(api::Stream stream, std::function<Result()> job) {
  (void)enqueue(stream, std::move(job));
}

HIP(uint8_t *) primusEmulatedFind(api::Stream stream, const void *pointer, size_t bytes, bool writes) {
  Gpu::Bytes found = get(stream).getGpu().find(pointer, bytes);
  if (found.data && writes)
    std::memset(found.poison, 0, bytes);
  return found.data;
}
