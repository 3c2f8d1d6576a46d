//===- RcclCommunicator.cpp - Ranks whose tensors are on GPUs -------------===//

#include "runtime/communicators/rccl/RcclCommunicator.h"

#include "runtime/communicators/rccl/RcclLibrary.h"
#include "runtime/communicators/rccl/RcclPlan.h"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>

using namespace primus;
using namespace primus::runtime;
using namespace primus::runtime::rccl;

static rccl::DataType getReducedType(executable::DataType type) {
  switch (type) {
  case executable::F64:
    return Float64;
  case executable::F32:
    return Float32;
  case executable::F16:
    return Float16;
  case executable::BF16:
    return Bfloat16;
  case executable::I64:
    return Int64;
  case executable::I32:
    return Int32;
  default:
    return Int8;
  }
}

namespace {

/// The RCCL communicator of a group of ranks, once there is one.
struct Group {
  Comm comm = nullptr;
};

class RcclCollective final : public Collective {
public:
  RcclCollective(CollectiveDescription given, Group *group)
      : Collective(std::move(given)), group(group), plan(makePlan(getDescription())) {}

  Group *group; ///< null: nothing goes from rank to rank
  Plan plan;
  hip::Event ready = nullptr, done = nullptr;
  bool isInFlight = false;
  /// When it was seen that this rank had come to it.
  std::optional<Communicator::Clock::time_point> came;
};

class RcclCommunicator final : public Communicator {
public:
  RcclCommunicator(Communicator &host, hip::Context &context)
      : Communicator(host.getOptions()), host(host), context(context), hip(context.getLibrary()) {}
  ~RcclCommunicator() override;

  std::string_view getName() const override { return "rccl"; }
  int getRank() const override { return host.getRank(); }
  int getNumRanks() const override { return host.getNumRanks(); }
  int64_t getBufferBytes() const override { return scratchBytes; }
  Error getFailure() override { return host.getFailure(); }
  Expected<std::vector<std::string>> allGatherBytes(std::string_view bytes) override { return host.allGatherBytes(bytes); }
  Error checkProgress() override;

protected:
  void doFail(const std::string &message) override { host.fail(message); }
  std::unique_ptr<Collective> doPrepare(CollectiveDescription description) override;
  void doStart(Collective &collective) override;
  Error doWait(Collective &collective, Clock::time_point deadline) override;
  Error doRun(Collective &collective, Clock::time_point deadline) override;

private:
  Error prepareDevice(RcclCollective &collective);
  Error reserveScratch(int64_t bytes);
  Error createGroup(const CollectiveDescription &description, Group &group);
  Error enqueue(RcclCollective &collective);
  Error move(const Move &move, hip::Stream queue, const std::string &name);
  rccl::Result call(const Call &call, const CollectiveDescription &description, Comm comm);
  /// Why a collective that this rank has come to does not end.
  Error findLost(const RcclCollective &collective);

  Communicator &host;
  hip::Context &context;
  const hip::Library &hip;
  const Library *library = nullptr;
  hip::Stream stream = nullptr;
  std::map<std::vector<int>, Group> groups;
  /// Where tensors lie together that do not in their own memory. All collectives use it, one after the other.
  void *scratch = nullptr;
  int64_t scratchBytes = 0;
  /// Started, and not seen to be done.
  std::vector<RcclCollective *> inFlight;
  std::vector<hip::Event> events;
  /// What went wrong where there was nobody to tell.
  Error failure = Error::success();
};

} // namespace

RcclCommunicator::~RcclCommunicator() {
  // Of a run that ends early: what waits for ranks that do not come any more would be waited for in vain.
  for (const RcclCollective *collective : inFlight)
    if (!context.isLost() && hip.EventQuery(collective->done) != hip::Success)
      context.setLost();
  for (auto &[ranks, group] : groups)
    if (group.comm)
      (void)(context.isLost() ? library->CommAbort(group.comm) : library->CommDestroy(group.comm));
  if (context.isLost())
    return;
  for (hip::Event event : events)
    hip.EventDestroy(event);
  if (scratch)
    hip.Free(scratch);
  if (stream)
    hip.StreamDestroy(stream);
}

//===----------------------------------------------------------------------===//
// Preparing
//===----------------------------------------------------------------------===//

