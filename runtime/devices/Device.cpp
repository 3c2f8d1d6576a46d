//===- Device.cpp - What the executor needs of a device -------------------===//

#include "runtime/devices/Device.h"

#include "runtime/communicators/Communicator.h"

using namespace primus::runtime;

Expected<std::unique_ptr<Communicator>> Device::createCommunicator(Communicator &) {
  return std::unique_ptr<Communicator>();
}
