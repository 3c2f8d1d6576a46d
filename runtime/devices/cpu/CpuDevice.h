//===- CpuDevice.h - Kernels as a shared object, run by threads -----------===//

#ifndef PRIMUS_RUNTIME_DEVICES_CPU_CPUDEVICE_H
#define PRIMUS_RUNTIME_DEVICES_CPU_CPUDEVICE_H

#include "runtime/devices/Device.h"

namespace primus::runtime {

/// The processor as a device. `threads` = 0 chooses by getDefaultThreads.
std::unique_ptr<Device> createCpuDevice(int threads = 0);

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_DEVICES_CPU_CPUDEVICE_H