/// All ranks do this together, each for its own group of the same axes: they start the same collectives in the same order.
Error RcclCommunicator::createGroup(const CollectiveDescription &description, Group &group) {
  Expected<const Library *> opened = Library::open();
  UniqueId id = {};
  Error error = opened ? Error::success() : opened.takeError();
  if (!error) {
    library = *opened;
    if (description.index == 0)
      error = library->check(library->GetUniqueId(&id), "ncclGetUniqueId", "making a group of ranks");
  }
  if (Error agreed = host.agree(std::move(error)))
    return agreed;
  Expected<std::vector<std::string>> ids = host.allGatherBytes({id.bytes, sizeof(id.bytes)});
  if (!ids)
    return ids.takeError();
  std::memcpy(id.bytes, (*ids)[static_cast<size_t>(description.group.front())].data(), sizeof(id.bytes));
  return library->check(library->CommInitRank(&group.comm, description.getGroupSize(), id, description.index),
                        "ncclCommInitRank", fmt::format("{}: joining {} ranks", context.getDescription(),
                                                        description.getGroupSize()));
}

Error RcclCommunicator::reserveScratch(int64_t bytes) {
  if (bytes <= scratchBytes)
    return Error::success();
  if (scratch)
    hip.Free(scratch);
  scratch = nullptr;
  scratchBytes = 0;
  hip::Result result = hip.Malloc(&scratch, static_cast<size_t>(bytes));
  if (result == hip::OutOfMemory)
    return Error::failure(fmt::format("out of memory: {} has no {} bytes left for collectives of tensors that do not lie "
                                      "together",
                                      context.getDescription(), bytes));
  if (Error error = context.check(result, "hipMalloc", "allocating memory for collectives"))
    return error;
  scratchBytes = bytes;
  return Error::success();
}

Error RcclCommunicator::prepareDevice(RcclCollective &collective) {
  if (!stream)
    if (Error error = context.check(hip.StreamCreateWithFlags(&stream, hip::streamNonBlocking),
                                    "hipStreamCreateWithFlags", "making a queue for collectives"))
      return error;
  for (hip::Event *event : {&collective.ready, &collective.done}) {
    if (Error error = context.check(hip.EventCreateWithFlags(event, hip::eventDisableTiming), "hipEventCreateWithFlags",
                                    "making an event"))
      return error;
    events.push_back(*event);
  }
  return reserveScratch(collective.plan.scratchBytes);
}

std::unique_ptr<Collective> RcclCommunicator::doPrepare(CollectiveDescription description) {
  Group *group = nullptr;
  if (!description.isLocal())
    group = &groups[description.group];
  auto collective = std::make_unique<RcclCollective>(std::move(description), group);
  if (!failure && group)
    failure = prepareDevice(*collective);
  inFlight.reserve(inFlight.capacity() + 1);
  return collective;
}

//===----------------------------------------------------------------------===//
// Running
//===----------------------------------------------------------------------===//

Error RcclCommunicator::move(const Move &move, hip::Stream queue, const std::string &name) {
  const Transfer &transfer = move.transfer;
  auto *base = static_cast<std::byte *>(scratch);
  // Two loops in each call: the outer one is ours where there are three.
  bool isFlat = transfer.middle == 1;
  int64_t calls = isFlat ? 1 : transfer.outer, height = isFlat ? transfer.outer : transfer.middle;
  auto pitch = [&](const StridedBytes &side) {
    // A single row's pitch means nothing, but has to hold it.
    return static_cast<size_t>(height == 1 ? transfer.run : isFlat ? side.outerStride : side.middleStride);
  };
  if (transfer.run == 0)
    return Error::success();
  for (int64_t i = 0; i < calls; ++i) {
    std::byte *target = move.target.resolve(base) + transfer.target.offset + i * transfer.target.outerStride;
    const std::byte *source = move.source.resolve(base) + transfer.source.offset + i * transfer.source.outerStride;
    hip::Result result = hip.Memcpy2DAsync(target, pitch(transfer.target), source, pitch(transfer.source),
                                           static_cast<size_t>(transfer.run), static_cast<size_t>(height),
                                           hip::DeviceToDevice, queue);
    if (result != hip::Success)
      return context.check(result, "hipMemcpy2DAsync", name);
  }
  return Error::success();
}

rccl::Result RcclCommunicator::call(const Call &call, const CollectiveDescription &description, Comm comm) {
  auto *base = static_cast<std::byte *>(scratch);
  std::byte *source = call.source.resolve(base), *target = call.target.resolve(base);
  auto bytes = static_cast<size_t>(call.bytes);
  size_t count = bytes / static_cast<size_t>(description.elementBytes);
  rccl::DataType type = getReducedType(description.type);
  Operation operation = description.reduction == Reduction::Sum ? Sum : Max;
  switch (call.kind) {
  case Call::Kind::AllReduce:
    return library->AllReduce(source, target, count, type, operation, comm, stream);
  case Call::Kind::ReduceScatter:
    return library->ReduceScatter(source, target, count, type, operation, comm, stream);
  case Call::Kind::AllGather:
    return library->AllGather(source, target, bytes, Uint8, comm, stream);
  case Call::Kind::Send:
    return library->Send(source, bytes, Uint8, call.peer, comm, stream);
  case Call::Kind::Receive:
    return library->Recv(target, bytes, Uint8, call.peer, comm, stream);
  }
  return Success;
}

