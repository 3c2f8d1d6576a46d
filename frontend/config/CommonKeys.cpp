//===- CommonKeys.cpp - What all flavours have in common ------------------===//

#include "frontend/config/CommonKeys.h"

#include "frontend/config/PresetFinder.h"
#include "frontend/config/yaml/Parser.h"

#include <fmt/format.h>

#include <fstream>
#include <limits>
#include <mutex>

namespace fs = std::filesystem;

namespace primus::config {

void mapOutput(Mapping &m) {
  auto output = [&](const char *field, const char *key) {
    auto it = m.config.experiment.find(key);
    if (it != m.config.experiment.end() && it->second.value.asString())
      m.spec.set(field, Setting<std::string>{*it->second.value.asString(), {key, it->second.value.location()}});
  };
  output("output.work_group", "work_group");
  output("output.user_name", "user_name");
  output("output.experiment", "exp_name");
  output("output.workspace", "workspace");
  const std::vector<std::string> levels = {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"};
  if (m.keys.isSet("sink_level"))
    m.spec.set("output.sink_level", m.keys.choice("sink_level", "INFO", levels));
  m.spec.set("output.file_sink_level", m.keys.choice("file_sink_level", "DEBUG", levels));
  m.spec.set("output.stderr_sink_level", m.keys.choice("stderr_sink_level", "INFO", levels));
}

fs::path getRunFolder(const Mapping &m) {
  fs::path path;
  for (const char *key : {"workspace", "work_group", "user_name", "exp_name"})
    if (const Value *part = findPath(m.config.experiment, key); part && part->asString())
      path /= *part->asString();
  return path;
}

void mapTensorBoard(Mapping &m, const Setting<std::string> &folder, const Setting<int64_t> &interval) {
  m.spec.set("training.tensorboard_folder", folder);
  m.spec.set("training.tensorboard_interval", interval);
}

int64_t saturatingProduct(std::initializer_list<int64_t> factors) {
  int64_t product = 1;
  for (int64_t factor : factors)
    if (__builtin_mul_overflow(product, factor, &product))
      return std::numeric_limits<int64_t>::max();
  return product;
}

std::string indexedPrefix(const std::string &path) {
  fs::path prefix = path;
  if (prefix.extension() == ".bin" || prefix.extension() == ".idx")
    prefix.replace_extension();
  std::error_code error;
  bool found = fs::exists(prefix.string() + ".bin", error) && fs::exists(prefix.string() + ".idx", error);
  return found ? prefix.string() : std::string();
}

/// Far above any table that a schedule needs.
static constexpr uintmax_t mostTableBytes = uintmax_t(1) << 26;

void mapScheduleTable(Mapping &m, const std::string &key) {
  std::optional<Setting<std::string>> path = m.keys.tryText(key);
  if (!path || path->value.empty() || m.spec.get().parallelism().pipeline() == 1)
    return;
  std::error_code code;
  bool isFile = fs::is_regular_file(path->value, code);
  if (!isFile || fs::file_size(path->value, code) > mostTableBytes) {
    m.diagnostics.error(path->origin.location,
                        fmt::format("'{}: {}' {}", key, path->value, isFile ? "is too large for a table" : "is no file"),
                        "name a CSV file with a line for each pipeline rank");
    return;
  }
  std::ifstream file(path->value, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), {}};
  if (!file || text.find_first_not_of(" \t\r\n") == std::string::npos)
    m.diagnostics.error(path->origin.location, fmt::format("'{}: {}' can't be read or is empty", key, path->value));
  else
    m.spec.set("parallelism.schedule_table", path->with(std::move(text)));
}

/// The file's mapping; files of facts do not change while we run.
static std::optional<Map> loadFacts(const std::string &path, Diagnostics &diagnostics) {
  static std::mutex mutex;
  static std::map<std::string, Map> loaded;
  std::lock_guard lock(mutex);
  if (auto it = loaded.find(path); it != loaded.end())
    return it->second;
  std::optional<Value> facts = readYaml(path, path, diagnostics);
  if (!facts || !facts->isMap())
    return std::nullopt;
  facts->setLayer(Layer::ModelPreset);
  return loaded.emplace(path, std::move(*facts->asMap())).first->second;
}

std::optional<Map> readModelFacts(const std::string &file, const Location &at, Diagnostics &diagnostics) {
  std::string path = ownConfigFolder() + "/" + file;
  std::error_code error;
  std::optional<Map> facts = fs::is_regular_file(path, error) ? loadFacts(path, diagnostics) : std::nullopt;
  if (!facts)
    diagnostics.error(at, fmt::format("{} is missing from this installation or broken", path), "install it again");
  return facts;
}

} // namespace primus::config
