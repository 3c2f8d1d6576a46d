//===- Dump.cpp - What a person reads of a compilation --------------------===//

#include "frontend/cli/Dump.h"

#include "frontend/cli/Compilation.h"
#include "ir/graph/GraphDialect.h"
#include "ir/kernel/KernelDialect.h"
#include "ir/step/StepDialect.h"
#include "passes/Pipeline.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

using namespace mlir;
using namespace primus;
using namespace primus::cli;

std::string cli::printModule(ModuleOp module, std::optional<StringRef> phase) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  if (phase) {
    int64_t ops = 0, functions = 0, flops = 0, kernels = 0, arena = 0;
    module.walk([&](Operation *op) {
      ++ops;
      functions += isa<func::FuncOp, step::FunctionOp>(op);
      kernels += isa<kernel::FuncOp>(op);
      if (auto costed = dyn_cast<graph::Costed>(op); costed && !isa<graph::FusionOp>(op))
        flops += costed.getCost().flops;
      if (auto program = dyn_cast<step::ProgramOp>(op))
        arena = std::max<int64_t>(arena, program.getArena());
    });
    unsigned index = *findPhase(*phase);
    stream << "// Phase " << index << ", " << *phase << ": " << getPhases()[index].summary << ".\n// " << ops << " ops, "
           << functions << " functions";
    if (flops)
      stream << ", " << flops << " FLOPs in their bodies (each distinct layer once)";
    if (kernels)
      stream << ", " << kernels << " kernels";
    if (arena)
      stream << ", arena of " << arena << " bytes";
    stream << ".\n";
  }
  // A dump goes back in by --start-from, where names come from locations: they are part of it.
  OpPrintingFlags flags;
  module->print(stream, flags.printNameLocAsPrefix().enableDebugInfo(phase.has_value()));
  stream << "\n";
  return text;
}

void KernelDump::add(StringRef kernel, StringRef extension, StringRef content) {
  if (print && extension == "s")
    fmt::print("{}", content.str());
  if (!folder.empty())
    failed |= !writeFile(fmt::format("{}/kernels/{}.{}", folder, kernel.str(), extension.str()), content.str());
}

bool KernelDump::finish(const executable::Executable &executable) {
  if (folder.empty())
    return true;
  for (const executable::Kernel &kernel : executable.kernels()) {
    nlohmann::ordered_json description = {{"name", kernel.name()},
                                          {"symbol", kernel.symbol()},
                                          {"grid", kernel.grid()},
                                          {"block", {1, 1, 1}},
                                          {"lds_bytes", 0},
                                          {"flops", kernel.flops()},
                                          {"bytes", kernel.bytes()},
                                          {"defined_by", kernel.defined_by()}};
    auto &arguments = description["arguments"] = nlohmann::ordered_json::array();
    int64_t offset = 0;
    for (const executable::KernelArgument &argument : kernel.arguments()) {
      std::vector<int64_t> shape(argument.type().shape().begin(), argument.type().shape().end()), strides(shape.size(), 1);
      for (size_t i = shape.size(); i-- > 1;)
        strides[i - 1] = strides[i] * shape[i];
      std::string type = executable::DataType_Name(argument.type().data_type());
      std::transform(type.begin(), type.end(), type.begin(), [](unsigned char c) { return std::tolower(c); });
      arguments.push_back({{"kind", "pointer"},
                           {"offset", offset},
                           {"dtype", type},
                           {"shape", shape},
                           {"strides", strides},
                           {"access", argument.access()}});
      offset += sizeof(void *);
    }
    failed |= !writeFile(fmt::format("{}/kernels/{}.json", folder, kernel.name()), description.dump(2) + "\n");
  }
  return !failed;
}
