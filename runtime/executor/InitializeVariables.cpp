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
  spec.axes.assign(initializer.axes().begin(), initializer.axes().end());
  return spec;
}

namespace {

/// Collects values and sends them to the device in pieces, so that the host needs no second copy of a large variable.
class ValueUploader {
public:
  ValueUploader(Device &device, std::byte *address, executable::DataType type, int64_t count)
      : device(device), address(address), type(type), values(static_cast<size_t>(std::min(count, pieceElements))) {}

  /// Room for the next `count` values at most.
  std::span<float> reserve(int64_t count) {
    if (used == values.size())
      error = flush();
    return std::span(values).subspan(used, std::min(static_cast<size_t>(count), values.size() - used));
  }
  void add(size_t count) { used += count; }

  /// Sends what is there.
  Error flush() {
    if (error)
      return error;
    const void *source = values.data();
    if (type == executable::I32) {
      integers.assign(values.begin(), values.begin() + static_cast<ptrdiff_t>(used));
      source = integers.data();
    }
    auto bytes = static_cast<int64_t>(used * sizeof(float));
    Error sent = device.upload(address, source, bytes);
    address += bytes;
    used = 0;
    return sent;
  }

private:
  static constexpr int64_t pieceElements = 1 << 20;

  Device &device;
  std::byte *address;
  executable::DataType type;
  std::vector<float> values;
  std::vector<int32_t> integers;
  size_t used = 0;
  /// The first one, after which nothing is sent any more.
  Error error = Error::success();
};

} // namespace

/// Whether an initialiser makes integers.
static bool makesIntegers(const std::string &kind) { return kind == "positions" || kind == "axis_index"; }

Error Executor::initialize(const executable::Variable &variable, uint64_t seed) {
  InitializerSpec spec = toSpec(variable.initializer());
  spec.axisIndex = mesh.getGroupIndex(getRank(), variable.initializer().axes());
  std::vector<int64_t> shape(variable.type().shape().begin(), variable.type().shape().end());
  const executable::Layout *layout = variable.has_layout() ? &variable.layout() : nullptr;
  TensorRegion region = mesh.getRegion(getRank(), shape, layout);
  if (layout)
    shape.assign(layout->global_shape().begin(), layout->global_shape().end());
  auto fail = [&](const std::string &reason) {
    return Error::failure(fmt::format("variable '{}': {}", variable.name(), reason));
  };
  if (std::optional<std::string> reason = checkInitializer(spec, shape))
    return fail(*reason);
  // The arena is zero from the start, whatever the type.
  if (spec.kind == "zeros")
    return Error::success();
  executable::DataType type = makesIntegers(spec.kind) ? executable::I32 : executable::F32;
  if (variable.type().data_type() != type)
    return fail(fmt::format("initial values of kind '{}' are {}, the variable is {}", spec.kind,
                            type == executable::I32 ? "i32" : "f32", toString(variable.type())));

  ValueUploader uploader(*device, arena + variable.offset(), type, region.getElements());
  std::optional<std::string> reason;
  forEachCommonRun(region, TensorRegion::whole(shape), [&](int64_t, int64_t begin, int64_t count) {
    for (int64_t end = begin + count; begin < end && !reason;) {
      std::span<float> room = uploader.reserve(end - begin);
      auto size = static_cast<int64_t>(room.size());
      reason = primus::runtime::initialize(spec, shape, seed, begin, begin + size, room.data());
      uploader.add(room.size());
      begin += size;
    }
  });
  if (reason)
    return fail(*reason);
  return uploader.flush();
}

Error Executor::initializeVariables(uint64_t seed) {
  for (const executable::Variable &variable : executable.variables())
    if (Error error = initialize(variable, seed))
      return error;
  return Error::success();
}

Error Executor::initializeConstants() {
  for (const executable::Variable &variable : executable.variables())
    if (variable.role() == "constant")
      if (Error error = initialize(variable, /*seed=*/0))
        return error;
  return Error::success();
}
