//===- Safetensors.cpp - The safetensors format ---------------------------===//

#include "runtime/checkpoint/Safetensors.h"

#include "runtime/support/Json.h"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <set>
#include <tuple>

using namespace primus::runtime;
using nlohmann::json;

namespace {

struct TypeEntry {
  StoredType type;
  std::string_view name;
  uint64_t bytes;
};

constexpr TypeEntry types[] = {
    {StoredType::BOOL, "BOOL", 1},       {StoredType::U8, "U8", 1},     {StoredType::I8, "I8", 1},
    {StoredType::F8_E5M2, "F8_E5M2", 1}, {StoredType::F8_E4M3, "F8_E4M3", 1}, {StoredType::I16, "I16", 2},
    {StoredType::U16, "U16", 2},         {StoredType::F16, "F16", 2},   {StoredType::BF16, "BF16", 2},
    {StoredType::I32, "I32", 4},         {StoredType::U32, "U32", 4},   {StoredType::F32, "F32", 4},
    {StoredType::F64, "F64", 8},         {StoredType::I64, "I64", 8},   {StoredType::U64, "U64", 8},
};

constexpr std::string_view metadataKey = "__metadata__";
/// The limit of the format's reference implementation, which keeps a damaged length from asking for all memory.
constexpr uint64_t largestHeader = 100'000'000;

} // namespace

std::string_view primus::runtime::toString(StoredType type) { return types[static_cast<size_t>(type)].name; }

uint64_t primus::runtime::getElementBytes(StoredType type) { return types[static_cast<size_t>(type)].bytes; }

std::optional<StoredType> primus::runtime::parseStoredType(std::string_view name) {
  for (const TypeEntry &entry : types)
    if (entry.name == name)
      return entry.type;
  return std::nullopt;
}

std::optional<uint64_t> TensorDescription::getBytes() const {
  // Sizes of 0 first: the others may then be anything.
  uint64_t bytes = std::ranges::find(shape, 0) == shape.end() ? getElementBytes(type) : 0;
  for (int64_t size : shape)
    if (size < 0 || __builtin_mul_overflow(bytes, static_cast<uint64_t>(size), &bytes) || bytes > INT64_MAX)
      return std::nullopt;
  return bytes;
}

std::string TensorDescription::str() const { return fmt::format("{}[{}]", toString(type), fmt::join(shape, "x")); }

//===----------------------------------------------------------------------===//
// Reading
//===----------------------------------------------------------------------===//

static Error parseMetadata(const json &value, TensorMetadata &metadata) {
  if (!value.is_object())
    return Error::failure(fmt::format("has a {} that is not an object", metadataKey));
  for (const auto &[key, text] : value.items()) {
    if (!text.is_string())
      return Error::failure(fmt::format("has a {} entry '{}' that is not a string", metadataKey, key));
    metadata[key] = text.get<std::string>();
  }
  return Error::success();
}

/// A list of integers from 0 to 2^63 - 1.
static std::optional<std::vector<int64_t>> parseIntegers(const json &value) {
  if (!value.is_array())
    return std::nullopt;
  std::vector<int64_t> integers;
  for (const json &element : value) {
    if (!element.is_number_unsigned() || element.get<uint64_t>() > INT64_MAX)
      return std::nullopt;
    integers.push_back(element.get<int64_t>());
  }
  return integers;
}

static Expected<StoredTensor> parseTensor(const std::string &name, const json &value, uint64_t dataBytes) {
  auto fail = [&](const std::string &reason) {
    return Error::failure(fmt::format("has a tensor '{}' {}", name, reason));
  };
  auto get = [&](const char *key) {
    auto it = value.find(key);
    return it == value.end() ? json() : *it;
  };
  if (!value.is_object() || value.size() != 3)
    return fail("whose entry is not an object of dtype, shape and data_offsets");
  json typeName = get("dtype");
  std::optional<StoredType> type =
      typeName.is_string() ? parseStoredType(typeName.get_ref<const std::string &>()) : std::nullopt;
  if (!type)
    return fail(fmt::format("of the unknown dtype {}", typeName.dump()));
  std::optional<std::vector<int64_t>> shape = parseIntegers(get("shape")), offsets = parseIntegers(get("data_offsets"));
  if (!shape)
    return fail("whose shape is not a list of sizes");
  if (!offsets || offsets->size() != 2 || (*offsets)[0] > (*offsets)[1])
    return fail("whose data_offsets are not [begin, end]");
  StoredTensor tensor = {{name, *type, *shape}};
  tensor.begin = static_cast<uint64_t>((*offsets)[0]);
  tensor.end = static_cast<uint64_t>((*offsets)[1]);
  if (tensor.end > dataBytes)
    return fail(fmt::format("that ends at byte {} of {}; the file is truncated or damaged", tensor.end, dataBytes));
  std::optional<uint64_t> bytes = tensor.getBytes();
  if (!bytes || *bytes != tensor.end - tensor.begin)
    return fail(fmt::format("of {} in {} bytes", tensor.str(), tensor.end - tensor.begin));
  return tensor;
}

