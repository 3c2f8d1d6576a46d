//===- HuggingFace.cpp - The huggingface flavour --------------------------===//

#include "frontend/config/huggingface/HuggingFace.h"

#include "frontend/config/megatron/Megatron.h"

#include <filesystem>

namespace fs = std::filesystem;

namespace primus::config::huggingface {

const FateTable *selectFates(const ResolvedConfig &config, Diagnostics &diagnostics) {
  const Architecture *architecture = findArchitecture(config.params, config.moduleLocation, diagnostics);
  return architecture ? &architecture->fates() : nullptr;
}

/// The folder's name is the model's; a file's, where it is not just config.json.
static std::string modelName(const std::string &path) {
  fs::path folder = fs::path(path).lexically_normal();
  if (folder.extension() == ".json" && folder.stem() != "config")
    return folder.stem().string();
  if (folder.extension() == ".json")
    folder = folder.parent_path();
  if (!folder.has_filename())
    folder = folder.parent_path();
  return folder.has_filename() && folder.filename() != "." ? folder.filename().string() : "model";
}

void map(Mapping &m) {
  const Architecture *architecture = findArchitecture(m.config.params, m.config.moduleLocation, m.diagnostics);
  if (!architecture)
    return;
  Setting<std::string> path = m.keys.text("model.hf_path", "");
  m.spec.set("model.name", path.with(modelName(path.value)));
  Origin source = m.keys.origin(m.keys.value("architectures") ? "architectures" : "model_type");
  m.keys.value("model_type");
  m.spec.set("model.family", derived<std::string>(architecture->modelType, source.key, source));
  architecture->mapModel(m);
  megatron::mapRun(m);
}

} // namespace primus::config::huggingface
