//===- CheckpointDraft.cpp - A checkpoint that is being written -----------===//

#include "runtime/checkpoint/CheckpointDraft.h"

#include "runtime/support/WriteFile.h"

#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <sys/stat.h>
#include <unistd.h>

using namespace primus::runtime;
namespace fs = std::filesystem;

static constexpr std::string_view temporarySuffix = ".tmp";

std::string primus::runtime::getShardName(int64_t rank, int64_t numRanks) {
  return fmt::format("rank-{:05}-of-{:05}.safetensors", rank, numRanks);
}

std::string primus::runtime::makeTemporaryName(const std::string &name) {
  return fmt::format(".{}.{}{}", name, getpid(), temporarySuffix);
}

/// Whether a process still does something. One that has ended may be listed until its parent, or whoever stands in for
/// that, looks.
static bool isAlive(pid_t process) {
  if (kill(process, 0) != 0)
    return errno != ESRCH;
  std::ifstream file(fmt::format("/proc/{}/stat", process));
  std::string status;
  std::getline(file, status);
  // "12 (name) Z ..."
  size_t end = status.rfind(") ");
  return end == std::string::npos || (status[end + 2] != 'Z' && status[end + 2] != 'X');
}

bool primus::runtime::isLeftOver(const std::string &name) {
  if (!name.starts_with(".step_") || !name.ends_with(temporarySuffix))
    return false;
  size_t end = name.size() - temporarySuffix.size(), begin = name.rfind('.', end - 1) + 1;
  pid_t process = 0;
  auto [last, code] = std::from_chars(name.data() + begin, name.data() + end, process);
  bool isNumber = code == std::errc() && last == name.data() + end && process > 0;
  return isNumber && (process == getpid() || !isAlive(process));
}

Expected<CheckpointDraft> CheckpointDraft::create(const std::string &path, CheckpointIndex index) {
  fs::path normal = fs::path(path).lexically_normal();
  // "x/" names x.
  if (!normal.has_filename())
    normal = normal.parent_path();
  std::string folder = normal.parent_path() / makeTemporaryName(normal.filename());
  if (mkdir(folder.c_str(), 0777) != 0)
    return Error::failure(fmt::format("cannot write the checkpoint '{}': {}", path, std::strerror(errno)));
  return CheckpointDraft(normal, std::move(folder), std::move(index));
}

CheckpointDraft::CheckpointDraft(CheckpointDraft &&other) noexcept
    : path(std::move(other.path)), folder(std::exchange(other.folder, "")), index(std::move(other.index)) {}

CheckpointDraft::~CheckpointDraft() {
  std::error_code ignored;
  if (!folder.empty())
    fs::remove_all(folder, ignored);
}

Error CheckpointDraft::commit() {
  if (Error error = writeFileAtomically(folder + "/" + checkpointIndexName, printCheckpointIndex(index)))
    return error;
  if (Error error = syncFolder(folder))
    return error;
  if (rename(folder.c_str(), path.c_str()) != 0)
    return Error::failure(fmt::format("cannot write the checkpoint '{}': {}", path, std::strerror(errno)));
  folder.clear();
  return syncFolder(fs::path(path).parent_path());
}
