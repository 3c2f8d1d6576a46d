//===- SafetensorsFolder.h - A model's safetensors files ------------------===//

#ifndef PRIMUS_RUNTIME_CHECKPOINT_SAFETENSORSFOLDER_H
#define PRIMUS_RUNTIME_CHECKPOINT_SAFETENSORSFOLDER_H

#include "runtime/checkpoint/SafetensorsFile.h"

#include <memory>

namespace primus::runtime {

/// A folder with model.safetensors, or with one *.safetensors.index.json and the shards that its weight_map names.
class SafetensorsFolder {
public:
  struct Entry {
    const SafetensorsFile *file;
    const StoredTensor *tensor;

    std::span<const std::byte> getBytes() const { return file->getBytes(*tensor); }
  };

  /// Shards have to lie in the folder itself, under plain names, and to hold exactly the tensors that the index says.
  /// (A shard may be a symbolic link, as download caches use them.) Errors list what is missing or too much.
  static Expected<SafetensorsFolder> open(const std::string &folder);

  const std::string &getPath() const { return path; }
  /// All tensors by name.
  const std::map<std::string, Entry> &getTensors() const { return tensors; }
  /// Null if there is none of this name.
  const Entry *find(const std::string &name) const;

private:
  explicit SafetensorsFolder(std::string path) : path(std::move(path)) {}

  Error openFile(const std::string &name);
  Error openIndex(const std::string &name);

  std::string path;
  std::vector<std::unique_ptr<SafetensorsFile>> files;
  std::map<std::string, Entry> tensors;
};

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_CHECKPOINT_SAFETENSORSFOLDER_H
