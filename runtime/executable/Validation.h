//===- Validation.h - Is an executable safe to run? -----------------------===//

#ifndef PRIMUS_RUNTIME_EXECUTABLE_VALIDATION_H
#define PRIMUS_RUNTIME_EXECUTABLE_VALIDATION_H

#include "runtime/executable/Mesh.h"
#include "runtime/support/Error.h"

#include <string>
#include <string_view>
#include <unordered_set>

namespace primus::runtime {

/// Commands and operands of a flattened program do not exceed these, so that a small damaged file cannot ask for
/// unbounded memory.
inline constexpr int64_t maximumCommands = int64_t(1) << 22;
inline constexpr int64_t maximumOperands = int64_t(1) << 25;

/// No mesh has more ranks.
inline constexpr int64_t maximumRanks = int64_t(1) << 24;

/// Checks everything that the executor relies on: format version, target and processor features, every index, type,
/// offset, size and alignment, and that the code is undamaged and the target's. Arithmetic on the file's numbers never
/// overflows. The message says which entry is wrong and why, in one line.
Error validateExecutable(const executable::Executable &executable);

/// Checks the mesh, on which everything about several ranks depends.
Error validateMesh(const executable::Executable &executable);

/// Checks that axes exist and are not in `used` yet, which they join.
Error validateAxes(const RankMesh &mesh, const AxisList &axes, std::unordered_set<std::string_view> &used);

/// Checks the layout of a tensor, each of whose parts has the valid type `type`.
Error validateLayout(const RankMesh &mesh, const executable::TensorType &type, const executable::Layout &layout);

/// Checks the actions of functions and programs, whose kernels and mesh must have been checked already.
Error validateActions(const executable::Executable &executable);

/// Checks that the code is for the target (for the CPU: of this machine's architecture), that its segments lie inside it,
/// and that GPU kernels, which must have been checked otherwise, can be launched.
Error validateCode(const executable::Executable &executable);

/// Whether a target is an AMD GPU that this runtime knows.
bool isGpuTarget(std::string_view target);

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_EXECUTABLE_VALIDATION_H
