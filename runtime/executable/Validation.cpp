//===- Validation.cpp - Is an executable safe to run? ---------------------===//
//
// The tables of an executable: kernels, variables, ports, memory. ValidateLayouts.cpp checks the mesh and what lies on it,
// ValidateActions.cpp what programs do, and ValidateCode.cpp the code.
//
//===----------------------------------------------------------------------===//

#include "runtime/executable/Validation.h"

#include "runtime/executable/CpuFeatures.h"
#include "runtime/executable/ExecutableFile.h"
#include "runtime/executable/PipelineRank.h"
#include "runtime/executable/Types.h"

#include <algorithm>
#include <fmt/format.h>
#include <string_view>
#include <unordered_set>
#include <vector>

using namespace primus;
using namespace primus::runtime;
using executable::Executable;

static Error checkTarget(const Executable &executable) {
  if (executable.format_version() != executableFormatVersion)
    return Error::failure(fmt::format("format version {}, but this program reads version {}; compile it again",
                                      executable.format_version(), executableFormatVersion));
  if (executable.target() != "cpu" && !isGpuTarget(executable.target()))
    return Error::failure(fmt::format("is compiled for '{}', which this program does not know", executable.target()));
  for (const std::string &feature : executable.cpu_features()) {
    std::optional<bool> present = hasCpuFeature(feature);
    if (!present)
      return Error::failure(fmt::format("needs the processor feature '{}', which this program does not know", feature));
    if (!*present)
      return Error::failure(fmt::format("needs the processor feature '{}', which this machine lacks; compile it again "
                                        "here, or with --cpu-features",
                                        feature));
  }
  return Error::success();
}

static Error checkMemory(const executable::Memory &memory) {
  if (memory.arena() < 0 || memory.arena() > maximumBytes)
    return Error::failure(fmt::format("memory: an arena of {} bytes", memory.arena()));
  int64_t sum = 0;
  for (int64_t part : {memory.parameters(), memory.optimizer(), memory.gradients(), memory.constants(), memory.inputs(),
                       memory.activations()}) {
    if (part < 0 || part > memory.arena())
      return Error::failure(fmt::format("memory: a part of {} bytes in an arena of {}", part, memory.arena()));
    sum += part;
  }
  if (sum != memory.arena())
    return Error::failure(fmt::format("memory: the parts add up to {} bytes, the arena has {}", sum, memory.arena()));
  return Error::success();
}

static Error checkKernels(const Executable &executable) {
  for (int i = 0; i < executable.kernels_size(); ++i) {
    const executable::Kernel &kernel = executable.kernels(i);
    auto fail = [&](const std::string &what) {
      return Error::failure(fmt::format("kernels[{}] '{}': {}", i, kernel.name(), what));
    };
    // A null byte would end the symbol early for the dynamic linker.
    if (kernel.symbol().empty() || kernel.symbol().find('\0') != std::string::npos)
      return fail("no valid symbol");
    if (!getElementCount(kernel.grid()))
      return fail("the grid is empty or too large");
    if (kernel.flops() < 0 || kernel.bytes() < 0)
      return fail("a negative cost");
    for (int j = 0; j < kernel.arguments_size(); ++j) {
      if (!getByteSize(kernel.arguments(j).type()))
        return fail(fmt::format("argument {} has no valid type: {}", j, toString(kernel.arguments(j).type())));
      const std::string &access = kernel.arguments(j).access();
      if (access != "r" && access != "w" && access != "rw")
        return fail(fmt::format("argument {}: access '{}' is not r, w or rw", j, access));
    }
  }
  return Error::success();
}

/// Checks a named tensor at a fixed place of the arena: a variable or a port.
template <typename Entry>
static Error checkPlace(const Executable &executable, const RankMesh &mesh, const Entry &entry,
                        const std::string &where) {
  auto fail = [&](const std::string &what) {
    return Error::failure(fmt::format("{} '{}': {}", where, entry.name(), what));
  };
  if (entry.name().empty())
    return fail("no name");
  std::optional<int64_t> bytes = getByteSize(entry.type());
  if (!bytes)
    return fail(fmt::format("no valid type: {}", toString(entry.type())));
  int64_t arena = executable.memory().arena();
  if (entry.offset() < 0 || entry.offset() > arena || *bytes > arena - entry.offset())
    return fail(fmt::format("{} bytes at offset {} lie outside the arena of {} bytes", *bytes, entry.offset(), arena));
  if (entry.offset() % arenaAlignment != 0)
    return fail(fmt::format("offset {} is not a multiple of {}", entry.offset(), arenaAlignment));
  if (entry.has_layout())
    if (Error error = validateLayout(mesh, entry.type(), entry.layout()))
      return fail(error.getMessage());
  return Error::success();
}

