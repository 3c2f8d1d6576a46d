//===- CheckpointFolder.cpp - The checkpoints of a run --------------------===//

#include "runtime/checkpoint/CheckpointFolder.h"

#include "runtime/support/WriteFile.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <tuple>

using namespace primus::runtime;
namespace fs = std::filesystem;

namespace {

/// A subfolder that is named like a checkpoint.
struct Entry {
  std::string name;
  int64_t step;
  /// CheckpointIndex::number; -1 for one without a valid index.
  int64_t number = -1;
  /// Why there is no valid index.
  std::string problem;
};

constexpr std::string_view namePrefix = "step_";

} // namespace

/// The step of step_00000100 or step_00000100-2, or nothing.
static std::optional<int64_t> parseName(std::string_view name) {
  if (!name.starts_with(namePrefix))
    return std::nullopt;
  int64_t step = 0, copy = 0;
  const char *end = name.data() + name.size();
  auto [rest, code] = std::from_chars(name.data() + namePrefix.size(), end, step);
  if (code == std::errc() && rest != end && *rest == '-' && step >= 0) {
    auto [copyEnd, copyCode] = std::from_chars(rest + 1, end, copy);
    code = copy > 0 ? copyCode : std::errc::invalid_argument;
    rest = copyEnd;
  }
  return code == std::errc() && rest == end && step >= 0 ? std::optional(step) : std::nullopt;
}

static Expected<std::vector<std::string>> listNames(const std::string &path) {
  std::vector<std::string> names;
  std::error_code code;
  fs::directory_iterator it(path, code), end;
  for (; !code && it != end; it.increment(code))
    names.push_back(it->path().filename());
  if (code)
    return Error::failure(fmt::format("cannot read the folder '{}': {}", path, code.message()));
  return names;
}

/// The checkpoints in a folder, newest first. Those without a valid index come last.
static Expected<std::vector<Entry>> listCheckpoints(const std::string &path) {
  Expected<std::vector<std::string>> names = listNames(path);
  if (!names)
    return names.takeError();
  std::vector<Entry> entries;
  for (const std::string &name : *names) {
    std::optional<int64_t> step = parseName(name);
    if (!step)
      continue;
    Entry entry = {name, *step, -1, ""};
    Expected<CheckpointIndex> index = readCheckpointIndex(path + "/" + name);
    if (index)
      entry.number = index->number;
    else
      entry.problem = index.takeError().getMessage();
    entries.push_back(std::move(entry));
  }
  std::ranges::sort(entries, [](const Entry &a, const Entry &b) {
    return std::tie(a.number, a.step, a.name) > std::tie(b.number, b.step, b.name);
  });
  return entries;
}

//===----------------------------------------------------------------------===//
// Writing
//===----------------------------------------------------------------------===//

/// Deletes a checkpoint so that a crash in between never leaves a part of it under its name.
static Error removeCheckpoint(const std::string &path, const std::string &name) {
  std::string temporary = path + "/" + makeTemporaryName(name);
  std::error_code code;
  fs::rename(path + "/" + name, temporary, code);
  if (!code)
    fs::remove_all(temporary, code);
  return code ? Error::failure(fmt::format("cannot delete '{}/{}': {}", path, name, code.message())) : Error::success();
}

Expected<CheckpointFolder> CheckpointFolder::openForWriting(const std::string &path) {
  std::error_code code;
  fs::create_directories(path, code);
  if (code)
    return Error::failure(fmt::format("cannot create the folder of checkpoints '{}': {}", path, code.message()));
  Expected<std::vector<std::string>> names = listNames(path);
  if (!names)
    return names.takeError();
  for (const std::string &name : *names)
    if (isLeftOver(name))
      fs::remove_all(path + "/" + name, code);
  // Better to fail now than at the first checkpoint.
  std::string probe = path + "/" + makeTemporaryName(std::string(namePrefix) + "probe");
  if (!fs::create_directory(probe, code) || !fs::remove(probe, code))
    return Error::failure(fmt::format("cannot write checkpoints to '{}': {}", path, code.message()));

  CheckpointFolder folder(path);
  Expected<std::vector<Entry>> entries = listCheckpoints(path);
  if (!entries)
    return entries.takeError();
  if (!entries->empty())
    folder.nextNumber = entries->front().number + 1;
  return folder;
}

