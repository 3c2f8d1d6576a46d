//===- SourceFolder.cpp - The Hugging Face side of a checkpoint -----------===//

#include "frontend/checkpoint/SourceFolder.h"

#include "frontend/checkpoint/NewFolder.h"
#include "runtime/checkpoint/SafetensorsWriter.h"
#include "runtime/support/Json.h"
#include "runtime/support/MappedFile.h"
#include "runtime/support/PlainName.h"
#include "runtime/support/WriteFile.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <set>

namespace fs = std::filesystem;

namespace primus::checkpoint {

using models::huggingface::ModelWeights;
using models::huggingface::WeightTensor;
using runtime::Error;
using runtime::Expected;
using runtime::SafetensorsFile;
using runtime::SafetensorsFolder;
using runtime::SafetensorsWriter;
using runtime::TensorDescription;

static constexpr const char *keptFolder = "huggingface", *keptTensors = "tensors.json",
                            *keptBuffers = "buffers.safetensors";

/// Whether a file beside the weights travels with them: configuration and tokenizer, no index and no other weights.
static bool isCarried(const fs::path &file) {
  static constexpr std::string_view kinds[] = {".json", ".txt", ".model", ".jinja"};
  std::string name = file.filename().string();
  return !name.starts_with(".") && !name.ends_with(".index.json") && name != keptTensors &&
         std::find(std::begin(kinds), std::end(kinds), file.extension().string()) != std::end(kinds);
}

static Error copyCarried(const std::string &from, const std::string &to) {
  std::error_code code;
  for (fs::directory_iterator it(from, code), end; !code && it != end; it.increment(code))
    if (it->is_regular_file(code) && isCarried(it->path()))
      if (Error error = copyFile(it->path().string(), to + "/" + it->path().filename().string()))
        return error;
  return code ? Error::failure(fmt::format("cannot read '{}': {}", from, code.message())) : Error::success();
}

//===----------------------------------------------------------------------===//
// Keeping
//===----------------------------------------------------------------------===//

bool SourceFolder::isKeptIn(const std::string &checkpoint) {
  std::error_code ignored;
  return fs::is_regular_file(fs::path(checkpoint) / keptFolder / keptTensors, ignored);
}

static Error keepBuffers(const std::vector<const SafetensorsFolder::Entry *> &entries, const std::string &path) {
  std::vector<TensorDescription> descriptions;
  for (const SafetensorsFolder::Entry *entry : entries)
    descriptions.push_back(*entry->tensor);
  Expected<SafetensorsWriter> writer = SafetensorsWriter::create(path, descriptions);
  if (!writer)
    return writer.takeError();
  for (const SafetensorsFolder::Entry *entry : entries) {
    if (Error error = writer->append(entry->getBytes()))
      return error;
    entry->file->release(*entry->tensor);
  }
  return writer->finish();
}

Error SourceFolder::keep(const ModelWeights &weights, const std::string &checkpoint) {
  std::string target = checkpoint + "/" + keptFolder;
  std::error_code code;
  if (!fs::create_directory(target, code))
    return Error::failure(fmt::format("cannot write '{}': {}", target, code.message()));
  if (Error error = copyCarried(weights.folder.getPath(), target))
    return error;

  std::set<std::string> parameters = {weights.map.tiedCopy};
  for (const WeightTensor &tensor : weights.map.tensors)
    parameters.insert(tensor.name);
  std::vector<const SafetensorsFolder::Entry *> buffers;
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const auto &[name, entry] : weights.folder.getTensors()) {
    list.push_back({{"name", name},
                    {"dtype", toString(entry.tensor->type)},
                    {"shape", entry.tensor->shape},
                    {"file", fs::path(entry.file->getPath()).filename().string()}});
    if (!parameters.contains(name))
      buffers.push_back(&entry);
  }
  if (!buffers.empty())
    if (Error error = keepBuffers(buffers, target + "/" + keptBuffers))
      return error;
  if (Error error = runtime::writeFileAtomically(target + "/" + keptTensors, list.dump(1) + "\n"))
    return error;
  return runtime::syncFolder(target);
}

//===----------------------------------------------------------------------===//
// Reading
//===----------------------------------------------------------------------===//

Expected<SourceFolder> SourceFolder::open(const std::string &path) {
  bool isKept = isKeptIn(path);
  SourceFolder source(isKept ? path + "/" + keptFolder : path);
  if (Error error = isKept ? source.readKept() : source.readFolder())
    return error;
  return source;
}

/// One entry of tensors.json; nothing if it is no such thing.
static std::optional<SourceTensor> parseTensor(const nlohmann::json &entry) {
  auto text = [&](const char *key) {
    auto it = entry.find(key);
    return it != entry.end() && it->is_string() ? it->get<std::string>() : std::string();
  };
  if (!entry.is_object())
    return std::nullopt;
  SourceTensor tensor;
  tensor.name = text("name");
  tensor.file = text("file");
  std::optional<runtime::StoredType> type = runtime::parseStoredType(text("dtype"));
  auto shape = entry.find("shape");
  if (tensor.name.empty() || !runtime::isPlainName(tensor.file) || !type || shape == entry.end() || !shape->is_array())
    return std::nullopt;
  tensor.type = *type;
  for (const nlohmann::json &size : *shape) {
    if (!size.is_number_unsigned() || size.get<uint64_t>() > uint64_t(std::numeric_limits<int64_t>::max()))
      return std::nullopt;
    tensor.shape.push_back(size.get<int64_t>());
  }
  return tensor;
}

Error SourceFolder::readKept() {
  std::string file = path + "/" + keptTensors;
  Expected<runtime::MappedFile> text = runtime::MappedFile::open(file);
  if (!text)
    return text.takeError();
  Expected<nlohmann::json> list = runtime::parseJson(text->getBytes());
  if (!list)
    return Error::failure(fmt::format("'{}' {}", file, list.takeError().getMessage()));
  if (!list->is_array())
    return Error::failure(fmt::format("'{}' is no list of tensors", file));
  for (const nlohmann::json &entry : *list) {
    std::optional<SourceTensor> tensor = parseTensor(entry);
    if (!tensor)
      return Error::failure(fmt::format("'{}' holds an entry that is no tensor: {}", file, entry.dump()));
    tensors.push_back(std::move(*tensor));
  }
  std::error_code ignored;
  if (!fs::exists(path + "/" + keptBuffers, ignored))
    return Error::success();
  Expected<SafetensorsFile> opened = SafetensorsFile::open(path + "/" + keptBuffers);
  if (!opened)
    return opened.takeError();
  buffers.emplace(std::move(*opened));
  return Error::success();
}

Error SourceFolder::readFolder() {
  Expected<SafetensorsFolder> opened = SafetensorsFolder::open(path);
  if (!opened)
    return opened.takeError();
  folder.emplace(std::move(*opened));
  for (const auto &[name, entry] : folder->getTensors())
    tensors.push_back({*entry.tensor, fs::path(entry.file->getPath()).filename().string()});
  return Error::success();
}

Expected<std::span<const std::byte>> SourceFolder::getBuffer(const std::string &name) const {
  if (folder)
    return folder->find(name)->getBytes();
  const runtime::StoredTensor *tensor = buffers ? buffers->find(name) : nullptr;
  if (!tensor)
    return Error::failure(fmt::format("'{}/{}' lacks tensor '{}'", path, keptBuffers, name));
  return buffers->getBytes(*tensor);
}

Error SourceFolder::copyFiles(const std::string &target) const { return copyCarried(path, target); }

} // namespace primus::checkpoint
