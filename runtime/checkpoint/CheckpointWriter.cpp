//===- CheckpointWriter.cpp - Writing checkpoints -------------------------===//

#include "runtime/checkpoint/CheckpointWriter.h"

#include "runtime/support/WriteFile.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace primus::runtime;
namespace fs = std::filesystem;

static constexpr std::string_view temporarySuffix = ".tmp";

std::string primus::runtime::makeTemporaryName(const std::string &name) {
  return fmt::format(".{}.{}{}", name, getpid(), temporarySuffix);
}

bool primus::runtime::isLeftOver(const std::string &name) {
  if (!name.starts_with(".step_") || !name.ends_with(temporarySuffix))
    return false;
  size_t end = name.size() - temporarySuffix.size(), begin = name.rfind('.', end - 1) + 1;
  pid_t process = 0;
  auto [last, code] = std::from_chars(name.data() + begin, name.data() + end, process);
  bool isNumber = code == std::errc() && last == name.data() + end && process > 0;
  return isNumber && (process == getpid() || (kill(process, 0) != 0 && errno == ESRCH));
}

Expected<CheckpointWriter> CheckpointWriter::create(const std::string &folder, CheckpointIndex index) {
  fs::path path = fs::path(folder).lexically_normal();
  // "x/" names x.
  if (!path.has_filename())
    path = path.parent_path();
  std::string temporary = path.parent_path() / makeTemporaryName(path.filename());
  if (mkdir(temporary.c_str(), 0777) != 0)
    return Error::failure(fmt::format("cannot write the checkpoint '{}': {}", folder, std::strerror(errno)));
  std::vector<TensorDescription> descriptions;
  for (CheckpointTensor &tensor : index.tensors) {
    descriptions.push_back(tensor);
    tensor.slices = {{{std::vector<int64_t>(tensor.shape.size(), 0), tensor.shape}, 0}};
  }
  index.files = {{"rank-00000-of-00001.safetensors"}};
  CheckpointWriter writer(path, temporary, std::move(index));
  Expected<SafetensorsWriter> file =
      SafetensorsWriter::create(temporary + "/" + writer.index.files.front().name, descriptions);
  if (!file)
    return file.takeError();
  writer.file.emplace(std::move(*file));
  return writer;
}

CheckpointWriter::CheckpointWriter(CheckpointWriter &&other) noexcept
    : folder(std::move(other.folder)), temporary(std::exchange(other.temporary, "")), index(std::move(other.index)),
      file(std::move(other.file)) {}

CheckpointWriter::~CheckpointWriter() {
  if (temporary.empty())
    return;
  file.reset();
  std::error_code ignored;
  fs::remove_all(temporary, ignored);
}

Error CheckpointWriter::finish() {
  if (Error error = file->finish())
    return error;
  index.files.front().bytes = file->getFileBytes();
  index.files.front().checksum = file->getChecksum();
  if (Error error = writeFileAtomically(temporary + "/" + checkpointIndexName, printCheckpointIndex(index)))
    return error;
  if (Error error = syncFolder(temporary))
    return error;
  if (rename(temporary.c_str(), folder.c_str()) != 0)
    return Error::failure(fmt::format("cannot write the checkpoint '{}': {}", folder, std::strerror(errno)));
  temporary.clear();
  return syncFolder(fs::path(folder).parent_path());
}
