//===- Settings.cpp - What the emulated GPUs are like ---------------------===//

#include "tests/emulator/hip/Settings.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/ErrorHandling.h"

#include <cstdlib>

using namespace llvm;
using namespace primus::emulator::hip;

Settings Settings::read() {
  Settings settings;
  const std::pair<StringRef, int64_t *> numbers[] = {
      {"devices", &settings.devices},          {"memory", &settings.memory},
      {"version", &settings.version},          {"fault_device", &settings.faultDevice},
      {"fault_launch", &settings.faultLaunch}, {"lose_launch", &settings.loseLaunch},
      {"hang_launch", &settings.hangLaunch}};
  const char *variable = std::getenv("PRIMUS_EMULATED_HIP");
  for (StringRef entry : split(variable ? variable : "", ',')) {
    if (entry.empty())
      continue;
    auto [key, value] = entry.split('=');
    if (key == "architecture") {
      settings.architecture = value;
      continue;
    }
    bool isKnown = false;
    for (auto &[name, number] : numbers)
      isKnown |= name == key && !value.getAsInteger(10, *number);
    if (!isKnown)
      report_fatal_error(Twine("PRIMUS_EMULATED_HIP: '") + entry + "' is not understood", /*gen_crash_diag=*/false);
  }
  return settings;
}
