//===- WeightMap.cpp - Tensors of a checkpoint and parameters of ours -----===//

#include "frontend/models/huggingface/WeightMap.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>
#include <unordered_map>

namespace primus::models::huggingface {

using config::huggingface::TensorRule;
using runtime::Error;
using runtime::Expected;
using runtime::StoredType;
using runtime::TensorDescription;

int64_t WeightTensor::getColumns() const { return parts.front().shape.size() == 2 ? parts.front().shape[1] : 1; }

int64_t WeightTensor::getRows() const {
  int64_t rows = 0;
  for (const Parameter &part : parts)
    rows += huggingface::getRows(part);
  return rows;
}

/// Puts the number of a layer in the place of "{}".
static std::string fillIn(std::string_view pattern, int64_t layer) {
  size_t at = pattern.find("{}");
  if (at == std::string_view::npos)
    return std::string(pattern);
  return fmt::format("{}{}{}", pattern.substr(0, at), layer, pattern.substr(at + 2));
}

/// Whether `name` is `pattern` with any number in the place of "{}".
static bool matches(std::string_view name, std::string_view pattern) {
  size_t at = pattern.find("{}");
  if (at == std::string_view::npos)
    return name == pattern;
  std::string_view before = pattern.substr(0, at), after = pattern.substr(at + 2);
  if (name.size() <= before.size() + after.size() || !name.starts_with(before) || !name.ends_with(after))
    return false;
  std::string_view number = name.substr(before.size(), name.size() - before.size() - after.size());
  return std::all_of(number.begin(), number.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::vector<WeightTensor> listTensors(const Architecture &architecture, const spec::Model &model) {
  std::unordered_map<std::string, Parameter> parameters;
  for (Parameter &parameter : listParameters(model))
    parameters.emplace(parameter.name, parameter);
  int64_t layers = 0;
  for (const spec::LayerGroup &group : model.layers())
    layers += group.count();

  std::vector<WeightTensor> tensors;
  auto add = [&](const TensorRule &rule, int64_t layer) {
    WeightTensor tensor;
    for (const char *ours : rule.ours) {
      auto it = ours ? parameters.find(fillIn(ours, layer)) : parameters.end();
      if (it != parameters.end())
        tensor.parts.push_back(it->second);
    }
    if (tensor.parts.empty())
      return;
    tensor.name = fillIn(rule.theirs, layer);
    tensor.transposed = rule.transposed;
    tensor.shape = {tensor.getRows()};
    if (tensor.parts.front().shape.size() == 2)
      tensor.shape.insert(rule.transposed ? tensor.shape.begin() : tensor.shape.end(), tensor.getColumns());
    tensors.push_back(std::move(tensor));
  };
  auto isOfLayer = [](const TensorRule &rule) {
    return std::string_view(rule.theirs).find("{}") != std::string_view::npos;
  };
  // Rules of one kind stand together: those before the layers, of the layers, after them.
  for (auto rule = architecture.tensors.begin(), end = architecture.tensors.end(); rule != end;) {
    if (!isOfLayer(*rule)) {
      add(*rule++, 0);
      continue;
    }
    auto last = std::find_if_not(rule, end, isOfLayer);
    for (int64_t layer = 0; layer < layers; ++layer)
      for (auto it = rule; it != last; ++it)
        add(*it, layer);
    rule = last;
  }
  return tensors;
}

static bool isFloat(StoredType type) {
  return type == StoredType::F64 || type == StoredType::F32 || type == StoredType::F16 || type == StoredType::BF16;
}

namespace {

class Matcher {
public:
  Matcher(const Architecture &architecture, const spec::Model &model,
          const std::map<std::string, TensorDescription> &present)
      : architecture(architecture), model(model), present(present) {}

  Expected<WeightMap> match();

private:
  /// The name under which the checkpoint has a tensor, or empty.
  std::string findName(const std::string &full) const {
    if (present.contains(full))
      return full;
    std::string_view prefix = architecture.prefix;
    std::string shortened = full.starts_with(prefix) ? full.substr(prefix.size()) : full;
    return present.contains(shortened) ? shortened : std::string();
  }

  void matchTensor(WeightTensor &tensor);
  void matchTiedHead(WeightTensor &embedding);
  void checkRest();

  const Architecture &architecture;
  const spec::Model &model;
  const std::map<std::string, TensorDescription> &present;
  WeightMap map;
  std::set<std::string> used;
  std::vector<std::string> problems;
};

} // namespace

void Matcher::matchTensor(WeightTensor &tensor) {
  std::string name = findName(tensor.name);
  if (name.empty())
    return problems.push_back(fmt::format("missing: {} [{}]", tensor.name, fmt::join(tensor.shape, "x")));
  used.insert(name);
  tensor.name = name;
  const TensorDescription &found = present.at(name);
  if (found.shape != tensor.shape)
    problems.push_back(
        fmt::format("of another shape: {} is [{}], but config.json makes it [{}]", name, fmt::join(found.shape, "x"),
                    fmt::join(tensor.shape, "x")));
  else if (!isFloat(found.type))
    problems.push_back(fmt::format("no floats: {} is {}", name, toString(found.type)));
}

/// One tensor under two names: the embedding's counts, the head's has to be equal or stands for it.
void Matcher::matchTiedHead(WeightTensor &embedding) {
  std::string head = findName(architecture.head);
  if (head.empty())
    return;
  if (findName(embedding.name).empty()) {
    embedding.name = head;
    return;
  }
  WeightTensor copy = embedding;
  copy.name = head;
  matchTensor(copy);
  map.tiedCopy = head;
}

void Matcher::checkRest() {
  for (const auto &[name, tensor] : present) {
    if (used.contains(name))
      continue;
    std::string full = architecture.prefix + name;
    bool known = std::any_of(architecture.ignored.begin(), architecture.ignored.end(), [&](std::string_view pattern) {
      return matches(name, pattern) || matches(full, pattern);
    });
    if (!known)
      problems.push_back(fmt::format("unknown: {} {}", name, tensor.str()));
  }
}

Expected<WeightMap> Matcher::match() {
  map.tensors = listTensors(architecture, model);
  for (WeightTensor &tensor : map.tensors) {
    if (model.head().tied() && tensor.name == architecture.embedding)
      matchTiedHead(tensor);
    matchTensor(tensor);
  }
  checkRest();
  if (problems.empty())
    return std::move(map);
  constexpr size_t most = 20;
  size_t count = problems.size();
  if (count > most) {
    problems.resize(most);
    problems.push_back(fmt::format("and {} more", count - most));
  }
  return Error::failure(fmt::format("the tensors are not those of the {} that config.json describes:\n  {}",
                                    architecture.name, fmt::join(problems, "\n  ")));
}

Expected<WeightMap> matchTensors(const Architecture &architecture, const spec::Model &model,
                                 const std::map<std::string, TensorDescription> &present) {
  return Matcher(architecture, model, present).match();
}

} // namespace primus::models::huggingface
