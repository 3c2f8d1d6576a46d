//===- DataKeys.cpp - What a Megatron experiment trains on ----------------===//

#include "frontend/config/CommonKeys.h"
#include "frontend/config/megatron/Megatron.h"

#include <fmt/format.h>

#include <charconv>

namespace primus::config::megatron {

using Paths = Setting<std::vector<std::string>>;

/// The paths of a key as they are written. Megatron's weights before paths are refused.
static std::optional<Paths> readPaths(Mapping &m, const std::string &key) {
  std::optional<Paths> paths = m.keys.tryTexts(key);
  if (!paths || paths->value.empty())
    return std::nullopt;
  for (std::string &path : paths->value) {
    double weight;
    if (std::from_chars(path.data(), path.data() + path.size(), weight).ptr == path.data() + path.size())
      m.diagnostics.error(paths->origin.location,
                          fmt::format("'{}' holds the weight {}, and blending by weight is not supported", key, path),
                          "name the paths without weights; they are read one after the other");
    if (std::string prefix = indexedPrefix(path); !prefix.empty())
      path = prefix;
  }
  return paths;
}

/// "95,5,0": three shares that are not negative and not all 0.
static void checkSplit(Mapping &m, const Setting<std::string> &split) {
  double sum = 0;
  int count = 0;
  bool valid = true;
  for (size_t begin = 0; begin <= split.value.size(); ++count) {
    size_t end = std::min(split.value.find(',', begin), split.value.size());
    double share = -1;
    const char *first = split.value.data() + begin, *last = split.value.data() + end;
    valid &= std::from_chars(first, last, share).ptr == last && first != last && share >= 0;
    sum += share;
    begin = end + 1;
  }
  if (!valid || count > 3 || sum <= 0)
    m.diagnostics.error(split.origin.location,
                        fmt::format("'split' must be up to three shares, but is '{}'", split.value),
                        "write training, validation and test, such as 95,5,0");
}

void mapData(Mapping &m) {
  Setting<bool> mock = m.keys.boolean("mock_data", false);
  std::optional<Setting<std::string>> tokenizer = m.keys.tryText("tokenizer_type");
  std::optional<Paths> paths = readPaths(m, "train_data_path"), validation = readPaths(m, "valid_data_path");
  if (!paths)
    paths = readPaths(m, "data_path");
  bool bytes = tokenizer && tokenizer->value == "bytes";

  if (mock.value) {
    m.spec.set("data.kind", mock.with<std::string>("mock"));
  } else if (!paths) {
    m.keys.missing("train_data_path", "training data; mock_data: true trains on random tokens");
  } else {
    bool indexed = !indexedPrefix(paths->value.front()).empty() || !bytes;
    m.spec.set("data.kind", derived<std::string>(indexed ? "indexed" : "text",
                                                 indexed ? "train_data_path" : "tokenizer_type bytes", paths->origin));
    m.spec.set("data.paths", *paths);
    // Bytes and mock tokens hold no end of a document, so there the key changes nothing.
    if (Setting<bool> mask = m.keys.boolean("eod_mask_loss", false); indexed && mask.value)
      m.diagnostics.error(
          mask.origin.location,
          "eod_mask_loss with indexed data is not supported: the token that ends documents is not known",
          "set eod_mask_loss=false");
    if (validation)
      m.spec.set("data.validation_paths", *validation);
  }
  Setting<std::string> split = m.keys.text("split", "969,30,1");
  checkSplit(m, split);
  m.spec.set("data.split", split);
}

} // namespace primus::config::megatron
