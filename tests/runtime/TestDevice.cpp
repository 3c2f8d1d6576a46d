//===- TestDevice.cpp - The devices on which tests run --------------------===//

#include "tests/runtime/TestDevice.h"

#include "runtime/devices/cpu/CpuDevice.h"
#include "runtime/devices/hip/HipDevice.h"

#include <cstdlib>

using namespace primus;
using namespace primus::runtime;

std::unique_ptr<Device> test::createTestDevice(const std::string &target, int threads, int rank) {
  if (target == "cpu")
    return createCpuDevice(threads);
  setenv("PRIMUS_HIP_LIBRARY", PRIMUS_EMULATED_HIP_LIBRARY, /*replace=*/1);
  setenv("PRIMUS_RCCL_LIBRARY", PRIMUS_EMULATED_RCCL_LIBRARY, /*replace=*/1);
  // Eight of each architecture: a device keeps what its first program is for.
  setenv("PRIMUS_EMULATED_HIP", "devices=16", /*replace=*/1);
  Expected<std::unique_ptr<Device>> device = createHipDevice(target == "gfx942" ? rank : 8 + rank);
  if (device)
    return std::move(*device);
  ADD_FAILURE() << device.takeError().getMessage();
  return nullptr;
}

std::vector<std::string> test::getEmulatedHip(const std::string &properties) {
  return {"PRIMUS_HIP_LIBRARY=" PRIMUS_EMULATED_HIP_LIBRARY, "PRIMUS_RCCL_LIBRARY=" PRIMUS_EMULATED_RCCL_LIBRARY,
          "PRIMUS_EMULATED_HIP=" + properties};
}
