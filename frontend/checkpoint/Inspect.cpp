//===- Inspect.cpp - What a checkpoint holds ------------------------------===//

#include "frontend/checkpoint/Inspect.h"

#include "runtime/checkpoint/CheckpointFolder.h"
#include "runtime/checkpoint/SafetensorsFolder.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <filesystem>

namespace fs = std::filesystem;

namespace primus::checkpoint {

using nlohmann::ordered_json;
using runtime::Error;
using runtime::Expected;

/// `where`: the file of a tensor, or its role.
static void addTensor(ordered_json &report, const runtime::TensorDescription &tensor, const char *key,
                      std::string where) {
  report["tensors"].push_back({{"name", tensor.name},
                               {"dtype", toString(tensor.type)},
                               {"shape", tensor.shape},
                               {"bytes", tensor.getBytes().value_or(0)},
                               {key, std::move(where)}});
}

static Expected<ordered_json> inspectFile(const std::string &path) {
  Expected<runtime::SafetensorsFile> file = runtime::SafetensorsFile::open(path);
  if (!file)
    return file.takeError();
  ordered_json report = {{"kind", "safetensors"}, {"metadata", file->getMetadata()}};
  for (const runtime::StoredTensor &tensor : file->getTensors())
    addTensor(report, tensor, "file", fs::path(path).filename().string());
  return report;
}

static Expected<ordered_json> inspectModel(const std::string &path) {
  Expected<runtime::SafetensorsFolder> folder = runtime::SafetensorsFolder::open(path);
  if (!folder)
    return folder.takeError();
  ordered_json report = {{"kind", "huggingface"}, {"metadata", ordered_json::object()}};
  for (const auto &[name, entry] : folder->getTensors()) {
    std::string file = fs::path(entry.file->getPath()).filename().string();
    for (const auto &[key, value] : entry.file->getMetadata())
      report["metadata"][key] = value;
    addTensor(report, *entry.tensor, "file", std::move(file));
  }
  return report;
}

static ordered_json inspectCheckpoint(const runtime::Checkpoint &checkpoint) {
  const runtime::CheckpointState &state = checkpoint.getState();
  ordered_json report = {{"kind", "primus"},
                         {"metadata",
                          {{"path", checkpoint.getPath()},
                           {"step", state.step},
                           {"samples", state.samples},
                           {"optimizer_steps", state.optimizerSteps},
                           {"seed", state.seed},
                           {"world_size", state.worldSize}}}};
  if (!state.settings.empty())
    report["metadata"]["settings"] = state.settings;
  for (const runtime::CheckpointTensor &tensor : checkpoint.getTensors())
    addTensor(report, tensor, "role", tensor.role);
  return report;
}

static Expected<ordered_json> inspectPath(const std::string &path) {
  std::error_code code;
  if (!fs::exists(path, code))
    return Error::configuration(fmt::format("there is no '{}'", path));
  if (!fs::is_directory(path, code))
    return inspectFile(path);
  bool isModel = false;
  for (fs::directory_iterator it(path, code), end; !code && it != end; it.increment(code)) {
    std::string name = it->path().filename().string();
    isModel |= name == "model.safetensors" || name.ends_with(".safetensors.index.json");
  }
  if (isModel)
    return inspectModel(path);
  Expected<std::optional<runtime::Checkpoint>> checkpoint = runtime::findCheckpoint(path);
  if (!checkpoint)
    return checkpoint.takeError();
  if (!*checkpoint)
    return Error::failure(fmt::format("'{}' holds neither a Hugging Face model nor a checkpoint of ours", path));
  return inspectCheckpoint(**checkpoint);
}

/// One line per tensor, then the sums and the metadata.
static std::string printTable(const ordered_json &report) {
  std::string text;
  size_t width = 4;
  for (const ordered_json &tensor : report["tensors"])
    width = std::max(width, tensor["name"].get_ref<const std::string &>().size());
  for (const ordered_json &tensor : report["tensors"])
    text += fmt::format("{:<{}}  {:<5} {:>16} {:>14}  {}\n", tensor["name"].get_ref<const std::string &>(), width,
                        tensor["dtype"].get_ref<const std::string &>(),
                        fmt::format("[{}]", fmt::join(tensor["shape"].get<std::vector<int64_t>>(), "x")),
                        tensor["bytes"].get<uint64_t>(), tensor.back().get_ref<const std::string &>());
  text += fmt::format("{} tensors, {} elements, {} bytes\n", report["tensors"].size(),
                      report["elements"].get<uint64_t>(), report["bytes"].get<uint64_t>());
  for (const auto &[key, value] : report["metadata"].items())
    if (!value.is_object())
      text += fmt::format("{}: {}\n", key, value.is_string() ? value.get<std::string>() : value.dump());
    else
      for (const auto &[name, setting] : value.items())
        text += fmt::format("{}: {}\n", name, setting.get_ref<const std::string &>());
  return text;
}

Expected<std::string> inspect(const std::string &path, bool asJson) {
  Expected<ordered_json> report = inspectPath(path);
  if (!report)
    return report.takeError();
  if (!report->contains("tensors"))
    (*report)["tensors"] = ordered_json::array();
  uint64_t bytes = 0, elements = 0;
  for (const ordered_json &tensor : (*report)["tensors"]) {
    uint64_t size = tensor["bytes"].get<uint64_t>();
    bytes += size;
    elements += size / getElementBytes(*runtime::parseStoredType(tensor["dtype"].get_ref<const std::string &>()));
  }
  (*report)["elements"] = elements;
  (*report)["bytes"] = bytes;
  return asJson ? report->dump(1) + "\n" : printTable(*report);
}

} // namespace primus::checkpoint
