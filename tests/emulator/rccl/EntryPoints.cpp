//===- EntryPoints.cpp - librccl_emulated.so ------------------------------===//
//
// RCCL's functions as runtime/communicators/rccl/RcclApi.h declares them, between emulated GPUs. Collectives run in the
// queues of libamdhip64_emulated.so. Reductions add up in the order of ranks, in f32 (f64 for f64).
//
//===----------------------------------------------------------------------===//

#include "runtime/communicators/Reduce.h"
#include "runtime/communicators/rccl/RcclApi.h"
#include "tests/emulator/hip/EntryPoints.h"
#include "tests/emulator/rccl/Meeting.h"

#include <cstring>
#include <functional>
#include <random>

using namespace primus;
using namespace primus::emulator::rccl;
namespace api = primus::runtime::rccl;
namespace hip = primus::runtime::hip;
using api::Result;

namespace {

constexpr Result invalidArgument{4}, systemError{2};

/// What a group of calls does at its end, all of it at once.
struct Batch {
  api::Stream stream = nullptr;
  Meeting *meeting = nullptr;
  /// Called in the queue: each says what it exchanges.
  std::vector<std::function<bool(std::vector<Exchange> &)>> exchanges;
  /// Collectives of the whole group, in order.
  std::vector<std::function<bool()>> collectives;
};

thread_local int groupDepth = 0;
thread_local Batch batch;

} // namespace

static Meeting &get(api::Comm comm) { return *reinterpret_cast<Meeting *>(comm); }

/// Runs a group of calls in its queue.
static void submit() {
  if (!batch.stream)
    return;
  primusEmulatedEnqueue(batch.stream, [batch = std::move(batch)] {
    for (const auto &collective : batch.collectives)
      if (!collective())
        return hip::Unknown;
    std::vector<Exchange> exchanges;
    for (const auto &add : batch.exchanges)
      if (!add(exchanges))
        return hip::IllegalAddress;
    return batch.meeting->run(std::move(exchanges)) ? hip::Success : hip::Unknown;
  });
  batch = {};
}

static Result finishCall(api::Comm comm, api::Stream stream) {
  batch.stream = stream;
  batch.meeting = &get(comm);
  if (groupDepth == 0)
    submit();
  return api::Success;
}

static size_t getSize(api::DataType type) {
  switch (type) {
  case api::Int8:
  case api::Uint8:
    return 1;
  case api::Float16:
  case api::Bfloat16:
    return 2;
  case api::Int32:
  case api::Float32:
    return 4;
  case api::Int64:
  case api::Float64:
    return 8;
  }
  return 0;
}

static executable::DataType toExecutable(api::DataType type) {
  switch (type) {
  case api::Float16:
    return executable::F16;
  case api::Bfloat16:
    return executable::BF16;
  case api::Float32:
    return executable::F32;
  case api::Float64:
    return executable::F64;
  case api::Int32:
    return executable::I32;
  case api::Int64:
    return executable::I64;
  default:
    return executable::DATA_TYPE_UNSPECIFIED;
  }
}

/// Sends `bytes` to every other rank and collects theirs, by rank. Empty if it was aborted.
static std::vector<std::vector<uint8_t>> gather(Meeting &meeting, const uint8_t *source, size_t bytes) {
  std::vector<std::vector<uint8_t>> all(size_t(meeting.getRanks()), std::vector<uint8_t>(bytes));
  std::vector<Exchange> exchanges;
  for (int peer = 0; peer < meeting.getRanks(); ++peer) {
    if (peer == meeting.getRank())
      std::memcpy(all[size_t(peer)].data(), source, bytes);
    else
      exchanges.push_back({peer, source, bytes, all[size_t(peer)].data(), bytes});
  }
  if (!meeting.run(std::move(exchanges)))
    all.clear();
  return all;
}

/// Reduces elements [first, first + count) of every rank's `total`.
static bool reduce(Meeting &meeting, api::Stream stream, const void *source, void *target, size_t total, size_t first,
                   size_t count, api::DataType type, api::Operation operation) {
  size_t size = getSize(type);
  const uint8_t *from = primusEmulatedFind(stream, source, total * size, /*writes=*/false);
  if (!from)
    return false;
  std::vector<std::vector<uint8_t>> all = gather(meeting, from, total * size);
  uint8_t *to = primusEmulatedFind(stream, target, count * size, /*writes=*/true);
  if (all.empty() || !to)
    return false;
  std::vector<const std::byte *> sources;
  for (const std::vector<uint8_t> &bytes : all)
    sources.push_back(reinterpret_cast<const std::byte *>(bytes.data()) + first * size);
  runtime::reduceElements(operation == api::Sum ? runtime::Reduction::Sum : runtime::Reduction::Max, toExecutable(type),
                          sources, reinterpret_cast<std::byte *>(to), int64_t(count));
  return true;
}