Expected<CheckpointDraft> CheckpointFolder::create(CheckpointIndex index) {
  std::string base = fmt::format("{}/{}{:08}", path, namePrefix, index.state.step);
  std::string name = base;
  std::error_code code;
  for (int copy = 2; fs::exists(name, code); ++copy)
    name = fmt::format("{}-{}", base, copy);
  index.number = nextNumber++;
  return CheckpointDraft::create(name, std::move(index));
}

Error CheckpointFolder::prune(int64_t keep, int64_t retainInterval) const {
  if (keep == 0 && retainInterval == 0)
    return Error::success();
  Expected<std::vector<Entry>> entries = listCheckpoints(path);
  if (!entries)
    return entries.takeError();
  auto newest = static_cast<size_t>(std::max<int64_t>(keep, 1));
  for (size_t i = newest; i < entries->size(); ++i) {
    const Entry &entry = (*entries)[i];
    if (retainInterval > 0 && entry.step % retainInterval == 0 && entry.number >= 0)
      continue;
    if (Error error = removeCheckpoint(path, entry.name))
      return error;
  }
  return Error::success();
}

//===----------------------------------------------------------------------===//
// Finding
//===----------------------------------------------------------------------===//

/// For each rank its share.
static Expected<Checkpoint> openVerified(const std::string &path, Communicator *ranks) {
  std::optional<Checkpoint> checkpoint;
  auto open = [&]() -> Error {
    Expected<Checkpoint> opened = Checkpoint::open(path);
    if (!opened)
      return opened.takeError();
    checkpoint.emplace(std::move(*opened));
    return checkpoint->verify(static_cast<size_t>(getRank(ranks)), static_cast<size_t>(getNumRanks(ranks)));
  };
  if (Error error = agreeAfter(ranks, open))
    return error;
  return std::move(*checkpoint);
}

namespace {

/// What there is to try, in this order.
struct Candidates {
  /// The path is a checkpoint's own, which is used or refused.
  bool isNamed = false;
  std::vector<Entry> entries;
};

} // namespace

static Expected<Candidates> findCandidates(const std::string &path, int64_t step) {
  Candidates candidates;
  std::error_code code;
  if (!fs::exists(path, code))
    return candidates;
  fs::path own = path;
  candidates.isNamed = fs::exists(own / checkpointIndexName, code) || parseName(own.filename().string());
  if (candidates.isNamed) {
    candidates.entries = {{path, step, 0, ""}};
    return candidates;
  }
  Expected<std::vector<Entry>> entries = listCheckpoints(path);
  if (!entries)
    return entries.takeError();
  for (Entry &entry : *entries) {
    entry.name = path + "/" + entry.name;
    if (step == 0 || entry.step == step)
      candidates.entries.push_back(std::move(entry));
  }
  return candidates;
}

Expected<std::optional<Checkpoint>> primus::runtime::findCheckpoint(const std::string &path, int64_t step,
                                                                    Communicator *ranks) {
  auto warn = [](const std::string &name, const std::string &problem) {
    spdlog::warn("the checkpoint '{}' is not used: {}", name, problem);
  };
  // Rank 0 looks, so that all try the same ones.
  bool isFirst = getRank(ranks) == 0;
  Expected<Candidates> found = isFirst ? findCandidates(path, step) : Candidates();
  if (Error error = agree(ranks, found ? Error::success() : found.takeError()))
    return error;
  const std::vector<Entry> &entries = found->entries;
  for (size_t i = 0;; ++i) {
    for (; i < entries.size() && !entries[i].problem.empty(); ++i)
      warn(entries[i].name, entries[i].problem);
    std::string next = i < entries.size() ? (found->isNamed ? "=" : "?") + entries[i].name : "";
    Expected<std::string> candidate = hearFirst(ranks, std::move(next));
    if (!candidate)
      return candidate.takeError();
    if (candidate->empty())
      return std::optional<Checkpoint>();
    Expected<Checkpoint> checkpoint = openVerified(candidate->substr(1), ranks);
    if (checkpoint)
      return std::optional(std::move(*checkpoint));
    Error error = checkpoint.takeError();
    if (candidate->front() == '=')
      return error;
    if (isFirst)
      warn(entries[i].name, error.getMessage());
  }
}
