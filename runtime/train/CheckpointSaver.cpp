//===- CheckpointSaver.cpp - Writes a run's checkpoints -------------------===//

#include "runtime/train/CheckpointSaver.h"

#include "runtime/checkpoint/SafetensorsWriter.h"
#include "runtime/metrics/ProcessMemory.h"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>
#include <new>
#include <spdlog/spdlog.h>

using namespace primus;
using namespace primus::runtime;

static double toMebibytes(size_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

//===----------------------------------------------------------------------===//
// Creation
//===----------------------------------------------------------------------===//

static size_t sumBytes(const std::vector<ShardPart> &parts) {
  size_t bytes = 0;
  for (const ShardPart &part : parts)
    bytes += static_cast<size_t>(part.bytes);
  return bytes;
}

/// Memory for a copy of the whole state lets a step go on at once. Where that would take more than half of what is free, a
/// part passes through less, and the step waits for the rest to be written.
static size_t chooseStagingBytes(size_t shardBytes) {
  constexpr size_t smallest = 64 << 20;
  std::optional<int64_t> available = getAvailableMemory();
  size_t most = available ? std::max(smallest, static_cast<size_t>(*available) / 2) : shardBytes;
  return std::max<size_t>(1, std::min(shardBytes, most));
}

CheckpointSaver::CheckpointSaver(Executor &executor, std::vector<ShardPart> parts, size_t stagingBytes)
    : executor(executor), ranks(&executor.getCommunicator()), config(executor.getExecutable().training().checkpoint()),
      parts(std::move(parts)), staging(stagingBytes) {}

Error CheckpointSaver::openFolder() {
  if (getRank(ranks) != 0)
    return Error::success();
  Expected<CheckpointFolder> opened = CheckpointFolder::openForWriting(config.save());
  if (!opened)
    return opened.takeError();
  folder.emplace(std::move(*opened));
  size_t bytes = sumBytes(parts), staged = staging.getCapacity();
  std::string less = staged < bytes ? fmt::format(" of {:.1f}: there is no memory for all, so a step waits while the rest "
                                                  "is written",
                                                  toMebibytes(bytes))
                                    : "";
  spdlog::info("checkpoints go to '{}', through a copy of {:.1f} MiB{} on each rank", config.save(),
               toMebibytes(staged), less);
  return Error::success();
}

Expected<std::unique_ptr<CheckpointSaver>> CheckpointSaver::create(Executor &executor) {
  const executable::Executable &executable = executor.getExecutable();
  std::vector<ShardPart> parts =
      planShard(executable, executor.getRank(), executable.training().checkpoint().parameters_only());
  size_t stagingBytes = chooseStagingBytes(sumBytes(parts));
  std::unique_ptr<CheckpointSaver> saver(new CheckpointSaver(executor, std::move(parts), stagingBytes));
  if (Error error = agree(&executor.getCommunicator(), saver->openFolder()))
    return error;
  return saver;
}

CheckpointSaver::~CheckpointSaver() {
  if (getNumRanks(ranks) == 1)
    if (Error error = finish())
      spdlog::error(error.getMessage());
  staging.abandon();
}

//===----------------------------------------------------------------------===//
// The step's side
//===----------------------------------------------------------------------===//

bool CheckpointSaver::isDue(int64_t step) const { return config.interval() > 0 && step % config.interval() == 0; }

/// The folder for the ranks' files, on all of them.
Expected<std::string> CheckpointSaver::createDraft(const CheckpointState &state) {
  Error own = Error::success();
  if (folder) {
    CheckpointIndex index;
    index.state = state;
    Expected<CheckpointDraft> created = folder->create(std::move(index));
    if (created)
      draft.emplace(std::move(*created));
    else
      own = created.takeError();
  }
  if (Error error = agree(ranks, std::move(own)))
    return error;
  return hearFirst(ranks, draft ? draft->getFolder() : "");
}

Error CheckpointSaver::stage() {
  for (const ShardPart &part : parts) {
    std::byte *address = executor.getTensor(*part.variable).address + part.begin;
    for (int64_t done = 0; done < part.bytes;) {
      std::span<std::byte> free = staging.reserve();
      // The writer has failed, which it says itself.
      if (free.empty())
        return Error::success();
      int64_t bytes = std::min(static_cast<int64_t>(free.size()), part.bytes - done);
      if (Error error = executor.read({address + done, bytes}, free.data()))
        return error;
      staging.publish(static_cast<size_t>(bytes));
      done += bytes;
    }
  }
  return Error::success();
}

Error CheckpointSaver::save(const CheckpointState &state) {
  if (state.step == savedStep)
    return Error::success();
  Clock::time_point begin = Clock::now();
  if (Error error = finish())
    return error;
  Expected<std::string> path = createDraft(state);
  if (!path)
    return path.takeError();
  start = begin;
  savedStep = state.step;
  phase = Phase::Shards;
  staging.start(sumBytes(parts));
  shard = std::async(std::launch::async, [this, path = *path] { return writeShard(path); });
  if (Error error = stage()) {
    // What is written so far never gets its name.
    staging.abandon();
    (void)shard.get();
    draft.reset();
    phase = Phase::Idle;
    return error;
  }
  waitedSeconds = std::chrono::duration<double>(Clock::now() - begin).count();
  return Error::success();
}

bool CheckpointSaver::isReady() {
  auto isOver = [](const auto &job) {
    return !job.valid() || job.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  };
  return isOver(shard) && isOver(committed);
}

Error CheckpointSaver::poll() {
  if (phase == Phase::Idle)
    return Error::success();
  // A rank must not go on before the others do.
  Expected<std::vector<std::string>> busy = gather(ranks, isReady() ? "" : "busy");
  if (!busy)
    return busy.takeError();
  if (!std::ranges::all_of(*busy, &std::string::empty))
    return Error::success();
  return phase == Phase::Shards ? endShards() : endCommit();
}

Error CheckpointSaver::finish() {
  while (phase != Phase::Idle) {
    // Short, as the others may be waiting in poll.
    constexpr std::chrono::milliseconds most(5);
    if (shard.valid())
      shard.wait_for(most);
    else if (committed.valid())
      committed.wait_for(most);
    if (Error error = poll())
      return error;
  }
  return Error::success();
}

Error CheckpointSaver::endShards() {
  phase = Phase::Idle;
  Expected<CheckpointFile> own = shard.get();
  std::string figures = own ? fmt::format("{} {}", own->bytes, own->checksum) : "";
  if (Error error = agree(ranks, own ? Error::success() : own.takeError())) {
    draft.reset();
    return error;
  }
  Expected<std::vector<std::string>> all = gather(ranks, std::move(figures));
  if (!all)
    return all.takeError();
  phase = Phase::Commit;
  if (!draft)
    return Error::success();
  for (const std::string &text : *all) {
    std::vector<CheckpointFile> &files = draft->getIndex().files;
    CheckpointFile file = {getShardName(static_cast<int64_t>(files.size()), getNumRanks(ranks))};
    const char *end = text.data() + text.size(), *space = std::from_chars(text.data(), end, file.bytes).ptr;
    std::from_chars(std::min(space + 1, end), end, file.checksum);
    files.push_back(std::move(file));
  }
  committed = std::async(std::launch::async, [this] { return commit(); });
  return Error::success();
}

Error CheckpointSaver::endCommit() {
  phase = Phase::Idle;
  Error own = committed.valid() ? committed.get() : Error::success();
  draft.reset();
  return agree(ranks, std::move(own));
}

//===----------------------------------------------------------------------===//
// The writer's side
//===----------------------------------------------------------------------===//

Expected<CheckpointFile> CheckpointSaver::writeShard(const std::string &path) {
  auto write = [&]() -> Expected<CheckpointFile> {
    std::vector<TensorDescription> tensors;
    for (const ShardPart &part : parts) {
      tensors.push_back(describeVariable(*part.variable));
      tensors.back().shape = part.region.shape;
    }
    CheckpointFile result = {getShardName(getRank(ranks), getNumRanks(ranks))};
    Expected<SafetensorsWriter> file = SafetensorsWriter::create(path + "/" + result.name, tensors);
    if (!file)
      return file.takeError();
    constexpr size_t most = 4 << 20;
    for (auto staged = staging.next(); !staged.empty(); staged = staging.next()) {
      std::span<const std::byte> piece = staged.first(std::min(staged.size(), most));
      if (Error error = file->append(piece))
        return error;
      staging.release(piece.size());
    }
    if (Error error = file->finish())
      return error;
    result.bytes = file->getFileBytes();
    result.checksum = file->getChecksum();
    return result;
  };
  try {
    Expected<CheckpointFile> result = write();
    if (!result)
      staging.abandon();
    return result;
  } catch (const std::bad_alloc &) {
    staging.abandon();
    return Error::failure(fmt::format("cannot write the checkpoint '{}': out of memory", path));
  }
}

Error CheckpointSaver::commit() {
  draft->getIndex().tensors = describeShards(executor.getExecutable(), config.parameters_only());
  if (Error error = draft->commit())
    return error;
  double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  spdlog::info("step {}  saved in '{}' ({:.1f} s; the step waited {:.3f} s)", savedStep, draft->getPath(), seconds,
               waitedSeconds);
  // Only now, so that there is always a whole one.
  return folder->prune(config.keep(), config.retain_interval());
}
