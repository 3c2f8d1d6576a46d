//===- ConfigFuzz.h - The configuration loader over damaged input ---------===//

#ifndef PRIMUS_TESTS_FUZZ_CONFIGFUZZ_H
#define PRIMUS_TESTS_FUZZ_CONFIGFUZZ_H

#include <string_view>

namespace primus::test {

/// Reads bytes as YAML and as TOML, substitutes variables, merges the result with itself, and takes it for the resolved
/// keys of every flavour. Nothing may crash, and what fails has to say why. Returns whether either language accepted it.
bool fuzzConfig(std::string_view bytes);

} // namespace primus::test

#endif // PRIMUS_TESTS_FUZZ_CONFIGFUZZ_H
