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

Error Checkpoint::verify() const {
  for (size_t i = 0; i < files.size(); ++i) {
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

namespace {

/// The elements that two regions of a tensor have in common, as runs that are contiguous in both.
class CommonRuns {
public:
  CommonRuns(const TensorRegion &source, const TensorRegion &target) : source(source), target(target) {
    size_t rank = source.shape.size();
    for (size_t d = 0; d < rank; ++d) {
      begin.push_back(std::max(source.begin[d], target.begin[d]));
      end.push_back(std::min(source.begin[d] + source.shape[d], target.begin[d] + target.shape[d]));
      isEmpty |= begin[d] >= end[d];
    }
    // Trailing dimensions that both have whole join the run, and one more.
    for (outer = rank; outer > 0;) {
      --outer;
      runElements *= end[outer] - begin[outer];
      if (source.shape[outer] != end[outer] - begin[outer] || target.shape[outer] != end[outer] - begin[outer])
        break;
    }
  }

  /// Calls use(offset in source, offset in target, count), in elements, for each run.
  template <typename Use>
  void forEach(Use use) const {
    if (isEmpty)
      return;
    for (std::vector<int64_t> position = begin;;) {
      use(getOffset(source, position), getOffset(target, position), runElements);
      size_t d = outer;
      while (d > 0 && ++position[d - 1] == end[d - 1]) {
        position[d - 1] = begin[d - 1];
        --d;
      }
      if (d == 0)
        return;
    }
  }

private:
  static int64_t getOffset(const TensorRegion &region, const std::vector<int64_t> &position) {
    int64_t offset = 0;
    for (size_t d = 0; d < position.size(); ++d)
      offset = offset * region.shape[d] + (position[d] - region.begin[d]);
    return offset;
  }

  const TensorRegion &source;
  const TensorRegion &target;
  std::vector<int64_t> begin, end;
  bool isEmpty = false;
  /// Dimensions before this one are walked through; the others make up a run.
  size_t outer = 0;
  int64_t runElements = 1;
};

} // namespace

void Checkpoint::read(const CheckpointTensor &tensor, const TensorRegion &region, const Take &take) const {
  uint64_t elementBytes = getElementBytes(tensor.type);
  for (const TensorSlice &slice : tensor.slices) {
    const SafetensorsFile &file = files[slice.file];
    const StoredTensor &stored = *file.find(tensor.name);
    std::span<const std::byte> bytes = file.getBytes(stored);
    CommonRuns(slice, region).forEach([&](int64_t source, int64_t target, int64_t count) {
      take(static_cast<uint64_t>(target) * elementBytes,
           bytes.subspan(static_cast<uint64_t>(source) * elementBytes, static_cast<uint64_t>(count) * elementBytes));
    });
    file.release(stored);
  }
}

void Checkpoint::read(const CheckpointTensor &tensor, const Take &take) const {
  read(tensor, {std::vector<int64_t>(tensor.shape.size(), 0), tensor.shape}, take);
}
