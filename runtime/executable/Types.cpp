//===- Types.cpp - Sizes of the executable's tensor types -----------------===//

#include "runtime/executable/Types.h"

#include <cctype>
#include <fmt/format.h>
#include <fmt/ranges.h>

using namespace primus;
using namespace primus::runtime;

std::optional<int64_t> runtime::getElementBytes(executable::DataType type) {
  switch (type) {
  case executable::F64:
  case executable::I64:
    return 8;
  case executable::F32:
  case executable::I32:
    return 4;
  case executable::F16:
  case executable::BF16:
    return 2;
  case executable::I8:
  case executable::I1:
  case executable::F8E4M3FN:
  case executable::F8E5M2:
  case executable::F8E4M3FNUZ:
  case executable::F8E5M2FNUZ:
  case executable::F8E8M0FNU:
    return 1;
  default:
    return std::nullopt;
  }
}

std::optional<int64_t> runtime::getElementCount(const google::protobuf::RepeatedField<int64_t> &shape) {
  int64_t count = 1;
  for (int64_t size : shape) {
    if (size <= 0 || size > maximumBytes / count)
      return std::nullopt;
    count *= size;
  }
  return count;
}

std::optional<int64_t> runtime::getByteSize(const executable::TensorType &type) {
  std::optional<int64_t> element = getElementBytes(type.data_type());
  std::optional<int64_t> count = getElementCount(type.shape());
  if (!element || !count || *count > maximumBytes / *element)
    return std::nullopt;
  return *count * *element;
}

std::string runtime::toString(const executable::TensorType &type) {
  std::string name = executable::DataType_IsValid(type.data_type()) ? executable::DataType_Name(type.data_type())
                                                                    : std::to_string(type.data_type());
  for (char &c : name)
    c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return fmt::format("{}[{}]", name, fmt::join(type.shape(), "x"));
}