#define RCCL(type) extern "C" __attribute__((visibility("default"))) type

RCCL(Result) ncclGetVersion(int *version) {
  *version = 22005;
  return api::Success;
}
RCCL(const char *) ncclGetErrorString(Result result) { return result == api::Success ? "no error" : "emulated error"; }

RCCL(Result) ncclGetUniqueId(api::UniqueId *id) {
  std::random_device random;
  std::string name = "primus-rccl-" + std::to_string(random()) + "-" + std::to_string(random());
  *id = {};
  std::memcpy(id->bytes, name.data(), name.size());
  return api::Success;
}

RCCL(Result) ncclCommInitRank(api::Comm *comm, int ranks, api::UniqueId id, int rank) {
  std::unique_ptr<Meeting> meeting = Meeting::open(id.bytes, ranks, rank);
  if (!meeting)
    return systemError;
  // All of them are there when each has heard from each.
  uint8_t hello = 1;
  if (gather(*meeting, &hello, 1).empty())
    return systemError;
  meeting->hide();
  *comm = reinterpret_cast<api::Comm>(meeting.release());
  return api::Success;
}

RCCL(Result) ncclCommDestroy(api::Comm comm) {
  delete &get(comm);
  return api::Success;
}
RCCL(Result) ncclCommAbort(api::Comm comm) {
  // A queue may still be at work with it.
  get(comm).abort();
  return api::Success;
}
RCCL(Result) ncclCommGetAsyncError(api::Comm, Result *error) {
  *error = api::Success;
  return api::Success;
}

RCCL(Result) ncclGroupStart() {
  ++groupDepth;
  return api::Success;
}
RCCL(Result) ncclGroupEnd() {
  if (--groupDepth == 0)
    submit();
  return api::Success;
}

RCCL(Result)
ncclAllReduce(const void *source, void *target, size_t count, api::DataType type, api::Operation operation,
              api::Comm comm, api::Stream stream) {
  if (toExecutable(type) == executable::DATA_TYPE_UNSPECIFIED)
    return invalidArgument;
  batch.collectives.push_back(
      [=] { return reduce(get(comm), stream, source, target, count, 0, count, type, operation); });
  return finishCall(comm, stream);
}

RCCL(Result)
ncclReduceScatter(const void *source, void *target, size_t targetCount, api::DataType type, api::Operation operation,
                  api::Comm comm, api::Stream stream) {
  if (toExecutable(type) == executable::DATA_TYPE_UNSPECIFIED)
    return invalidArgument;
  batch.collectives.push_back([=] {
    Meeting &meeting = get(comm);
    return reduce(meeting, stream, source, target, targetCount * size_t(meeting.getRanks()),
                  targetCount * size_t(meeting.getRank()), targetCount, type, operation);
  });
  return finishCall(comm, stream);
}

RCCL(Result)
ncclAllGather(const void *source, void *target, size_t sourceCount, api::DataType type, api::Comm comm,
              api::Stream stream) {
  batch.collectives.push_back([=] {
    Meeting &meeting = get(comm);
    size_t bytes = sourceCount * getSize(type);
    const uint8_t *from = primusEmulatedFind(stream, source, bytes, /*writes=*/false);
    uint8_t *to = primusEmulatedFind(stream, target, bytes * size_t(meeting.getRanks()), /*writes=*/true);
    if (!from || !to)
      return false;
    std::vector<std::vector<uint8_t>> all = gather(meeting, from, bytes);
    for (size_t rank = 0; rank < all.size(); ++rank)
      std::memcpy(to + rank * bytes, all[rank].data(), bytes);
    return !all.empty();
  });
  return finishCall(comm, stream);
}

RCCL(Result)
ncclSend(const void *source, size_t count, api::DataType type, int peer, api::Comm comm, api::Stream stream) {
  batch.exchanges.push_back([=](std::vector<Exchange> &exchanges) {
    size_t bytes = count * getSize(type);
    const uint8_t *from = primusEmulatedFind(stream, source, bytes, /*writes=*/false);
    exchanges.push_back({peer, from, bytes, nullptr, 0});
    return from != nullptr;
  });
  return finishCall(comm, stream);
}

RCCL(Result)
ncclRecv(void *target, size_t count, api::DataType type, int peer, api::Comm comm, api::Stream stream) {
  batch.exchanges.push_back([=](std::vector<Exchange> &exchanges) {
    size_t bytes = count * getSize(type);
    uint8_t *to = primusEmulatedFind(stream, target, bytes, /*writes=*/true);
    exchanges.push_back({peer, nullptr, 0, to, bytes});
    return to != nullptr;
  });
  return finishCall(comm, stream);
}
