//===- ModelFolder.cpp - A model's folder as an experiment ----------------===//

#include "frontend/config/PresetFinder.h"
#include "frontend/config/huggingface/HuggingFace.h"
#include "frontend/config/yaml/Parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace fs = std::filesystem;

namespace primus::config::huggingface {

bool isModel(const std::string &path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored) || fs::path(path).extension() == ".json";
}

Value makeExperiment(const std::string &path) {
  Location place = inFile(path);
  auto text = [&](std::string value) { return Entry{place, Value(std::move(value), place)}; };
  auto variable = [&](const char *name, const char *fallback) {
    const char *value = std::getenv(name);
    return text(value && *value ? value : fallback);
  };
  Map model = {{"hf_path", text(path)}};
  Map module = {{"framework", text("huggingface")}, {"model", {place, Value(std::move(model), place)}}};
  Map modules = {{"pre_trainer", {place, Value(std::move(module), place)}}};
  // The same variables as in our own experiments.
  return Value(Map{{"work_group", variable("PRIMUS_TEAM", "primus")},
                   {"user_name", variable("PRIMUS_USER", "root")},
                   {"exp_name", variable("PRIMUS_EXP_NAME", "huggingface")},
                   {"workspace", variable("PRIMUS_WORKSPACE", "./output")},
                   {"modules", {place, Value(std::move(modules), place)}}},
               place);
}

/// YAML is the wider language: what is not JSON is found here, with its line.
static bool checkJson(const std::string &text, const std::string &name, Diagnostics &diagnostics) {
  try {
    static_cast<void>(nlohmann::json::parse(text));
    return true;
  } catch (const nlohmann::json::exception &error) {
    Location at = inFile(name);
    size_t end = text.size();
    if (const auto *parseError = dynamic_cast<const nlohmann::json::parse_error *>(&error))
      end = std::min(parseError->byte > 0 ? parseError->byte - 1 : 0, text.size());
    at.line = 1 + int(std::count(text.begin(), text.begin() + std::ptrdiff_t(end), '\n'));
    size_t line = text.rfind('\n', end == 0 ? 0 : end - 1);
    at.column = 1 + int(end - (line == std::string::npos || line >= end ? 0 : line + 1));
    std::string reason = error.what();
    // "[json.exception.parse_error.101] parse error at line 1, column 2: syntax error while ...": the end says it.
    if (size_t colon = reason.find(": "); colon != std::string::npos)
      reason.erase(0, colon + 2);
    diagnostics.error(at, "not JSON: " + reason, "NaN and Infinity are no JSON either");
    return false;
  }
}

/// A path that does not exist from here counts from the folder that holds our own configs.
static std::string findModel(const std::string &path) {
  std::error_code ignored;
  fs::path own = fs::path(ownConfigFolder()).parent_path() / path;
  return !fs::exists(path, ignored) && fs::exists(own, ignored) ? own.string() : path;
}

std::optional<Value> readModelConfig(const std::string &written, const Location &at, Diagnostics &diagnostics) {
  std::error_code ignored;
  std::string path = findModel(written);
  std::string file = fs::is_directory(path, ignored) ? (fs::path(path) / "config.json").string() : path;
  if (!fs::is_regular_file(file, ignored)) {
    diagnostics.error(at, fmt::format("there is no file '{}'", file),
                      "name the folder of a Hugging Face model, which holds config.json");
    return std::nullopt;
  }
  std::ifstream stream(file, std::ios::binary);
  std::stringstream content;
  content << stream.rdbuf();
  if (!stream) {
    diagnostics.error(inFile(file), "cannot be read");
    return std::nullopt;
  }
  std::string text = content.str();
  if (!checkJson(text, file, diagnostics))
    return std::nullopt;
  // JSON is YAML, but for tabs between tokens; strings hold none.
  std::replace(text.begin(), text.end(), '\t', ' ');
  std::optional<Value> config = parseYaml(text, file, diagnostics);
  if (config && !config->isMap()) {
    diagnostics.error(inFile(file), fmt::format("must be a JSON object, but is {}", config->kindName()));
    return std::nullopt;
  }
  return config;
}

void addDefaults(ResolvedConfig &config, bool evaluation) {
  auto isSet = [&](const char *key) {
    auto it = config.params.find(key);
    return it != config.params.end() && !it->second.value.isNull();
  };
  Diagnostics later; // of an unknown class, when keys are judged
  const Architecture *architecture = findArchitecture(config.params, config.moduleLocation, later);
  if (architecture && evaluation)
    for (std::string_view key : architecture->trainingKeys)
      config.params.erase(std::string(key));
  if (architecture && !isSet("seq_length")) {
    constexpr int64_t usual = 1024;
    auto it = config.params.find(architecture->positionsKey);
    const int64_t *positions = it == config.params.end() ? nullptr : it->second.value.asInt();
    Location place = positions ? it->second.value.location() : config.moduleLocation;
    place.layer = Layer::Derived;
    int64_t length = positions && *positions > 0 ? std::min(*positions, usual) : usual;
    config.params.insert_or_assign("seq_length", Entry{place, Value(length, place)});
  }
  if (!isSet("mock_data")) {
    Location place{nullptr, 0, 0, Layer::Default};
    bool mock = !isSet("train_data_path") && !isSet("data_path");
    config.params.insert_or_assign("mock_data", Entry{place, Value(mock, place)});
  }
}

} // namespace primus::config::huggingface
