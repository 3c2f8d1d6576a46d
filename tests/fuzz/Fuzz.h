//===- Fuzz.h - Targets for damaged input ---------------------------------===//
//
// Each target takes bytes as they might lie in a file and must neither crash nor read outside memory. They are run over
// random damage by FuzzTest.cpp, and by libFuzzer where the compiler brings it.
//
//===----------------------------------------------------------------------===//

#ifndef PRIMUS_TESTS_FUZZ_FUZZ_H
#define PRIMUS_TESTS_FUZZ_FUZZ_H

#include <string>
#include <string_view>

namespace primus::test {

/// Parses an executable, and flattens the programs of one that is accepted, checking every address. Returns whether it was
/// accepted.
bool fuzzExecutable(std::string_view bytes);

/// Parses an .idx file for a .bin file of 64 bytes, and reads through the arrays of one that is accepted.
bool fuzzIndexFile(std::string_view bytes);

/// Parses a safetensors file, and reads all bytes of the tensors of one that is accepted.
bool fuzzSafetensors(std::string_view bytes);

/// Inputs that are accepted, to start from.
std::string makeExecutableSeed();
std::string makeIndexFileSeed();
std::string makeSafetensorsSeed();

} // namespace primus::test

#endif // PRIMUS_TESTS_FUZZ_FUZZ_H