template <typename Entries>
static Error checkPlaces(const Executable &executable, const Entries &entries, const std::string &where) {
  RankMesh mesh(executable.mesh());
  std::unordered_set<std::string_view> names;
  for (int i = 0; i < entries.size(); ++i) {
    std::string entryWhere = fmt::format("{}[{}]", where, i);
    if (Error error = checkPlace(executable, mesh, entries[i], entryWhere))
      return error;
    if (!names.insert(entries[i].name()).second)
      return Error::failure(fmt::format("{} '{}': the name occurs twice", entryWhere, entries[i].name()));
  }
  return Error::success();
}

/// Variables outlive a step, so no two may share memory.
static Error checkVariablesAreDisjoint(const Executable &executable) {
  std::vector<const executable::Variable *> order;
  for (const executable::Variable &variable : executable.variables())
    order.push_back(&variable);
  std::sort(order.begin(), order.end(), [](auto *a, auto *b) { return a->offset() < b->offset(); });
  for (size_t i = 1; i < order.size(); ++i)
    if (order[i - 1]->offset() + *getByteSize(order[i - 1]->type()) > order[i]->offset())
      return Error::failure(
          fmt::format("variables '{}' and '{}' overlap", order[i - 1]->name(), order[i]->name()));
  return Error::success();
}

static Error checkVariables(const Executable &executable) {
  if (Error error = checkPlaces(executable, executable.variables(), "variables"))
    return error;
  RankMesh mesh(executable.mesh());
  for (const executable::Variable &variable : executable.variables()) {
    const std::string &role = variable.role();
    if (role != "parameter" && role != "optimizer" && role != "gradient" && role != "constant")
      return Error::failure(fmt::format("variable '{}': unknown role '{}'", variable.name(), role));
    // A sum over ranks that starts with a value would count it once per rank.
    if (variable.layout().partial_size() > 0 && variable.initializer().kind() != "zeros")
      return Error::failure(fmt::format("variable '{}': a partial sum that starts with '{}' instead of zeros",
                                        variable.name(), variable.initializer().kind()));
    std::unordered_set<std::string_view> used;
    if (Error error = validateAxes(mesh, variable.initializer().axes(), used))
      return Error::failure(fmt::format("variable '{}': initializer: {}", variable.name(), error.getMessage()));
  }
  return checkVariablesAreDisjoint(executable);
}

static Error checkPrograms(const Executable &executable) {
  std::unordered_set<std::string_view> names;
  for (int i = 0; i < executable.programs_size(); ++i) {
    const executable::Program &program = executable.programs(i);
    std::string where = fmt::format("programs[{}] '{}'", i, program.name());
    if (program.name().empty() || !names.insert(program.name()).second)
      return Error::failure(fmt::format("{}: no name, or one that occurs twice", where));
    if (Error error = checkPlaces(executable, program.inputs(), where + " inputs"))
      return error;
    if (Error error = checkPlaces(executable, program.outputs(), where + " outputs"))
      return error;
    for (const executable::Port &input : program.inputs())
      if (input.layout().partial_size() > 0)
        return Error::failure(fmt::format("{} input '{}': a partial sum", where, input.name()));
  }
  return validateActions(executable);
}

/// Checks what the ranks have that run an executable, all the same.
static Error checkRank(const Executable &executable) {
  if (Error error = checkMemory(executable.memory()))
    return error;
  if (Error error = checkVariables(executable))
    return error;
  return checkPrograms(executable);
}

/// Checks what each rank of a pipeline has.
static Error checkPipelineRanks(const Executable &executable) {
  RankMesh mesh(executable.mesh());
  AxisList axes;
  *axes.Add() = pipelineAxis;
  if (!mesh.findAxis(pipelineAxis) || mesh.getGroupSize(axes) != executable.pipeline_ranks_size())
    return Error::failure(fmt::format("{} pipeline ranks, but the mesh has no axis '{}' of that size",
                                      executable.pipeline_ranks_size(), pipelineAxis));
  if (executable.programs_size() > 0 || executable.variables_size() > 0 || executable.has_memory())
    return Error::failure("programs, variables or memory beside those of pipeline ranks");
  // Without the others' programs, and without code.
  Executable own;
  *own.mutable_mesh() = executable.mesh();
  *own.mutable_kernels() = executable.kernels();
  *own.mutable_functions() = executable.functions();
  for (int place = 0; place < executable.pipeline_ranks_size(); ++place) {
    const executable::PipelineRank &rank = executable.pipeline_ranks(place);
    *own.mutable_programs() = rank.programs();
    *own.mutable_variables() = rank.variables();
    *own.mutable_memory() = rank.memory();
    if (Error error = checkRank(own))
      return Error::failure(fmt::format("pipeline_ranks[{}]: {}", place, error.getMessage()));
  }
  return Error::success();
}

Error runtime::validateExecutable(const Executable &executable) {
  if (Error error = checkTarget(executable))
    return error;
  if (Error error = validateMesh(executable))
    return error;
  if (Error error = checkKernels(executable))
    return error;
  bool isPipeline = executable.pipeline_ranks_size() > 0;
  if (Error error = isPipeline ? checkPipelineRanks(executable) : checkRank(executable))
    return error;
  return validateCode(executable);
}