Error RcclCommunicator::enqueue(RcclCollective &collective) {
  const CollectiveDescription &description = collective.getDescription();
  const std::string &name = description.name;
  hip::Stream compute = context.getStream(), queue = collective.group ? stream : compute;
  if (collective.group) {
    if (Error error = context.check(hip.EventRecord(collective.ready, compute), "hipEventRecord", name))
      return error;
    if (Error error = context.check(hip.StreamWaitEvent(stream, collective.ready, 0), "hipStreamWaitEvent", name))
      return error;
  }
  for (const Move &before : collective.plan.before)
    if (Error error = move(before, queue, name))
      return error;
  if (!collective.plan.calls.empty()) {
    rccl::Result result = library->GroupStart();
    for (const Call &each : collective.plan.calls)
      if (result == Success)
        result = call(each, description, collective.group->comm);
    rccl::Result ended = library->GroupEnd();
    if (Error error = library->check(result == Success ? ended : result, "RCCL",
                                     fmt::format("{}: {}", context.getDescription(), name))) {
      context.setLost();
      return error;
    }
  }
  for (const Move &after : collective.plan.after)
    if (Error error = move(after, queue, name))
      return error;
  return collective.group ? context.check(hip.EventRecord(collective.done, stream), "hipEventRecord", name)
                          : Error::success();
}

void RcclCommunicator::doStart(Collective &base) {
  auto &collective = static_cast<RcclCollective &>(base);
  if (failure)
    return;
  // Programs run one after the other, each to its end: what is started again has been done, and all before it.
  if (collective.isInFlight) {
    for (RcclCollective *other : inFlight)
      other->isInFlight = false;
    inFlight.clear();
  }
  // Only now, when every rank has come so far that it runs a program.
  if (collective.group && !collective.group->comm)
    failure = createGroup(collective.getDescription(), *collective.group);
  if (!failure)
    failure = enqueue(collective);
  if (!collective.group || failure)
    return;
  collective.isInFlight = true;
  collective.came.reset();
  inFlight.push_back(&collective);
}

Error RcclCommunicator::doWait(Collective &base, Clock::time_point) {
  auto &collective = static_cast<RcclCollective &>(base);
  if (failure || !collective.group)
    return failure;
  return context.check(hip.StreamWaitEvent(context.getStream(), collective.done, 0), "hipStreamWaitEvent",
                       collective.getDescription().name);
}

Error RcclCommunicator::doRun(Collective &collective, Clock::time_point deadline) {
  doStart(collective);
  return doWait(collective, deadline);
}

//===----------------------------------------------------------------------===//
// Waiting
//===----------------------------------------------------------------------===//

Error RcclCommunicator::findLost(const RcclCollective &collective) {
  // Those that are there time out too, and come to tell each other.
  if (Expected<std::vector<std::string>> all = host.allGatherBytes({}); !all)
    return all.takeError();
  return Error::failure(fmt::format("{}: {} did not end within {:g} seconds, though all ranks are there (--timeout)",
                                    context.getDescription(), collective.getDescription().name,
                                    host.getOptions().timeoutSeconds));
}

Error RcclCommunicator::checkProgress() {
  if (Error error = host.getFailure())
    return error;
  for (auto &[ranks, group] : groups) {
    if (!group.comm)
      continue;
    rccl::Result state = Success;
    rccl::Result result = library->CommGetAsyncError(group.comm, &state);
    if (Error error = library->check(result == Success ? state : result, "ncclCommGetAsyncError",
                                     fmt::format("{}: collectives", context.getDescription())))
      return error;
  }
  while (!inFlight.empty() && hip.EventQuery(inFlight.front()->done) == hip::Success) {
    inFlight.front()->isInFlight = false;
    inFlight.erase(inFlight.begin());
  }
  if (inFlight.empty() || hip.EventQuery(inFlight.front()->ready) != hip::Success)
    return Error::success();
  RcclCollective &oldest = *inFlight.front();
  Clock::time_point now = Clock::now();
  if (!oldest.came)
    oldest.came = now;
  bool isLate = std::chrono::duration<double>(now - *oldest.came).count() > host.getOptions().timeoutSeconds;
  return isLate ? findLost(oldest) : Error::success();
}

Expected<std::unique_ptr<Communicator>> primus::runtime::createRcclCommunicator(Communicator &host,
                                                                                hip::Context &context) {
  return std::unique_ptr<Communicator>(std::make_unique<RcclCommunicator>(host, context));
}
