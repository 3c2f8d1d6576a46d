//===- HipDevice.h - AMD GPUs ---------------------------------------------===//

#ifndef PRIMUS_RUNTIME_DEVICES_HIP_HIPDEVICE_H
#define PRIMUS_RUNTIME_DEVICES_HIP_HIPDEVICE_H

#include "runtime/devices/Device.h"

namespace primus::runtime {

/// A GPU as a device, by way of HIP: the one that belongs to this number among the ranks of this host. Fails where there is
/// no HIP library, no driver or no GPU.
Expected<std::unique_ptr<Device>> createHipDevice(int localRank = 0);

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_DEVICES_HIP_HIPDEVICE_H
