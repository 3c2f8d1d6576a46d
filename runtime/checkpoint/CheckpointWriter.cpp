//===- CheckpointWriter.cpp - Writing a checkpoint from one place ---------===//

#include "runtime/checkpoint/CheckpointWriter.h"

using namespace primus::runtime;

Expected<CheckpointWriter> CheckpointWriter::create(CheckpointDraft draft) {
  CheckpointIndex &index = draft.getIndex();
  std::vector<TensorDescription> descriptions;
  for (CheckpointTensor &tensor : index.tensors) {
    descriptions.push_back(tensor);
    tensor.slices = {{TensorRegion::whole(tensor.shape), 0}};
  }
  index.files = {{getShardName(0, 1)}};
  Expected<SafetensorsWriter> file =
      SafetensorsWriter::create(draft.getFolder() + "/" + index.files.front().name, descriptions);
  if (!file)
    return file.takeError();
  return CheckpointWriter(std::move(draft), std::move(*file));
}

Error CheckpointWriter::finish() {
  if (Error error = file.finish())
    return error;
  CheckpointFile &written = draft.getIndex().files.front();
  written.bytes = file.getFileBytes();
  written.checksum = file.getChecksum();
  return draft.commit();
}
