//===- NonFiniteSearch.cpp - Where the first NaN came up ------------------===//

#include "runtime/executor/NonFiniteSearch.h"

#include "runtime/executable/Types.h"

#include <charconv>
#include <cstring>
#include <fmt/format.h>
#include <fmt/ranges.h>

using namespace primus;
using namespace primus::runtime;
using executable::DataType;

namespace {

/// The exponent's and the fraction's bits of a floating-point type.
struct FloatFormat {
  int64_t bytes;
  uint64_t exponent, fraction;
};

/// What is not finite has an exponent of ones. Types of 8 bits saturate, and integers cannot be anything else.
std::optional<FloatFormat> getFormat(DataType type) {
  switch (type) {
  case executable::F64:
    return FloatFormat{8, uint64_t(0x7FF) << 52, (uint64_t(1) << 52) - 1};
  case executable::F32:
    return FloatFormat{4, 0x7F800000, 0x007FFFFF};
  case executable::F16:
    return FloatFormat{2, 0x7C00, 0x03FF};
  case executable::BF16:
    return FloatFormat{2, 0x7F80, 0x007F};
  default:
    return std::nullopt;
  }
}

/// Looks at tensors on the device until one has a value that is no finite number.
class Search {
public:
  Search(SteppedProgram &program, const Device::Poll &poll) : program(program), poll(poll) {}

  /// At all that an action has written.
  Error lookAt(const SteppedProgram::Action &action);

  std::string found; ///< empty: all was finite so far

private:
  Error lookAt(const std::string &name, const executable::TensorType &type, const void *address);
  Error lookAtResults(const SteppedProgram::Action &action);
  Error lookAtSums(const CollectiveDescription &collective);

  SteppedProgram &program;
  const Device::Poll &poll;
  std::vector<std::byte> values;
};

} // namespace

/// Where element `index` of a packed tensor is: [2, 0, 17].
static std::vector<int64_t> getPlace(const executable::TensorType &type, int64_t index) {
  std::vector<int64_t> place(static_cast<size_t>(type.shape_size()));
  for (size_t d = place.size(); d-- > 0;) {
    place[d] = index % type.shape(static_cast<int>(d));
    index /= type.shape(static_cast<int>(d));
  }
  return place;
}

Error Search::lookAt(const std::string &name, const executable::TensorType &type, const void *address) {
  std::optional<FloatFormat> format = getFormat(type.data_type());
  if (!format)
    return Error::success();
  int64_t bytes = *getByteSize(type);
  values.resize(static_cast<size_t>(bytes));
  Device &device = program.getDevice();
  if (Error error = device.synchronize(poll))
    return error;
  if (Error error = device.download(values.data(), address, bytes))
    return error;
  for (int64_t i = 0; i < bytes / format->bytes; ++i) {
    uint64_t bits = 0;
    std::memcpy(&bits, values.data() + i * format->bytes, static_cast<size_t>(format->bytes));
    if ((bits & format->exponent) != format->exponent)
      continue;
    found = fmt::format("{} ({}) is {} at [{}]", name, toString(type), bits & format->fraction ? "NaN" : "infinite",
                        fmt::join(getPlace(type, i), ", "));
    return Error::success();
  }
  return Error::success();
}

Error Search::lookAtResults(const SteppedProgram::Action &action) {
  std::string name = fmt::format("'{}'", action.kernel->name());
  if (!action.caller.instance->empty())
    name += fmt::format(" of {}", *action.caller.instance);
  for (int i = 0; i < action.kernel->arguments_size() && found.empty(); ++i) {
    const executable::KernelArgument &argument = action.kernel->arguments(i);
    if (argument.access() == "r")
      continue;
    if (Error error = lookAt(name, argument.type(), action.command->arguments[i]))
      return error;
  }
  return Error::success();
}

Error Search::lookAtSums(const CollectiveDescription &collective) {
  bool isScatter = collective.kind == CollectiveKind::ReduceScatter;
  if (!isScatter && collective.kind != CollectiveKind::AllReduce)
    return Error::success();
  for (const CollectiveDescription::Part &part : collective.parts) {
    executable::TensorType type;
    type.set_data_type(collective.type);
    type.mutable_shape()->Add(part.shape.begin(), part.shape.end());
    if (isScatter)
      type.set_shape(static_cast<int>(part.dim), part.shape[static_cast<size_t>(part.dim)] / collective.getGroupSize());
    if (Error error = lookAt(collective.name, type, part.target))
      return error;
    if (!found.empty())
      break;
  }
  return Error::success();
}

Error Search::lookAt(const SteppedProgram::Action &action) {
  // The other ranks go on to the end, and so does this one.
  if (!found.empty())
    return Error::success();
  if (action.kernel)
    return lookAtResults(action);
  // Of all exchanges only sums can overflow.
  if (!action.command && action.kind != Exchange::Kind::Start)
    return lookAtSums(program.getCollective(action.collective));
  return Error::success();
}

Expected<std::string> runtime::findNonFinite(SteppedProgram &program, Communicator &host, const Device::Poll &poll) {
  Search search(program, poll);
  size_t index = 0, first = 0;
  Error error = program.run([&](const SteppedProgram::Action &action) {
    ++index;
    Error failed = search.lookAt(action);
    if (first == 0 && !search.found.empty())
      first = index;
    return failed;
  });
  if (error)
    return error;
  if (Error unfinished = program.getDevice().synchronize(poll))
    return unfinished;

  // "place text", of each rank.
  Expected<std::vector<std::string>> all = host.allGatherBytes(first ? fmt::format("{} {}", first, search.found) : "");
  if (!all)
    return all.takeError();
  std::string earliest = "run once more, the step has none";
  size_t least = SIZE_MAX;
  for (size_t rank = 0; rank < all->size(); ++rank) {
    const std::string &text = (*all)[rank];
    size_t place = SIZE_MAX;
    auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), place);
    if (code != std::errc() || place >= least)
      continue;
    least = place;
    earliest = std::string(end + 1, text.data() + text.size());
    if (all->size() > 1)
      earliest += fmt::format(" on rank {}", rank);
  }
  return earliest;
}
