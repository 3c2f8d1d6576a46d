//===- CheckpointIndex.cpp - What a checkpoint says about itself ----------===//

#include "runtime/checkpoint/CheckpointIndex.h"

#include "runtime/support/Checksum.h"
#include "runtime/support/Json.h"
#include "runtime/support/MappedFile.h"
#include "runtime/support/PlainName.h"

#include <algorithm>
#include <fmt/format.h>
#include <set>

using namespace primus::runtime;
using nlohmann::json;

static constexpr const char *formatName = "primus-checkpoint";
static constexpr int64_t formatVersion = 1;

bool CheckpointIndex::hasRole(std::string_view role) const {
  return std::ranges::any_of(tensors, [&](const CheckpointTensor &tensor) { return tensor.role == role; });
}

//===----------------------------------------------------------------------===//
// Printing
//===----------------------------------------------------------------------===//

/// Compact, with sorted keys.
static std::string print(const json &value) { return value.dump(-1, ' ', false, json::error_handler_t::replace); }

static json toJson(const CheckpointIndex &index) {
  json files = json::array(), tensors = json::object();
  for (const CheckpointFile &file : index.files)
    files.push_back({{"name", file.name}, {"bytes", file.bytes}, {"checksum", file.checksum}});
  for (const CheckpointTensor &tensor : index.tensors) {
    json slices = json::array();
    for (const TensorSlice &slice : tensor.slices)
      slices.push_back({{"file", slice.file}, {"begin", slice.begin}, {"shape", slice.shape}});
    tensors[tensor.name] = {
        {"role", tensor.role}, {"dtype", toString(tensor.type)}, {"shape", tensor.shape}, {"slices", slices}};
  }
  const CheckpointState &state = index.state;
  return {{"step", state.step},       {"samples", state.samples},       {"optimizer_steps", state.optimizerSteps},
          {"seed", state.seed},       {"world_size", state.worldSize},  {"number", index.number},
          {"settings", state.settings}, {"files", std::move(files)}, {"tensors", std::move(tensors)}};
}

std::string primus::runtime::printCheckpointIndex(const CheckpointIndex &index) {
  json content = toJson(index);
  json whole = {{"format", formatName},
                {"version", formatVersion},
                {"checksum", addToChecksum(0, print(content))},
                {"content", std::move(content)}};
  return whole.dump(1, ' ', false, json::error_handler_t::replace) + "\n";
}

//===----------------------------------------------------------------------===//
// Parsing
//===----------------------------------------------------------------------===//

namespace {
/// Thrown within this file for a value that is missing or of another kind.
struct Malformed {
  std::string what;
};
} // namespace

static const json &get(const json &object, const char *key) {
  auto it = object.is_object() ? object.find(key) : object.end();
  if (!object.is_object() || it == object.end())
    throw Malformed{fmt::format("lacks '{}'", key)};
  return *it;
}

static const json &expect(bool condition, const json &value, const char *key) {
  if (!condition)
    throw Malformed{fmt::format("has a '{}' that it cannot have", key)};
  return value;
}

static uint64_t getUnsigned(const json &object, const char *key, uint64_t largest = INT64_MAX) {
  const json &value = get(object, key);
  bool valid = value.is_number_unsigned() && value.get<uint64_t>() <= largest;
  return expect(valid, value, key).get<uint64_t>();
}

/// A count, small enough for sums and products with others.
static int64_t getCount(const json &object, const char *key) {
  return static_cast<int64_t>(getUnsigned(object, key, uint64_t(1) << 53));
}

static std::string getText(const json &object, const char *key) {
  const json &value = get(object, key);
  return expect(value.is_string(), value, key).get<std::string>();
}

static std::vector<int64_t> getSizes(const json &object, const char *key) {
  const json &value = get(object, key);
  expect(value.is_array(), value, key);
  std::vector<int64_t> sizes;
  for (const json &size : value) {
    expect(size.is_number_unsigned() && size.get<uint64_t>() <= INT64_MAX, size, key);
    sizes.push_back(size.get<int64_t>());
  }
  return sizes;
}

static CheckpointTensor parseTensor(const std::string &name, const json &value) {
  CheckpointTensor tensor;
  std::optional<StoredType> type = parseStoredType(getText(value, "dtype"));
  if (!type)
    throw Malformed{fmt::format("has a tensor '{}' of an unknown dtype", name)};
  tensor.name = name;
  tensor.type = *type;
  tensor.role = getText(value, "role");
  tensor.shape = getSizes(value, "shape");
  const json &slices = get(value, "slices");
  expect(slices.is_array(), slices, "slices");
  for (const json &entry : slices)
    tensor.slices.push_back({{getSizes(entry, "begin"), getSizes(entry, "shape")}, getUnsigned(entry, "file")});
  return tensor;
}

