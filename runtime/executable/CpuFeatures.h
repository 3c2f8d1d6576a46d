//===- CpuFeatures.h - What this machine's processor can do ---------------===//

#ifndef PRIMUS_RUNTIME_EXECUTABLE_CPUFEATURES_H
#define PRIMUS_RUNTIME_EXECUTABLE_CPUFEATURES_H

#include <optional>
#include <string_view>

namespace primus::runtime {

/// Whether this processor, and the operating system for registers that it must save, support a feature by LLVM's name
/// (avx512bf16). Nothing if this program does not know the name.
std::optional<bool> hasCpuFeature(std::string_view name);

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_EXECUTABLE_CPUFEATURES_H
