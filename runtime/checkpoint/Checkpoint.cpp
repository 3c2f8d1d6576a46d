//===- Checkpoint.cpp - Reading checkpoints -------------------------------===//

#include "runtime/checkpoint/Checkpoint.h"

#include "runtime/support/Checksum.h"

#include <algorithm>
#include <fmt/format.h>

using namespace primus::runtime;

//===----------------------------------------------------------------------===//
// Opening
//===----------------------------------------------------------------------===//

Expected<Checkpoint> Checkpoint::open(const std::string &folder) {
  Expected<CheckpointIndex> index = readCheckpointIndex(folder);
  if (!index)
    return index.takeError();
  Checkpoint checkpoint(folder, std::move(*index));
  if (Error error = checkpoint.openFiles())
    return error;
  return checkpoint;
}

Error Checkpoint::openFiles() {
  for (const CheckpointFile &expected : index.files) {
    Expected<SafetensorsFile> file = SafetensorsFile::open(path + "/" + expected.name);
    if (!file)
      return file.takeError();
    files.push_back(std::move(*file));
  }
  for (const CheckpointTensor &tensor : index.tensors)
    for (const TensorSlice &slice : tensor.slices) {
      const StoredTensor *stored = files[slice.file].find(tensor.name);
      if (!stored || stored->type != tensor.type || stored->shape != slice.shape)
        return Error::failure(fmt::format("'{}' does not hold the slice of tensor '{}' that the checkpoint's index says",
                                          files[slice.file].getPath(), tensor.name));
    }
  return Error::success();
}

const CheckpointTensor *Checkpoint::find(const std::string &name) const {
  auto it = std::ranges::lower_bound(index.tensors, name, {}, &CheckpointTensor::name);
  return it == index.tensors.end() || it->name != name ? nullptr : &*it;
}

Error Checkpoint::verify(size_t share, size_t shares) const {
  for (size_t i = share; i < files.size(); i += shares) {
    std::string_view bytes = files[i].getFileBytes();
    uint32_t checksum = 0;
    constexpr size_t pieceBytes = 1 << 24;
    for (size_t begin = 0; begin < bytes.size(); begin += pieceBytes) {
      std::string_view piece = bytes.substr(begin, pieceBytes);
      checksum = addToChecksum(checksum, piece);
      files[i].release(piece);
    }
    if (bytes.size() != index.files[i].bytes || checksum != index.files[i].checksum)
      return Error::failure(fmt::format("'{}' is damaged: its checksum does not match", files[i].getPath()));
  }
  return Error::success();
}

//===----------------------------------------------------------------------===//
// Reading
//===----------------------------------------------------------------------===//

void Checkpoint::read(const CheckpointTensor &tensor, const TensorRegion &region, const Take &take) const {
  uint64_t elementBytes = getElementBytes(tensor.type);
  for (const TensorSlice &slice : tensor.slices) {
    const SafetensorsFile &file = files[slice.file];
    const StoredTensor &stored = *file.find(tensor.name);
    std::span<const std::byte> bytes = file.getBytes(stored);
    forEachCommonRun(slice, region, [&](int64_t source, int64_t target, int64_t count) {
      take(static_cast<uint64_t>(target) * elementBytes,
           bytes.subspan(static_cast<uint64_t>(source) * elementBytes, static_cast<uint64_t>(count) * elementBytes));
    });
    file.release(stored);
  }
}

void Checkpoint::read(const CheckpointTensor &tensor, const Take &take) const {
  read(tensor, TensorRegion::whole(tensor.shape), take);
}
