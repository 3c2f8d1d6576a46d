//===- Architectures.cpp - The list of Hugging Face model classes ---------===//

#include "frontend/config/Suggestion.h"
#include "frontend/config/huggingface/Architecture.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace primus::config::huggingface {

std::span<const Architecture *const> architectures() {
  static constexpr const Architecture *list[] = {&gpt2, &llama, &mistral, &qwen2, &qwen3};
  return list;
}

/// The text of `architectures[0]`, or null.
static const Value *firstArchitecture(const Map &config) {
  auto it = config.find("architectures");
  const List *list = it == config.end() ? nullptr : it->second.value.asList();
  return list && !list->empty() && list->front().asString() ? &list->front() : nullptr;
}

const Architecture *findArchitecture(const Map &config, const Location &whole, Diagnostics &diagnostics) {
  const Value *name = firstArchitecture(config);
  auto type = config.find("model_type");
  bool byType = !name && type != config.end() && type->second.value.asString();
  if (byType)
    name = &type->second.value;
  std::vector<std::string> supported;
  for (const Architecture *architecture : architectures()) {
    supported.push_back(byType ? architecture->modelType : architecture->name);
    if (name && *name->asString() == supported.back())
      return architecture;
  }
  std::string list = fmt::format("supported: {}", fmt::join(supported, ", "));
  if (name)
    diagnostics.error(name->location(),
                      fmt::format("'{}' names {}, which is not supported", byType ? "model_type" : "architectures",
                                  *name->asString()),
                      didYouMean(*name->asString(), supported, list));
  else
    diagnostics.error(whole, "this config.json names no architecture: 'architectures' must be a list of names",
                      fmt::format("write \"architectures\": [\"{}\"]; {}", llama.name, list));
  return nullptr;
}

} // namespace primus::config::huggingface
