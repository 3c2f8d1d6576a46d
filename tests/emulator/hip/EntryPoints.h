//===- EntryPoints.h - What librccl_emulated.so needs -------------*- C++ -*-===//

#pragma once

#include "runtime/devices/hip/HipApi.h"

#include <cstdint>
#include <functional>

extern "C" {
/// Puts a job into a queue; its result is the device's.
void primusEmulatedEnqueue(primus::runtime::hip::Stream stream, std::function<primus::runtime::hip::Result()> job);
/// The host's address of device memory, or null; `writes`: all of it is going to be written.
uint8_t *primusEmulatedFind(primus::runtime::hip::Stream stream, const void *pointer, size_t bytes, bool writes);
}
