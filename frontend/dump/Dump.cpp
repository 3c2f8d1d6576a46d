//===- Dump.cpp - What a person reads of a compilation --------------------===//

#include "frontend/dump/Dump.h"

#include "frontend/cli/Compilation.h"
#include "runtime/metrics/Report.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

using llvm::StringRef;
using namespace primus;
using namespace primus::cli;

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
    bool isGpu = kernel.has_resources();
    nlohmann::ordered_json description = {{"name", kernel.name()}, {"symbol", kernel.symbol()}};
    if (isGpu) {
      int64_t instances = 1;
      for (int64_t size : kernel.grid())
        instances *= size;
      description["target"] = executable.target();
      description["grid"] = {instances, 1, 1};
      description["block"] = kernel.block();
    } else {
      description["grid"] = kernel.grid();
      description["block"] = {1, 1, 1};
    }
    description["lds_bytes"] = kernel.lds_bytes();
    description["flops"] = kernel.flops();
    description["bytes"] = kernel.bytes();
    description["defined_by"] = kernel.defined_by();
    if (isGpu)
      description["resources"] = runtime::describeResources(kernel.resources());
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
