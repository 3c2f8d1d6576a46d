//===- CheckpointSaver.cpp - Writes a run's checkpoints -------------------===//

#include "runtime/train/CheckpointSaver.h"

#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

using namespace primus;
using namespace primus::runtime;

static StoredType getStoredType(executable::DataType type) {
  switch (type) {
  case executable::F64:
    return StoredType::F64;
  case executable::F16:
    return StoredType::F16;
  case executable::BF16:
    return StoredType::BF16;
  case executable::I64:
    return StoredType::I64;
  case executable::I32:
    return StoredType::I32;
  case executable::I8:
    return StoredType::I8;
  case executable::I1:
    return StoredType::BOOL;
  default:
    return StoredType::F32;
  }
}

CheckpointTensor primus::runtime::describeVariable(const executable::Variable &variable) {
  CheckpointTensor tensor;
  tensor.name = variable.name();
  tensor.type = getStoredType(variable.type().data_type());
  tensor.shape.assign(variable.type().shape().begin(), variable.type().shape().end());
  tensor.role = variable.role();
  return tensor;
}

Expected<CheckpointSaver> CheckpointSaver::create(Executor &executor) {
  Expected<CheckpointFolder> folder =
      CheckpointFolder::openForWriting(executor.getExecutable().training().checkpoint().save());
  if (!folder)
    return folder.takeError();
  return CheckpointSaver(executor, std::move(*folder));
}

bool CheckpointSaver::isDue(int64_t step) const { return config.interval() > 0 && step % config.interval() == 0; }

Error CheckpointSaver::write(const CheckpointState &state, std::string &path) {
  std::vector<CheckpointTensor> tensors;
  std::vector<const executable::Variable *> variables;
  for (const executable::Variable &variable : executor.getExecutable().variables())
    if (variable.role() == "parameter" || (variable.role() == "optimizer" && !config.parameters_only())) {
      tensors.push_back(describeVariable(variable));
      variables.push_back(&variable);
    }
  CheckpointIndex index;
  index.state = state;
  index.tensors = std::move(tensors);
  Expected<CheckpointDraft> draft = folder.create(std::move(index));
  if (!draft)
    return draft.takeError();
  path = draft->getPath();
  Expected<CheckpointWriter> writer = CheckpointWriter::create(std::move(*draft));
  if (!writer)
    return writer.takeError();
  constexpr int64_t pieceBytes = 1 << 22;
  std::vector<std::byte> piece(pieceBytes);
  for (const executable::Variable *variable : variables) {
    Tensor tensor = executor.getTensor(*variable);
    for (int64_t begin = 0; begin < tensor.bytes; begin += pieceBytes) {
      int64_t bytes = std::min(pieceBytes, tensor.bytes - begin);
      executor.read({tensor.address + begin, bytes}, piece.data());
      if (Error error = writer->append(std::span(piece).first(static_cast<size_t>(bytes))))
        return error;
    }
  }
  return writer->finish();
}

Error CheckpointSaver::save(const CheckpointState &state) {
  if (state.step == savedStep)
    return Error::success();
  auto start = std::chrono::steady_clock::now();
  std::string path;
  if (Error error = write(state, path))
    return error;
  savedStep = state.step;
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  spdlog::info("step {}  saved in '{}' ({:.1f} s)", state.step, path, seconds);
  // Only now, so that there is always a whole one.
  return folder.prune(config.keep(), config.retain_interval());
}
