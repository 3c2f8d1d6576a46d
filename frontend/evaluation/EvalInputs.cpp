//===- EvalInputs.cpp - Token ids and labels from a file ------------------===//

#include "frontend/evaluation/EvalInputs.h"

#include "runtime/checkpoint/SafetensorsFile.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>

namespace primus::evaluation {

using runtime::Error;
using runtime::Expected;
using runtime::SafetensorsFile;
using runtime::StoredTensor;
using runtime::StoredType;

/// What torch ignores.
static constexpr int64_t ignoredLabel = -100;

int64_t EvalInputs::countLabels() const {
  return std::count_if(labels.begin(), labels.end(), [](int32_t label) { return label >= 0; });
}

namespace {

class InputReader {
public:
  explicit InputReader(const SafetensorsFile &file) : file(file) {}

  Expected<EvalInputs> read();

private:
  Error fail(const std::string &message) const {
    return Error::failure(fmt::format("{}: {}", file.getPath(), message));
  }
  Error checkNames() const;
  Error readShape();
  Expected<std::vector<int64_t>> readMatrix(const char *name, bool mayBroadcast) const;
  Error readLabels(const std::vector<int64_t> &source, const char *name);
  Error checkMask() const;
  Error checkPositions() const;

  const SafetensorsFile &file;
  EvalInputs inputs;
};

} // namespace

Error InputReader::checkNames() const {
  static constexpr std::string_view known[] = {"input_ids", "labels", "attention_mask", "position_ids"};
  for (const StoredTensor &tensor : file.getTensors())
    if (std::find(std::begin(known), std::end(known), tensor.name) == std::end(known))
      return fail(
          fmt::format("'{}' is no input of this model; its inputs are {}", tensor.name, fmt::join(known, ", ")));
  return Error::success();
}

Error InputReader::readShape() {
  const StoredTensor *ids = file.find("input_ids");
  if (!ids)
    return fail("there is no tensor 'input_ids' (I64 [sequences, tokens])");
  if (ids->shape.size() != 2 || ids->shape[0] < 1 || ids->shape[1] < 1)
    return fail(
        fmt::format("'input_ids' must be [sequences, tokens] with at least one of each, but is {}", ids->str()));
  inputs.batch = ids->shape[0];
  inputs.tokens = ids->shape[1];
  constexpr int64_t most = int64_t(1) << 30;
  if (inputs.batch > most / inputs.tokens)
    return fail(fmt::format("'input_ids' is {}: more than {} tokens at once", ids->str(), most));
  return Error::success();
}

/// An I64 tensor of the shape of input_ids.
Expected<std::vector<int64_t>> InputReader::readMatrix(const char *name, bool mayBroadcast) const {
  const StoredTensor &tensor = *file.find(name);
  if (tensor.type != StoredType::I64)
    return fail(fmt::format("'{}' must be I64, but is {}", name, toString(tensor.type)));
  std::vector<int64_t> shape = {inputs.batch, inputs.tokens};
  bool isRow = mayBroadcast && tensor.shape == std::vector<int64_t>{1, inputs.tokens};
  if (tensor.shape != shape && !isRow)
    return fail(fmt::format("'{}' must have the shape of input_ids, [{}x{}], but is {}", name, inputs.batch,
                            inputs.tokens, tensor.str()));
  std::vector<int64_t> values(size_t(tensor.shape[0] * tensor.shape[1]));
  std::memcpy(values.data(), file.getBytes(tensor).data(), values.size() * sizeof(int64_t));
  return values;
}

/// Position t is judged by the label of t + 1; the last one has none.
Error InputReader::readLabels(const std::vector<int64_t> &source, const char *name) {
  inputs.labels.assign(source.size(), -1);
  for (size_t i = 0; i < source.size(); ++i) {
    int64_t label = source[i];
    if (label == ignoredLabel)
      continue;
    if (label < 0 || label > std::numeric_limits<int32_t>::max())
      return fail(fmt::format("'{}' holds {}; a label is a token or {}, which is ignored", name, label, ignoredLabel));
    if (int64_t(i) % inputs.tokens > 0)
      inputs.labels[i - 1] = int32_t(label);
  }
  return Error::success();
}

Error InputReader::checkMask() const {
  const StoredTensor *mask = file.find("attention_mask");
  if (!mask)
    return Error::success();
  Expected<std::vector<int64_t>> values = readMatrix("attention_mask", /*mayBroadcast=*/false);
  if (!values)
    return values.takeError();
  if (std::any_of(values->begin(), values->end(), [](int64_t value) { return value != 1; }))
    return fail("'attention_mask' hides tokens, which is not supported; leave out what is hidden, and give labels of "
                "-100 to what should not count");
  return Error::success();
}

Error InputReader::checkPositions() const {
  const StoredTensor *positions = file.find("position_ids");
  if (!positions)
    return Error::success();
  Expected<std::vector<int64_t>> values = readMatrix("position_ids", /*mayBroadcast=*/true);
  if (!values)
    return values.takeError();
  for (size_t i = 0; i < values->size(); ++i)
    if ((*values)[i] != int64_t(i) % inputs.tokens)
      return fail("'position_ids' do not count from 0 in each sequence, which is not supported; leave them out");
  return Error::success();
}

Expected<EvalInputs> InputReader::read() {
  inputs.path = file.getPath();
  if (Error error = checkNames())
    return error;
  if (Error error = readShape())
    return error;
  Expected<std::vector<int64_t>> ids = readMatrix("input_ids", /*mayBroadcast=*/false);
  if (!ids)
    return ids.takeError();
  for (int64_t id : *ids) {
    if (id < 0 || id > std::numeric_limits<int32_t>::max())
      return fail(fmt::format("'input_ids' holds {}, which is no token", id));
    inputs.inputIds.push_back(int32_t(id));
  }
  const char *labels = file.find("labels") ? "labels" : "input_ids";
  Expected<std::vector<int64_t>> labelIds = readMatrix(labels, /*mayBroadcast=*/false);
  if (!labelIds)
    return labelIds.takeError();
  if (Error error = readLabels(*labelIds, labels))
    return error;
  if (Error error = checkMask())
    return error;
  if (Error error = checkPositions())
    return error;
  return std::move(inputs);
}

Expected<EvalInputs> readEvalInputs(const std::string &path) {
  Expected<SafetensorsFile> file = SafetensorsFile::open(path);
  if (!file)
    return file.takeError();
  return InputReader(*file).read();
}

Error checkEvalInputs(const EvalInputs &inputs, const spec::Model &model) {
  int64_t vocabulary = model.embedding().vocabulary(), positions = model.embedding().learned_positions();
  auto check = [&](const char *name, const std::vector<int32_t> &tokens) {
    int32_t largest = *std::max_element(tokens.begin(), tokens.end());
    if (largest < vocabulary)
      return Error::success();
    return Error::failure(fmt::format("{}: '{}' holds token {}, but the model's vocabulary ends at {}", inputs.path,
                                      name, largest, vocabulary - 1));
  };
  if (Error error = check("input_ids", inputs.inputIds))
    return error;
  if (Error error = check("labels", inputs.labels))
    return error;
  if (positions > 0 && inputs.tokens > positions)
    return Error::failure(fmt::format("{}: sequences of {} tokens are longer than the model's {} positions",
                                      inputs.path, inputs.tokens, positions));
  return Error::success();
}

} // namespace primus::evaluation