static CheckpointIndex parseContent(const json &content) {
  CheckpointIndex index;
  index.state.step = getCount(content, "step");
  index.state.samples = getCount(content, "samples");
  index.state.optimizerSteps = getCount(content, "optimizer_steps");
  index.state.seed = getUnsigned(content, "seed", UINT64_MAX);
  index.state.worldSize = getCount(content, "world_size");
  index.number = getCount(content, "number");
  const json &settings = get(content, "settings"), &files = get(content, "files"), &tensors = get(content, "tensors");
  for (const auto &[name, value] : expect(settings.is_object(), settings, "settings").items())
    index.state.settings[name] = expect(value.is_string(), value, "settings").get<std::string>();
  for (const json &file : expect(files.is_array(), files, "files"))
    index.files.push_back({getText(file, "name"), getUnsigned(file, "bytes"),
                           static_cast<uint32_t>(getUnsigned(file, "checksum", UINT32_MAX))});
  for (const auto &[name, value] : expect(tensors.is_object(), tensors, "tensors").items())
    index.tensors.push_back(parseTensor(name, value));
  return index;
}

//===----------------------------------------------------------------------===//
// Checking
//===----------------------------------------------------------------------===//

/// Whether any two slices, which lie inside their tensor, have an element in common.
static bool haveOverlap(const std::vector<TensorSlice> &slices) {
  std::vector<const TensorSlice *> order;
  for (const TensorSlice &slice : slices)
    order.push_back(&slice);
  std::ranges::sort(order, {}, &TensorSlice::begin);
  for (size_t i = 0; i < order.size(); ++i)
    for (size_t j = i + 1; j < order.size(); ++j) {
      const TensorSlice &a = *order[i], &b = *order[j];
      // All further ones begin no earlier: a tensor in many slices of rows is checked in one walk.
      if (!a.begin.empty() && b.begin[0] >= a.begin[0] + a.shape[0])
        break;
      if (overlap(a, b))
        return true;
    }
  return false;
}

/// What is wrong with a tensor's slices, or "".
static std::string checkSlices(const CheckpointTensor &tensor, size_t numFiles) {
  uint64_t covered = 0;
  for (const TensorSlice &slice : tensor.slices) {
    if (slice.file >= numFiles)
      return "lie in a file that there is not";
    if (slice.begin.size() != tensor.shape.size() || slice.shape.size() != tensor.shape.size())
      return "have another rank";
    for (size_t d = 0; d < tensor.shape.size(); ++d)
      if (slice.begin[d] > tensor.shape[d] || slice.shape[d] > tensor.shape[d] - slice.begin[d])
        return "lie outside it";
    // Inside the tensor, whose bytes do not overflow.
    covered += *TensorDescription{"", tensor.type, slice.shape}.getBytes();
  }
  if (haveOverlap(tensor.slices))
    return "overlap";
  return tensor.getBytes() == covered && !tensor.slices.empty() ? "" : "do not cover it";
}

static Error checkIndex(const CheckpointIndex &index) {
  std::set<std::string> names;
  for (const CheckpointFile &file : index.files)
    if (!isPlainName(file.name) || !names.insert(file.name).second)
      return Error::failure(fmt::format("has a file '{}', which is not the name of a file in its folder", file.name));
  for (const CheckpointTensor &tensor : index.tensors) {
    if (!tensor.getBytes())
      return Error::failure(fmt::format("has a tensor '{}' of {}", tensor.name, tensor.str()));
    if (std::string reason = checkSlices(tensor, index.files.size()); !reason.empty())
      return Error::failure(fmt::format("has a tensor '{}' whose slices {}", tensor.name, reason));
  }
  return Error::success();
}

Expected<CheckpointIndex> primus::runtime::parseCheckpointIndex(std::string_view text) {
  Expected<json> parsed = parseJson(text);
  if (!parsed)
    return parsed.takeError();
  CheckpointIndex index;
  try {
    if (getText(*parsed, "format") != formatName)
      return Error::failure("is not the index of a checkpoint");
    if (int64_t version = getCount(*parsed, "version"); version != formatVersion)
      return Error::failure(fmt::format("has version {}, this program reads version {}", version, formatVersion));
    const json &content = get(*parsed, "content");
    if (getUnsigned(*parsed, "checksum") != addToChecksum(0, print(content)))
      return Error::failure("is damaged: its checksum does not match");
    index = parseContent(content);
  } catch (const Malformed &malformed) {
    return Error::failure(malformed.what);
  }
  if (Error error = checkIndex(index))
    return error;
  return index;
}

Expected<CheckpointIndex> primus::runtime::readCheckpointIndex(const std::string &folder) {
  std::string path = folder + "/" + checkpointIndexName;
  Expected<MappedFile> file = MappedFile::open(path);
  if (!file)
    return file.takeError();
  Expected<CheckpointIndex> index = parseCheckpointIndex(file->getBytes());
  if (!index)
    return Error::failure(fmt::format("'{}' {}", path, index.takeError().getMessage()));
  return index;
}
