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

/// What carries the collectives of a channel.
struct Channel {
  /// Of RCCL, once there is one.
  Comm comm = nullptr;
  /// Collectives of all groups share one. Messages from one rank to another have one of their own on both: whoever is not
  /// ready for one holds up no other.
  hip::Stream stream = nullptr;
  int index = 0; ///< this rank's number in it
};

class RcclCollective final : public Collective {
public:
  RcclCollective(CollectiveDescription given, Channel *channel)
      : Collective(std::move(given)), channel(channel), plan(makePlan(getDescription())) {}

  Channel *channel; ///< null: nothing goes from rank to rank
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
  Error createStream(hip::Stream &stream);
  /// Makes the RCCL communicators of all channels. All ranks do this together.
  Error connect();
  Error enqueue(RcclCollective &collective);
  Error move(const Move &move, hip::Stream queue, const std::string &name);
  rccl::Result call(const Call &call, const CollectiveDescription &description, const Channel &channel);
  /// Why a collective that this rank has come to does not end.
  Error findLost(const RcclCollective &collective);

  Communicator &host;
  hip::Context &context;
  const hip::Library &hip;
  const Library *library = nullptr;
  hip::Stream groupStream = nullptr;
  std::map<CollectiveDescription::Channel, Channel> channels;
  bool isConnected = false;
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
  for (hip::Event event : events)
    if (!context.isLost() && hip.EventQuery(event) != hip::Success)
      context.setLost();
  for (auto &[key, channel] : channels)
    if (channel.comm)
      (void)(context.isLost() ? library->CommAbort(channel.comm) : library->CommDestroy(channel.comm));
  if (context.isLost())
    return;
  for (hip::Event event : events)
    hip.EventDestroy(event);
  if (scratch)
    hip.Free(scratch);
  for (auto &[key, channel] : channels)
    if (channel.stream && channel.stream != groupStream)
      hip.StreamDestroy(channel.stream);
  if (groupStream)
    hip.StreamDestroy(groupStream);
}

//===----------------------------------------------------------------------===//
// Preparing
//===----------------------------------------------------------------------===//

/// What a channel's first member tells the others: its key, and the id of its RCCL communicator.
static std::string writeIds(const std::map<CollectiveDescription::Channel, UniqueId> &ids) {
  std::string text;
  auto add = [&](int32_t number) { text.append(reinterpret_cast<const char *>(&number), sizeof(number)); };
  for (const auto &[key, id] : ids) {
    add(key.first ? 1 : 0);
    add(static_cast<int32_t>(key.second.size()));
    for (int rank : key.second)
      add(rank);
    text.append(id.bytes, sizeof(id.bytes));
  }
  return text;
}

static void readIds(std::string_view text, std::map<CollectiveDescription::Channel, UniqueId> &ids) {
  auto take = [&](void *to, size_t bytes) {
    std::memcpy(to, text.data(), bytes);
    text.remove_prefix(bytes);
  };
  while (!text.empty()) {
    int32_t head[2];
    take(head, sizeof(head));
    std::vector<int32_t> ranks(static_cast<size_t>(head[1]));
    take(ranks.data(), ranks.size() * sizeof(int32_t));
    take(&ids[{head[0] != 0, {ranks.begin(), ranks.end()}}], sizeof(UniqueId));
  }
}

Error RcclCommunicator::connect() {
  Expected<const Library *> opened = Library::open();
  Error error = opened ? Error::success() : opened.takeError();
  std::map<CollectiveDescription::Channel, UniqueId> ids;
  if (!error) {
    library = *opened;
    for (auto &[key, channel] : channels)
      if (channel.index == 0 && !error)
        error = library->check(library->GetUniqueId(&ids[key]), "ncclGetUniqueId", "making a group of ranks");
  }
  if (Error agreed = host.agree(std::move(error)))
    return agreed;
  Expected<std::vector<std::string>> all = host.allGatherBytes(writeIds(ids));
  if (!all)
    return all.takeError();
  for (const std::string &text : *all)
    readIds(text, ids);
  // In one order for all, so that no ranks wait for each other in a circle.
  for (auto &[key, channel] : channels)
    if (Error failed = library->check(
            library->CommInitRank(&channel.comm, static_cast<int>(key.second.size()), ids.at(key), channel.index),
            "ncclCommInitRank", fmt::format("{}: joining {} ranks", context.getDescription(), key.second.size())))
      return failed;
  isConnected = true;
  return Error::success();
}

Error RcclCommunicator::createStream(hip::Stream &stream) {
  return context.check(hip.StreamCreateWithFlags(&stream, hip::streamNonBlocking), "hipStreamCreateWithFlags",
                       "making a queue for collectives");
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
  hip::Stream &stream = isMessage(collective.getDescription().kind) ? collective.channel->stream : groupStream;
  if (!stream)
    if (Error error = createStream(stream))
      return error;
  collective.channel->stream = stream;
  for (hip::Event *event : {&collective.ready, &collective.done}) {
    if (Error error = context.check(hip.EventCreateWithFlags(event, hip::eventDisableTiming), "hipEventCreateWithFlags",
                                    "making an event"))
      return error;
    events.push_back(*event);
  }
  return reserveScratch(collective.plan.scratchBytes);
}

std::unique_ptr<Collective> RcclCommunicator::doPrepare(CollectiveDescription description) {
  Channel *channel = nullptr;
  if (!description.isLocal()) {
    channel = &channels[description.getChannel()];
    channel->index = description.index;
  }
  auto collective = std::make_unique<RcclCollective>(std::move(description), channel);
  if (!failure && channel)
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

rccl::Result RcclCommunicator::call(const Call &call, const CollectiveDescription &description, const Channel &channel) {
  Comm comm = channel.comm;
  hip::Stream stream = channel.stream;
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
  hip::Stream compute = context.getStream(), queue = collective.channel ? collective.channel->stream : compute;
  if (collective.channel) {
    if (Error error = context.check(hip.EventRecord(collective.ready, compute), "hipEventRecord", name))
      return error;
    if (Error error = context.check(hip.StreamWaitEvent(queue, collective.ready, 0), "hipStreamWaitEvent", name))
      return error;
  }
  for (const Move &before : collective.plan.before)
    if (Error error = move(before, queue, name))
      return error;
  if (!collective.plan.calls.empty()) {
    rccl::Result result = library->GroupStart();
    for (const Call &each : collective.plan.calls)
      if (result == Success)
        result = call(each, description, *collective.channel);
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
  return collective.channel ? context.check(hip.EventRecord(collective.done, queue), "hipEventRecord", name)
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
  if (collective.channel && !isConnected)
    failure = connect();
  if (!failure)
    failure = enqueue(collective);
  if (!collective.channel || failure)
    return;
  collective.isInFlight = true;
  collective.came.reset();
  inFlight.push_back(&collective);
}

Error RcclCommunicator::doWait(Collective &base, Clock::time_point) {
  auto &collective = static_cast<RcclCollective &>(base);
  if (failure || !collective.channel)
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
  for (auto &[key, channel] : channels) {
    if (!channel.comm)
      continue;
    rccl::Result state = Success;
    rccl::Result result = library->CommGetAsyncError(channel.comm, &state);
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
