//===- SafetensorsFolder.cpp - A model's safetensors files ----------------===//

#include "runtime/checkpoint/SafetensorsFolder.h"

#include "runtime/support/Json.h"
#include "runtime/support/PlainName.h"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <set>

using namespace primus::runtime;
using nlohmann::json;

/// Tensor names by shard.
using Shards = std::map<std::string, std::set<std::string>>;

/// Reads {"weight_map": {tensor: shard}}.
static Expected<Shards> readIndex(const std::string &path) {
  Expected<MappedFile> file = MappedFile::open(path);
  if (!file)
    return file.takeError();
  Expected<json> index = parseJson(file->getBytes());
  if (!index)
    return Error::failure(fmt::format("'{}' {}", path, index.takeError().getMessage()));
  auto map = index->is_object() ? index->find("weight_map") : index->end();
  if (map == index->end() || !map->is_object() || map->empty())
    return Error::failure(fmt::format("'{}' has no weight_map of tensors and their files", path));
  Shards shards;
  for (const auto &[tensor, shard] : map->items()) {
    if (!shard.is_string() || !isPlainName(shard.get_ref<const std::string &>()))
      return Error::failure(fmt::format("'{}' puts tensor '{}' into the file {}, which is not the name of a file in "
                                        "the index's own folder",
                                        path, tensor, shard.dump(-1, ' ', false, json::error_handler_t::replace)));
    shards[shard.get<std::string>()].insert(tensor);
  }
  return shards;
}

/// The first names of a list and how many more there are.
static std::string list(const std::vector<std::string> &names) {
  constexpr size_t most = 10;
  std::string more = names.size() > most ? fmt::format(" and {} more", names.size() - most) : "";
  return fmt::format("'{}'{}", fmt::join(names.begin(), names.begin() + std::min(names.size(), most), "', '"), more);
}

Error SafetensorsFolder::openFile(const std::string &name) {
  Expected<SafetensorsFile> file = SafetensorsFile::open(path + "/" + name);
  if (!file)
    return file.takeError();
  files.push_back(std::make_unique<SafetensorsFile>(std::move(*file)));
  for (const StoredTensor &tensor : files.back()->getTensors())
    tensors[tensor.name] = {files.back().get(), &tensor};
  return Error::success();
}

Error SafetensorsFolder::openIndex(const std::string &name) {
  std::string indexPath = path + "/" + name;
  Expected<Shards> shards = readIndex(indexPath);
  if (!shards)
    return shards.takeError();
  std::vector<std::string> missingFiles, missing, extra;
  std::error_code code;
  for (const auto &[shard, names] : *shards)
    if (!std::filesystem::exists(path + "/" + shard, code))
      missingFiles.push_back(shard);
  if (!missingFiles.empty())
    return Error::failure(fmt::format("'{}' names files that are not there: {}", indexPath, list(missingFiles)));
  for (const auto &[shard, names] : *shards) {
    if (Error error = openFile(shard))
      return error;
    for (const std::string &tensor : names)
      if (!files.back()->find(tensor))
        missing.push_back(fmt::format("{} in {}", tensor, shard));
    for (const StoredTensor &tensor : files.back()->getTensors())
      if (!names.contains(tensor.name))
        extra.push_back(fmt::format("{} in {}", tensor.name, shard));
  }
  if (!missing.empty())
    return Error::failure(fmt::format("'{}' names tensors that are not in their files: {}", indexPath, list(missing)));
  if (!extra.empty())
    return Error::failure(
        fmt::format("the files of '{}' hold tensors that it does not name: {}", indexPath, list(extra)));
  return Error::success();
}

Expected<SafetensorsFolder> SafetensorsFolder::open(const std::string &folder) {
  constexpr const char *whole = "model.safetensors";
  std::vector<std::string> indices;
  std::error_code code;
  std::filesystem::directory_iterator it(folder, code), end;
  for (; !code && it != end; it.increment(code)) {
    std::string name = it->path().filename();
    if (name.ends_with(".safetensors.index.json"))
      indices.push_back(name);
  }
  if (code)
    return Error::failure(fmt::format("cannot read the folder '{}': {}", folder, code.message()));
  SafetensorsFolder result(folder);
  bool hasWhole = std::filesystem::exists(folder + "/" + whole, code);
  std::ranges::sort(indices);
  if (!hasWhole && indices.size() != 1)
    return Error::failure(indices.empty() ? fmt::format("'{}' has neither {} nor an index (*.safetensors.index.json)",
                                                        folder, whole)
                                          : fmt::format("'{}' has several indices: {}", folder, list(indices)));
  if (Error error = hasWhole ? result.openFile(whole) : result.openIndex(indices.front()))
    return error;
  return result;
}

const SafetensorsFolder::Entry *SafetensorsFolder::find(const std::string &name) const {
  auto it = tensors.find(name);
  return it == tensors.end() ? nullptr : &it->second;
}
