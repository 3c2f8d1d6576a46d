//===- CheckpointWriter.h - Writing a checkpoint from one place -----------===//

#ifndef PRIMUS_RUNTIME_CHECKPOINT_CHECKPOINTWRITER_H
#define PRIMUS_RUNTIME_CHECKPOINT_CHECKPOINTWRITER_H

#include "runtime/checkpoint/CheckpointDraft.h"
#include "runtime/checkpoint/SafetensorsWriter.h"

namespace primus::runtime {

/// Writes a checkpoint as one file, whose tensors come one after the other in pieces of any size.
class CheckpointWriter {
public:
  /// Of the draft's index, the files and slices are filled in; its tensors are the order in which the bytes will come.
  static Expected<CheckpointWriter> create(CheckpointDraft draft);

  /// The next bytes of the tensors.
  Error append(std::span<const std::byte> bytes) { return file.append(bytes); }

  /// After the last byte: the checkpoint appears under its name.
  Error finish();

private:
  CheckpointWriter(CheckpointDraft draft, SafetensorsWriter file) : draft(std::move(draft)), file(std::move(file)) {}

  CheckpointDraft draft;
  SafetensorsWriter file;
};

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_CHECKPOINT_CHECKPOINTWRITER_H
