//===- Inputs.cpp - A model's inputs from a file --------------------------===//

#include "frontend/bisect/Inputs.h"

#include "passes/LayerFunction.h"
#include "passes/Plan.h"
#include "passes/Program.h"
#include "runtime/checkpoint/SafetensorsFile.h"

#include <cstring>
#include <fmt/format.h>
#include <fmt/ranges.h>

using namespace mlir;
using namespace primus;
using namespace primus::bisect;
using runtime::Error;
using runtime::Expected;

/// Elements of each input in one step.
static std::map<std::string, int64_t> getSizes(ModuleOp module) {
  std::map<std::string, int64_t> sizes;
  auto forward = module.lookupSymbol<func::FuncOp>(kForwardProgram);
  FailureOr<Plan> plan = Plan::get(module);
  if (!forward || failed(plan))
    return sizes;
  for (unsigned i = 0, end = forward.getNumArguments(); i < end; ++i)
    sizes[getArgName(forward, i)] = plan->microbatches * cast<RankedTensorType>(forward.getArgument(i).getType()).getNumElements();
  return sizes;
}

template <typename Integer>
static std::vector<double> readIntegers(std::span<const std::byte> bytes) {
  std::vector<double> values;
  for (size_t offset = 0; offset < bytes.size(); offset += sizeof(Integer)) {
    Integer value;
    std::memcpy(&value, bytes.data() + offset, sizeof(value));
    values.push_back(static_cast<double>(value));
  }
  return values;
}

Expected<GivenInputs> bisect::readInputs(const std::string &path, ModuleOp module, int64_t vocabulary) {
  Expected<runtime::SafetensorsFile> file = runtime::SafetensorsFile::open(path);
  if (!file)
    return file.takeError();
  std::map<std::string, int64_t> sizes = getSizes(module);
  GivenInputs inputs;
  for (const runtime::StoredTensor &tensor : file->getTensors()) {
    auto fail = [&](const std::string &problem) { return Error::configuration(fmt::format("{}: tensor '{}' {}", path, tensor.name, problem)); };
    auto size = sizes.find(tensor.name);
    if (size == sizes.end()) {
      std::vector<std::string> names;
      for (const auto &[name, elements] : sizes)
        names.push_back(name);
      return fail(fmt::format("is no input of the model; its inputs are {}", fmt::join(names, ", ")));
    }
    std::vector<double> &values = inputs[tensor.name];
    if (tensor.type == runtime::StoredType::I32)
      values = readIntegers<int32_t>(file->getBytes(tensor));
    else if (tensor.type == runtime::StoredType::I64)
      values = readIntegers<int64_t>(file->getBytes(tensor));
    else
      return fail(fmt::format("is {}, but inputs are I32 or I64", tensor.str()));
    if (static_cast<int64_t>(values.size()) != size->second)
      return fail(fmt::format("is {}, but a step takes {} elements (all microbatches)", tensor.str(), size->second));
    for (double value : values)
      if (value >= static_cast<double>(vocabulary) || (value < 0 && tensor.name != "labels"))
        return fail(fmt::format("holds {}, which is no token of a vocabulary of {}", value, vocabulary));
  }
  return inputs;
}
