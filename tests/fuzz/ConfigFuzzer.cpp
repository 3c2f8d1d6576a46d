//===- ConfigFuzzer.cpp - libFuzzer over the configuration loader ---------===//

#include "tests/fuzz/ConfigFuzz.h"

#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  primus::test::fuzzConfig({reinterpret_cast<const char *>(data), size});
  return 0;
}
