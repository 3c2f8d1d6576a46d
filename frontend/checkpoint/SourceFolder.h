//===- SourceFolder.h - The Hugging Face side of a checkpoint ----*- C++ -*-===//
//
// An imported checkpoint of ours keeps, in its folder `huggingface`, what it does not need itself but an export does:
// config.json and the tokenizer's files, the names, types and files of the tensors (tensors.json), and those tensors
// that are no parameters (buffers.safetensors).
//
//===----------------------------------------------------------------------===//

#pragma once

#include "frontend/models/huggingface/ModelFolder.h"

#include <optional>

namespace primus::checkpoint {

/// A tensor of a Hugging Face checkpoint and the file that holds it.
struct SourceTensor : runtime::TensorDescription {
  std::string file;
};

/// A Hugging Face folder, or what a checkpoint of ours keeps of one.
class SourceFolder {
public:
  /// `path` is a Hugging Face folder or a checkpoint of ours that was imported from one.
  static runtime::Expected<SourceFolder> open(const std::string &path);

  /// Whether a checkpoint of ours keeps one.
  static bool isKeptIn(const std::string &checkpoint);

  /// Writes what is to be kept of a Hugging Face checkpoint into the folder `huggingface` of `checkpoint`.
  static runtime::Error keep(const models::huggingface::ModelWeights &weights, const std::string &checkpoint);

  /// The folder of config.json.
  const std::string &getPath() const { return path; }
  const std::vector<SourceTensor> &getTensors() const { return tensors; }
  /// The bytes of a tensor that is no parameter.
  runtime::Expected<std::span<const std::byte>> getBuffer(const std::string &name) const;

  /// Copies config.json and the tokenizer's files.
  runtime::Error copyFiles(const std::string &target) const;

private:
  explicit SourceFolder(std::string path) : path(std::move(path)) {}

  runtime::Error readKept();
  runtime::Error readFolder();

  std::string path;
  std::vector<SourceTensor> tensors;
  /// Where buffers come from.
  std::optional<runtime::SafetensorsFolder> folder;
  std::optional<runtime::SafetensorsFile> buffers;
};

} // namespace primus::checkpoint
