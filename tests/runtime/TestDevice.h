//===- TestDevice.h - The devices on which tests run ----------------------===//

#ifndef PRIMUS_TESTS_RUNTIME_TESTDEVICE_H
#define PRIMUS_TESTS_RUNTIME_TESTDEVICE_H

#include "runtime/devices/Device.h"

#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace primus::test {

/// The processor, or an emulated GPU of that architecture: the one of a rank, of 8 at most.
std::unique_ptr<runtime::Device> createTestDevice(const std::string &target, int threads = 1, int rank = 0);

/// Environment entries that make a process run on emulated GPUs, whose properties are as tests/emulator/hip/Settings.h says.
std::vector<std::string> getEmulatedHip(const std::string &properties = "");

/// Tests that run on every device, from one source: GetParam is the target.
class OnDevices : public testing::TestWithParam<std::string> {
protected:
  bool isGpu() const { return GetParam() != "cpu"; }
};

} // namespace primus::test

#endif // PRIMUS_TESTS_RUNTIME_TESTDEVICE_H
