//===- Settings.h - What the emulated GPUs are like ---------------*- C++ -*-===//
//
// PRIMUS_EMULATED_HIP="key=value,key=value":
//   devices=N          how many there are (1)
//   architecture=NAME  gfx942 or gfx950; by default that of the first code that a device gets
//   memory=BYTES       of each device (64 GiB, of which only what is allocated costs anything)
//   version=N          what hipRuntimeGetVersion gives
//   fault_device=N     the device that has the following (0)
//   fault_launch=N     its N-th launch, from 1, ends with an illegal access: reported later, as by a GPU
//   lose_launch=N      at its N-th launch the device is lost: nothing that is queued ends well, and every call fails
//   hang_launch=N      its N-th launch does not end
//
//===----------------------------------------------------------------------===//

#pragma once

#include <cstdint>
#include <string>

namespace primus::emulator::hip {

struct Settings {
  int64_t devices = 1, memory = int64_t(64) << 30, version = 60'200'000;
  std::string architecture;
  int64_t faultDevice = 0, faultLaunch = 0, loseLaunch = 0, hangLaunch = 0;

  /// Reads the variable; an entry that is not understood ends the process with a message.
  static Settings read();
};

} // namespace primus::emulator::hip
