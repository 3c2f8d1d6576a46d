//===- SafetensorsFile.h - Reading safetensors files ----------------------===//

#ifndef PRIMUS_RUNTIME_CHECKPOINT_SAFETENSORSFILE_H
#define PRIMUS_RUNTIME_CHECKPOINT_SAFETENSORSFILE_H

#include "runtime/checkpoint/Safetensors.h"
#include "runtime/support/MappedFile.h"

#include <span>
#include <unordered_map>

namespace primus::runtime {

/// A file, mapped into memory, whose header is valid. Movable; tensors stay where they are.
class SafetensorsFile {
public:
  static Expected<SafetensorsFile> open(const std::string &path);

  const std::string &getPath() const { return path; }
  /// All tensors, in the order of their bytes.
  std::span<const StoredTensor> getTensors() const { return header.tensors; }
  /// Null if there is none of this name.
  const StoredTensor *find(const std::string &name) const;
  const TensorMetadata &getMetadata() const { return header.metadata; }
  /// Not aligned.
  std::span<const std::byte> getBytes(const StoredTensor &tensor) const;
  /// The whole file.
  std::string_view getFileBytes() const { return file.getBytes(); }

  /// Gives back the memory that holds a tensor's bytes, or a part of the file's, after they were read. They can be read
  /// again.
  void release(const StoredTensor &tensor) const;
  void release(std::string_view part) const { file.release(part); }

private:
  SafetensorsFile(std::string path, MappedFile file, SafetensorsHeader header);

  std::string path;
  MappedFile file;
  SafetensorsHeader header;
  std::unordered_map<std::string, size_t> byName;
};

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_CHECKPOINT_SAFETENSORSFILE_H