/// Tensors that are sorted by position have to follow each other, up to the end of the file.
static Error checkContiguous(const std::vector<StoredTensor> &tensors, uint64_t dataBytes) {
  uint64_t position = 0;
  for (const StoredTensor &tensor : tensors) {
    if (tensor.begin != position)
      return Error::failure(fmt::format("has a tensor '{}' at byte {} where the one before it ends at {}", tensor.name,
                                        tensor.begin, position));
    position = tensor.end;
  }
  if (position != dataBytes)
    return Error::failure(fmt::format("has {} bytes after its last tensor", dataBytes - position));
  return Error::success();
}

Expected<SafetensorsHeader> primus::runtime::parseSafetensors(std::string_view bytes) {
  uint64_t headerBytes;
  if (bytes.size() < sizeof(headerBytes))
    return Error::failure(fmt::format("has {} bytes, too few for a safetensors file", bytes.size()));
  std::memcpy(&headerBytes, bytes.data(), sizeof(headerBytes));
  std::string_view rest = bytes.substr(sizeof(headerBytes));
  if (headerBytes > largestHeader || headerBytes > rest.size() || !rest.starts_with('{'))
    return Error::failure("is not a safetensors file, or it is truncated in its header");
  Expected<json> parsed = parseJson(rest.substr(0, headerBytes));
  if (!parsed)
    return Error::failure(fmt::format("has a header that {}", parsed.takeError().getMessage()));

  SafetensorsHeader header;
  header.dataBegin = sizeof(headerBytes) + headerBytes;
  uint64_t dataBytes = bytes.size() - header.dataBegin;
  for (const auto &[name, value] : parsed->items()) {
    if (name == metadataKey) {
      if (Error error = parseMetadata(value, header.metadata))
        return error;
      continue;
    }
    Expected<StoredTensor> tensor = parseTensor(name, value, dataBytes);
    if (!tensor)
      return tensor.takeError();
    header.tensors.push_back(std::move(*tensor));
  }
  // Empty tensors lie before what begins at the same place.
  std::ranges::sort(header.tensors, {}, [](const StoredTensor &tensor) {
    return std::tuple<uint64_t, uint64_t, const std::string &>(tensor.begin, tensor.end, tensor.name);
  });
  if (Error error = checkContiguous(header.tensors, dataBytes))
    return error;
  return header;
}

//===----------------------------------------------------------------------===//
// Writing
//===----------------------------------------------------------------------===//

Expected<std::string> primus::runtime::makeSafetensorsHeader(std::vector<StoredTensor> &tensors,
                                                             const TensorMetadata &metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  std::set<std::string_view> names = {metadataKey};
  if (!metadata.empty())
    header[std::string(metadataKey)] = metadata;
  uint64_t position = 0;
  for (StoredTensor &tensor : tensors) {
    std::optional<uint64_t> bytes = tensor.getBytes();
    tensor.begin = position;
    if (!names.insert(tensor.name).second)
      return Error::failure(fmt::format("cannot hold a tensor '{}' twice", tensor.name));
    if (!bytes || __builtin_add_overflow(position, *bytes, &position) || position > INT64_MAX)
      return Error::failure(fmt::format("cannot hold tensor '{}' of {}", tensor.name, tensor.str()));
    tensor.end = position;
    header[tensor.name] = {{"dtype", toString(tensor.type)},
                           {"shape", tensor.shape},
                           {"data_offsets", {tensor.begin, tensor.end}}};
  }
  std::string text = header.dump(-1, ' ', false, json::error_handler_t::replace);
  text.resize((text.size() + 7) / 8 * 8, ' ');
  if (text.size() > largestHeader)
    return Error::failure(
        fmt::format("would have a header of {} bytes, more than the format's {}", text.size(), largestHeader));
  uint64_t size = text.size();
  return std::string(reinterpret_cast<const char *>(&size), sizeof(size)) + text;
}
