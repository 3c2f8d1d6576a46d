//===- HipApi.h - The part of HIP that we use, declared by ourselves ------===//
//
// libamdhip64.so is opened at run time, so that one program serves machines with and without GPUs, and any ROCm from 5 to 7.
// What is declared here has the same signatures and values in all of them: tests/runtime/devices/HipAbiTest.cpp, which
// compiles it against HIP's headers, was tried with those of github.com/ROCm/HIP at the tags rocm-5.7.1, rocm-6.0.0 and
// rocm-6.2.2, and those of HIP 7.1 that triton 3.9.0 (pypi.org) brings. Tests have Debian's (5.2.3).
//
// Left out on purpose: hipGetDeviceProperties and hipDeviceGetAttribute. The former's structure and the latter's numbers
// changed between ROCm 5 and 6, under the same symbols. What a device is, the loader of code objects knows
// (hipErrorNoBinaryForGpu), and hipDeviceComputeCapability, whose two numbers are those of the architecture's name:
// (9, 4) is gfx94x, (9, 5) gfx95x.
//
//===----------------------------------------------------------------------===//

#ifndef PRIMUS_RUNTIME_DEVICES_HIP_HIPAPI_H
#define PRIMUS_RUNTIME_DEVICES_HIP_HIPAPI_H

#include <cstddef>

namespace primus::runtime::hip {

/// hipError_t, of which only the values that mean something to us are named.
enum Result : unsigned {
  Success = 0,
  InvalidValue = 1,
  OutOfMemory = 2,
  NotInitialized = 3,
  InsufficientDriver = 35,
  NoDevice = 100,
  InvalidDevice = 101,
  InvalidImage = 200,
  NoBinaryForGpu = 209,
  SharedObjectInitFailed = 303,
  NotFound = 500,
  NotReady = 600,
  IllegalAddress = 700,
  LaunchFailure = 719,
  NotSupported = 801,
  Unknown = 999,
};

/// hipMemcpyKind.
enum CopyKind : unsigned { HostToDevice = 1, DeviceToHost = 2, DeviceToDevice = 3 };

// Handles: pointers to what only the library knows.
using Stream = struct StreamObject *;
using Event = struct EventObject *;
using Module = struct ModuleObject *;
using Function = struct FunctionObject *;

inline constexpr unsigned streamNonBlocking = 1;  ///< hipStreamNonBlocking
inline constexpr unsigned eventDisableTiming = 2; ///< hipEventDisableTiming
inline constexpr unsigned hostMallocDefault = 0;  ///< hipHostMallocDefault

// HIP_LAUNCH_PARAM_...: how `extra` of hipModuleLaunchKernel gives all arguments as one packed buffer.
inline void *const launchBufferPointer = reinterpret_cast<void *>(1);
inline void *const launchBufferSize = reinterpret_cast<void *>(2);
inline void *const launchEnd = reinterpret_cast<void *>(3);

/// hipRuntimeGetVersion's number is 10,000,000 times this and less than 10,000,000 more.
inline constexpr int versionsPerMajor = 10'000'000;
inline constexpr int oldestMajor = 5, newestMajor = 7;

} // namespace primus::runtime::hip

/// Calls X(return type, name without "hip", (parameters)) for every function.
#define PRIMUS_HIP_FUNCTIONS(X)                                                                                        \
  X(Result, Init, (unsigned flags))                                                                                    \
  X(Result, RuntimeGetVersion, (int *version))                                                                         \
  X(const char *, GetErrorName, (Result result))                                                                       \
  X(const char *, GetErrorString, (Result result))                                                                     \
  X(Result, GetDeviceCount, (int *count))                                                                              \
  X(Result, SetDevice, (int device))                                                                                   \
  X(Result, DeviceGetName, (char *name, int length, int device))                                                       \
  X(Result, DeviceComputeCapability, (int *major, int *minor, int device))                                             \
  X(Result, MemGetInfo, (size_t *free, size_t *total))                                                                 \
  X(Result, Malloc, (void **pointer, size_t bytes))                                                                    \
  X(Result, Free, (void *pointer))                                                                                     \
  X(Result, HostMalloc, (void **pointer, size_t bytes, unsigned flags))                                                \
  X(Result, HostFree, (void *pointer))                                                                                 \
  X(Result, MemcpyAsync, (void *target, const void *source, size_t bytes, CopyKind kind, Stream stream))               \
  X(Result, Memcpy2DAsync,                                                                                             \
    (void *target, size_t targetPitch, const void *source, size_t sourcePitch, size_t width, size_t height,            \
     CopyKind kind, Stream stream))                                                                                    \
  X(Result, MemsetAsync, (void *target, int value, size_t bytes, Stream stream))                                       \
  X(Result, MemsetD32Async, (void *target, int value, size_t count, Stream stream))                                    \
  X(Result, StreamCreateWithFlags, (Stream * stream, unsigned flags))                                                  \
  X(Result, StreamDestroy, (Stream stream))                                                                            \
  X(Result, StreamQuery, (Stream stream))                                                                              \
  X(Result, StreamSynchronize, (Stream stream))                                                                        \
  X(Result, StreamWaitEvent, (Stream stream, Event event, unsigned flags))                                             \
  X(Result, EventCreateWithFlags, (Event * event, unsigned flags))                                                     \
  X(Result, EventDestroy, (Event event))                                                                               \
  X(Result, EventRecord, (Event event, Stream stream))                                                                 \
  X(Result, EventQuery, (Event event))                                                                                 \
  X(Result, EventSynchronize, (Event event))                                                                           \
  X(Result, EventElapsedTime, (float *milliseconds, Event start, Event stop))                                          \
  X(Result, ModuleLoadData, (Module * module, const void *image))                                                      \
  X(Result, ModuleUnload, (Module module))                                                                             \
  X(Result, ModuleGetFunction, (Function * function, Module module, const char *name))                                 \
  X(Result, ModuleLaunchKernel,                                                                                        \
    (Function function, unsigned gridX, unsigned gridY, unsigned gridZ, unsigned blockX, unsigned blockY,              \
     unsigned blockZ, unsigned sharedBytes, Stream stream, void **parameters, void **extra))

#endif // PRIMUS_RUNTIME_DEVICES_HIP_HIPAPI_H
