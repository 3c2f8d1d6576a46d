//===- InitializeVariables.cpp - First values, on the device --------------===//

#include "runtime/executable/Types.h"
#include "runtime/executor/Executor.h"
#include "runtime/init/Initializer.h"

#include <algorithm>
#include <fmt/format.h>
#include <vector>

using namespace primus;
using namespace primus::runtime;

static InitializerSpec toSpec(const executable::Initializer &initializer) {
  InitializerSpec spec;
  spec.kind = initializer.kind();
  spec.parameters.insert(initializer.parameters().begin(), initializer.parameters().end());
  spec.frequencies.assign(initializer.frequencies().begin(), initializer.frequencies().end());
  spec.stream = initializer.stream();
  return spec;
}

/// Makes a variable's values in pieces, so that the host needs no second copy of a large one.
static Error initializeVariable(const executable::Variable &variable, uint64_t seed, std::byte *address,
                                Device &device) {
  InitializerSpec spec = toSpec(variable.initializer());
  std::vector<int64_t> shape(variable.type().shape().begin(), variable.type().shape().end());
  auto fail = [&](const std::string &reason) {
    return Error::failure(fmt::format("variable '{}': {}", variable.name(), reason));
  };
  if (std::optional<std::string> reason = checkInitializer(spec, shape))
    return fail(*reason);
  // The arena is zero from the start, whatever the type.
  if (spec.kind == "zeros")
    return Error::success();
  if (variable.type().data_type() != executable::F32)
    return fail(fmt::format("initial values of kind '{}' are f32, the variable is {}", spec.kind,
                            toString(variable.type())));

  int64_t count = *getElementCount(variable.type().shape());
  constexpr int64_t pieceElements = 1 << 20;
  std::vector<float> piece(static_cast<size_t>(std::min(count, pieceElements)));
  for (int64_t begin = 0; begin < count; begin += pieceElements) {
    int64_t end = std::min(begin + pieceElements, count);
    if (std::optional<std::string> reason = initialize(spec, shape, seed, begin, end, piece.data()))
      return fail(*reason);
    int64_t size = sizeof(float);
    device.upload(address + begin * size, piece.data(), (end - begin) * size);
  }
  return Error::success();
}

Error Executor::initializeVariables(uint64_t seed) {
  for (const executable::Variable &variable : executable.variables())
    if (Error error = initializeVariable(variable, seed, arena + variable.offset(), *device))
      return error;
  return Error::success();
}

Error Executor::initializeConstants() {
  for (const executable::Variable &variable : executable.variables())
    if (variable.role() == "constant")
      if (Error error = initializeVariable(variable, /*seed=*/0, arena + variable.offset(), *device))
        return error;
  return Error::success();
}
