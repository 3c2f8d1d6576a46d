//===- SafetensorsFuzzer.cpp - libFuzzer over safetensors headers ---------===//

#include "tests/fuzz/Fuzz.h"

#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  primus::test::fuzzSafetensors({reinterpret_cast<const char *>(data), size});
  return 0;
}
