//===- ExecutableFuzzer.cpp - libFuzzer over the executable format --------===//

#include "tests/fuzz/Fuzz.h"

#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  primus::test::fuzzExecutable({reinterpret_cast<const char *>(data), size});
  return 0;
}
