//===- Export.h - From a checkpoint of ours to Hugging Face's ----*- C++ -*-===//

#pragma once

#include "runtime/checkpoint/Safetensors.h"

#include <optional>
#include <string>

namespace primus::checkpoint {

struct ExportOptions {
  /// Our checkpoint, or a folder of them, of which the newest counts; and the new Hugging Face folder.
  std::string from, to;
  /// A Hugging Face folder, or a checkpoint that was imported from one, whose config.json, tokenizer, names and types
  /// are taken. Empty: what `from` keeps of its own import.
  std::string like;
  /// The type of all floats; else each tensor has the type that it has in `like`.
  std::optional<runtime::StoredType> type;
};

/// Writes config.json, the tokenizer's files and the tensors, in as many files as `like` has. One tensor is in memory
/// at a time. An import that was not trained comes out bit for bit. Says what it does on standard error.
runtime::Error exportCheckpoint(const ExportOptions &options);

} // namespace primus::checkpoint
